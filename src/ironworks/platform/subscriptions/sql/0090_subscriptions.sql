-- Plans, who is on which, and what that charges.
select shared.create_domain_schema('platform_subscriptions');

create function platform_subscriptions.refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'insufficient_privilege';
end $$;

-- A version of a plan; the largest number counts for who subscribes now, and whoever has an older one keeps it.
create table platform_subscriptions.plan (
  id uuid primary key default gen_random_uuid(),
  name text collate "C" not null check (name ~ '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$'),
  version int not null check (version > 0),
  title text not null check (length(title) between 1 and 80),
  currency text collate "C" not null check (currency ~ '^[A-Z]{3}$'),
  base_fee_nano bigint not null check (base_fee_nano between 0 and 1000000000000000),
  limits jsonb not null check (jsonb_typeof(limits) = 'object'),
  included jsonb not null check (jsonb_typeof(included) = 'object'),
  overage jsonb not null check (jsonb_typeof(overage) = 'object'),
  trial_days int not null check (trial_days between 0 and 366),
  created_at timestamptz not null default now(),
  created_by text not null,
  unique (name, currency, version)
);

create table platform_subscriptions.subscription (
  id uuid primary key,
  scope ltree not null check (nlevel(scope) = 1),
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  plan_id uuid not null references platform_subscriptions.plan (id),
  next_plan_id uuid references platform_subscriptions.plan (id),
  currency text collate "C" not null,
  status text not null check (status in ('trialing', 'active', 'past_due', 'canceled')),
  anchor_day int not null check (anchor_day between 1 and 31),
  started_on date not null,
  trial_end date check (trial_end > started_on),
  period_start date not null,
  period_end date not null check (period_end > period_start),
  ends_on date check (ends_on > started_on),
  closed_to date not null,
  opened boolean not null,
  closes_on date check (closes_on > closed_to or closes_on = closed_to and not opened),
  unpaid uuid[] not null default '{}',
  grace_until timestamptz check ((grace_until is null) = (unpaid = '{}')),
  created_at timestamptz not null default now()
);
comment on column platform_subscriptions.subscription.closes_on is 'the end of the earliest period that is not closed';
create unique index one_at_a_time on platform_subscriptions.subscription (path) where status <> 'canceled';
create index on platform_subscriptions.subscription (path, started_on);
create index on platform_subscriptions.subscription (closes_on, id) where closes_on is not null;
create index on platform_subscriptions.subscription (least(period_end, ends_on)) where status <> 'canceled';

-- From which day on a subscription was on which plan; of two with one day the later counts.
create table platform_subscriptions.plan_span (
  subscription_id uuid not null references platform_subscriptions.subscription (id),
  position int not null check (position >= 0),
  scope ltree not null,
  from_day date not null,
  plan_id uuid not null references platform_subscriptions.plan (id),
  primary key (subscription_id, position)
);

-- Fees, prorations and what is included. The close that takes a charge writes the end of its period into billed_on.
create table platform_subscriptions.charge (
  reference text collate "C" primary key,
  subscription_id uuid not null references platform_subscriptions.subscription (id),
  scope ltree not null,
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  kind text not null check (kind in ('fee', 'proration', 'included')),
  description text not null,
  quantity bigint not null check (quantity >= 0),
  unit text not null,
  amount_nano bigint not null check (amount_nano <> 0),
  due_on date not null,
  billed_on date check (billed_on >= due_on),
  meter text collate "C",
  period_start date,
  created_at timestamptz not null default now(),
  constraint what_is_included_names_usage
    check ((kind = 'included') = (meter is not null) and (kind = 'included') = (period_start is not null))
);
create index on platform_subscriptions.charge (subscription_id, due_on, reference);

-- A period whose charges are settled: asked for again, they are the same.
create table platform_subscriptions.settled_period (
  subscription_id uuid not null references platform_subscriptions.subscription (id),
  scope ltree not null,
  period_start date not null,
  period_end date not null check (period_end >= period_start),
  settled_at timestamptz not null default now(),
  primary key (subscription_id, period_end)
);

create table platform_subscriptions.suggestion (
  subscription_id uuid not null references platform_subscriptions.subscription (id),
  scope ltree not null,
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  period_start date not null,
  meter text collate "C" not null,
  percent int not null,
  used numeric not null,
  included bigint not null,
  plan text not null,
  suggested_at timestamptz not null,
  primary key (subscription_id, period_start, meter, percent)
);

do $$
declare
  append_only text;
begin
  foreach append_only in array array['plan', 'plan_span', 'settled_period', 'suggestion'] loop
    execute format(
      'create trigger append_only before update or delete or truncate on platform_subscriptions.%I'
      ' for each statement execute function platform_subscriptions.refuse_change()', append_only);
  end loop;
end $$;
create trigger never_removed before delete or truncate on platform_subscriptions.subscription
  for each statement execute function platform_subscriptions.refuse_change();
create trigger never_removed before delete or truncate on platform_subscriptions.charge
  for each statement execute function platform_subscriptions.refuse_change();

alter table platform_subscriptions.plan enable row level security;
alter table platform_subscriptions.plan force row level security;
alter table platform_subscriptions.subscription enable row level security;
alter table platform_subscriptions.subscription force row level security;
alter table platform_subscriptions.plan_span enable row level security;
alter table platform_subscriptions.plan_span force row level security;
alter table platform_subscriptions.charge enable row level security;
alter table platform_subscriptions.charge force row level security;
alter table platform_subscriptions.settled_period enable row level security;
alter table platform_subscriptions.settled_period force row level security;
alter table platform_subscriptions.suggestion enable row level security;
alter table platform_subscriptions.suggestion force row level security;

grant select, insert on platform_subscriptions.plan, platform_subscriptions.subscription,
  platform_subscriptions.plan_span, platform_subscriptions.charge to ironworks_api, ironworks_worker;
grant update (plan_id, next_plan_id, status, period_start, period_end, ends_on, closes_on, unpaid, grace_until)
  on platform_subscriptions.subscription to ironworks_api, ironworks_worker;
grant update (closed_to, opened) on platform_subscriptions.subscription to ironworks_worker;
grant update (billed_on) on platform_subscriptions.charge to ironworks_worker;
grant select on platform_subscriptions.settled_period, platform_subscriptions.suggestion to ironworks_api;
grant select, insert on platform_subscriptions.settled_period, platform_subscriptions.suggestion to ironworks_worker;
