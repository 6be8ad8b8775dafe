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
  s platform_iam.principal;
begin
  select * into s from platform_iam.principal p where p.uid = who and p.active;
  if not found then
    return '{}';
  elsif s.kind <> 'api_key' then
    return platform_iam.topmost(array(
      select distinct b.scope from platform_iam.binding b
        join platform_iam.role_permission r on r.role = b.role and r.permission = wanted
      where b.subject = who order by b.scope));
  elsif s.expires_at <= now() or not (s.permissions is null or wanted = any (s.permissions))
        or not shared.scope_running(s.scope)
        or not exists (select from platform_iam.principal o where o.uid = s.owner and o.active) then
    return '{}';
  end if;
  return platform_iam.topmost(array(
    select distinct platform_iam.narrowed(b.scope, s.scope) from platform_iam.binding b
      join platform_iam.role_permission r on r.role = b.role and r.permission = wanted
    where b.subject = s.owner and (b.scope @> s.scope or b.scope <@ s.scope) order by 1));
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

create or replace function platform_iam.keep_key() returns trigger language plpgsql security definer
set search_path = pg_catalog, public, pg_temp as $$
declare
  k platform_iam.principal;
  listed text[];
begin
  if tg_op = 'DELETE' then
    delete from platform_iam.principal p where p.uid = old.uid;
    return null;
  elsif new.deletion_timestamp is not null then
    update platform_iam.principal p set active = false where p.uid = new.uid;
    return null;
  elsif tg_op = 'UPDATE' and new.spec = old.spec then
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
  else
    select * into strict k from platform_iam.principal p where p.uid = new.uid;
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

-- --- API keys -------------------------------------------------------------------------------------------------------

-- Stores the hash of a key's new secret; the one it replaces goes on working for `grace`.
create or replace function platform_iam.issue_key(key_uid uuid, new_hash bytea, grace interval) returns void
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  k platform_iam.principal;
begin
  select * into k from platform_iam.principal p where p.uid = key_uid and p.kind = 'api_key' for update;
  if not found or (session_user = 'ironworks_api' and not shared.allows('api-key:rotate', k.scope)) then
    raise exception 'no such key' using errcode = 'IW499', detail = '{"status": 404}';
  end if;
  perform platform_iam.check_key(k);
  insert into platform_iam.key_material as m (key, hash, issued_at) values (key_uid, new_hash, now())
    on conflict (key) do update set hash = excluded.hash, issued_at = excluded.issued_at,
      previous_hash = case when grace > interval '0' then m.hash end,
      previous_until = case when grace > interval '0' then now() + grace end;
  perform shared.enqueue('ApiKey', key_uid);
end $$;

-- What authentication must know of a key. `unseen`: its last use should be noted. `state`: ok, disabled, expired, halted (its scope is suspended) or orphaned.
create or replace function platform_iam.find_key(key_uid uuid)
returns table (hash bytea, previous_hash bytea, name text, unseen boolean, state text)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select m.hash, case when m.previous_until > now() then m.previous_hash end, k.name,
         m.last_used_at is null or m.last_used_at < now() - interval '5 minutes',
         case when not k.active then 'disabled' when k.expires_at <= now() then 'expired'
              when not o.active then 'orphaned' when not shared.scope_running(k.scope) then 'halted' else 'ok' end
  from platform_iam.principal k
    join platform_iam.principal o on o.uid = k.owner
    join platform_iam.key_material m on m.key = k.uid
  where k.uid = key_uid and k.kind = 'api_key'
$$;

-- Notes when keys were last used, at most once in five minutes for each.
create or replace function platform_iam.touch_keys(key_uids uuid[]) returns void
language sql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
  update platform_iam.key_material m set last_used_at = now()
  where m.key = any (key_uids) and (m.last_used_at is null or m.last_used_at < now() - interval '5 minutes')
$$;

-- What a key's controller shows.
create or replace function platform_iam.key_facts(key_uid uuid)
returns table (owner text, active boolean, expires_at timestamptz, issued_at timestamptz, last_used_at timestamptz,
               previous_until timestamptz)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select replace(o.kind, '_', '-') || ':' || o.name, k.active and o.active, k.expires_at, m.issued_at, m.last_used_at,
         m.previous_until
  from platform_iam.principal k
    join platform_iam.principal o on o.uid = k.owner
    left join platform_iam.key_material m on m.key = k.uid
  where k.uid = key_uid
$$;

-- Every issued key with the paths where it may call models; one pass over the bindings, however many keys there are.
create or replace function platform_iam.gateway_keys(only_these uuid[] default null)
returns table (key uuid, hash bytea, previous_hash bytea, previous_until timestamptz, scope text, name text, owner uuid,
               active boolean, expires_at timestamptz, paths text[], halted boolean)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  with invoker as materialized (
    select distinct b.subject, b.scope from platform_iam.binding b
      join platform_iam.role_permission r on r.role = b.role and r.permission = 'endpoint:invoke'
    where shared.registered('permission', 'endpoint:invoke')
  ), reach as (
    select k.uid, platform_iam.topmost(array_agg(distinct platform_iam.narrowed(i.scope, k.scope)
                                                 order by platform_iam.narrowed(i.scope, k.scope))) as paths
    from platform_iam.principal k join invoker i on i.subject = k.owner and (i.scope @> k.scope or i.scope <@ k.scope)
    where k.kind = 'api_key' and (k.permissions is null or 'endpoint:invoke' = any (k.permissions))
      and (only_these is null or k.uid = any (only_these))
    group by k.uid
  ), place as materialized (
    select s.scope, not shared.scope_running(s.scope) as halted
    from (select distinct p.scope from platform_iam.principal p where p.kind = 'api_key') s
  )
  select k.uid, m.hash, m.previous_hash, m.previous_until, k.scope::text, k.name, k.owner, k.active and o.active,
         k.expires_at, coalesce(reach.paths::text[], '{}'), place.halted
  from platform_iam.principal k
    join platform_iam.principal o on o.uid = k.owner
    join platform_iam.key_material m on m.key = k.uid
    join place on place.scope = k.scope
    left join reach on reach.uid = k.uid
  where k.kind = 'api_key' and (only_these is null or k.uid = any (only_these))
$$;

-- --- passwords and sessions -----------------------------------------------------------------------------------------

-- Counts an attempt at each guard before the password is looked at, so that guesses sent at once count too. Returns
-- null, or until when the guards refuse: 1, 2, 4, … seconds, at most 15 minutes, from the attempt after `free` on.
create or replace function platform_iam.begin_attempt(guards text[], free int[], at timestamptz) returns timestamptz
language plpgsql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  blocked timestamptz;
begin
  insert into platform_iam.login_guard (guard, failures, last_attempt)
    select g, 0, at from unnest(guards) g order by g on conflict do nothing;
  perform from platform_iam.login_guard l where l.guard = any (guards) order by l.guard for update;
  select max(l.blocked_until) into blocked from platform_iam.login_guard l
    where l.guard = any (guards) and l.blocked_until > at;
  if blocked is not null then
    return blocked;
  end if;
  update platform_iam.login_guard l set last_attempt = at,
    failures = n.failures,
    blocked_until = case when n.failures >= n.free
      then at + least(interval '15 minutes', interval '1 second' * power(2, least(n.failures - n.free, 20))) end
  from (select c.guard, f.free, case when c.last_attempt < at - interval '1 hour' then 1 else c.failures + 1 end as failures
        from platform_iam.login_guard c join unnest(guards, free) f(guard, free) on f.guard = c.guard) n
  where l.guard = n.guard;
  return null;
end $$;

-- The right password: the account's guard is forgotten, the address's attempt is taken back.
create or replace function platform_iam.attempt_succeeded(account_guard text, address_guard text) returns void
language sql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
  delete from platform_iam.login_guard l where l.guard = account_guard;
  update platform_iam.login_guard l set failures = greatest(l.failures - 1, 0), blocked_until = null
    where l.guard = address_guard;
$$;

create or replace function platform_iam.find_login(address text) returns table (user_uid uuid, hash text, active boolean)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select p.uid, w.hash, p.active from platform_iam.principal p left join platform_iam.password w on w.user_uid = p.uid
  where p.kind = 'user' and p.name = lower(address)
$$;

-- Sets a password: the caller's own, or another's if the caller holds everything that user holds.
create or replace function platform_iam.set_password(who uuid, new_hash text, at timestamptz) returns void
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  if session_user = 'ironworks_api' and who is distinct from shared.subject() then
    if not shared.allows('user:set-password', ''::ltree) then
      raise exception 'no such user' using errcode = 'IW499', detail = '{"status": 404}';
    end if;
    perform platform_iam.refuse_grant(platform_iam.beyond_caller(who, ''::ltree, null), ''::ltree);
  end if;
  insert into platform_iam.password as p (user_uid, hash, changed_at) values (who, new_hash, at)
    on conflict (user_uid) do update set hash = excluded.hash, changed_at = excluded.changed_at;
end $$;

create or replace function platform_iam.open_session(
  session_id uuid, who uuid, from_address text, token_hash bytea, at timestamptz, until timestamptz) returns void
language sql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
  insert into platform_iam.session (id, user_uid, address, created_at, expires_at)
    values (session_id, who, from_address, at, until);
  insert into platform_iam.refresh_token (hash, session, issued_at) values (token_hash, session_id, at);
$$;

-- Exchanges a refresh token for the next one. `outcome`: renewed; unknown; ended; or reused, which ends the session,
-- for then two parties hold the same family of tokens and one of them stole it.
create or replace function platform_iam.renew_session(token_hash bytea, next_hash bytea, at timestamptz)
returns table (outcome text, session_id uuid, user_uid uuid, email text)
language plpgsql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  t platform_iam.refresh_token;
  s platform_iam.session;
  p platform_iam.principal;
begin
  select * into t from platform_iam.refresh_token r where r.hash = token_hash for update;
  if not found then
    return query select 'unknown', null::uuid, null::uuid, null::text;
    return;
  end if;
  select * into strict s from platform_iam.session x where x.id = t.session for update;
  select * into strict p from platform_iam.principal x where x.uid = s.user_uid;
  if t.used_at is not null then
    update platform_iam.session x set ended_at = at, end_reason = 'reused' where x.id = s.id and x.ended_at is null;
    outcome := 'reused';
  elsif s.ended_at is not null or s.expires_at <= at or not p.active then
    outcome := 'ended';
  else
    update platform_iam.refresh_token r set used_at = at where r.hash = token_hash;
    insert into platform_iam.refresh_token (hash, session, issued_at) values (next_hash, s.id, at);
    outcome := 'renewed';
  end if;
  return query select outcome, s.id, s.user_uid, p.name;
end $$;

create or replace function platform_iam.end_session(token_hash bytea, at timestamptz)
returns table (session_id uuid, user_uid uuid, email text)
language sql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
  update platform_iam.session s set ended_at = coalesce(s.ended_at, at), end_reason = coalesce(s.end_reason, 'logout')
  from platform_iam.refresh_token t, platform_iam.principal p
  where t.hash = token_hash and s.id = t.session and p.uid = s.user_uid
  returning s.id, s.user_uid, p.name
$$;

create or replace function platform_iam.end_sessions(who uuid, reason text, at timestamptz) returns void
language sql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
  update platform_iam.session s set ended_at = at, end_reason = reason where s.user_uid = who and s.ended_at is null
$$;

-- Removes what is only of historical interest: sessions a week after their end, guards idle for a day.
create or replace function platform_iam.purge(at timestamptz) returns void
language sql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
  delete from platform_iam.session s where least(s.ended_at, s.expires_at) < at - interval '7 days';
  delete from platform_iam.login_guard l where l.last_attempt < at - interval '1 day';
  delete from platform_iam.signing_key k where k.verifies_until < at - interval '1 day';
  update platform_iam.key_material m set previous_hash = null, previous_until = null where m.previous_until < at;
$$;

-- --- signing keys ---------------------------------------------------------------------------------------------------

-- Publishes the public half of a key of the calling process; its login role says which process that is.
create or replace function platform_iam.publish_signing_key(key_id text, public bytea, at timestamptz, until timestamptz)
returns void language sql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
  insert into platform_iam.signing_key (kid, process, public_key, published_at, verifies_until)
    values (key_id, replace(session_user, 'ironworks_', ''), public, at, until)
$$;

create or replace function platform_iam.signing_keys(at timestamptz)
returns table (kid text, process text, public_key bytea, verifies_until timestamptz)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select k.kid, k.process, k.public_key, k.verifies_until from platform_iam.signing_key k
  where k.verifies_until > at order by k.published_at desc, k.kid
$$;

-- --- sign-up --------------------------------------------------------------------------------------------------------

create or replace function platform_iam.begin_signup(
  signup_uid uuid, address text, title text, password_hash text, account uuid, account_name text, at timestamptz)
returns void language sql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
  insert into platform_iam.signup (uid, email, display_name, password_hash, account, account_name, created_at)
    values (signup_uid, lower(address), title, password_hash, account, account_name, at)
$$;

-- The sign-ups of an address that still wait, newest first; `sent_before` leaves out those mailed a moment ago.
create or replace function platform_iam.waiting_signups(address text, sent_before timestamptz) returns setof uuid
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select s.uid from platform_iam.signup s
  where s.email = lower(address) and s.verified_at is null and (s.sent_at is null or s.sent_at < sent_before)
  order by s.created_at desc limit 3
$$;

-- Gives a waiting sign-up its next token, which ends the one before; returns where to send it.
create or replace function platform_iam.arm_signup(signup_uid uuid, new_token_hash bytea, at timestamptz, until timestamptz)
returns table (email text, display_name text, account_name text, known boolean)
language sql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
  update platform_iam.signup s set token_hash = new_token_hash, token_expires_at = until, sent_at = at
  where s.uid = signup_uid and s.verified_at is null
  returning s.email, s.display_name, s.account_name,
    exists (select from platform_iam.principal p where p.kind = 'user' and p.name = s.email)
$$;

-- Uses a token up; returns the sign-up it belongs to, or no row.
create or replace function platform_iam.redeem_signup(token bytea, at timestamptz)
returns table (signup_uid uuid, email text, account uuid)
language sql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
  update platform_iam.signup s set verified_at = at, token_hash = null
  where s.token_hash = token and s.token_expires_at > at and s.verified_at is null
  returning s.uid, s.email, s.account
$$;

-- Makes the user of a verified sign-up, unless the address has one already, and gives it `role_name` at `place`. Returns
-- the user. The binding comes first and the newcomer acts for himself, so that the assignment passes every check that
-- any other must pass.
create or replace function platform_iam.admit_newcomer(signup_uid uuid, user_name text, role_name text, place ltree)
returns uuid language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  s platform_iam.signup;
  who uuid;
  chosen uuid;
  assignment uuid := gen_random_uuid();
  before text := current_setting('ironworks.subject', true);
begin
  select * into strict s from platform_iam.signup x where x.uid = signup_uid and x.verified_at is not null;
  select p.uid into who from platform_iam.principal p where p.kind = 'user' and p.name = s.email;
  if who is null then
    insert into platform_iam.user as u (scope, name, display_name, spec)
      values (''::ltree, user_name, s.display_name, jsonb_build_object('email', s.email, 'disabled', false))
      returning u.uid into who;
    insert into platform_iam.password values (who, s.password_hash, now());
  end if;
  update platform_iam.signup x set password_hash = '' where x.uid = signup_uid;
  select p.role into strict chosen from platform_iam.preset p where p.name = role_name;
  insert into platform_iam.binding (assignment, subject, scope, role) values (assignment, who, place, chosen);
  perform set_config('ironworks.subject', who::text, true);
  insert into platform_iam.role_assignment (uid, scope, name, spec) values (assignment, place, 'first-administrator',
    jsonb_build_object('subject', 'user:' || s.email, 'role', '-/' || role_name));
  perform set_config('ironworks.subject', coalesce(before, ''), true);
  return who;
end $$;

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

-- --- ownership and rights -------------------------------------------------------------------------------------------

do $$
declare
  f record;
  api text[] := array['issue_key', 'find_key', 'touch_keys', 'begin_attempt', 'attempt_succeeded', 'find_login',
    'set_password', 'open_session', 'renew_session', 'end_session', 'end_sessions', 'signing_keys', 'publish_signing_key',
    'begin_signup', 'waiting_signups', 'redeem_signup', 'admit_newcomer', 'whoami', 'granted', 'visible'];
  worker text[] := array['issue_key', 'touch_keys', 'key_facts', 'set_password', 'purge', 'signing_keys', 'publish_signing_key',
    'arm_signup', 'sync_presets', 'ensure_operator', 'granted', 'visible'];
  gateway text[] := array['gateway_keys', 'touch_keys', 'signing_keys', 'publish_signing_key', 'granted', 'visible'];
begin
  for f in select p.oid::regprocedure as signature, p.proname::text as name from pg_proc p
           where p.pronamespace = 'platform_iam'::regnamespace loop
    execute format('alter function %s owner to ironworks_system', f.signature);
    execute format('revoke all on function %s from public, ironworks_api, ironworks_worker, ironworks_gateway', f.signature);
    if f.name = any (api) then
      execute format('grant execute on function %s to ironworks_api', f.signature);
    end if;
    if f.name = any (worker) then
      execute format('grant execute on function %s to ironworks_worker', f.signature);
    end if;
    if f.name = any (gateway) then
      execute format('grant execute on function %s to ironworks_gateway', f.signature);
    end if;
  end loop;
end $$;
