-- When each budget's money was spent: what burn-down and forecast are made of. Counted with budget_period, in the same
-- statement, so that a period's rows add up to what is spent in it.
create table tokenfactory_budgets.spending (
  budget uuid not null,
  period_start timestamptz not null,
  at timestamptz not null,
  minutes smallint not null default 10 check (minutes in (10, 60)),
  scope ltree not null,
  spent_nano bigint not null check (spent_nano >= 0),
  primary key (budget, period_start, at),
  foreign key (budget, period_start) references tokenfactory_budgets.budget_period on delete cascade
) with (fillfactor = 70);
comment on column tokenfactory_budgets.spending.at is 'where its minutes begin: when the requests were admitted';
create index fine_spending on tokenfactory_budgets.spending (at) where minutes = 10;

alter table tokenfactory_budgets.spending enable row level security;
alter table tokenfactory_budgets.spending force row level security;
grant select, insert, update, delete on tokenfactory_budgets.spending to ironworks_system;
grant select on tokenfactory_budgets.spending to ironworks_api;
grant select on tokenfactory_budgets.threshold_told to ironworks_api;

-- What was spent before this table was there counts as spent at once, where its period or the budget begins.
insert into tokenfactory_budgets.spending (budget, period_start, at, minutes, scope, spent_nano)
  select p.budget, p.period_start, date_trunc('hour', greatest(p.period_start, b.creation_timestamp), 'UTC'), 60,
         p.scope, p.spent_nano
  from tokenfactory_budgets.budget_period p join tokenfactory_budgets.budget b on b.uid = p.budget
  where p.spent_nano > 0;
