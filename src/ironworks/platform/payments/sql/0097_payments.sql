-- Payments: intents that are written before anybody is asked for money, and what came of them.
select shared.create_domain_schema('platform_payments');

-- Who an account is at the provider. reference is null until the provider has answered.
create table platform_payments.customer (
  account text collate "C" primary key,
  scope ltree not null generated always as (text2ltree(account)) stored,
  provider text not null,
  reference text unique,
  default_method text,
  created_at timestamptz not null default now(),
  synced_at timestamptz
);

-- What an account can be charged by: the provider's own list, as it was when we looked last.
create table platform_payments.method (
  reference text primary key,
  account text collate "C" not null references platform_payments.customer,
  scope ltree not null generated always as (text2ltree(account)) stored,
  kind text not null,
  label text not null,
  expires_on date
);
create index on platform_payments.method (account);

create table platform_payments.payment (
  id uuid primary key,
  account text collate "C" not null,
  scope ltree not null generated always as (text2ltree(account)) stored,
  invoice_id uuid not null,
  provider text not null,
  method text not null,
  amount_nano bigint not null check (amount_nano > 0),
  currency text collate "C" not null check (currency ~ '^[A-Z]{3}$'),
  state text not null check (state in
    ('planned', 'sending', 'processing', 'failed', 'exhausted', 'succeeded', 'canceled')),
  attempt int not null default 0,
  reference text,
  failure_code text,
  failure_message text,
  created_at timestamptz not null,
  first_failed_at timestamptz,
  finished_at timestamptz,
  recorded_at timestamptz,
  due_at timestamptz,
  told int not null default 0,
  looked int not null default 0,
  token uuid,
  leased_until timestamptz,
  unique (provider, reference)
);
-- One at a time: an invoice is never charged by two at once, nor while it does not know yet that it was paid.
create unique index one_live_payment on platform_payments.payment (invoice_id)
  where state in ('planned', 'sending', 'processing', 'failed', 'exhausted')
     or (state = 'succeeded' and provider <> 'manual' and recorded_at is null);
create index on platform_payments.payment (due_at) where due_at is not null or told > looked;
create index on platform_payments.payment (created_at, id);
create index on platform_payments.payment (account, created_at, id);
create index on platform_payments.payment (invoice_id);

create table platform_payments.refund (
  id uuid primary key,
  payment_id uuid not null references platform_payments.payment,
  account text collate "C" not null,
  scope ltree not null generated always as (text2ltree(account)) stored,
  amount_nano bigint not null check (amount_nano > 0),
  reason text not null,
  state text not null check (state in ('planned', 'sending', 'pending', 'succeeded', 'failed')),
  reference text unique,
  failure_message text,
  created_at timestamptz not null,
  finished_at timestamptz,
  recorded_at timestamptz,
  due_at timestamptz,
  token uuid,
  leased_until timestamptz
);
create index on platform_payments.refund (payment_id);
create index on platform_payments.refund (due_at) where due_at is not null;

-- What the provider told of, by its own ids; each names an object that is then looked at.
create table platform_payments.notice (
  id text primary key,
  type text not null,
  object_id text not null,
  related_id text,
  told_at timestamptz not null,
  received_at timestamptz not null,
  handled_at timestamptz
);
create index on platform_payments.notice (received_at) where handled_at is null;

create table platform_payments.reconciliation (
  day date primary key,
  compared int not null,
  finished_at timestamptz not null
);

create table platform_payments.difference (
  id uuid primary key default gen_random_uuid(),
  reference text not null,
  kind text not null,
  ours text not null,
  theirs text not null,
  payment_id uuid,
  found_at timestamptz not null,
  gone_at timestamptz
);
create unique index on platform_payments.difference (reference, kind) where gone_at is null;
create index on platform_payments.difference (found_at);

do $$
declare t text;
begin
  foreach t in array array['customer', 'method', 'payment', 'refund', 'notice', 'reconciliation', 'difference'] loop
    execute format('alter table platform_payments.%I enable row level security', t);
    execute format('alter table platform_payments.%I force row level security', t);
  end loop;
end $$;

grant select on platform_payments.customer, platform_payments.method, platform_payments.payment,
  platform_payments.refund, platform_payments.reconciliation, platform_payments.difference to ironworks_api;
grant insert, update (reference, default_method) on platform_payments.customer to ironworks_api;
grant update (due_at, state) on platform_payments.payment to ironworks_api;
grant delete on platform_payments.method to ironworks_api;
grant insert on platform_payments.payment, platform_payments.refund, platform_payments.notice to ironworks_api;

grant select, insert, update on platform_payments.customer, platform_payments.payment, platform_payments.refund,
  platform_payments.notice, platform_payments.reconciliation, platform_payments.difference to ironworks_worker;
grant select, insert, update, delete on platform_payments.method to ironworks_worker;
grant delete on platform_payments.notice to ironworks_worker;
