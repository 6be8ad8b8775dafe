-- Who may do what: the questions that every policy asks, and the triggers that keep the answers at hand.
--
-- All of it runs as ironworks_system, which alone sees this domain's tables; ownership and rights are given at the end.
-- A refusal is raised as IW499 with the HTTP status and the facts in `detail`. Checks against exceeding one's own rights
-- are made for ironworks_api; the worker and the migrator are ours.

-- --- the algebra of grants ------------------------------------------------------------------------------------------

-- Drops every path that lies below another; `paths` is sorted, which puts a path right before all that is below it.
create or replace function platform_iam.topmost(paths ltree[]) returns ltree[] language plpgsql immutable
set search_path = pg_catalog, public, pg_temp as $$
declare
  kept ltree[] := '{}';
  last ltree;
  p ltree;
begin
  if cardinality(paths) < 2 then
    return paths;
  end if;
  foreach p in array paths loop
    if last is null or not p <@ last then
      kept := kept || p;
      last := p;
    end if;
  end loop;
  return kept;
end $$;

-- The topmost paths at which a subject's roles give it a permission now. A key holds what its owner holds, inside the
-- key's scope, of the permissions it lists.
create or replace function platform_iam.held(who uuid, wanted text) returns ltree[] language plpgsql stable security definer
set search_path = pg_catalog, public, pg_temp as $$
declare
  paths ltree[];
begin
  -- one statement without a sort, for every policy of every request asks this
  select array(
      select case when s.owner is not null and b.scope @> s.scope then s.scope else b.scope end
      from platform_iam.binding b
      where b.subject = o.uid and (s.owner is null or b.scope @> s.scope or b.scope <@ s.scope)
        and exists (select from platform_iam.role_permission r where r.role = b.role and r.permission = wanted))
    into paths
    from platform_iam.principal s
    join platform_iam.principal o on o.uid = coalesce(s.owner, s.uid) and o.active
   where s.uid = who and s.active
     and (s.owner is null
          or ((s.expires_at is null or s.expires_at > now())
              and (s.permissions is null or wanted = any (s.permissions))
              and shared.scope_running(s.scope)));
  if cardinality(paths) > 1 then
    return platform_iam.topmost(array(select distinct p from unnest(paths) p order by p));
  end if;
  return coalesce(paths, '{}');
end $$;

-- What two related paths have in common: the lower one.
create or replace function platform_iam.narrowed(a ltree, b ltree) returns ltree language sql immutable
  return case when a @> b then b else a end;

-- Behind shared.granted. Fails closed: a permission that nobody declared, or that is switched off, gives nothing.
create or replace function platform_iam.granted(permission text) returns ltree[] language plpgsql stable security definer
set search_path = pg_catalog, public, pg_temp as $$
begin
  if shared.subject() is null or not shared.registered('permission', permission) then
    return '{}';
  end if;
  return platform_iam.held(shared.subject(), permission);
end $$;

-- Behind shared.sees: whether the caller has any grant at, above or below a scope.
create or replace function platform_iam.visible(scope ltree) returns boolean language sql stable security definer
set search_path = pg_catalog, public, pg_temp as $$
  select exists (
    select from platform_iam.principal s
      join platform_iam.principal o on o.uid = coalesce(s.owner, s.uid) and o.active
      join platform_iam.binding b on b.subject = o.uid
    where s.uid = shared.subject() and s.active
      and case when s.kind = 'api_key' then
            (s.expires_at is null or s.expires_at > now()) and shared.scope_running(s.scope)
            and (b.scope @> s.scope or b.scope <@ s.scope)
            and (platform_iam.narrowed(b.scope, s.scope) @> visible.scope or platform_iam.narrowed(b.scope, s.scope) <@ visible.scope)
          else b.scope @> visible.scope or b.scope <@ visible.scope end)
$$;

-- --- nobody can give what he does not hold --------------------------------------------------------------------------

-- The permissions among `wanted` that the caller does not hold at `place`.
create or replace function platform_iam.lacking(wanted text[], place ltree) returns text[] language sql stable
set search_path = pg_catalog, public, pg_temp as $$
  select coalesce(array_agg(p order by p), '{}') from unnest(wanted) p
  where not coalesce(place <@ any (platform_iam.held(shared.subject(), p)), false)
$$;

-- The permissions that a subject holds somewhere inside `place` (of `only`, if given) where the caller does not.
create or replace function platform_iam.beyond_caller(other uuid, place ltree, only_these text[]) returns text[]
language sql stable set search_path = pg_catalog, public, pg_temp as $$
  select coalesce(array_agg(distinct r.permission), '{}')
  from platform_iam.binding b join platform_iam.role_permission r on r.role = b.role
  where b.subject = other and (b.scope @> place or b.scope <@ place)
    and (only_these is null or r.permission = any (only_these))
    and not coalesce(
      platform_iam.narrowed(b.scope, place) <@ any (platform_iam.held(shared.subject(), r.permission)), false)
$$;

create or replace function platform_iam.refuse_grant(lacking text[], place ltree) returns void language plpgsql
set search_path = pg_catalog, public, pg_temp as $$
begin
  if cardinality(lacking) > 0 then
    raise exception 'nobody can grant what they do not hold: you lack % at %',
      array_to_string(lacking[1:5], ', ') || case when cardinality(lacking) > 5 then ', …' else '' end,
      coalesce(nullif(place::text, ''), '-')
      using errcode = 'IW499', detail = jsonb_build_object('status', 403, 'lacking', lacking)::text;
  end if;
end $$;

create or replace function platform_iam.refuse_field(field text, problem text, remedy text) returns void language plpgsql
set search_path = pg_catalog, public, pg_temp as $$
begin
  raise exception '%: %; %', field, problem, remedy using errcode = 'IW499', detail = jsonb_build_object('status', 422,
    'fields', jsonb_build_array(jsonb_build_object('field', field, 'problem', problem, 'remedy', remedy)))::text;
end $$;

-- Refuses a list that names permissions nobody declared.
create or replace function platform_iam.check_permissions(wanted text[], field text) returns void language plpgsql
set search_path = pg_catalog, public, pg_temp as $$
declare
  unknown text[] := array(select p from unnest(wanted) p where not shared.registered('permission', p) order by p);
begin
  if cardinality(unknown) > 0 then
    perform platform_iam.refuse_field(field, 'unknown or disabled: ' || left(array_to_string(unknown, ', '), 300),
      'use permissions that the registry lists');
  end if;
end $$;

-- Whoever makes or rotates a key learns its secret, so he must hold all that the key holds. A user's keys are made by
-- that user, or by who may change users; a key that makes a key cannot make a wider or a longer one.
create or replace function platform_iam.check_key(k platform_iam.principal) returns void language plpgsql
set search_path = pg_catalog, public, pg_temp as $$
declare
  caller platform_iam.principal;
begin
  if session_user <> 'ironworks_api' then
    return;
  end if;
  select * into caller from platform_iam.principal p where p.uid = shared.subject();
  if k.owner is distinct from coalesce(caller.owner, caller.uid) then
    if exists (select from platform_iam.principal p where p.uid = k.owner and p.kind = 'user')
       and not coalesce(''::ltree = any (platform_iam.held(caller.uid, 'user:update')), false) then
      raise exception 'a user''s keys are made by that user' using errcode = 'IW499', detail = '{"status": 403}';
    end if;
    perform platform_iam.refuse_grant(platform_iam.beyond_caller(k.owner, k.scope, k.permissions), k.scope);
  elsif caller.kind = 'api_key' then
    if caller.permissions is not null and not coalesce(k.permissions <@ caller.permissions, false) then
      perform platform_iam.refuse_field('spec.permissions', 'a key cannot make a key that may do more than itself',
        'list only what the calling key lists');
    elsif caller.expires_at < coalesce(k.expires_at, 'infinity') then
      perform platform_iam.refuse_field('spec.expires_at', 'a key cannot make a key that outlives it',
        'expire by ' || to_char(caller.expires_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'));
    elsif not k.scope <@ caller.scope then
      raise exception 'outside the calling key''s scope' using errcode = 'IW499', detail = '{"status": 403}';
    end if;
  end if;
end $$;

-- --- keeping the tables that answer ---------------------------------------------------------------------------------

create or replace function platform_iam.full_name(path text, name text) returns text language sql immutable
  return case path when '' then '-' else path end || '/' || name;

create or replace function platform_iam.texts(list jsonb) returns text[] language sql immutable
set search_path = pg_catalog, public, pg_temp as $$
  select case jsonb_typeof(list) when 'array' then array(select jsonb_array_elements_text(list)) end
$$;

-- The subject that `user:alice@example.com` or `service-account:path/name` names. A service account that the caller may
-- not read does not exist for him.
create or replace function platform_iam.find_subject(written text) returns uuid language sql stable
set search_path = pg_catalog, public, pg_temp as $$
  select p.uid from platform_iam.principal p
  where (p.kind = 'user' and written like 'user:%' and p.name = lower(substr(written, 6)))
     or (p.kind = 'service_account' and written like 'service-account:%' and p.name = substr(written, 17)
         and (session_user <> 'ironworks_api' or shared.allows('service-account:read', p.scope)))
$$;

-- A user or service account that goes takes its assignments, keys, sessions and password along.
create or replace function platform_iam.forget_subject(who uuid) returns void language plpgsql
set search_path = pg_catalog, public, pg_temp as $$
begin
  delete from platform_iam.role_assignment a
    where a.uid in (select b.assignment from platform_iam.binding b where b.subject = who);
  update platform_iam.api_key k set deletion_timestamp = now()
    where k.deletion_timestamp is null and k.uid in (select p.uid from platform_iam.principal p where p.owner = who);
  delete from platform_iam.principal p where p.uid = who;
end $$;

create or replace function platform_iam.keep_user() returns trigger language plpgsql security definer
set search_path = pg_catalog, public, pg_temp as $$
begin
  if tg_op = 'DELETE' then
    perform platform_iam.forget_subject(old.uid);
  elsif new.deletion_timestamp is not null then
    perform platform_iam.forget_subject(new.uid);
  else
    insert into platform_iam.principal as p (uid, kind, scope, name, active)
      values (new.uid, 'user', new.scope, lower(new.spec ->> 'email'), not coalesce((new.spec ->> 'disabled')::boolean, false))
      on conflict (uid) do update set name = excluded.name, active = excluded.active;
    update platform_iam.session s set ended_at = now(), end_reason = 'disabled'
      where s.user_uid = new.uid and s.ended_at is null and (new.spec ->> 'disabled')::boolean;
  end if;
  return null;
exception when unique_violation then
  raise exception 'a user with the e-mail address % exists already', new.spec ->> 'email'
    using errcode = 'IW499', detail = '{"status": 409, "field": "spec.email"}';
end $$;

create or replace function platform_iam.keep_service_account() returns trigger language plpgsql security definer
set search_path = pg_catalog, public, pg_temp as $$
begin
  if tg_op = 'DELETE' then
    perform platform_iam.forget_subject(old.uid);
  elsif new.deletion_timestamp is not null then
    perform platform_iam.forget_subject(new.uid);
  else
    insert into platform_iam.principal as p (uid, kind, scope, name, active)
      values (new.uid, 'service_account', new.scope, platform_iam.full_name(new.path, new.name),
              not coalesce((new.spec ->> 'disabled')::boolean, false))
      on conflict (uid) do update set active = excluded.active;
  end if;
  return null;
end $$;

-- A role that grows, grows everywhere it is assigned: the caller must hold what he adds at each of those places.
create or replace function platform_iam.keep_role() returns trigger language plpgsql security definer
set search_path = pg_catalog, public, pg_temp as $$
declare
  wanted text[];
  added text[];
  place ltree;
begin
  if tg_op = 'DELETE' then
    delete from platform_iam.role_permission r where r.role = old.uid;
    return null;
  end if;
  if session_user = 'ironworks_api' and exists (select from platform_iam.preset p where p.role = new.uid) then
    raise exception 'the role % is a preset and stays as it is: make a role of your own', new.name
      using errcode = 'IW499', detail = '{"status": 403}';
  end if;
  wanted := coalesce(platform_iam.texts(new.spec -> 'permissions'), '{}');
  added := array(select w from unnest(wanted) w
                 except select r.permission from platform_iam.role_permission r where r.role = new.uid);
  if session_user = 'ironworks_api' then
    perform platform_iam.check_permissions(added, 'spec.permissions');
    for place in select new.scope union select b.scope from platform_iam.binding b where b.role = new.uid loop
      perform platform_iam.refuse_grant(platform_iam.lacking(added, place), place);
    end loop;
  end if;
  delete from platform_iam.role_permission r where r.role = new.uid and r.permission <> all (wanted);
  insert into platform_iam.role_permission select new.uid, w from unnest(added) w;
  return null;
end $$;

create or replace function platform_iam.keep_assignment() returns trigger language plpgsql security definer
set search_path = pg_catalog, public, pg_temp as $$
declare
  who uuid;
begin
  if tg_op = 'DELETE' then
    delete from platform_iam.binding b where b.assignment = old.uid;
    return null;
  elsif new.deletion_timestamp is not null then
    delete from platform_iam.binding b where b.assignment = new.uid;
    return null;
  elsif tg_op = 'UPDATE' and new.spec = old.spec then
    return null;
  end if;
  if session_user = 'ironworks_api' then
    perform platform_iam.refuse_grant(platform_iam.lacking(
      array(select r.permission from platform_iam.role_permission r where r.role = new.ref_role), new.scope), new.scope);
  end if;
  who := platform_iam.find_subject(new.spec ->> 'subject');
  if who is null then
    perform platform_iam.refuse_field('spec.subject', format('%L names nobody', left(new.spec ->> 'subject', 120)),
      'write user:alice@example.com or service-account:path/name');
  end if;
  insert into platform_iam.binding as b (assignment, subject, scope, role) values (new.uid, who, new.scope, new.ref_role)
    on conflict (assignment) do update set subject = excluded.subject, role = excluded.role;
  return null;
end $$;

-- A key is its owner's: to change, end or rotate another's takes a right of its own. It ends with its owner, though,
-- whoever ends that: then it is a trigger that asks.
create or replace function platform_iam.refuse_others_key(key_owner uuid, place ltree) returns void language plpgsql stable
set search_path = pg_catalog, public, pg_temp as $$
begin
  if session_user = 'ironworks_api' and pg_trigger_depth() < 2 and not shared.allows('api-key:manage', place)
     and key_owner is distinct from (select coalesce(p.owner, p.uid) from platform_iam.principal p where p.uid = shared.subject())
  then
    raise exception 'this key belongs to somebody else: to manage others'' keys takes the permission api-key:manage'
      using errcode = 'IW499', detail = '{"status": 403}';
  end if;
end $$;

create or replace function platform_iam.keep_key() returns trigger language plpgsql security definer
set search_path = pg_catalog, public, pg_temp as $$
declare
  k platform_iam.principal;
  listed text[];
begin
  if tg_op = 'DELETE' then
    delete from platform_iam.principal p where p.uid = old.uid;
    return null;
  end if;
  if tg_op = 'UPDATE' and new.spec = old.spec and new.deletion_timestamp is null then
    return null;
  elsif tg_op = 'UPDATE' then
    select * into strict k from platform_iam.principal p where p.uid = new.uid;
    perform platform_iam.refuse_others_key(k.owner, new.scope);
  end if;
  if new.deletion_timestamp is not null then
    update platform_iam.principal p set active = false where p.uid = new.uid;
    return null;
  end if;
  listed := platform_iam.texts(new.spec -> 'permissions');
  if tg_op = 'INSERT' then
    k.owner := case when new.spec ->> 'owner' is not null then platform_iam.find_subject(new.spec ->> 'owner')
      else (select coalesce(p.owner, p.uid) from platform_iam.principal p where p.uid = shared.subject()) end;
    if k.owner is null then
      perform platform_iam.refuse_field('spec.owner', 'names nobody',
        'write user:alice@example.com or service-account:path/name, or leave it out to own the key yourself');
    end if;
  end if;
  if session_user = 'ironworks_api' then
    perform platform_iam.check_permissions(
      array(select unnest(listed) except select unnest(k.permissions)), 'spec.permissions');
  end if;
  k.scope := new.scope;
  k.permissions := listed;
  k.expires_at := (new.spec ->> 'expires_at')::timestamptz;
  if tg_op = 'INSERT' or not coalesce((new.spec ->> 'disabled')::boolean, false) then
    perform platform_iam.check_key(k);
  end if;
  insert into platform_iam.principal as p (uid, kind, scope, name, active, owner, permissions, expires_at)
    values (new.uid, 'api_key', new.scope, platform_iam.full_name(new.path, new.name),
            not coalesce((new.spec ->> 'disabled')::boolean, false), k.owner, k.permissions, k.expires_at)
    on conflict (uid) do update
      set active = excluded.active, permissions = excluded.permissions, expires_at = excluded.expires_at;
  return null;
end $$;

create or replace trigger keep_subject after insert or delete or update of spec, deletion_timestamp on platform_iam.user
  for each row execute function platform_iam.keep_user();
create or replace trigger keep_subject after insert or delete or update of spec, deletion_timestamp
  on platform_iam.service_account for each row execute function platform_iam.keep_service_account();
create or replace trigger keep_role after insert or delete or update of spec, deletion_timestamp on platform_iam.role
  for each row execute function platform_iam.keep_role();
create or replace trigger keep_assignment after insert or delete or update of spec, deletion_timestamp
  on platform_iam.role_assignment for each row execute function platform_iam.keep_assignment();
create or replace trigger keep_subject after insert or delete or update of spec, deletion_timestamp on platform_iam.api_key
  for each row execute function platform_iam.keep_key();

-- --- start-up -------------------------------------------------------------------------------------------------------

-- Makes the preset roles what `wanted` ({name: {description, permissions}}) says. Writes nothing where nothing changed.
create or replace function platform_iam.sync_presets(wanted jsonb) returns void
language plpgsql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  preset_name text;
  body jsonb;
  made uuid;
begin
  perform pg_advisory_xact_lock(hashtextextended('platform_iam.sync_presets', 0));
  for preset_name, body in select key, value from jsonb_each(wanted) order by key loop
    select p.role into made from platform_iam.preset p where p.name = preset_name;
    if not found then
      insert into platform_iam.role as r (scope, name, spec) values (''::ltree, preset_name, body) returning r.uid into made;
      insert into platform_iam.preset values (made, preset_name);
      update platform_iam.role r set status = r.status || '{"preset": true}' where r.uid = made;
    else
      update platform_iam.role r set spec = body where r.uid = made and r.spec <> body;
    end if;
  end loop;
end $$;

-- Makes a user with a preset role at the operator's scope and a key of his, where they are missing. Returns their uids.
create or replace function platform_iam.ensure_operator(user_name text, address text, key_name text)
returns table (user_uid uuid, key_uid uuid, key_issued boolean)
language plpgsql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  who uuid;
  made uuid;
begin
  perform pg_advisory_xact_lock(hashtextextended('platform_iam.ensure_operator', 0));
  select p.uid into who from platform_iam.principal p where p.kind = 'user' and p.name = lower(address);
  if who is null then
    insert into platform_iam.user as u (scope, name, display_name, spec) values (''::ltree, user_name, 'Operator',
      jsonb_build_object('email', lower(address), 'disabled', false)) returning u.uid into who;
    insert into platform_iam.role_assignment (scope, name, spec) values (''::ltree, user_name,
      jsonb_build_object('subject', 'user:' || lower(address), 'role', 'operator'));
  end if;
  select k.uid into made from platform_iam.api_key k
    where k.path = '' and k.name = key_name and k.deletion_timestamp is null;
  if made is null then
    insert into platform_iam.api_key as k (scope, name, spec) values (''::ltree, key_name, jsonb_build_object(
      'owner', 'user:' || lower(address), 'permissions', null, 'expires_at', null, 'disabled', false))
      returning k.uid into made;
  end if;
  return query select who, made, exists (select from platform_iam.key_material m where m.key = made);
end $$;

-- Who the caller is and what it may do, for `/api/v1/me`.
create or replace function platform_iam.whoami() returns jsonb language sql stable security definer
set search_path = pg_catalog, public, pg_temp as $$
  select jsonb_build_object(
    'uid', s.uid, 'kind', s.kind, 'name', s.name,
    'display_name', (select u.display_name from platform_iam.user u where u.uid = s.uid),
    'scope', case when s.kind = 'api_key' then coalesce(nullif(s.scope::text, ''), '-') end,
    'owner', (select replace(o.kind, '_', '-') || ':' || o.name from platform_iam.principal o where o.uid = s.owner),
    'expires_at', s.expires_at, 'permissions', s.permissions,
    'grants', coalesce((
      select jsonb_agg(jsonb_build_object('scope', coalesce(nullif(g.scope::text, ''), '-'), 'role', g.role,
                                          'permissions', g.permissions) order by g.scope, g.role)
      from (
        select platform_iam.narrowed(b.scope, case s.kind when 'api_key' then s.scope else ''::ltree end) as scope,
               platform_iam.full_name(r.path, r.name) as role,
               (select jsonb_agg(rp.permission order by rp.permission) from platform_iam.role_permission rp
                where rp.role = b.role and (s.permissions is null or rp.permission = any (s.permissions))) as permissions
        from platform_iam.binding b join platform_iam.role r on r.uid = b.role
        where b.subject = coalesce(s.owner, s.uid)
          and (s.kind <> 'api_key' or b.scope @> s.scope or b.scope <@ s.scope)
      ) g where g.permissions is not null), '[]'))
  from platform_iam.principal s where s.uid = shared.subject() and s.active
$$;

-- Who is to be told of what concerns a scope: active users to whom a role of its own account gives a permission there;
-- where the account has nobody, and for what is the operator's own, those to whom the operator gives it.
create or replace function platform_iam.people_with(wanted text, place ltree)
returns table (person uuid, address text) language sql stable security definer
set search_path = pg_catalog, public, pg_temp as $$
  with holder as (
    select distinct s.uid, s.name, b.scope <> '' as near
    from platform_iam.binding b join platform_iam.principal s on s.uid = b.subject
    where b.scope @> place and s.kind = 'user' and s.active and shared.registered('permission', wanted)
      and exists (select from platform_iam.role_permission r where r.role = b.role and r.permission = wanted))
  select distinct h.uid, h.name from holder h
  where h.near or not exists (select from holder n where n.near) order by h.name limit 100
$$;

-- --- ownership and rights -------------------------------------------------------------------------------------------

-- Gives every function of this domain its owner, and those that are named their callers.
create or replace function platform_iam.hand_out(api text[], worker text[], gateway text[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  f record;
  caller text;
begin
  for f in select p.oid::regprocedure as signature, p.proname::text as name from pg_proc p
           where p.pronamespace = 'platform_iam'::regnamespace and p.proname <> 'hand_out' loop
    execute format('alter function %s owner to ironworks_system', f.signature);
    foreach caller in array array['api', 'worker', 'gateway'] loop
      if f.name = any (case caller when 'api' then api when 'worker' then worker else gateway end) then
        execute format('grant execute on function %s to %I', f.signature, 'ironworks_' || caller);
      end if;
    end loop;
  end loop;
end $$;

select platform_iam.hand_out(
  api => array['granted', 'visible', 'whoami'],
  worker => array['granted', 'visible', 'sync_presets', 'ensure_operator', 'people_with'],
  gateway => array['granted', 'visible']);
