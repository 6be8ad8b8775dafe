-- Who may see and move a node, and the hooks by which everybody else asks about scopes.

drop policy if exists system on platform_tenancy.node_path;
create policy system on platform_tenancy.node_path to ironworks_system using (true) with check (true);
drop policy if exists worker on platform_tenancy.node_path;
create policy worker on platform_tenancy.node_path to ironworks_worker using (true) with check (true);
drop policy if exists api_read on platform_tenancy.node_path;
create policy api_read on platform_tenancy.node_path for select to ironworks_api using (
  (kind = 'Account' and path <@ any ((select shared.granted('account:read'))::ltree[]))
  or (kind = 'Platform' and path <@ any ((select shared.granted('platform:read'))::ltree[]))
  or (kind = 'Tenant' and path <@ any ((select shared.granted('tenant:read'))::ltree[])));
drop policy if exists api_move on platform_tenancy.node_path;
create policy api_move on platform_tenancy.node_path for update to ironworks_api using (
  kind = 'Platform' and closed_at is null and (
    path <@ any ((select shared.granted('platform:suspend'))::ltree[])
    or path <@ any ((select shared.granted('platform:resume'))::ltree[])
    or path <@ any ((select shared.granted('platform:cancel'))::ltree[])));

-- Each move needs its own permission, whichever way it comes. Our own functions and processes move as they must.
create or replace function platform_tenancy.check_move() returns trigger language plpgsql
set search_path = pg_catalog, public, pg_temp as $$
declare
  needed text := case
    when new.phase = 'suspended' then 'platform:suspend'
    when new.phase = 'active' and old.phase = 'suspended' then 'platform:resume'
    when new.phase = 'pending_cancellation' then 'platform:cancel'
    when new.phase = 'cancelled' and old.phase = 'pending_cancellation' then 'platform:cancel' end;
begin
  if current_user = 'ironworks_api' and not coalesce(shared.allows(needed, new.path), false) then
    raise exception 'the step from % to % is not yours to take', old.phase, new.phase
      using errcode = 'IW499', detail = '{"status": 403}';
  end if;
  return new;
end $$;
alter function platform_tenancy.check_move() owner to ironworks_system;
create or replace trigger check_move before update of phase, phase_since, reason, ends_at on platform_tenancy.node_path
  for each row execute function platform_tenancy.check_move();

-- Ten characters that name a platform in other systems: 36^10 of them, drawn until one is free.
create or replace function platform_tenancy.new_external_id() returns text language plpgsql volatile as $$
declare
  bytes bytea := uuid_send(gen_random_uuid());
  id text := '';
  n int;
begin
  foreach n in array array[0, 1, 2, 3, 4, 5, 10, 11, 12, 13] loop
    id := id || substr('abcdefghijklmnopqrstuvwxyz0123456789', 1 + get_byte(bytes, n) % 36, 1);
  end loop;
  return id;
end $$;
alter function platform_tenancy.new_external_id() owner to ironworks_system;

-- Claims a new node's path for ever, closes a node that is being deleted, and leaves its tombstone.
create or replace function platform_tenancy.keep_path() returns trigger language plpgsql security definer
set search_path = pg_catalog, public, pg_temp as $$
begin
  if tg_op = 'INSERT' then
    perform platform_tenancy.claim_path(new.node, new.uid, tg_argv[0]);
  elsif tg_op = 'DELETE' then
    update platform_tenancy.node_path set phase = 'deleted', phase_since = now(), closed_at = coalesce(closed_at, now())
      where uid = old.uid;
  elsif old.deletion_timestamp is null and new.deletion_timestamp is not null then
    perform platform_tenancy.close_node(new.uid);
  end if;
  return null;
end $$;
alter function platform_tenancy.keep_path() owner to ironworks_system;

create or replace function platform_tenancy.claim_path(place ltree, node_uid uuid, what text) returns void
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
  if what is distinct from (array['Account', 'Platform', 'Tenant'])[least(nlevel(place), 3)] or nlevel(place) > 8 then
    raise exception 'a % cannot live at this level', lower(what) using errcode = 'IW499', detail = '{"status": 422}';
  end if;
  if exists (select from platform_tenancy.node_path p where p.path = place) then
    raise exception 'the path % was used before and is never used again: choose another name', place
      using errcode = 'IW499', detail = '{"status": 409}';
  end if;
  loop
    insert into platform_tenancy.node_path (path, uid, kind, external_id, phase) values (
      place, node_uid, what, case when what = 'Platform' then platform_tenancy.new_external_id() end,
      case when what = 'Platform' then 'pending' else 'active' end)
    on conflict (external_id) do nothing;
    exit when found;
  end loop;
end $$;
alter function platform_tenancy.claim_path(ltree, uuid, text) owner to ironworks_system;

create or replace function platform_tenancy.close_node(node_uid uuid) returns void
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
declare
  n platform_tenancy.node_path;
  living jsonb;
begin
  select * into strict n from platform_tenancy.node_path p where p.uid = node_uid for update;
  if n.kind = 'Platform' and n.phase not in ('pending', 'cancelled') then
    raise exception 'platform % is %: cancel it before deleting it', n.path, n.phase
      using errcode = 'IW499', detail = jsonb_build_object('status', 409, 'phase', n.phase)::text;
  end if;
  select jsonb_object_agg(r.kind, r.count) into living from shared.resources_below(n.path) r;
  if living is not null then
    raise exception '% still holds resources (%): delete them first', n.path,
      (select string_agg(format('%s %s', value, key), ', ' order by key) from jsonb_each_text(living))
      using errcode = 'IW499', detail = jsonb_build_object('status', 409, 'living', living)::text;
  end if;
  update platform_tenancy.node_path p set closed_at = now() where p.uid = node_uid;
end $$;
alter function platform_tenancy.close_node(uuid) owner to ironworks_system;

-- A node begins with a word of its own lifecycle.
create or replace function platform_tenancy.begin_life() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
  new.status := new.status || '{"phase": "pending"}';
  return new;
end $$;
create or replace trigger begin_life before insert on platform_tenancy.account
  for each row execute function platform_tenancy.begin_life();
create or replace trigger begin_life before insert on platform_tenancy.platform
  for each row execute function platform_tenancy.begin_life();
create or replace trigger begin_life before insert on platform_tenancy.tenant
  for each row execute function platform_tenancy.begin_life();

create or replace trigger keep_path after insert or delete or update of deletion_timestamp on platform_tenancy.account
  for each row execute function platform_tenancy.keep_path('Account');
create or replace trigger keep_path after insert or delete or update of deletion_timestamp on platform_tenancy.platform
  for each row execute function platform_tenancy.keep_path('Platform');
create or replace trigger keep_path after insert or delete or update of deletion_timestamp on platform_tenancy.tenant
  for each row execute function platform_tenancy.keep_path('Tenant');

-- A moved node's controller shows the new phase.
create or replace function platform_tenancy.show_phase() returns trigger language plpgsql security definer
set search_path = pg_catalog, public, pg_temp as $$
begin
  if new.phase is distinct from old.phase and new.phase <> 'deleted' then
    perform shared.enqueue(new.kind, new.uid);
  end if;
  return null;
end $$;
alter function platform_tenancy.show_phase() owner to ironworks_system;
create or replace trigger show_phase after update of phase on platform_tenancy.node_path
  for each row execute function platform_tenancy.show_phase();

-- Behind shared.scope_open: whether a scope exists and is not being deleted. Locks the node, so that its deletion waits
-- for whatever is being created in it, and then counts it.
create or replace function platform_tenancy.scope_open(scope ltree) returns boolean language plpgsql security definer
set search_path = pg_catalog, public, pg_temp as $$
declare
  closed timestamptz;
begin
  select closed_at into closed from platform_tenancy.node_path p where p.path = scope_open.scope for key share;
  return found and closed is null;
end $$;
alter function platform_tenancy.scope_open(ltree) owner to ironworks_system;
grant execute on function platform_tenancy.scope_open(ltree) to ironworks_api, ironworks_worker, ironworks_system;

-- Whether a scope exists, or did: what was used and owed there outlives it. For callers who may read there already.
create or replace function platform_tenancy.scope_known(scope ltree) returns boolean language sql stable
security definer set search_path = pg_catalog, public, pg_temp as $$
  select scope = '' or exists (select from platform_tenancy.node_path p where p.path = scope)
$$;
alter function platform_tenancy.scope_known(ltree) owner to ironworks_system;
grant execute on function platform_tenancy.scope_known(ltree) to ironworks_api, ironworks_worker;

-- The scopes in which no key may act, topmost ones: suspended, cancelled and closed nodes, and accounts whose e-mail
-- address nobody has verified.
create or replace function platform_tenancy.halted(n platform_tenancy.node_path) returns boolean language sql immutable
  return n.closed_at is not null or n.phase in ('suspended', 'cancelled', 'deleted')
         or (n.kind = 'Account' and n.phase = 'pending');
alter function platform_tenancy.halted(platform_tenancy.node_path) owner to ironworks_system;

create or replace function platform_tenancy.halted_scopes() returns setof ltree language sql stable security definer
set search_path = pg_catalog, public, pg_temp as $$
  select p.path from platform_tenancy.node_path p where platform_tenancy.halted(p) and p.phase <> 'deleted'
$$;
alter function platform_tenancy.halted_scopes() owner to ironworks_system;
grant execute on function platform_tenancy.halted_scopes() to ironworks_worker, ironworks_gateway;

-- Behind shared.scope_running: whether keys may act in a scope.
create or replace function platform_tenancy.scope_running(scope ltree) returns boolean language plpgsql stable
security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  return not exists (
    select from platform_tenancy.node_path p where p.path @> scope_running.scope and platform_tenancy.halted(p));
end $$;
alter function platform_tenancy.scope_running(ltree) owner to ironworks_system;
grant execute on function platform_tenancy.scope_running(ltree)
  to ironworks_api, ironworks_worker, ironworks_gateway, ironworks_system;

-- A sign-up makes an account that waits for its e-mail address to be verified; nobody is signed in yet, so the row is
-- made here and not under a caller's rights.
create or replace function platform_tenancy.open_account(account_name text, account_spec jsonb, title text)
returns uuid language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  made uuid;
begin
  insert into platform_tenancy.account (scope, name, display_name, spec) values (''::ltree, account_name, title, account_spec)
    returning uid into made;
  update platform_tenancy.node_path p set phase = 'pending' where p.uid = made;
  return made;
exception when unique_violation then
  raise exception 'the account name % is taken: choose another', account_name
    using errcode = 'IW499', detail = '{"status": 409, "field": "account"}';
end $$;
alter function platform_tenancy.open_account(text, jsonb, text) owner to ironworks_system;
grant execute on function platform_tenancy.open_account(text, jsonb, text) to ironworks_api;

create or replace function platform_tenancy.activate_account(account_uid uuid) returns ltree
language sql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
  update platform_tenancy.node_path p set phase = 'active', phase_since = now()
  where p.uid = account_uid and p.kind = 'Account' and p.phase = 'pending' and p.closed_at is null
  returning p.path
$$;
alter function platform_tenancy.activate_account(uuid) owner to ironworks_system;
grant execute on function platform_tenancy.activate_account(uuid) to ironworks_api;
