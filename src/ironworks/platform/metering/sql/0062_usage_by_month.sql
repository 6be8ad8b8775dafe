-- Usage events by the month in which they occurred, so that a month which nobody needs any more goes at once.
--
-- What was recorded before becomes the partition for whatever has no month of its own: not a row is copied, however
-- many there are. The worker makes the months ahead; the rows of this one are deleted when their time has come.
alter table platform_metering.usage_event rename to usage_rest;
alter table platform_metering.usage_rest drop constraint usage_event_pkey;

-- The transaction that recorded an event says what is recorded since another one looked; 0 is before that was kept.
alter table platform_metering.usage_rest add column recorded_in xid8 not null default '0';

drop policy if exists gateway on platform_metering.usage_rest;
drop policy if exists worker on platform_metering.usage_rest;
drop policy if exists api_read on platform_metering.usage_rest;
revoke all on platform_metering.usage_rest from ironworks_api, ironworks_worker, ironworks_gateway;

create table platform_metering.usage_event (
  like platform_metering.usage_rest including defaults including generated including constraints,
  primary key (event_id, occurred_at)
) partition by range (occurred_at);
alter table platform_metering.usage_event alter column recorded_in set default pg_current_xact_id();
create index usage_event_by_path on platform_metering.usage_event (path, occurred_at, event_id);
create index usage_event_by_transaction on platform_metering.usage_event (recorded_in);
create index usage_rest_by_time on platform_metering.usage_rest using brin (occurred_at);
alter table platform_metering.usage_event attach partition platform_metering.usage_rest default;

alter table platform_metering.usage_event enable row level security;
alter table platform_metering.usage_event force row level security;
grant insert on platform_metering.usage_event to ironworks_gateway, ironworks_api;
grant select on platform_metering.usage_event to ironworks_api, ironworks_worker;

-- Up to when claims and events were forgotten: nothing that occurred before is recorded again.
create table platform_metering.horizon (
  only_row boolean primary key default true check (only_row),
  claims_from timestamptz,
  events_from timestamptz
);
insert into platform_metering.horizon default values;
create index on platform_metering.usage_claim (claimed_at);

alter table platform_metering.horizon enable row level security;
alter table platform_metering.horizon force row level security;
grant select on platform_metering.horizon to ironworks_api, ironworks_worker, ironworks_gateway;
grant select, insert on platform_metering.usage_claim to ironworks_api;
grant insert on platform_metering.set_aside to ironworks_api;

-- Usage from outside is recorded by the API and waits here until a worker has charged it.
create table platform_metering.uncharged (
  event_id text collate "C" primary key,
  occurred_at timestamptz not null,
  scope ltree not null
);
alter table platform_metering.uncharged enable row level security;
alter table platform_metering.uncharged force row level security;
grant insert on platform_metering.uncharged to ironworks_api;
grant select, delete on platform_metering.uncharged to ironworks_worker;

-- The role whose functions make and drop months must own the table.
grant select, update, delete on platform_metering.usage_claim, platform_metering.horizon to ironworks_system;
alter table platform_metering.usage_event owner to ironworks_system;
alter table platform_metering.usage_rest owner to ironworks_system;
