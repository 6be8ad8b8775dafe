-- Append-only double entry: a transfer is one row, so it balances by construction.
select shared.create_domain_schema('platform_ledger');

create function platform_ledger.refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'insufficient_privilege';
end $$;

create table platform_ledger.ledger_account (
  id uuid primary key default gen_random_uuid(),
  scope ltree not null,
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  purpose text collate "C" not null check (purpose ~ '^[a-z][a-z_]{0,39}$'),
  currency text collate "C" not null check (currency ~ '^[A-Z]{3}$'),
  opened_at timestamptz not null default now(),
  unique (path, purpose, currency),
  unique (id, currency)
);

-- scope is the lower one of the two accounts': whoever may see its bill may see the transfer.
create table platform_ledger.transfer (
  id uuid primary key,
  debit_account uuid not null,
  credit_account uuid not null check (credit_account <> debit_account),
  amount_nano bigint not null check (amount_nano > 0),
  currency text collate "C" not null,
  kind text not null,
  correlation text not null,
  corrects uuid unique references platform_ledger.transfer (id) check (corrects <> id),
  scope ltree not null,
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  posted_at timestamptz not null default now(),
  foreign key (debit_account, currency) references platform_ledger.ledger_account (id, currency),
  foreign key (credit_account, currency) references platform_ledger.ledger_account (id, currency),
  constraint a_reversal_names_what_it_corrects check ((kind = 'reversal') = (corrects is not null))
);
create index on platform_ledger.transfer (debit_account) include (amount_nano);
create index on platform_ledger.transfer (credit_account) include (amount_nano);

create trigger append_only before update or delete or truncate on platform_ledger.ledger_account
  for each statement execute function platform_ledger.refuse_change();
create trigger append_only before update or delete or truncate on platform_ledger.transfer
  for each statement execute function platform_ledger.refuse_change();

alter table platform_ledger.ledger_account enable row level security;
alter table platform_ledger.ledger_account force row level security;
alter table platform_ledger.transfer enable row level security;
alter table platform_ledger.transfer force row level security;

grant select on platform_ledger.ledger_account, platform_ledger.transfer to ironworks_api, ironworks_worker;
grant insert on platform_ledger.ledger_account, platform_ledger.transfer to ironworks_worker, ironworks_gateway;
grant select on platform_ledger.ledger_account to ironworks_gateway;
