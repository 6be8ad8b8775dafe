-- What plans allow, and what the operator allows instead. `allowed` null: without a limit.
select shared.create_domain_schema('platform_policy');

create table platform_policy.plan_quota (
  scope ltree not null check (nlevel(scope) = 1),
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  quota text collate "C" not null check (quota ~ '^[a-z][a-z0-9]*(_[a-z0-9]+)*$' and length(quota) <= 63),
  allowed bigint check (allowed >= 0),
  plan text not null check (length(plan) between 1 and 63),
  set_at timestamptz not null default now(),
  primary key (path, quota)
);

create table platform_policy.quota_override (
  scope ltree not null check (nlevel(scope) between 1 and 2),
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  quota text collate "C" not null check (quota ~ '^[a-z][a-z0-9]*(_[a-z0-9]+)*$' and length(quota) <= 63),
  allowed bigint check (allowed >= 0),
  expires_at timestamptz,
  reason text not null check (length(reason) <= 500),
  set_by text not null,
  set_at timestamptz not null default now(),
  primary key (path, quota)
);
comment on column platform_policy.quota_override.expires_at is 'from then on it is as if it were not there';

alter table platform_policy.plan_quota enable row level security;
alter table platform_policy.plan_quota force row level security;
alter table platform_policy.quota_override enable row level security;
alter table platform_policy.quota_override force row level security;

grant select on platform_policy.plan_quota, platform_policy.quota_override to ironworks_api, ironworks_worker;
grant insert, update, delete on platform_policy.quota_override to ironworks_api;
grant select, insert, update, delete on platform_policy.plan_quota to ironworks_system;
grant select on platform_policy.quota_override to ironworks_system;
