-- Balances kept beside the transfers, so that one is read in the time of the newest rows and not of all there are.
--
-- posted_in is the id of the transaction that posted a transfer. Everything that is older than the oldest transaction
-- still running is final, so a snapshot sums the transfers posted in transactions before that horizon, and a balance is
-- the snapshot and the transfers from its horizon on: exact, whatever commits in which order meanwhile. A bigint, for
-- its comparison is leakproof and can use an index behind row-level security. Transfers of before this file all have
-- the id of the transaction that runs it.
alter table platform_ledger.transfer
  add column posted_in bigint not null default pg_current_xact_id()::text::bigint;

-- nobody says in which transaction, or when, he posts
revoke insert on platform_ledger.transfer from ironworks_worker, ironworks_gateway;
grant insert (id, debit_account, credit_account, amount_nano, currency, kind, correlation, corrects, scope, day)
  on platform_ledger.transfer to ironworks_worker, ironworks_gateway;

drop index platform_ledger.transfer_debit_account_amount_nano_idx;
drop index platform_ledger.transfer_credit_account_amount_nano_idx;
create index on platform_ledger.transfer (debit_account, posted_in) include (amount_nano);
create index on platform_ledger.transfer (credit_account, posted_in) include (amount_nano);
create index on platform_ledger.transfer (posted_in) include (debit_account, credit_account, amount_nano);

-- Transaction ids mean nothing in another cluster: what was restored there from a dump is not used, and made anew.
create table platform_ledger.snapshot_run (
  cluster bigint not null,
  horizon bigint not null,
  taken_at timestamptz not null default now(),
  primary key (cluster, horizon)
);
create table platform_ledger.balance_snapshot (
  account uuid not null references platform_ledger.ledger_account (id),
  cluster bigint not null,
  horizon bigint not null,
  debit_nano numeric(39) not null check (debit_nano >= 0),
  credit_nano numeric(39) not null check (credit_nano >= 0),
  scope ltree not null,
  taken_at timestamptz not null default now(),
  primary key (account, cluster, horizon)
);

-- A snapshot that does not agree with its transfers; from then on the ledger account's snapshots are left aside.
create table platform_ledger.snapshot_mismatch (
  account uuid not null references platform_ledger.ledger_account (id),
  cluster bigint not null,
  horizon bigint not null,
  kept_nano numeric(40) not null,
  summed_nano numeric(40) not null,
  scope ltree not null,
  found_at timestamptz not null default now(),
  primary key (account, cluster, horizon)
);

create trigger never_updated before update on platform_ledger.balance_snapshot
  for each statement execute function platform_ledger.refuse_change();
create trigger never_updated before update on platform_ledger.snapshot_run
  for each statement execute function platform_ledger.refuse_change();

alter table platform_ledger.snapshot_run enable row level security;
alter table platform_ledger.snapshot_run force row level security;
alter table platform_ledger.balance_snapshot enable row level security;
alter table platform_ledger.balance_snapshot force row level security;
alter table platform_ledger.snapshot_mismatch enable row level security;
alter table platform_ledger.snapshot_mismatch force row level security;

grant select on platform_ledger.balance_snapshot, platform_ledger.snapshot_mismatch to ironworks_api;
grant select, insert on platform_ledger.snapshot_mismatch to ironworks_worker;
grant select, insert, delete on platform_ledger.snapshot_run, platform_ledger.balance_snapshot to ironworks_worker;
