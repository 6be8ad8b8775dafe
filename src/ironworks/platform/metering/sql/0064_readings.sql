-- Readings of meters that are not added up: the largest of a month, the different ones, or a level by the time it held.
create table platform_metering.reading (
  event_id text collate "C" not null,
  meter text collate "C" not null,
  aggregation text not null check (aggregation in ('max', 'unique', 'time_weighted')),
  occurred_at timestamptz not null,
  scope ltree not null,
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  resource text collate "C" not null,
  model text collate "C" not null,
  dimensions jsonb not null,
  level bigint check (level >= 0),
  word text collate "C",
  primary key (event_id, meter),
  check ((aggregation = 'unique') = (word is not null) and (aggregation = 'unique') = (level is null))
);
create index on platform_metering.reading (aggregation, occurred_at);

-- What of a month's readings was made into usage events, and so charged; it only grows.
create table platform_metering.settled (
  month date not null,
  meter text collate "C" not null,
  scope ltree not null,
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  series uuid not null,
  quantity bigint not null check (quantity >= 0),
  primary key (month, meter, path, series)
);

alter table platform_metering.reading enable row level security;
alter table platform_metering.reading force row level security;
alter table platform_metering.settled enable row level security;
alter table platform_metering.settled force row level security;
grant insert on platform_metering.reading to ironworks_api, ironworks_gateway, ironworks_worker;
grant select on platform_metering.reading, platform_metering.settled to ironworks_api, ironworks_worker;
grant insert, update on platform_metering.settled to ironworks_worker;
grant insert on platform_metering.usage_event, platform_metering.set_aside to ironworks_worker;
grant select, insert on platform_metering.usage_claim to ironworks_worker;
