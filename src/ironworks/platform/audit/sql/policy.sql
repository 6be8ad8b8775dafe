-- A process may append; the API's callers only under their own name, and they read what their grants reach. Who may
-- verify a chain must see all of it.
drop policy if exists system on platform_audit.pending;
create policy system on platform_audit.pending to ironworks_system using (true) with check (true);
drop policy if exists system on platform_audit.record;
create policy system on platform_audit.record to ironworks_system using (true) with check (true);
drop policy if exists system on platform_audit.chain_head;
create policy system on platform_audit.chain_head to ironworks_system using (true) with check (true);

drop policy if exists processes_append on platform_audit.pending;
create policy processes_append on platform_audit.pending for insert to ironworks_worker, ironworks_gateway
  with check (true);
drop policy if exists api_append on platform_audit.pending;
create policy api_append on platform_audit.pending for insert to ironworks_api
  with check (actor_uid is not distinct from (select shared.subject()));

drop policy if exists api_read on platform_audit.pending;
create policy api_read on platform_audit.pending for select to ironworks_api
  using (scope <@ any ((select shared.granted('audit:read'))::ltree[]));
drop policy if exists api_read on platform_audit.record;
create policy api_read on platform_audit.record for select to ironworks_api
  using (scope <@ any ((select shared.granted('audit:read'))::ltree[])
      or scope <@ any ((select shared.granted('audit:verify'))::ltree[]));
drop policy if exists api_read on platform_audit.chain_head;
create policy api_read on platform_audit.chain_head for select to ironworks_api
  using (scope <@ any ((select shared.granted('audit:verify'))::ltree[]));

-- Every record, sealed or not yet, as readers see it.
create or replace view platform_audit.trail with (security_invoker = true) as
  select platform, null::bigint as chain_seq, uid, occurred_at, actor_uid, actor_kind, actor, address, action,
         target_type, target_id, scope, path, result, correlation_id, client_request_id, before, after
  from platform_audit.pending
  union all
  select platform, chain_seq, uid, occurred_at, actor_uid, actor_kind, actor, address, action,
         target_type, target_id, scope, path, result, correlation_id, client_request_id, before, after
  from platform_audit.record;
grant select on platform_audit.trail to ironworks_api;

-- One column of a record, unambiguously: its length in bytes and itself, or '-' where it is null.
create or replace function platform_audit.field(value text) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
  select case when value is null then '-;' else octet_length(convert_to(value, 'UTF8')) || ':' || value || ';' end
$$;

create or replace function platform_audit.micros(moment timestamptz) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
  select trunc(extract(epoch from moment) * 1000000)::bigint::text
$$;

-- The bytes a record's hash is made of: every column but the hash. The same is written in Python (audit/model.py),
-- where the chain is verified; change neither without a new chain.
create or replace function platform_audit.canonical(r platform_audit.record) returns bytea
language sql stable set search_path = pg_catalog, public, pg_temp as $$
  select convert_to('ironworks.audit.v1;'
    || platform_audit.field(r.platform) || platform_audit.field(r.chain_seq::text)
    || platform_audit.field(encode(r.previous_hash, 'hex')) || platform_audit.field(platform_audit.micros(r.sealed_at))
    || platform_audit.field(r.uid::text) || platform_audit.field(platform_audit.micros(r.occurred_at))
    || platform_audit.field(r.actor_uid::text) || platform_audit.field(r.actor_kind) || platform_audit.field(r.actor)
    || platform_audit.field(r.address) || platform_audit.field(r.action) || platform_audit.field(r.target_type)
    || platform_audit.field(r.target_id) || platform_audit.field(public.ltree2text(r.scope))
    || platform_audit.field(r.path) || platform_audit.field(r.result) || platform_audit.field(r.correlation_id)
    || platform_audit.field(r.client_request_id) || platform_audit.field(r.before::text)
    || platform_audit.field(r.after::text), 'UTF8')
$$;

grant execute on function platform_audit.field(text), platform_audit.micros(timestamptz),
  platform_audit.canonical(platform_audit.record) to ironworks_system;

-- Moves up to `max` pending records to the end of their chains; returns how many. One runs at a time; a second finds
-- the lock taken and returns 0. Records of one platform are chained in the order (occurred_at, uid) of those found.
create or replace function platform_audit.seal(max integer) returns integer
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  p platform_audit.pending;
  head platform_audit.chain_head;
  r platform_audit.record;
  moment timestamptz := clock_timestamp();
  sealed integer := 0;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('platform_audit.seal', 0)) then
    return 0;
  end if;
  for p in
    select * from platform_audit.pending q
    where q.uid in (select o.uid from platform_audit.pending o order by o.occurred_at, o.uid limit max)
    order by q.platform, q.occurred_at, q.uid
  loop
    if head.platform is distinct from p.platform then
      perform platform_audit.save_head(head);
      select * into head from platform_audit.chain_head h where h.platform = p.platform;
      if not found then
        head := row(p.platform, case p.platform when '-' then ''::ltree else text2ltree(p.platform) end,
                    0, decode(repeat('00', 32), 'hex'), moment);
      end if;
    end if;
    r := row(p.platform, head.chain_seq + 1, head.hash, null, moment, p.uid, p.occurred_at, p.actor_uid, p.actor_kind,
             p.actor, p.address, p.action, p.target_type, p.target_id, p.scope, p.path, p.result, p.correlation_id,
             p.client_request_id, p.before, p.after);
    r.hash := sha256(platform_audit.canonical(r));
    insert into platform_audit.record values (r.*);
    delete from platform_audit.pending q where q.uid = p.uid;
    head.chain_seq := r.chain_seq;
    head.hash := r.hash;
    head.sealed_at := moment;
    sealed := sealed + 1;
  end loop;
  perform platform_audit.save_head(head);
  return sealed;
end $$;
alter function platform_audit.seal(integer) owner to ironworks_system;
-- Whoever leads the change log seals: an API or a worker.
grant execute on function platform_audit.seal(integer) to ironworks_api, ironworks_worker;

create or replace function platform_audit.save_head(head platform_audit.chain_head) returns void
language sql set search_path = pg_catalog, public, pg_temp as $$
  insert into platform_audit.chain_head as h select (save_head.head).* where (save_head.head).platform is not null
  on conflict (platform) do update
    set chain_seq = excluded.chain_seq, hash = excluded.hash, sealed_at = excluded.sealed_at
$$;
grant execute on function platform_audit.save_head(platform_audit.chain_head) to ironworks_system;

-- What the domain's topics are made of.
select shared.tell_changes('audit', 'platform_audit.pending', operations => '{insert}');
select shared.tell_changes('audit', 'platform_audit.record', operations => '{insert}');
