-- The gateway reads where endpoints are served; it writes nothing here.
grant select on inference_endpoints.endpoint to ironworks_gateway;
drop policy if exists gateway on inference_endpoints.endpoint;
create policy gateway on inference_endpoints.endpoint for select to ironworks_gateway using (true);
drop policy if exists system on inference_endpoints.activity;
create policy system on inference_endpoints.activity to ironworks_system using (true) with check (true);
drop policy if exists worker on inference_endpoints.activity;
create policy worker on inference_endpoints.activity to ironworks_worker using (true) with check (true);

-- Endpoints that served somebody until `at`. Of those that never sleep nothing is kept; what is newer stays.
create or replace function inference_endpoints.note_use(used uuid[], at timestamptz) returns void
language sql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
  insert into inference_endpoints.activity as a (endpoint, last_used_at)
    select e.uid, at from inference_endpoints.endpoint e
    where e.uid = any (used) and e.spec #>> '{replicas,scale_to_zero_after_seconds}' is not null
    order by e.uid
  on conflict (endpoint) do update set last_used_at = excluded.last_used_at
    where a.last_used_at is null or a.last_used_at < excluded.last_used_at - interval '1 second'
$$;

-- Somebody waits for an endpoint: its controller starts it. Many gateways ask at once: all but the first in a second
-- change nothing. Returns whether this one did.
create or replace function inference_endpoints.wake(asleep uuid, at timestamptz) returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  if exists (select from inference_endpoints.activity a where a.endpoint = asleep and a.woken_at > at - interval '1 second') then
    return false;
  end if;
  insert into inference_endpoints.activity as a (endpoint, woken_at, wakes)
    select e.uid, at, 1 from inference_endpoints.endpoint e where e.uid = asleep and e.deletion_timestamp is null
  on conflict (endpoint) do update set woken_at = excluded.woken_at, wakes = a.wakes + 1
    where a.woken_at is null or a.woken_at <= excluded.woken_at - interval '1 second';
  if found then
    perform shared.enqueue('Endpoint', asleep);
  end if;
  return found;
end $$;

do $$
declare
  f regprocedure;
begin
  foreach f in array array['inference_endpoints.note_use(uuid[], timestamptz)', 'inference_endpoints.wake(uuid, timestamptz)']::regprocedure[] loop
    execute format('alter function %s owner to ironworks_system', f);
    execute format('revoke all on function %s from public', f);
    execute format('grant execute on function %s to ironworks_gateway', f);
  end loop;
end $$;
