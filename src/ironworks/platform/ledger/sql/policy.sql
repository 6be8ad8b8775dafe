drop policy if exists api_read on platform_ledger.ledger_account;
create policy api_read on platform_ledger.ledger_account for select to ironworks_api
  using (scope <@ any ((select shared.granted('billing:read'))::ltree[]));
drop policy if exists worker on platform_ledger.ledger_account;
create policy worker on platform_ledger.ledger_account to ironworks_worker using (true) with check (true);
-- The gateway knows the two kinds of accounts that usage moves between, and no other: whoever took it over could not say
-- that an invoice was paid.
drop policy if exists gateway on platform_ledger.ledger_account;
create policy gateway on platform_ledger.ledger_account to ironworks_gateway
  using (purpose in ('receivable', 'revenue')) with check (purpose in ('receivable', 'revenue'));

drop policy if exists api_read on platform_ledger.transfer;
create policy api_read on platform_ledger.transfer for select to ironworks_api
  using (scope <@ any ((select shared.granted('billing:read'))::ltree[]));
drop policy if exists worker on platform_ledger.transfer;
create policy worker on platform_ledger.transfer to ironworks_worker using (true) with check (true);
drop policy if exists gateway on platform_ledger.transfer;
create policy gateway on platform_ledger.transfer for insert to ironworks_gateway with check (kind = 'usage');

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

drop policy if exists worker on platform_ledger.snapshot_run;
create policy worker on platform_ledger.snapshot_run to ironworks_worker using (true) with check (true);
drop policy if exists worker on platform_ledger.balance_snapshot;
create policy worker on platform_ledger.balance_snapshot to ironworks_worker using (true) with check (true);
drop policy if exists api_read on platform_ledger.balance_snapshot;
create policy api_read on platform_ledger.balance_snapshot for select to ironworks_api
  using (scope <@ any ((select shared.granted('billing:read'))::ltree[]));
drop policy if exists worker on platform_ledger.snapshot_mismatch;
create policy worker on platform_ledger.snapshot_mismatch to ironworks_worker using (true) with check (true);
drop policy if exists api_read on platform_ledger.snapshot_mismatch;
create policy api_read on platform_ledger.snapshot_mismatch for select to ironworks_api
  using (scope <@ any ((select shared.granted('billing:read'))::ltree[]));

-- Posting by hand. Usage is charged by the gateway alone.
drop policy if exists api_post on platform_ledger.ledger_account;
create policy api_post on platform_ledger.ledger_account for insert to ironworks_api
  with check ('' <@ any ((select shared.granted('ledger:post'))::ltree[]));
drop policy if exists api_post on platform_ledger.transfer;
create policy api_post on platform_ledger.transfer for insert to ironworks_api
  with check (kind <> 'usage' and '' <@ any ((select shared.granted('ledger:post'))::ltree[]));

do $$
declare
  t text;
begin
  foreach t in array array['credit_grant', 'credit_draw', 'credit_hold', 'prepaid_account'] loop
    execute format('drop policy if exists worker on platform_ledger.%I', t);
    execute format('create policy worker on platform_ledger.%I to ironworks_worker using (true) with check (true)', t);
    execute format('drop policy if exists api_read on platform_ledger.%I', t);
    execute format('create policy api_read on platform_ledger.%I for select to ironworks_api'
      ' using (scope <@ any ((select shared.granted(''billing:read''))::ltree[]))', t);
    execute format('drop policy if exists api_post on platform_ledger.%I', t);
    execute format('create policy api_post on platform_ledger.%I for insert to ironworks_api'
      ' with check ('''' <@ any ((select shared.granted(''ledger:post''))::ltree[]))', t);
  end loop;
end $$;
drop policy if exists api_keep on platform_ledger.prepaid_account;
create policy api_keep on platform_ledger.prepaid_account for update to ironworks_api
  using ('' <@ any ((select shared.granted('ledger:post'))::ltree[]))
  with check ('' <@ any ((select shared.granted('ledger:post'))::ltree[]));
drop policy if exists api_remove on platform_ledger.prepaid_account;
create policy api_remove on platform_ledger.prepaid_account for delete to ironworks_api
  using ('' <@ any ((select shared.granted('ledger:post'))::ltree[]));

create or replace function platform_ledger.cluster() returns bigint language sql stable
  return (select system_identifier from pg_control_system());
grant execute on function platform_ledger.cluster() to ironworks_api, ironworks_worker, ironworks_system;

-- The newest snapshot of a ledger account that the caller may see; nothing at horizon 0 where there is none, or where its
-- snapshots were found wrong.
create or replace function platform_ledger.newest_snapshot(of uuid, here bigint) returns table (horizon bigint, nano numeric)
language sql stable
begin atomic
  (select s.horizon, s.debit_nano - s.credit_nano from platform_ledger.balance_snapshot s
  where s.account = of and s.cluster = here
    and not exists (select from platform_ledger.snapshot_mismatch m where m.account = of)
  order by s.horizon desc limit 1)
  union all select 0, 0 order by 1 desc limit 1;
end;
grant execute on function platform_ledger.newest_snapshot(uuid, bigint) to ironworks_api, ironworks_worker;

-- What the ledger accounts at and below a path come to, by purpose and currency: of each the newest snapshot that is not
-- known to be wrong, and what was posted since. Whoever sees an account sees all its transfers, so it is looked at once
-- who may see what, and not for each row: a policy's conditions would keep the snapshot's horizon out of the index, too.
drop policy if exists system on platform_ledger.balance_snapshot;
create policy system on platform_ledger.balance_snapshot for select to ironworks_system using (true);
drop policy if exists system on platform_ledger.snapshot_mismatch;
create policy system on platform_ledger.snapshot_mismatch for select to ironworks_system using (true);
grant select on platform_ledger.balance_snapshot, platform_ledger.snapshot_mismatch to ironworks_system;

create or replace function platform_ledger.sum_balances(at_path text)
returns table (purpose text, currency text, amount numeric)
language plpgsql stable security definer set search_path = pg_catalog, public, pg_temp
set max_parallel_workers_per_gather = 0 as $$
declare
  here bigint := platform_ledger.cluster();
  granted ltree[] := case session_user when 'ironworks_worker' then array[''::ltree]
                       else shared.granted('billing:read')::ltree[] end;
begin
  return query
    with account as (
      select a.id, a.purpose, a.currency, a.scope from platform_ledger.ledger_account a where a.path = at_path
      union all
      select a.id, a.purpose, a.currency, a.scope from platform_ledger.ledger_account a
      where a.path >= case at_path when '' then '!' else at_path || '.' end
        and a.path < case at_path when '' then '~' else at_path || '/' end),
    kept as (
      select a.id, a.purpose, a.currency, coalesce(s.horizon, 0) as horizon, coalesce(s.nano, 0) as nano
      from account a
      left join lateral (
        select b.horizon, b.debit_nano - b.credit_nano as nano from platform_ledger.balance_snapshot b
        where b.account = a.id and b.cluster = here
          and not exists (select from platform_ledger.snapshot_mismatch m where m.account = a.id)
        order by b.horizon desc limit 1) s on true
      where a.scope <@ any (granted))
    select k.purpose, k.currency, sum(k.nano + coalesce(d.nano, 0) - coalesce(c.nano, 0))
    from kept k
    cross join lateral (
      select sum(t.amount_nano) as nano from platform_ledger.transfer t
      where t.debit_account = k.id and t.posted_in >= k.horizon) d
    cross join lateral (
      select sum(t.amount_nano) as nano from platform_ledger.transfer t
      where t.credit_account = k.id and t.posted_in >= k.horizon) c
    group by k.purpose, k.currency order by k.purpose, k.currency;
end $$;
alter function platform_ledger.sum_balances(text) owner to ironworks_system;
revoke all on function platform_ledger.sum_balances(text) from public;
grant execute on function platform_ledger.sum_balances(text) to ironworks_api, ironworks_worker;

-- Which ledger accounts are of revenue: ids, for those who may not see the accounts themselves and see transfers to them.
create or replace function platform_ledger.revenue_accounts() returns uuid[] language sql stable security definer
set search_path = pg_catalog, public, pg_temp as $$
  select coalesce(array_agg(id), '{}') from platform_ledger.ledger_account where purpose = 'revenue'
$$;
alter function platform_ledger.revenue_accounts() owner to ironworks_system;
grant execute on function platform_ledger.revenue_accounts() to ironworks_api, ironworks_worker;

-- That an account has nothing left is told to whoever sees anything of it: it is why something of his is refused.
drop policy if exists system on platform_ledger.prepaid_account;
create policy system on platform_ledger.prepaid_account for select to ironworks_system using (true);
grant select on platform_ledger.prepaid_account to ironworks_system;
create or replace function platform_ledger.used_up(account text) returns table (state text, release_at timestamptz)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select p.state, p.release_at from platform_ledger.prepaid_account p
  where p.path = account and p.release_at is not null
    and (session_user = 'ironworks_worker' or shared.sees(account::ltree))
  order by p.release_at limit 1
$$;
alter function platform_ledger.used_up(text) owner to ironworks_system;
revoke all on function platform_ledger.used_up(text) from public;
grant execute on function platform_ledger.used_up(text) to ironworks_api, ironworks_worker;

-- What the domain's topics are made of.
select shared.tell_changes('ledger', 'platform_ledger.transfer', operations => '{insert}');
select shared.tell_changes('ledger', 'platform_ledger.credit_grant');
select shared.tell_changes('ledger', 'platform_ledger.credit_hold');
select shared.tell_changes('ledger', 'platform_ledger.prepaid_account');
