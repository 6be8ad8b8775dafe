-- Prepaid credit: what was granted, what was drawn from which grant, and where an account stands.
--
-- The ledger account `credit` says how much an account has; these rows say of which grants it consists, and add up to
-- it. They are as append-only as the transfers.
create table platform_ledger.credit_grant (
  id uuid primary key,
  scope ltree not null,
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  currency text collate "C" not null check (currency ~ '^[A-Z]{3}$'),
  amount_nano bigint not null check (amount_nano > 0),
  source text not null check (source in ('paid', 'promotion')),
  priority smallint not null check (priority between 0 and 100),
  expires_at timestamptz,
  reference text not null,
  note text not null,
  granted_by text not null,
  granted_at timestamptz not null,
  transfer_id uuid not null unique references platform_ledger.transfer (id),
  unique (path, reference)
);
create index on platform_ledger.credit_grant (path, granted_at, id);
create index on platform_ledger.credit_grant (expires_at) where expires_at is not null;

-- amount_nano is negative where what was used was given back.
create table platform_ledger.credit_draw (
  grant_id uuid not null references platform_ledger.credit_grant (id),
  transfer_id uuid not null references platform_ledger.transfer (id),
  amount_nano bigint not null check (amount_nano <> 0),
  kind text not null check (kind in ('use', 'return', 'expiry')),
  correlation text collate "C" not null,
  scope ltree not null,
  drawn_at timestamptz not null default now(),
  primary key (grant_id, transfer_id),
  check ((kind = 'return') = (amount_nano < 0))
);
create index on platform_ledger.credit_draw (correlation);

-- What an expired grant still holds for usage from before it expired, decided once.
create table platform_ledger.credit_hold (
  grant_id uuid primary key references platform_ledger.credit_grant (id),
  held_nano bigint not null check (held_nano >= 0),
  held_until timestamptz not null,
  scope ltree not null,
  held_at timestamptz not null default now()
);

-- Accounts that pay beforehand, and their state.
create table platform_ledger.prepaid_account (
  scope ltree not null,
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  currency text collate "C" not null check (currency ~ '^[A-Z]{3}$'),
  low_nano bigint not null check (low_nano >= 0),
  grace interval not null check (grace between interval '0' and interval '31 days'),
  state text not null,
  since timestamptz not null,
  release_at timestamptz,
  primary key (path, currency)
);

create trigger append_only before update or delete or truncate on platform_ledger.credit_grant
  for each statement execute function platform_ledger.refuse_change();
create trigger append_only before update or delete or truncate on platform_ledger.credit_draw
  for each statement execute function platform_ledger.refuse_change();
create trigger append_only before update or delete or truncate on platform_ledger.credit_hold
  for each statement execute function platform_ledger.refuse_change();

alter table platform_ledger.credit_grant enable row level security;
alter table platform_ledger.credit_grant force row level security;
alter table platform_ledger.credit_draw enable row level security;
alter table platform_ledger.credit_draw force row level security;
alter table platform_ledger.credit_hold enable row level security;
alter table platform_ledger.credit_hold force row level security;
alter table platform_ledger.prepaid_account enable row level security;
alter table platform_ledger.prepaid_account force row level security;

grant select, insert on platform_ledger.credit_grant, platform_ledger.credit_draw, platform_ledger.credit_hold,
  platform_ledger.prepaid_account to ironworks_worker, ironworks_api;
grant update (low_nano, grace, state, since, release_at), delete on platform_ledger.prepaid_account
  to ironworks_worker, ironworks_api;

-- The operator posts by hand, with `ledger:post` at his own scope: credit, payments, credit notes. Never usage.
grant insert on platform_ledger.ledger_account to ironworks_api;
grant insert (id, debit_account, credit_account, amount_nano, currency, kind, correlation, corrects, scope, day)
  on platform_ledger.transfer to ironworks_api;
