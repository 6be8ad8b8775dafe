-- Usage events, each recorded once, and what could not be counted.
select shared.create_domain_schema('platform_metering');

-- An id is claimed in the transaction that records its event. Claims are apart from the events, so that events can be
-- partitioned by time and aged out without setting their ids free.
create table platform_metering.usage_claim (
  event_id text collate "C" primary key,
  digest bytea not null,
  claimed_at timestamptz not null default now()
);

create table platform_metering.usage_event (
  event_id text collate "C" primary key,
  occurred_at timestamptz not null,
  recorded_at timestamptz not null default now(),
  scope ltree not null,
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  quantities jsonb not null check (jsonb_typeof(quantities) = 'object'),
  model text not null,
  route text not null,
  endpoint_uid uuid,
  endpoint_name text not null,
  endpoint_scope ltree not null,
  key_uid uuid,
  counted boolean not null,
  client_request_id text,
  dimensions jsonb not null check (jsonb_typeof(dimensions) = 'object')
);
create index on platform_metering.usage_event (path, occurred_at, event_id);

-- json, not jsonb: it keeps what was handed in to the letter, also what Postgres' text cannot hold.
create table platform_metering.set_aside (
  event_id text collate "C" not null,
  digest bytea not null,
  reason text not null,
  problem text not null,
  content json not null,
  scope ltree not null,
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  recorded_at timestamptz not null default now(),
  primary key (event_id, digest)
);
create index on platform_metering.set_aside (path, recorded_at);

alter table platform_metering.usage_claim enable row level security;
alter table platform_metering.usage_claim force row level security;
alter table platform_metering.usage_event enable row level security;
alter table platform_metering.usage_event force row level security;
alter table platform_metering.set_aside enable row level security;
alter table platform_metering.set_aside force row level security;

-- The gateway writes usage of every tenant and reads none of it back.
grant select, insert on platform_metering.usage_claim to ironworks_gateway;
grant insert on platform_metering.usage_event, platform_metering.set_aside to ironworks_gateway;
grant select on platform_metering.usage_event, platform_metering.set_aside to ironworks_api, ironworks_worker;
