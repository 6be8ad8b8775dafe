drop policy if exists system on tokenfactory_gateway.process;
create policy system on tokenfactory_gateway.process to ironworks_system using (true) with check (true);
drop policy if exists system on tokenfactory_gateway.incident;
create policy system on tokenfactory_gateway.incident to ironworks_system using (true) with check (true);
drop policy if exists worker on tokenfactory_gateway.process;
create policy worker on tokenfactory_gateway.process to ironworks_worker using (true);
drop policy if exists worker on tokenfactory_gateway.incident;
create policy worker on tokenfactory_gateway.incident to ironworks_worker using (true);
-- the installation's own affair: nobody's tenant
drop policy if exists api_read on tokenfactory_gateway.process;
create policy api_read on tokenfactory_gateway.process for select to ironworks_api
  using (''::ltree = any ((select shared.granted('gateway:read'))::ltree[]));
drop policy if exists api_read on tokenfactory_gateway.incident;
create policy api_read on tokenfactory_gateway.incident for select to ironworks_api
  using (''::ltree = any ((select shared.granted('gateway:read'))::ltree[]));

-- A process's word on itself. `incidents`: a JSON list of what was wrong, `until` null while it lasts.
create or replace function tokenfactory_gateway.report_health(
  process uuid, host text, pid integer, started_at timestamptz, stopped boolean, status text, troubles jsonb,
  incidents jsonb, waiting_bytes bigint default 0, lag_seconds double precision default 0
) returns void language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  insert into tokenfactory_gateway.process as p (uid, host, pid, started_at, status, troubles, stopped_at, waiting_bytes, lag_seconds)
  values (report_health.process, report_health.host, report_health.pid, report_health.started_at,
          report_health.status, report_health.troubles, case when report_health.stopped then now() end,
          report_health.waiting_bytes, report_health.lag_seconds)
  on conflict (uid) do update set status = excluded.status, troubles = excluded.troubles, reported_at = now(),
    stopped_at = excluded.stopped_at, waiting_bytes = excluded.waiting_bytes, lag_seconds = excluded.lag_seconds;
  insert into tokenfactory_gateway.incident as i (process, component, reason, since, message, until)
  select report_health.process, one.component, one.reason, one.since, one.message, one.until
  from jsonb_to_recordset(report_health.incidents)
    as one (component text, reason text, since timestamptz, message text, until timestamptz)
  on conflict on constraint incident_pkey do update set message = excluded.message, until = excluded.until
    where i.until is null;
$$;
alter function tokenfactory_gateway.report_health(uuid, text, integer, timestamptz, boolean, text, jsonb, jsonb, bigint, double precision)
  owner to ironworks_system;
grant execute on function
  tokenfactory_gateway.report_health(uuid, text, integer, timestamptz, boolean, text, jsonb, jsonb, bigint, double precision)
  to ironworks_gateway;

-- How they see the targets of Routes: for who may read the Route, which is handed down.
grant select, insert, update, delete on tokenfactory_gateway.target_state to ironworks_system;
grant select on tokenfactory_gateway.target_state to ironworks_api, ironworks_worker;
drop policy if exists system on tokenfactory_gateway.target_state;
create policy system on tokenfactory_gateway.target_state to ironworks_system using (true) with check (true);
drop policy if exists worker on tokenfactory_gateway.target_state;
create policy worker on tokenfactory_gateway.target_state for select to ironworks_worker using (true);
drop policy if exists api_read on tokenfactory_gateway.target_state;
create policy api_read on tokenfactory_gateway.target_state for select to ironworks_api
  using (scope <@ any ((select shared.granted('route:read'))::ltree[])
         or scope @> any ((select shared.granted('route:read'))::ltree[]));

select shared.tell_changes('route-health', 'tokenfactory_gateway.target_state');

-- What a process sees of them, in place of what it saw before; returns of how many Routes a target stands otherwise now:
-- their controller looks at them. What did not change is not written.
create or replace function tokenfactory_gateway.report_targets(process uuid, targets jsonb) returns bigint
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
#variable_conflict use_column
declare
  told tokenfactory_gateway.target_state[];
  changed uuid[];
begin
  select coalesce(array_agg(row(report_targets.process, one.route, text2ltree(one.scope), one.place, one.upstream,
                                one.upstreams, one.standing, one.until, one.fault, one.failed_at, one.in_flight,
                                one.queued, one.latency_ms)::tokenfactory_gateway.target_state), '{}') into told
  from jsonb_to_recordset(report_targets.targets) as one (
    route uuid, scope text, place smallint, upstream text, upstreams smallint, standing text, until timestamptz,
    fault text, failed_at timestamptz, in_flight integer, queued integer, latency_ms double precision);
  select coalesce(array_agg(distinct coalesce(a.route, b.route)), '{}') into changed
  from (select * from unnest(told) where standing <> 'healthy') a
  full join (select * from tokenfactory_gateway.target_state b
             where b.process = report_targets.process and b.standing <> 'healthy') b using (route, place, upstream)
  where a.standing is distinct from b.standing or a.fault is distinct from b.fault;
  delete from tokenfactory_gateway.target_state b
  where b.process = report_targets.process
    and not exists (select from unnest(told) a
                    where (a.route, a.place, a.upstream) = (b.route, b.place, b.upstream));
  insert into tokenfactory_gateway.target_state as b select * from unnest(told)
  on conflict on constraint target_state_pkey do update
    set scope = excluded.scope, upstreams = excluded.upstreams, standing = excluded.standing, until = excluded.until,
        fault = excluded.fault, failed_at = excluded.failed_at, in_flight = excluded.in_flight,
        queued = excluded.queued, latency_ms = excluded.latency_ms
    where b is distinct from excluded;
  perform shared.enqueue('Route', one) from unnest(changed) one;
  return cardinality(changed);
end $$;
alter function tokenfactory_gateway.report_targets(uuid, jsonb) owner to ironworks_system;
revoke all on function tokenfactory_gateway.report_targets(uuid, jsonb) from public;
grant execute on function tokenfactory_gateway.report_targets(uuid, jsonb) to ironworks_gateway;

-- The processes whose word on targets still counts: for whoever reads that, though the processes are the operator's.
create or replace function tokenfactory_gateway.reporting(since timestamptz) returns table (process uuid) language sql
stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select p.uid from tokenfactory_gateway.process p where p.reported_at > since and p.stopped_at is null
$$;
alter function tokenfactory_gateway.reporting(timestamptz) owner to ironworks_system;
revoke all on function tokenfactory_gateway.reporting(timestamptz) from public;
grant execute on function tokenfactory_gateway.reporting(timestamptz) to ironworks_api, ironworks_worker;
