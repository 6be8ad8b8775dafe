drop policy if exists system on platform_secrets.data_key;
create policy system on platform_secrets.data_key to ironworks_system using (true) with check (true);
drop policy if exists worker on platform_secrets.data_key;
create policy worker on platform_secrets.data_key to ironworks_worker using (true) with check (true);
drop policy if exists gateway_read on platform_secrets.data_key;
create policy gateway_read on platform_secrets.data_key for select to ironworks_gateway using (true);

drop policy if exists worker on platform_secrets.secret;
create policy worker on platform_secrets.secret to ironworks_worker using (true) with check (true);
drop policy if exists gateway_read on platform_secrets.secret;
create policy gateway_read on platform_secrets.secret for select to ironworks_gateway using (true);

-- Who may write a resource may write its secrets, and nobody else's.
drop policy if exists api on platform_secrets.secret;
create policy api on platform_secrets.secret to ironworks_api
  using (shared.may_write(owner)) with check (shared.may_write(owner));
-- A scope's first key comes with its first secret; the worker makes those that replace it.
drop policy if exists api_create on platform_secrets.data_key;
create policy api_create on platform_secrets.data_key for insert to ironworks_api
  with check (version = 1 and shared.writes_at(scope));
drop policy if exists api_read on platform_secrets.data_key;
create policy api_read on platform_secrets.data_key for select to ironworks_api
  using (scope <@ any ((select shared.granted('secrets:rotate'))::ltree[]));
drop policy if exists api_rotate on platform_secrets.data_key;
create policy api_rotate on platform_secrets.data_key for update to ironworks_api
  using (scope <@ any ((select shared.granted('secrets:rotate'))::ltree[]));

-- The key that seals what is written at `place` now, kept from being removed until the caller's transaction ends.
create or replace function platform_secrets.current_key(place ltree)
returns table (version integer, wrapped bytea, master_key_id text)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  if session_user <> 'ironworks_worker' and not shared.writes_at(place) then
    return;
  end if;
  return query select k.version, k.wrapped, k.master_key_id from platform_secrets.data_key k
    where k.scope = place order by k.version desc limit 1 for key share;
end $$;
alter function platform_secrets.current_key(ltree) owner to ironworks_system;
grant execute on function platform_secrets.current_key(ltree) to ironworks_api, ironworks_worker;
