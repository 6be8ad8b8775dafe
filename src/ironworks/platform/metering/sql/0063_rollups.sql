-- Sums of usage by hour and by day, which outlive the single events.
--
-- A worker adds up what was recorded since it looked last, by transaction, not by time: what comes late, or in any
-- order, is counted once. The meter '' counts events.
create table platform_metering.usage_hourly (
  scope ltree not null,
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  at timestamptz not null,
  meter text collate "C" not null,
  series uuid not null,
  model text collate "C" not null,
  route text collate "C" not null,
  endpoint text collate "C" not null,
  key_uid uuid,
  dimensions jsonb not null,
  quantity numeric not null,
  primary key (path, meter, at, series)
);
create index on platform_metering.usage_hourly (at);
create table platform_metering.usage_daily (like platform_metering.usage_hourly including all);

create table platform_metering.rolled (
  only_row boolean primary key default true check (only_row),
  upto xid8 not null
);
insert into platform_metering.rolled (upto) values ('0');

alter table platform_metering.usage_hourly enable row level security;
alter table platform_metering.usage_hourly force row level security;
alter table platform_metering.usage_daily enable row level security;
alter table platform_metering.usage_daily force row level security;
alter table platform_metering.rolled enable row level security;
alter table platform_metering.rolled force row level security;
grant select on platform_metering.usage_hourly, platform_metering.usage_daily, platform_metering.rolled
  to ironworks_api, ironworks_worker;
grant insert, update on platform_metering.usage_hourly, platform_metering.usage_daily to ironworks_worker;
grant delete on platform_metering.usage_hourly to ironworks_worker;
grant update on platform_metering.rolled to ironworks_worker;
