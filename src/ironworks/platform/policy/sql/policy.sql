-- Who may see and set quotas, and the two questions about them: is there room, and how much is used.

drop policy if exists system on platform_policy.plan_quota;
create policy system on platform_policy.plan_quota to ironworks_system using (true) with check (true);
drop policy if exists worker on platform_policy.plan_quota;
create policy worker on platform_policy.plan_quota for select to ironworks_worker using (true);
drop policy if exists api_read on platform_policy.plan_quota;
create policy api_read on platform_policy.plan_quota for select to ironworks_api
  using (scope <@ any ((select shared.granted('quota:read'))::ltree[]));

drop policy if exists system on platform_policy.quota_override;
create policy system on platform_policy.quota_override for select to ironworks_system using (true);
drop policy if exists worker on platform_policy.quota_override;
create policy worker on platform_policy.quota_override for select to ironworks_worker using (true);
drop policy if exists api_read on platform_policy.quota_override;
create policy api_read on platform_policy.quota_override for select to ironworks_api
  using (scope <@ any ((select shared.granted('quota:read'))::ltree[]));
-- an override is the operator's to give, whatever anybody was granted further down
drop policy if exists api_write on platform_policy.quota_override;
create policy api_write on platform_policy.quota_override to ironworks_api
  using (''::ltree <@ any ((select shared.granted('quota:override'))::ltree[]))
  with check (''::ltree <@ any ((select shared.granted('quota:override'))::ltree[]));

-- The limit that counts for what is created in `place`: that of the platform, else of the account, else the plan's, else
-- what the operator allows every account.
create or replace function platform_policy.limit_at(quota text, place ltree, at timestamptz)
returns table (path text, allowed bigint, plan text, overridden boolean, expires_at timestamptz, reason text)
language sql stable set search_path = pg_catalog, public, pg_temp as $$
  select coalesce(o.path, a.account),
         case when o.path is not null then o.allowed when p.path is not null then p.allowed else d.allowed end,
         p.plan, o.path is not null,
         case when o.path is null and p.path is null then d.expires_at else o.expires_at end,
         case when o.path is null and p.path is null then d.reason else o.reason end
  from (select ltree2text(subpath(place, 0, 1)) as account) a
  left join platform_policy.plan_quota p on p.path = a.account and p.quota = limit_at.quota
  left join lateral (
    select q.path, q.allowed, q.expires_at, q.reason from platform_policy.quota_override q
    where q.path in (a.account, ltree2text(subpath(place, 0, least(2, nlevel(place))))) and q.quota = limit_at.quota
      and (q.expires_at is null or q.expires_at > at)
    order by length(q.path) desc limit 1) o on true
  left join platform_policy.quota_override d
    on d.path = '' and d.quota = limit_at.quota and (d.expires_at is null or d.expires_at > at)
  where p.path is not null or o.path is not null or d.path is not null
$$;
alter function platform_policy.limit_at(text, ltree, timestamptz) owner to ironworks_system;

-- How many of a kind count against the limit of `limited`, at most `enough`: all at and below it, but for platforms of
-- an account which have a limit of their own.
create or replace function platform_policy.count_used(
  which text, quota text, limited text, at timestamptz, enough bigint default null
) returns bigint language plpgsql stable set search_path = pg_catalog, public, pg_temp as $$
declare
  source text;
  apart text[];
  used bigint;
begin
  select k.table_name into source from shared.kind k where k.kind = which;
  if not found then
    return null;
  end if;
  select coalesce(array_agg(o.path), '{}') into apart from platform_policy.quota_override o
  where o.path >= limited || '.' and o.path < limited || '/' and o.quota = count_used.quota
    and (o.expires_at is null or o.expires_at > at);
  execute format(
    'select count(*) from (
       (select t.path from %1$s t where t.path = $1 limit $3)
       union all
       (select t.path from %1$s t where t.path >= $1 || ''.'' and t.path < $1 || ''/''
          and not exists (select from unnest($2) a where t.path = a or t.path >= a || ''.'' and t.path < a || ''/'')
        limit $3)) found', source)
  into used using limited, apart, enough;
  return used;
end $$;
alter function platform_policy.count_used(text, text, text, timestamptz, bigint) owner to ironworks_system;

-- Why the resource that was just inserted in `place` may not stay; no row where it may. Who creates takes turns by
-- account and quota until the transaction ends, so that what is counted is all there is.
create or replace function platform_policy.refuse_over(which text, quota text, place ltree, at timestamptz)
returns table (path text, allowed bigint, used bigint, plan text, overridden boolean)
language plpgsql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  found_limit record;
begin
  if place = '' then
    return;
  end if;
  select l.allowed into found_limit from platform_policy.limit_at(quota, place, at) l where l.allowed is not null;
  if not found then
    return;
  end if;
  if session_user = 'ironworks_api' and not shared.sees(place) then
    raise exception 'nobody creates, or asks for room, where he sees nothing' using errcode = 'insufficient_privilege';
  end if;
  perform pg_advisory_xact_lock(hashtextextended('platform_policy.quota ' || ltree2text(subpath(place, 0, 1)) || ' ' || quota, 0));
  -- a second look: what others did while this one waited
  select * into found_limit from platform_policy.limit_at(quota, place, at) l where l.allowed is not null;
  if found and platform_policy.count_used(which, quota, found_limit.path, at, found_limit.allowed + 1) > found_limit.allowed then
    return query select found_limit.path, found_limit.allowed,
      platform_policy.count_used(which, quota, found_limit.path, at) - 1, found_limit.plan, found_limit.overridden;
  end if;
end $$;
alter function platform_policy.refuse_over(text, text, ltree, timestamptz) owner to ironworks_system;
grant execute on function platform_policy.refuse_over(text, text, ltree, timestamptz) to ironworks_api, ironworks_worker;

-- The limits that count in `place`, by name, with what is used of each; for who may read there, or change its plan. `kinds` says what each
-- quota counts; `used` is null for what this installation does not count.
create or replace function platform_policy.quotas_at(
  place ltree, at timestamptz, after text, most integer, kinds jsonb)
returns table (quota text, path text, allowed bigint, used bigint, plan text, overridden boolean,
               expires_at timestamptz, reason text)
language plpgsql stable security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  if session_user <> 'ironworks_worker' and not coalesce(
       shared.allows('quota:read', place) or shared.allows('subscription:update', place), false) then
    return;
  end if;
  if place = '' then
    return query
      select d.quota, d.path, d.allowed, null::bigint, null::text, true, d.expires_at, d.reason
      from platform_policy.quota_override d
      where d.path = '' and d.quota > after and (d.expires_at is null or d.expires_at > at) order by d.quota limit most;
    return;
  end if;
  return query
    select n.quota, l.path, l.allowed, platform_policy.count_used(kinds ->> n.quota, n.quota, l.path, at), l.plan,
           l.overridden, l.expires_at, l.reason
    from (
      select p.quota from platform_policy.plan_quota p where p.path = ltree2text(subpath(place, 0, 1))
      union
      select o.quota from platform_policy.quota_override o
      where o.path in ('', ltree2text(subpath(place, 0, 1)), ltree2text(subpath(place, 0, least(2, nlevel(place)))))
      order by 1) n
    cross join lateral platform_policy.limit_at(n.quota, place, at) l
    where n.quota > after
    order by n.quota limit most;
end $$;
alter function platform_policy.quotas_at(ltree, timestamptz, text, integer, jsonb) owner to ironworks_system;
grant execute on function platform_policy.quotas_at(ltree, timestamptz, text, integer, jsonb) to ironworks_api, ironworks_worker;

-- The name under which an account's plan set what is allowed; for who sees anything of the account.
create or replace function platform_policy.plan_of(account ltree) returns text language sql stable security definer
set search_path = pg_catalog, public, pg_temp as $$
  select p.plan from platform_policy.plan_quota p
  where p.path = ltree2text(account) and (session_user = 'ironworks_worker' or shared.sees(account)) limit 1
$$;
alter function platform_policy.plan_of(ltree) owner to ironworks_system;
revoke all on function platform_policy.plan_of(ltree) from public;
grant execute on function platform_policy.plan_of(ltree) to ironworks_api, ironworks_worker;

-- Makes a plan's quotas all that an account has of its plan, and says what they were. For who may change the account's
-- subscription.
create or replace function platform_policy.replace_plan_quotas(account ltree, wanted jsonb, plan_name text, at timestamptz)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  before jsonb;
begin
  if session_user <> 'ironworks_worker' and not coalesce(shared.allows('subscription:update', account), false) then
    raise exception 'this needs the permission ''subscription:update'' at ''%''', account
      using errcode = 'IW499', detail = jsonb_build_object('status', 403, 'permission', 'subscription:update')::text;
  end if;
  perform pg_advisory_xact_lock(hashtextextended('platform_policy.plan ' || ltree2text(account), 0));
  select coalesce(jsonb_object_agg(p.quota, p.allowed), '{}') into before
  from platform_policy.plan_quota p where p.path = ltree2text(account);
  delete from platform_policy.plan_quota p where p.path = ltree2text(account) and not wanted ? p.quota;
  insert into platform_policy.plan_quota as p (scope, quota, allowed, plan, set_at)
  select account, w.key, (w.value #>> '{}')::bigint, plan_name, at from jsonb_each(wanted) w order by w.key
  on conflict (path, quota) do update set allowed = excluded.allowed, plan = excluded.plan, set_at = excluded.set_at
  where (p.allowed, p.plan) is distinct from (excluded.allowed, excluded.plan);
  return before;
end $$;
alter function platform_policy.replace_plan_quotas(ltree, jsonb, text, timestamptz) owner to ironworks_system;
grant execute on function platform_policy.replace_plan_quotas(ltree, jsonb, text, timestamptz) to ironworks_api, ironworks_worker;

-- What the domain's topics are made of.
select shared.tell_changes('quotas', 'platform_policy.plan_quota');
select shared.tell_changes('quotas', 'platform_policy.quota_override');
