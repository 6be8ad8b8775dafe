-- Budgets, what is spent of them in each period, and the leases of gateway processes. Amounts are whole nano-units.
select shared.create_domain_schema('tokenfactory_budgets');
select shared.create_kind_table('Budget', 'tokenfactory_budgets.budget', refs =>
  '{"endpoint": "inference_endpoints.endpoint", "key": "platform_iam.api_key", "route": "tokenfactory_routing.route"}');

-- Whoever changes what is spent or leased in a period locks its row first, several rows by (budget, period_start).
create table tokenfactory_budgets.budget_period (
  budget uuid not null references tokenfactory_budgets.budget (uid) on delete cascade,
  period_start timestamptz not null,
  scope ltree not null,
  spent_nano bigint not null default 0 check (spent_nano >= 0),
  unreserved_nano bigint not null default 0 check (unreserved_nano between 0 and spent_nano),
  recalled_at timestamptz,
  primary key (budget, period_start)
);
comment on column tokenfactory_budgets.budget_period.unreserved_nano is 'of spent_nano, what nothing was reserved for';
comment on column tokenfactory_budgets.budget_period.recalled_at is 'when a request last found too little money free';

-- What a process may still spend is granted - used: it is spent for everyone else until the lease closes or is lowered.
create table tokenfactory_budgets.lease (
  id bigint generated always as identity primary key,
  budget uuid not null,
  period_start timestamptz not null,
  scope ltree not null,
  holder text collate "C" not null,
  host text not null,
  epoch bigint not null default 1,
  granted_nano bigint not null check (granted_nano >= 0),
  used_nano bigint not null default 0 check (used_nano >= 0),
  state text not null default 'open' check (state in ('open', 'frozen', 'closed', 'declared_lost')),
  granted_at timestamptz not null default now(),
  expires_at timestamptz not null,
  closed_at timestamptz,
  foreign key (budget, period_start) references tokenfactory_budgets.budget_period on delete cascade,
  check ((closed_at is not null) = (state in ('closed', 'declared_lost')))
);
comment on column tokenfactory_budgets.lease.epoch is 'grows with every change; an order that names another does nothing';
comment on column tokenfactory_budgets.lease.expires_at is 'nothing new is reserved after it; it releases nothing';
create unique index one_live_lease on tokenfactory_budgets.lease (budget, period_start, holder)
  where state in ('open', 'frozen');
create index live_leases_of on tokenfactory_budgets.lease (holder) where state in ('open', 'frozen');
create index closed_leases on tokenfactory_budgets.lease (closed_at) where closed_at is not null;

-- Thresholds that were told: each once in a period.
create table tokenfactory_budgets.threshold_told (
  budget uuid not null,
  period_start timestamptz not null,
  percent integer not null,
  told_at timestamptz not null default now(),
  primary key (budget, period_start, percent),
  foreign key (budget, period_start) references tokenfactory_budgets.budget_period on delete cascade
);

alter table tokenfactory_budgets.budget_period enable row level security;
alter table tokenfactory_budgets.budget_period force row level security;
alter table tokenfactory_budgets.lease enable row level security;
alter table tokenfactory_budgets.lease force row level security;
alter table tokenfactory_budgets.threshold_told enable row level security;
alter table tokenfactory_budgets.threshold_told force row level security;

-- All is written by functions; the gateway reads budgets themselves and nothing else here.
grant select, insert, update, delete on tokenfactory_budgets.budget_period, tokenfactory_budgets.lease,
  tokenfactory_budgets.threshold_told to ironworks_system;
grant select on tokenfactory_budgets.budget_period, tokenfactory_budgets.lease to ironworks_api, ironworks_worker;
grant select on tokenfactory_budgets.budget to ironworks_gateway;
