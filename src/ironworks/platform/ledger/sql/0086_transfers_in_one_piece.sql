-- Transfers that are posted at once are handed in as one list of these, by the names of their ledger accounts.
create type platform_ledger.new_transfer as (
  id uuid,
  debit_path text,
  debit_purpose text,
  credit_path text,
  credit_purpose text,
  currency text,
  amount_nano bigint,
  kind text,
  correlation text,
  corrects uuid,
  scope text,
  day date
);

-- That both ledger accounts exist, in the transfer's currency, is looked at once for all transfers of a statement. They
-- are append-only, so what held when a transfer came holds for good: foreign keys would look, and lock the account, for
-- each transfer, and nearly all have the same revenue account.
alter table platform_ledger.transfer
  drop constraint transfer_debit_account_currency_fkey,
  drop constraint transfer_credit_account_currency_fkey;
create function platform_ledger.refuse_unknown_account() returns trigger language plpgsql
security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  if exists (
    select from added t
    where not exists (select from platform_ledger.ledger_account a where (a.id, a.currency) = (t.debit_account, t.currency))
      or not exists (select from platform_ledger.ledger_account a where (a.id, a.currency) = (t.credit_account, t.currency)))
  then
    raise exception 'a transfer names a ledger account that does not exist in its currency'
      using errcode = 'foreign_key_violation';
  end if;
  return null;
end $$;
alter function platform_ledger.refuse_unknown_account() owner to ironworks_system;
create trigger names_its_accounts after insert on platform_ledger.transfer referencing new table as added
  for each statement execute function platform_ledger.refuse_unknown_account();

-- Only what corrects another transfer needs to be the only one that does.
alter table platform_ledger.transfer drop constraint transfer_corrects_key;
create unique index transfer_corrects_key on platform_ledger.transfer (corrects) where corrects is not null;
