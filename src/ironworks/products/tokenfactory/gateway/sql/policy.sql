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
  incidents jsonb
) returns void language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  insert into tokenfactory_gateway.process as p (uid, host, pid, started_at, status, troubles, stopped_at)
  values (report_health.process, report_health.host, report_health.pid, report_health.started_at,
          report_health.status, report_health.troubles, case when report_health.stopped then now() end)
  on conflict (uid) do update set status = excluded.status, troubles = excluded.troubles, reported_at = now(),
    stopped_at = excluded.stopped_at;
  insert into tokenfactory_gateway.incident as i (process, component, reason, since, message, until)
  select report_health.process, one.component, one.reason, one.since, one.message, one.until
  from jsonb_to_recordset(report_health.incidents)
    as one (component text, reason text, since timestamptz, message text, until timestamptz)
  on conflict on constraint incident_pkey do update set message = excluded.message, until = excluded.until
    where i.until is null;
$$;
alter function tokenfactory_gateway.report_health(uuid, text, integer, timestamptz, boolean, text, jsonb, jsonb)
  owner to ironworks_system;
grant execute on function
  tokenfactory_gateway.report_health(uuid, text, integer, timestamptz, boolean, text, jsonb, jsonb)
  to ironworks_gateway;
