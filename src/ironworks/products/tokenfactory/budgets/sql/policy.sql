drop policy if exists gateway on tokenfactory_budgets.budget;
create policy gateway on tokenfactory_budgets.budget for select to ironworks_gateway using (true);

drop policy if exists system on tokenfactory_budgets.budget_period;
create policy system on tokenfactory_budgets.budget_period to ironworks_system using (true) with check (true);
drop policy if exists worker on tokenfactory_budgets.budget_period;
create policy worker on tokenfactory_budgets.budget_period for select to ironworks_worker using (true);
drop policy if exists api_read on tokenfactory_budgets.budget_period;
create policy api_read on tokenfactory_budgets.budget_period for select to ironworks_api
  using (scope <@ any ((select shared.granted('budget:read'))::ltree[]));

drop policy if exists system on tokenfactory_budgets.lease;
create policy system on tokenfactory_budgets.lease to ironworks_system using (true) with check (true);
drop policy if exists worker on tokenfactory_budgets.lease;
create policy worker on tokenfactory_budgets.lease for select to ironworks_worker using (true);
drop policy if exists api_read on tokenfactory_budgets.lease;
create policy api_read on tokenfactory_budgets.lease for select to ironworks_api
  using (scope <@ any ((select shared.granted('budget:read'))::ltree[]));

drop policy if exists system on tokenfactory_budgets.threshold_told;
create policy system on tokenfactory_budgets.threshold_told to ironworks_system using (true) with check (true);
drop policy if exists api_read on tokenfactory_budgets.threshold_told;
create policy api_read on tokenfactory_budgets.threshold_told for select to ironworks_api
  using (budget in (
    select p.budget from tokenfactory_budgets.budget_period p
    where p.scope <@ any ((select shared.granted('budget:read'))::ltree[])
  ));

drop policy if exists system on tokenfactory_budgets.spending;
create policy system on tokenfactory_budgets.spending to ironworks_system using (true) with check (true);
grant select on tokenfactory_budgets.spending to ironworks_worker;
drop policy if exists worker on tokenfactory_budgets.spending;
create policy worker on tokenfactory_budgets.spending for select to ironworks_worker using (true);
drop policy if exists api_read on tokenfactory_budgets.spending;
create policy api_read on tokenfactory_budgets.spending for select to ironworks_api
  using (scope <@ any ((select shared.granted('budget:read'))::ltree[]));

-- Where the period of `moment` begins, by the UTC calendar; the same as `period_of` in model.py.
create or replace function tokenfactory_budgets.period_start(period text, moment timestamptz) returns timestamptz
language sql stable set search_path = pg_catalog, pg_temp as $$
  select case period when 'total' then '2000-01-01 00:00:00+00'::timestamptz else date_trunc(period, moment, 'UTC') end
$$;

-- A path and all above it, '' among them.
create or replace function tokenfactory_budgets.upwards(place text) returns setof text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select array_to_string((string_to_array(place, '.'))[:n], '.')
  from generate_series(0, coalesce(array_length(string_to_array(place, '.'), 1), 0)) n
$$;

-- The path that a reference made at `home` names.
create or replace function tokenfactory_budgets.referred_path(reference text, home text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case when position('/' in reference) = 0 then home
              when split_part(reference, '/', 1) = '-' then '' else split_part(reference, '/', 1) end
$$;

grant execute on function tokenfactory_budgets.period_start(text, timestamptz), tokenfactory_budgets.upwards(text),
  tokenfactory_budgets.referred_path(text, text) to ironworks_system;

-- Change, renew, open or close a process's lease; see Ask and Terms in model.py. What the holder keeps, and what it is
-- given besides, is all that the lease holds afterwards. Nothing is done where the epoch is not the lease's.
create or replace function tokenfactory_budgets.adjust_lease(
  which uuid, start timestamptz, who text, place text, known bigint, keep bigint, wanted bigint, whole bigint,
  minimum bigint, hold bigint, ttl interval, closing boolean
) returns table (outcome text, lease text, epoch bigint, granted bigint, left_nano bigint, tight boolean, poke boolean)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
#variable_conflict use_variable
declare
  b tokenfactory_budgets.budget;
  p tokenfactory_budgets.budget_period;
  l tokenfactory_budgets.lease;
  remains bigint;
  free bigint;
  need bigint;
  given bigint := 0;
  before bigint;
begin
  select * into b from tokenfactory_budgets.budget x where x.uid = which for key share;
  if b.uid is null or b.deletion_timestamp is not null then
    return query select 'gone', '', 0::bigint, 0::bigint, 0::bigint, false, false;
    return;
  end if;
  if wanted > 0 and start not in (
      tokenfactory_budgets.period_start(b.spec ->> 'period', clock_timestamp() - interval '1 minute'),
      tokenfactory_budgets.period_start(b.spec ->> 'period', clock_timestamp() + interval '1 minute')) then
    return query select 'clock', '', 0::bigint, 0::bigint, 0::bigint, false, false;
    return;
  end if;
  select * into p from tokenfactory_budgets.budget_period x where x.budget = which and x.period_start = start for update;
  if p.budget is null then
    insert into tokenfactory_budgets.budget_period (budget, period_start, scope) values (which, start, b.scope)
      on conflict do nothing;
    select * into strict p from tokenfactory_budgets.budget_period x
      where x.budget = which and x.period_start = start for update;
  end if;
  select * into l from tokenfactory_budgets.lease x
    where x.budget = which and x.period_start = start and x.holder = who and x.state in ('open', 'frozen') for update;
  if l.id is null and known > 0 then
    return query select 'closed', '', 0::bigint, 0::bigint, 0::bigint, false, false;
    return;
  end if;
  remains := (b.spec ->> 'amount')::numeric * 1000000000 - p.spent_nano;
  if l.id is not null and l.epoch <> known then
    return query select 'stale', l.id::text, l.epoch, l.granted_nano, remains, false, false;
    return;
  end if;

  keep := case when l.id is null then 0 when closing then l.used_nano else least(keep, l.granted_nano) end;
  select remains - coalesce(sum(greatest(x.granted_nano - x.used_nano, 0)), 0) into free
    from tokenfactory_budgets.lease x
    where x.budget = which and x.period_start = start and x.state in ('open', 'frozen') and x.id is distinct from l.id;
  free := free - greatest(keep - coalesce(l.used_nano, 0), 0);
  need := case when remains >= whole then whole else minimum end;
  before := coalesce(l.granted_nano, 0);
  if wanted > 0 and free > 0 and free >= need and not closing then
    -- an eighth of what is free at most, so that no process takes what the others will need
    given := least(wanted, free, greatest(whole, free / 8));
  elsif need > free then
    if minimum > greatest(remains, 0) and minimum < coalesce(p.short_of, minimum + 1) then
      p.short_of := minimum;
      perform shared.enqueue('Budget', which);
    end if;
    update tokenfactory_budgets.budget_period x set recalled_at = clock_timestamp(), short_of = p.short_of
      where x.budget = which and x.period_start = start returning * into p;
  end if;

  if l.id is not null then
    update tokenfactory_budgets.lease x
      set granted_nano = keep + given, epoch = x.epoch + 1, host = place,
          state = case when closing then 'closed' else 'open' end,
          closed_at = case when closing then clock_timestamp() end,
          expires_at = clock_timestamp() + ttl
      where x.id = l.id returning * into l;
  elsif given > 0 then
    insert into tokenfactory_budgets.lease (budget, period_start, scope, holder, host, granted_nano, expires_at)
      values (which, start, b.scope, who, place, given, clock_timestamp() + ttl) returning * into l;
  end if;
  return query select 'granted', coalesce(l.id::text, ''), coalesce(l.epoch, 0), keep + given, remains,
    coalesce(p.recalled_at > clock_timestamp() - interval '5 seconds', false) or (free - given) / 8 < hold,
    need > free or (keep + given < before and p.recalled_at > clock_timestamp() - interval '15 seconds');
end $$;
alter function tokenfactory_budgets.adjust_lease(uuid, timestamptz, text, text, bigint, bigint, bigint, bigint, bigint, bigint, interval, boolean)
  owner to ironworks_system;
grant execute on function
  tokenfactory_budgets.adjust_lease(uuid, timestamptz, text, text, bigint, bigint, bigint, bigint, bigint, bigint, interval, boolean)
  to ironworks_gateway;

-- Leases of a holder whose idle money somebody waits for.
create or replace function tokenfactory_budgets.recalled_leases(who text) returns table (budget uuid, period_start timestamptz)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select l.budget, l.period_start from tokenfactory_budgets.lease l
  join tokenfactory_budgets.budget_period p on p.budget = l.budget and p.period_start = l.period_start
  where l.holder = who and l.state in ('open', 'frozen') and p.recalled_at > clock_timestamp() - interval '5 seconds'
$$;
alter function tokenfactory_budgets.recalled_leases(text) owner to ironworks_system;
grant execute on function tokenfactory_budgets.recalled_leases(text) to ironworks_gateway;

-- The holder is gone and everything in its spool is charged, so whatever its leases still hold was never spent.
create or replace function tokenfactory_budgets.close_leases(who text) returns integer
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  closed integer;
begin
  perform from tokenfactory_budgets.budget_period p
    where (p.budget, p.period_start) in (
      select l.budget, l.period_start from tokenfactory_budgets.lease l
      where l.holder = who and l.state in ('open', 'frozen'))
    order by p.budget, p.period_start for update;
  perform shared.enqueue('Budget', l.budget) from (
    select distinct x.budget from tokenfactory_budgets.lease x where x.holder = who and x.state in ('open', 'frozen')
    order by x.budget) l;
  update tokenfactory_budgets.lease l
    set granted_nano = l.used_nano, epoch = l.epoch + 1, state = 'closed', closed_at = clock_timestamp()
    where l.holder = who and l.state in ('open', 'frozen');
  get diagnostics closed = row_count;
  return closed;
end $$;
alter function tokenfactory_budgets.close_leases(text) owner to ironworks_system;
grant execute on function tokenfactory_budgets.close_leases(text) to ironworks_gateway;

-- Leases that nobody renews any more, shown as such. They hold their money as before; a holder that comes back goes on.
create or replace function tokenfactory_budgets.freeze_leases() returns integer
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  frozen integer;
begin
  with changed as (
    update tokenfactory_budgets.lease l set state = 'frozen'
    where l.id in (select x.id from tokenfactory_budgets.lease x
                   where x.state = 'open' and x.expires_at < clock_timestamp() for update skip locked)
    returning l.budget)
  select count(shared.enqueue('Budget', c.budget) is null) into frozen from (select distinct budget from changed) c;
  return frozen;
end $$;
alter function tokenfactory_budgets.freeze_leases() owner to ironworks_system;
grant execute on function tokenfactory_budgets.freeze_leases() to ironworks_worker;

-- A lost host's spool will never be charged: what its frozen leases of a budget held is free. `who`, `place`: only of
-- that holder, only of that host.
create or replace function tokenfactory_budgets.release_lost(which uuid, who text, place text)
returns table (id bigint, period_start timestamptz, holder text, host text, freed_nano bigint)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  if not exists (select from tokenfactory_budgets.budget b
                 where b.uid = which and b.scope <@ any (shared.granted('budget:release-lost'))) then
    return;
  end if;
  perform from tokenfactory_budgets.budget_period p where p.budget = which
    order by p.budget, p.period_start for update;
  return query
    with lost as (
      select l.id, l.granted_nano from tokenfactory_budgets.lease l
      where l.budget = which and l.state in ('open', 'frozen') and l.expires_at < clock_timestamp()
        and (who is null or l.holder = who) and (place is null or l.host = place) for update)
    update tokenfactory_budgets.lease l
      set granted_nano = l.used_nano, epoch = l.epoch + 1, state = 'declared_lost', closed_at = clock_timestamp()
      from lost where l.id = lost.id
      returning l.id, l.period_start, l.holder, l.host, greatest(lost.granted_nano - l.used_nano, 0);
  perform shared.enqueue('Budget', which);
end $$;
alter function tokenfactory_budgets.release_lost(uuid, text, text) owner to ironworks_system;
grant execute on function tokenfactory_budgets.release_lost(uuid, text, text) to ironworks_api;

-- Forget leases that were closed long ago.
create or replace function tokenfactory_budgets.prune_leases(older_than interval) returns integer
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  gone integer;
begin
  delete from tokenfactory_budgets.lease l where l.closed_at < clock_timestamp() - older_than;
  get diagnostics gone = row_count;
  return gone;
end $$;
alter function tokenfactory_budgets.prune_leases(interval) owner to ironworks_system;
grant execute on function tokenfactory_budgets.prune_leases(interval) to ironworks_worker;

-- Count newly charged requests against every budget that they match, in the transaction that charges them.
-- `usage`: an array of {key, key_scope, route, at (epoch seconds), cost (nano-units), leases [id]}. Where a budget leased
-- money to the request, its period is the lease's; else that of the moment of admission. Returns the thresholds that
-- were reached by it for the first time.
create or replace function tokenfactory_budgets.settle_usage(usage jsonb) returns table (
  budget uuid, name text, path text, period_start timestamptz, percent integer, amount_nano bigint, spent_nano bigint
) language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
#variable_conflict use_column
declare
  charged jsonb;
  touched uuid[];
begin
  if not exists (select from tokenfactory_budgets.budget) then
    return;
  end if;
  with request as materialized (
    select n, r.key, r.key_scope, r.route, to_timestamp(r.at) as at, r.cost, r.leases
    from rows from (jsonb_to_recordset(usage) as (key uuid, key_scope text, route uuid, at float8, cost bigint, leases bigint[]))
      with ordinality as r (key, key_scope, route, at, cost, leases, n)
    where r.cost > 0
  ), held as materialized (
    select r.n, l.budget, l.period_start, l.id as lease, r.at, r.cost
    from request r cross join unnest(r.leases) as h (id) join tokenfactory_budgets.lease l on l.id = h.id
  ), everything as (
    select r.n, b.uid, b.spec, b.scope, r.at, r.cost from request r
    cross join lateral tokenfactory_budgets.upwards(r.key_scope) as u (path)
    join tokenfactory_budgets.budget b on b.path = u.path
    where b.ref_key is null and b.ref_route is null and b.ref_endpoint is null
      and b.deletion_timestamp is null and b.creation_timestamp <= r.at
    union all
    select r.n, b.uid, b.spec, b.scope, r.at, r.cost from request r
    join tokenfactory_budgets.budget b on b.ref_key = r.key
    where b.deletion_timestamp is null and b.creation_timestamp <= r.at
    union all
    select r.n, b.uid, b.spec, b.scope, r.at, r.cost from request r
    join tokenfactory_budgets.budget b on b.ref_route = r.route or b.ref_endpoint = r.route
    where b.deletion_timestamp is null and b.creation_timestamp <= r.at
      and (b.scope @> r.key_scope::ltree or b.scope
           @> tokenfactory_budgets.referred_path(coalesce(b.spec ->> 'route', b.spec ->> 'endpoint'), b.path)::ltree)
  ), part as (
    select h.budget, h.period_start, h.lease, h.at, h.cost from held h
    union all
    select e.uid, tokenfactory_budgets.period_start(e.spec ->> 'period', e.at), null, e.at, e.cost from everything e
    where not exists (select from held h where h.n = e.n and h.budget = e.uid)
  ), total as (
    select p.budget, p.period_start, p.lease,
           greatest(p.period_start, date_bin('10 minutes', p.at, '2000-01-01 00:00:00+00')) as at, sum(p.cost) as cost
    from part p group by 1, 2, 3, 4
  )
  select jsonb_agg(to_jsonb(t)) into charged from total t;
  if charged is null then
    return;
  end if;

  -- a budget cannot go away meanwhile; its periods are locked in order, so that batches wait and never deadlock
  touched := array(select distinct (c ->> 'budget')::uuid from jsonb_array_elements(charged) c);
  perform from tokenfactory_budgets.budget b where b.uid = any (touched) order by b.uid for key share;
  insert into tokenfactory_budgets.budget_period (budget, period_start, scope)
    select distinct b.uid, (c ->> 'period_start')::timestamptz, b.scope
    from jsonb_array_elements(charged) c
    join (select x.uid, x.scope from tokenfactory_budgets.budget x where x.uid = any (touched)) b
      on b.uid = (c ->> 'budget')::uuid
    order by 1, 2
    on conflict do nothing;
  perform from tokenfactory_budgets.budget_period p
    where p.budget = any (touched) and (p.budget, p.period_start) in (
      select (c ->> 'budget')::uuid, (c ->> 'period_start')::timestamptz from jsonb_array_elements(charged) c)
    order by p.budget, p.period_start for update;
  update tokenfactory_budgets.lease l set used_nano = l.used_nano + c.cost
    from (select x.lease, sum(x.cost) as cost from jsonb_to_recordset(charged) as x (lease bigint, cost bigint) group by 1) c
    where l.id = c.lease
      and l.id = any (array(select (c ->> 'lease')::bigint from jsonb_array_elements(charged) c));
  update tokenfactory_budgets.budget_period p
    set spent_nano = p.spent_nano + c.cost, unreserved_nano = p.unreserved_nano + c.unreserved
    from (select x.budget, x.period_start, sum(x.cost) as cost, coalesce(sum(x.cost) filter (where x.lease is null), 0) as unreserved
          from jsonb_to_recordset(charged) as x (budget uuid, period_start timestamptz, lease bigint, cost bigint)
          group by 1, 2) c
    where p.budget = any (touched) and p.budget = c.budget and p.period_start = c.period_start;
  insert into tokenfactory_budgets.spending as s (budget, period_start, at, scope, spent_nano)
    select x.budget, x.period_start, x.at, p.scope, sum(x.cost)
    from jsonb_to_recordset(charged) as x (budget uuid, period_start timestamptz, at timestamptz, cost bigint)
    join tokenfactory_budgets.budget_period p
      on p.budget = any (touched) and p.budget = x.budget and p.period_start = x.period_start
    group by 1, 2, 3, 4 order by 1, 2, 3
    on conflict (budget, period_start, at) do update set spent_nano = s.spent_nano + excluded.spent_nano;
  perform shared.enqueue('Budget', b.uid, interval '1 second') from (
    select x.uid from tokenfactory_budgets.budget x where x.uid = any (touched) order by x.uid) b;

  return query
    with reached as (
      select b.uid, b.name, b.path, p.period_start, t.percent::integer as percent,
             ((b.spec ->> 'amount')::numeric * 1000000000)::bigint as amount, p.spent_nano
      from tokenfactory_budgets.budget b
      join tokenfactory_budgets.budget_period p on p.budget = b.uid
      cross join lateral jsonb_array_elements_text(b.spec -> 'thresholds') as t (percent)
      where b.uid = any (touched) and p.budget = any (touched) and p.spent_nano > 0
        and (p.budget, p.period_start) in (
          select (c ->> 'budget')::uuid, (c ->> 'period_start')::timestamptz from jsonb_array_elements(charged) c)
        and p.spent_nano * 100::numeric >= (b.spec ->> 'amount')::numeric * 1000000000 * t.percent::integer
    ), told as (
      insert into tokenfactory_budgets.threshold_told as t (budget, period_start, percent)
      select r.uid, r.period_start, r.percent from reached r order by 1, 2, 3
      on conflict do nothing returning t.budget, t.period_start, t.percent
    )
    select r.uid, r.name::text, r.path::text, r.period_start, r.percent, r.amount, r.spent_nano
    from told t join reached r on (r.uid, r.period_start, r.percent) = (t.budget, t.period_start, t.percent)
    order by 1, 4, 5;
end $$;
alter function tokenfactory_budgets.settle_usage(jsonb) owner to ironworks_system;
grant execute on function tokenfactory_budgets.settle_usage(jsonb) to ironworks_gateway, ironworks_worker;

-- Merge what was spent in tens of minutes before a moment into hours, a period at a time, under its lock; returns how
-- many rows were merged. A period that is being charged now is left for the next time.
create or replace function tokenfactory_budgets.merge_spending(before timestamptz, most integer) returns integer
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  old record;
  taken jsonb;
  merged integer := 0;
begin
  for old in
    select distinct s.budget, s.period_start from (
      select x.budget, x.period_start from tokenfactory_budgets.spending x
      where x.minutes = 10 and x.at < before order by x.at limit most) s
    order by 1, 2
  loop
    perform from tokenfactory_budgets.budget_period p
      where p.budget = old.budget and p.period_start = old.period_start for update skip locked;
    continue when not found;
    with gone as (
      delete from tokenfactory_budgets.spending s
      where s.budget = old.budget and s.period_start = old.period_start and s.minutes = 10 and s.at < before
      returning s.at, s.scope, s.spent_nano)
    select coalesce(jsonb_agg(to_jsonb(g)), '[]') into taken from gone g;
    insert into tokenfactory_budgets.spending as s (budget, period_start, at, minutes, scope, spent_nano)
      select old.budget, old.period_start, date_trunc('hour', t.at, 'UTC'), 60, t.scope, sum(t.spent_nano)
      from jsonb_to_recordset(taken) as t (at timestamptz, scope ltree, spent_nano bigint) group by 3, 5
      on conflict (budget, period_start, at) do update set spent_nano = s.spent_nano + excluded.spent_nano;
    merged := merged + jsonb_array_length(taken);
  end loop;
  return merged;
end $$;
alter function tokenfactory_budgets.merge_spending(timestamptz, integer) owner to ironworks_system;
grant execute on function tokenfactory_budgets.merge_spending(timestamptz, integer) to ironworks_worker;
