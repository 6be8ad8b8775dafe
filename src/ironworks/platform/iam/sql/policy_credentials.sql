-- How each proves who it is: keys, passwords, sessions. Applied after policy.sql, whose checks it uses.

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
  if exists (select from platform_iam.key_material m where m.key = key_uid) then
    perform platform_iam.refuse_others_key(k.owner, k.scope);
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

-- Notes when keys were last used, at most once in five minutes for each, and lets their controller show it. Whoever
-- notes one at this moment notes it for us too.
create or replace function platform_iam.touch_keys(key_uids uuid[]) returns void
language sql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
  with due as (
    select m.key from platform_iam.key_material m
    where m.key = any (key_uids) and (m.last_used_at is null or m.last_used_at < now() - interval '5 minutes')
    order by m.key for update skip locked),
  noted as (
    update platform_iam.key_material m set last_used_at = now() from due where m.key = due.key returning m.key)
  select shared.enqueue('ApiKey', key) from noted
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

-- Issued keys with the paths where they may call models, in one pass over the bindings: all of them, or those that are
-- among `only_these` or whose owner is.
create or replace function platform_iam.gateway_keys(only_these uuid[] default null)
returns table (key uuid, hash bytea, previous_hash bytea, previous_until timestamptz, scope text, name text, owner uuid,
               active boolean, expires_at timestamptz, paths text[], halted boolean)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  with chosen as materialized (
    select k.* from platform_iam.principal k where k.kind = 'api_key' and only_these is null
    union all
    select k.* from platform_iam.principal k
    where k.kind = 'api_key' and (k.uid = any (only_these) or k.owner = any (only_these))
  ), invoker as materialized (
    select distinct b.subject, b.scope from platform_iam.binding b
      join platform_iam.role_permission r on r.role = b.role and r.permission = 'endpoint:invoke'
    where shared.registered('permission', 'endpoint:invoke')
      and (only_these is null or b.subject = any (array(select c.owner from chosen c)))
  ), reach as (
    select k.uid, platform_iam.topmost(array_agg(distinct platform_iam.narrowed(i.scope, k.scope)
                                                 order by platform_iam.narrowed(i.scope, k.scope))) as paths
    from chosen k join invoker i on i.subject = k.owner and (i.scope @> k.scope or i.scope <@ k.scope)
    where k.permissions is null or 'endpoint:invoke' = any (k.permissions)
    group by k.uid
  ), place as materialized (
    select s.scope, not shared.scope_running(s.scope) as halted from (select distinct c.scope from chosen c) s
  )
  select k.uid, m.hash, m.previous_hash, m.previous_until, k.scope::text, k.name, k.owner, k.active and o.active,
         k.expires_at, coalesce(reach.paths::text[], '{}'), place.halted
  from chosen k
    join platform_iam.principal o on o.uid = k.owner
    join platform_iam.key_material m on m.key = k.uid
    join place on place.scope = k.scope
    left join reach on reach.uid = k.uid
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

-- Another's password is set by who may, and holds everything that user holds.
create or replace function platform_iam.refuse_others_password(who uuid) returns void language plpgsql
set search_path = pg_catalog, public, pg_temp as $$
begin
  if session_user = 'ironworks_api' then
    if not shared.allows('user:set-password', ''::ltree) then
      raise exception 'no such user' using errcode = 'IW499', detail = '{"status": 404}';
    end if;
    perform platform_iam.refuse_grant(platform_iam.beyond_caller(who, ''::ltree, null), ''::ltree);
  end if;
end $$;

-- Sets a password: the caller's own, or another's.
create or replace function platform_iam.set_password(who uuid, new_hash text, at timestamptz) returns void
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  if who is distinct from shared.subject() then
    perform platform_iam.refuse_others_password(who);
  end if;
  insert into platform_iam.password as p (user_uid, hash, changed_at) values (who, new_hash, at)
    on conflict (user_uid) do update set hash = excluded.hash, changed_at = excluded.changed_at;
end $$;

create or replace function platform_iam.open_session(
  session_id uuid, who uuid, from_address text, agent text, token_hash bytea, at timestamptz, until timestamptz)
returns void language sql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
  insert into platform_iam.session (id, user_uid, address, user_agent, created_at, last_used_at, expires_at)
    values (session_id, who, from_address, left(agent, 200), at, at, until);
  insert into platform_iam.refresh_token (hash, session, issued_at) values (token_hash, session_id, at);
$$;

-- Exchanges a refresh token for the next one. `outcome`: renewed; unknown; ended; or reused, which ends the session, for
-- then two parties hold the same family of tokens and one of them stole it.
--
-- A used token may come again while nobody has used what replaced it: within `in_flight` because two tabs asked at once,
-- whose answers may arrive in either order; later because the answer was lost, and then what it carried is withdrawn.
-- Theft shows by what no single client does: it comes with a token whose successor was used, with one that was withdrawn,
-- or with one that was issued beside another which has been used for longer than that.
create or replace function platform_iam.renew_session(token_hash bytea, next_hash bytea, at timestamptz)
returns table (outcome text, session_id uuid, user_uid uuid, email text)
language plpgsql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  in_flight constant interval := interval '30 seconds';
  t platform_iam.refresh_token;
  s platform_iam.session;
  p platform_iam.principal;
begin
  select x.* into s from platform_iam.session x join platform_iam.refresh_token r on r.session = x.id
    where r.hash = token_hash for update of x;
  if not found then
    return query select 'unknown', null::uuid, null::uuid, null::text;
    return;
  end if;
  select * into strict t from platform_iam.refresh_token r where r.hash = token_hash;
  select * into strict p from platform_iam.principal x where x.uid = s.user_uid;
  if t.withdrawn_at is not null or exists (
      select from platform_iam.refresh_token r
      where r.session = s.id and r.used_at is not null
        and (r.generation > t.generation
             or (r.generation = t.generation and r.hash <> t.hash and t.used_at is null and r.used_at < at - in_flight))) then
    update platform_iam.session x set ended_at = at, end_reason = 'reused' where x.id = s.id and x.ended_at is null;
    outcome := 'reused';
  elsif s.ended_at is not null or s.expires_at <= at or not p.active then
    outcome := 'ended';
  else
    if t.used_at < at - in_flight then
      update platform_iam.refresh_token r set withdrawn_at = at where r.session = s.id and r.generation > t.generation;
    end if;
    update platform_iam.refresh_token r set used_at = at where r.hash = token_hash;
    insert into platform_iam.refresh_token (hash, session, issued_at, generation)
      values (next_hash, s.id, at, t.generation + 1);
    update platform_iam.session x set last_used_at = at where x.id = s.id;
    outcome := 'renewed';
  end if;
  return query select outcome, s.id, s.user_uid, p.name;
end $$;

-- The caller's own sessions that last, the newest first.
create or replace function platform_iam.own_sessions(at timestamptz)
returns table (id uuid, created_at timestamptz, last_used_at timestamptz, expires_at timestamptz, address text,
               user_agent text)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select s.id, s.created_at, s.last_used_at, s.expires_at, s.address, s.user_agent from platform_iam.session s
  where s.user_uid = shared.subject() and s.ended_at is null and s.expires_at > at
  order by s.last_used_at desc, s.id limit 1000
$$;

-- Ends the caller's own sessions: `only_this`, or all but `but_this`. Returns how many it ended.
create or replace function platform_iam.end_own_sessions(only_this uuid, but_this uuid, at timestamptz) returns bigint
language sql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
  with over as (
    update platform_iam.session s set ended_at = at, end_reason = 'logout'
    where s.user_uid = shared.subject() and s.ended_at is null and s.expires_at > at
      and (only_this is null or s.id = only_this) and s.id is distinct from but_this
    returning s.id)
  select count(*) from over
$$;

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

-- Whether nobody but the bootstrapped operator may do everything yet. `alone`: whoever else asks so waits until this
-- transaction ends.
create or replace function platform_iam.setup_needed(alone boolean) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  if alone then
    perform pg_advisory_xact_lock(hashtextextended('platform_iam.setup_needed', 0));
  end if;
  return not exists (
    select from platform_iam.binding b
      join platform_iam.preset r on r.role = b.role and r.name = 'operator'
      join platform_iam.principal p on p.uid = b.subject and p.kind = 'user' and p.active
      join platform_iam.user u on u.uid = p.uid
    where b.scope = ''::ltree and u.name <> 'operator');
end $$;

-- What the caller's pages remember of him; only users have pages.
create or replace function platform_iam.own_preferences() returns jsonb
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select coalesce((select p.document from platform_iam.preference p where p.user_uid = shared.subject()), '{}')
$$;

create or replace function platform_iam.save_preferences(wanted jsonb, at timestamptz) returns void
language sql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
  insert into platform_iam.preference as p (user_uid, document, changed_at)
    select u.uid, wanted, at from platform_iam.user u where u.uid = shared.subject()
    on conflict (user_uid) do update set document = excluded.document, changed_at = excluded.changed_at
$$;

-- Changes how the caller, a user, is called; returns how he was called before.
create or replace function platform_iam.rename_self(title text) returns text
language plpgsql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  before text;
begin
  select u.display_name into before from platform_iam.user u where u.uid = shared.subject() for update;
  update platform_iam.user u set display_name = title
    where u.uid = shared.subject() and u.display_name is distinct from title;
  return before;
end $$;

-- Removes what is only of historical interest: sessions a week after their end, guards idle for a day, links for
-- passwords a day and invitations a month after theirs.
create or replace function platform_iam.purge(at timestamptz) returns void
language sql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
  delete from platform_iam.session s where least(s.ended_at, s.expires_at) < at - interval '7 days';
  delete from platform_iam.login_guard l where l.last_attempt < at - interval '1 day';
  delete from platform_iam.signing_key k where k.verifies_until < at - interval '1 day';
  update platform_iam.key_material m set previous_hash = null, previous_until = null where m.previous_until < at;
  delete from platform_iam.link l where l.purpose = 'password' and greatest(l.asked_at, l.expires_at) < at - interval '1 day';
  delete from platform_iam.link l
    where l.purpose = 'invitation' and coalesce(l.used_at, l.expires_at, l.asked_at) < at - interval '30 days';
$$;

-- What the domain's topic of one's own is made of.
select shared.tell_changes('me', 'platform_iam.session', 'text2ltree(user_uid::text)', '{insert,update}');
select shared.tell_changes('me', 'platform_iam.user', 'text2ltree(uid::text)', '{update}');

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

select platform_iam.hand_out(
  api => array['issue_key', 'find_key', 'touch_keys', 'begin_attempt', 'attempt_succeeded', 'find_login', 'set_password',
    'open_session', 'renew_session', 'end_session', 'end_sessions', 'own_sessions', 'end_own_sessions', 'setup_needed',
    'own_preferences', 'save_preferences', 'rename_self',
    'signing_keys', 'publish_signing_key'],
  worker => array['issue_key', 'touch_keys', 'key_facts', 'set_password', 'purge', 'signing_keys', 'publish_signing_key'],
  gateway => array['gateway_keys', 'touch_keys', 'signing_keys', 'publish_signing_key']);
