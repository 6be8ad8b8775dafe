-- What a usage event knows besides: which prices count, the caller's own words, the end user, the route's identity.
--
-- No index on metadata: behind row-level security jsonb's operators cannot use one for a tenant, and a grouping reads
-- the scope's period anyway, by (path, occurred_at).
alter table platform_metering.usage_event
  add column priced_at timestamptz,
  add column metadata jsonb not null default '{}' check (jsonb_typeof(metadata) = 'object'),
  add column route_uid uuid,
  add column end_user text,
  add column cached_answer boolean not null default false;
