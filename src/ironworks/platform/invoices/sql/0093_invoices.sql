-- Invoices: what a close claims from the ledger, in lines, and what became of it.
select shared.create_domain_schema('platform_invoices');

create function platform_invoices.refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'insufficient_privilege';
end $$;

-- Who issues invoices (the operator's scope) and who gets them (accounts). A finalized invoice keeps its own copy.
create table platform_invoices.billing_details (
  scope ltree primary key check (nlevel(scope) <= 1),
  path text collate "C" not null generated always as (ltree2text(scope)) stored unique,
  details jsonb not null check (jsonb_typeof(details) = 'object'),
  updated_at timestamptz not null
);

-- One run over an account's period. Its cursor is the last transfer that it looked at; nothing that was posted before
-- `since` is unclaimed.
create table platform_invoices.close (
  id uuid primary key default gen_random_uuid(),
  scope ltree not null check (nlevel(scope) = 1),
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  subscription_id uuid,
  currency text collate "C" not null,
  period_start date not null,
  period_end date not null check (period_end >= period_start),
  state text not null check (state in ('charging', 'collecting', 'finalizing', 'done')),
  since timestamptz not null,
  cursor_path text collate "C" not null default '',
  cursor_at timestamptz not null,
  cursor_id uuid not null default '00000000-0000-0000-0000-000000000000',
  opened_at timestamptz not null,
  done_at timestamptz,
  unique nulls not distinct (path, subscription_id, period_end)
);
create index on platform_invoices.close (opened_at) where state <> 'done';

-- The last numbers that were given; they are given in the transaction that finalizes, so a rollback leaves no gap.
create table platform_invoices.numbering (
  scope ltree not null,
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  series text not null check (series in ('invoice', 'credit_note')),
  last integer not null check (last > 0),
  primary key (path, series)
);

create table platform_invoices.invoice (
  id uuid primary key default gen_random_uuid(),
  close_id uuid not null references platform_invoices.close (id),
  scope ltree not null check (nlevel(scope) = 1),
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  currency text collate "C" not null check (currency ~ '^[A-Z]{3}$'),
  period_start date not null,
  period_end date not null,
  state text not null default 'draft' check (state in ('draft', 'finalized', 'paid', 'void', 'uncollectible')),
  number text unique,
  lines_nano bigint not null default 0,
  rounding_nano bigint not null default 0,
  taxes jsonb not null default '[]' check (jsonb_typeof(taxes) = 'array'),
  total_nano bigint not null default 0,
  credit_nano bigint not null default 0 check (credit_nano >= 0),
  paid_nano bigint not null default 0 check (paid_nano >= 0),
  noted_nano bigint not null default 0 check (noted_nano >= 0),
  issuer jsonb not null default '{}',
  payer jsonb not null default '{}',
  created_at timestamptz not null,
  finalized_at timestamptz,
  due_at timestamptz,
  paid_at timestamptz,
  overdue_told_at timestamptz,
  reason text not null default '',
  unique (close_id, currency),
  constraint a_number_when_final check (number is not null or state in ('draft', 'void'))
);
create index on platform_invoices.invoice (path, created_at, id);
create index on platform_invoices.invoice (due_at, id) where state = 'finalized';

create table platform_invoices.line (
  id uuid primary key default gen_random_uuid(),
  invoice_id uuid not null references platform_invoices.invoice (id),
  scope ltree not null,
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  kind text not null check (kind in ('usage', 'fee', 'adjustment', 'correction')),
  meter text collate "C" not null,
  model text collate "C" not null,
  unit_price numeric,
  reference text collate "C" not null,
  description text not null,
  quantity numeric,
  unit text not null,
  amount_nano bigint not null,
  currency text collate "C" not null,
  unique nulls not distinct (invoice_id, path, kind, meter, model, unit_price, reference)
);

-- A transfer is on one invoice. Voiding an invoice sets its claims free, and keeps them beside.
create table platform_invoices.claim (
  transfer_id uuid primary key,
  invoice_id uuid not null references platform_invoices.invoice (id),
  scope ltree not null,
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  kind text not null,
  amount_nano bigint not null
);
create index on platform_invoices.claim (invoice_id, path, transfer_id);
create table platform_invoices.released_claim (
  transfer_id uuid not null,
  invoice_id uuid not null references platform_invoices.invoice (id),
  scope ltree not null,
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  kind text not null,
  amount_nano bigint not null,
  primary key (invoice_id, transfer_id)
);

-- What a transfer that is neither usage nor a correction is for, in words. The reference makes it happen once.
create table platform_invoices.charge (
  transfer_id uuid primary key,
  account text collate "C" not null,
  reference text collate "C" not null,
  scope ltree not null,
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  kind text not null check (kind in ('fee', 'adjustment')),
  description text not null,
  quantity numeric,
  unit text not null,
  meter text collate "C" not null,
  model text collate "C" not null,
  currency text collate "C" not null,
  amount_nano bigint not null check (amount_nano <> 0),
  unique (account, reference)
);

-- Which transfers an invoice itself made.
create table platform_invoices.posting (
  transfer_id uuid primary key,
  invoice_id uuid not null references platform_invoices.invoice (id),
  scope ltree not null,
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  kind text not null,
  reversible boolean not null
);
create index on platform_invoices.posting (invoice_id);

-- Money that came in for an invoice, or went back: `amount_nano` is negative then.
create table platform_invoices.payment (
  id uuid primary key default gen_random_uuid(),
  invoice_id uuid not null references platform_invoices.invoice (id),
  scope ltree not null,
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  amount_nano bigint not null check (amount_nano <> 0),
  to_credit_nano bigint not null check (to_credit_nano >= 0),
  method text not null,
  reference text collate "C" not null,
  recorded_at timestamptz not null,
  recorded_by text not null,
  unique (method, reference)
);
create index on platform_invoices.payment (invoice_id, recorded_at, id);

create table platform_invoices.credit_note (
  id uuid primary key default gen_random_uuid(),
  invoice_id uuid not null references platform_invoices.invoice (id),
  scope ltree not null,
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  number text not null unique,
  reference text collate "C" not null,
  amount_nano bigint not null check (amount_nano > 0),
  tax_nano bigint not null check (tax_nano >= 0),
  to_credit_nano bigint not null check (to_credit_nano >= 0),
  reason text not null,
  issued_at timestamptz not null,
  issued_by text not null,
  unique (invoice_id, reference)
);
create index on platform_invoices.credit_note (invoice_id, issued_at, id);

-- What was sent to a customer stays what it was.
create function platform_invoices.keep_final() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    raise exception 'an invoice is voided, never deleted' using errcode = 'insufficient_privilege';
  end if;
  if old.state <> 'draft' and
     row(new.id, new.close_id, new.scope, new.currency, new.period_start, new.period_end, new.number, new.lines_nano,
         new.rounding_nano, new.taxes, new.total_nano, new.credit_nano, new.issuer, new.payer, new.created_at,
         new.finalized_at, new.due_at)
     is distinct from
     row(old.id, old.close_id, old.scope, old.currency, old.period_start, old.period_end, old.number, old.lines_nano,
         old.rounding_nano, old.taxes, old.total_nano, old.credit_nano, old.issuer, old.payer, old.created_at,
         old.finalized_at, old.due_at) then
    raise exception 'a finalized invoice does not change' using errcode = 'insufficient_privilege';
  end if;
  return new;
end $$;
create trigger keep_final before update or delete on platform_invoices.invoice
  for each row execute function platform_invoices.keep_final();

create function platform_invoices.keep_final_lines() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' or
     (select state from platform_invoices.invoice where id = new.invoice_id) is distinct from 'draft' then
    raise exception 'the lines of a finalized invoice do not change' using errcode = 'insufficient_privilege';
  end if;
  return new;
end $$;
create trigger keep_final before insert or update or delete on platform_invoices.line
  for each row execute function platform_invoices.keep_final_lines();

create trigger append_only before update or delete or truncate on platform_invoices.charge
  for each statement execute function platform_invoices.refuse_change();
create trigger append_only before update or delete or truncate on platform_invoices.released_claim
  for each statement execute function platform_invoices.refuse_change();
create trigger append_only before update or delete or truncate on platform_invoices.posting
  for each statement execute function platform_invoices.refuse_change();
create trigger append_only before update or delete or truncate on platform_invoices.payment
  for each statement execute function platform_invoices.refuse_change();
create trigger append_only before update or delete or truncate on platform_invoices.credit_note
  for each statement execute function platform_invoices.refuse_change();

do $$
declare
  name text;
begin
  foreach name in array array['billing_details', 'close', 'numbering', 'invoice', 'line', 'claim', 'released_claim',
                              'charge', 'posting', 'payment', 'credit_note'] loop
    execute format('alter table platform_invoices.%I enable row level security', name);
    execute format('alter table platform_invoices.%I force row level security', name);
    execute format('grant select, insert on platform_invoices.%I to ironworks_api, ironworks_worker', name);
  end loop;
end $$;
grant update on platform_invoices.billing_details, platform_invoices.close, platform_invoices.numbering,
  platform_invoices.invoice, platform_invoices.line to ironworks_api, ironworks_worker;
grant delete on platform_invoices.claim to ironworks_api, ironworks_worker;
