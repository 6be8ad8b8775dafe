-- The currency in which an account's usage is rated from a moment on; without one, the installation's. Append-only, and
-- nothing is ever converted: what is rated keeps its currency.
create table platform_pricing.account_currency (
  account text collate "C" not null,
  scope ltree not null generated always as (text2ltree(account)) stored,
  currency text collate "C" not null check (currency ~ '^[A-Z]{3}$'),
  valid_from timestamptz not null,
  created_at timestamptz not null default now(),
  created_by text not null,
  primary key (account, valid_from)
);
create trigger append_only before update or delete or truncate on platform_pricing.account_currency
  for each statement execute function platform_pricing.refuse_change();
alter table platform_pricing.account_currency enable row level security;
alter table platform_pricing.account_currency force row level security;
grant select on platform_pricing.account_currency to ironworks_api, ironworks_worker, ironworks_gateway;
grant insert on platform_pricing.account_currency to ironworks_api, ironworks_worker;
