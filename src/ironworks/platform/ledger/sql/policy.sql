drop policy if exists api_read on platform_ledger.ledger_account;
create policy api_read on platform_ledger.ledger_account for select to ironworks_api
  using (scope <@ any ((select shared.granted('billing:read'))::ltree[]));
drop policy if exists worker on platform_ledger.ledger_account;
create policy worker on platform_ledger.ledger_account to ironworks_worker using (true) with check (true);
drop policy if exists gateway on platform_ledger.ledger_account;
create policy gateway on platform_ledger.ledger_account to ironworks_gateway using (true) with check (true);

drop policy if exists api_read on platform_ledger.transfer;
create policy api_read on platform_ledger.transfer for select to ironworks_api
  using (scope <@ any ((select shared.granted('billing:read'))::ltree[]));
drop policy if exists worker on platform_ledger.transfer;
create policy worker on platform_ledger.transfer to ironworks_worker using (true) with check (true);
drop policy if exists gateway on platform_ledger.transfer;
create policy gateway on platform_ledger.transfer for insert to ironworks_gateway with check (true);

-- A tenant's transfer goes to the operator's revenue, an account that is not the tenant's to read; what it is called on
-- the tenant's own transfer is. So names come with transfers that the caller may see, and with no others.
drop policy if exists system on platform_ledger.ledger_account;
create policy system on platform_ledger.ledger_account for select to ironworks_system using (true);
drop policy if exists system on platform_ledger.transfer;
create policy system on platform_ledger.transfer for select to ironworks_system using (true);
grant select on platform_ledger.ledger_account, platform_ledger.transfer to ironworks_system;

create or replace function platform_ledger.sides(transfer_ids uuid[])
returns table (transfer_id uuid, debit_path text, debit_purpose text, credit_path text, credit_purpose text)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select t.id, d.path, d.purpose, c.path, c.purpose
  from platform_ledger.transfer t
  join platform_ledger.ledger_account d on d.id = t.debit_account
  join platform_ledger.ledger_account c on c.id = t.credit_account
  where t.id = any (transfer_ids)
    and (session_user = 'ironworks_worker' or t.scope <@ any ((select shared.granted('billing:read'))::ltree[]))
$$;
alter function platform_ledger.sides(uuid[]) owner to ironworks_system;
revoke all on function platform_ledger.sides(uuid[]) from public;
grant execute on function platform_ledger.sides(uuid[]) to ironworks_api, ironworks_worker;
