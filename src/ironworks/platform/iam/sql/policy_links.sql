-- What waits for somebody to open a mailed link: sign-ups, invitations and forgotten passwords. Applied after
-- policy_credentials.sql.

-- --- any link -------------------------------------------------------------------------------------------------------

create or replace function platform_iam.link_purpose(link_uid uuid) returns text
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select l.purpose from platform_iam.link l where l.uid = link_uid and l.used_at is null
$$;

-- Gives a link its next token, which ends the one before; returns where to send it and what to write. No row where
-- nothing waits any more, or where the address has nobody whose password could be set.
create or replace function platform_iam.arm_link(link_uid uuid, new_token_hash bytea, at timestamptz, until timestamptz)
returns table (email text, known boolean, display_name text, account text, scope text, role text, inviter text)
language sql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
  with armed as (
    update platform_iam.link l set token_hash = new_token_hash, expires_at = until, sent_at = at
    where l.uid = link_uid and l.used_at is null and case l.purpose
      when 'invitation' then exists (select from platform_iam.invitation i where i.uid = l.uid)
      when 'password' then
        exists (select from platform_iam.principal p where p.kind = 'user' and p.name = l.email and p.active)
      else true end
    returning l.uid, l.email)
  select a.email, exists (select from platform_iam.principal p where p.kind = 'user' and p.name = a.email),
         s.display_name, s.account_name, coalesce(nullif(i.scope::text, ''), '-'),
         (select platform_iam.full_name(r.path, r.name) from platform_iam.role r where r.uid = i.role),
         (select p.name from platform_iam.principal p where p.uid = i.inviter)
  from armed a left join platform_iam.signup s on s.uid = a.uid left join platform_iam.invitation i on i.uid = a.uid
$$;

create or replace function platform_iam.link_works(token bytea, wanted text, at timestamptz) returns boolean
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select exists (select from platform_iam.link l
                 where l.token_hash = token and l.purpose = wanted and l.expires_at > at and l.used_at is null)
$$;

-- A user who has proven his address; without a password where a provider proves it each time.
create or replace function platform_iam.make_user(address text, user_name text, title text, password_hash text)
returns uuid language plpgsql set search_path = pg_catalog, public, pg_temp as $$
declare
  who uuid;
begin
  insert into platform_iam.user as u (scope, name, display_name, spec)
    values (''::ltree, user_name, title, jsonb_build_object('email', address, 'disabled', false))
    returning u.uid into who;
  if password_hash is not null then
    insert into platform_iam.password values (who, password_hash, now());
  end if;
  return who;
end $$;

-- --- sign-up --------------------------------------------------------------------------------------------------------

create or replace function platform_iam.begin_signup(
  signup_uid uuid, address text, title text, password_hash text, account uuid, account_name text, at timestamptz)
returns void language sql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
  insert into platform_iam.link (uid, purpose, email, created_at, asked_at) values (signup_uid, 'signup', lower(address), at, at);
  insert into platform_iam.signup (uid, display_name, password_hash, account, account_name)
    values (signup_uid, title, password_hash, account, account_name);
$$;

-- The sign-ups of an address that still wait and were last mailed before `asked_before`, newest first: they are to be
-- mailed again.
create or replace function platform_iam.ask_signups_again(address text, asked_before timestamptz, at timestamptz)
returns setof uuid language sql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
  update platform_iam.link l set asked_at = at
  where l.uid in (select w.uid from platform_iam.link w
                  where w.purpose = 'signup' and w.email = lower(address) and w.used_at is null
                  order by w.created_at desc limit 3) and l.asked_at < asked_before
  returning l.uid
$$;

-- Uses a token up; returns the sign-up it belongs to, or no row.
create or replace function platform_iam.redeem_signup(token bytea, at timestamptz)
returns table (signup_uid uuid, email text, account uuid)
language sql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
  update platform_iam.link l set used_at = at from platform_iam.signup s
  where l.token_hash = token and l.purpose = 'signup' and l.expires_at > at and l.used_at is null and s.uid = l.uid
  returning l.uid, l.email, s.account
$$;

-- Makes the user of a verified sign-up, unless the address has one already, and gives it `role_name` at `place`. Returns
-- the user. The binding comes first and the newcomer acts for himself, so that the assignment passes every check that
-- any other must pass.
create or replace function platform_iam.admit_newcomer(signup_uid uuid, user_name text, role_name text, place ltree)
returns uuid language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  s platform_iam.signup;
  address text;
  who uuid;
  chosen uuid;
  assignment uuid := gen_random_uuid();
  before text := current_setting('ironworks.subject', true);
begin
  select l.email into strict address from platform_iam.link l where l.uid = signup_uid and l.used_at is not null;
  select * into strict s from platform_iam.signup x where x.uid = signup_uid;
  select p.uid into who from platform_iam.principal p where p.kind = 'user' and p.name = address;
  if who is null then
    who := platform_iam.make_user(address, user_name, s.display_name, s.password_hash);
  end if;
  update platform_iam.signup x set password_hash = '' where x.uid = signup_uid;
  select p.role into strict chosen from platform_iam.preset p where p.name = role_name;
  insert into platform_iam.binding (assignment, subject, scope, role) values (assignment, who, place, chosen);
  perform set_config('ironworks.subject', who::text, true);
  insert into platform_iam.role_assignment (uid, scope, name, spec) values (assignment, place, 'first-administrator',
    jsonb_build_object('subject', 'user:' || address, 'role', '-/' || role_name));
  perform set_config('ironworks.subject', coalesce(before, ''), true);
  return who;
end $$;

-- --- invitations ----------------------------------------------------------------------------------------------------

-- Whether a subject could give a role at a place now.
create or replace function platform_iam.may_give(giver uuid, given uuid, place ltree) returns boolean
language sql stable set search_path = pg_catalog, public, pg_temp as $$
  select coalesce(place <@ any (platform_iam.held(giver, 'role-assignment:create')), false) and not exists (
    select from platform_iam.role_permission r
    where r.role = given and not coalesce(place <@ any (platform_iam.held(giver, r.permission)), false))
$$;

-- Invites an address to a role at a place, or has the same invitation sent again, then in the caller's name. The inviter
-- is a key's owner, for a key may be gone before anybody reads the mail. `mailed`: a mail is due, for none was asked for
-- since `asked_before`.
create or replace function platform_iam.invite(
  new_uid uuid, address text, place ltree, role_name text, at timestamptz, asked_before timestamptz)
returns table (link_uid uuid, role text, mailed boolean)
language plpgsql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  chosen uuid;
  waiting platform_iam.link;
  giver uuid := (select coalesce(p.owner, p.uid) from platform_iam.principal p where p.uid = shared.subject());
begin
  if giver is null or not shared.allows('role-assignment:create', place) or (place <> '' and not shared.scope_open(place)) then
    raise exception 'no such scope' using errcode = 'IW499', detail = '{"status": 404}';
  end if;
  select f.target_uid into chosen from shared.kind k, shared.resolve_reference(k, role_name, place, true) f
    where k.kind = 'Role' and not f.deleting;
  if chosen is null then
    perform platform_iam.refuse_field('role', 'names no role that can be seen from there',
      'write -/viewer, or path/name of a role of your own');
  end if;
  perform platform_iam.refuse_grant(platform_iam.lacking(
    array(select r.permission from platform_iam.role_permission r where r.role = chosen), place), place);
  perform pg_advisory_xact_lock(hashtextextended('platform_iam.invite ' || lower(address), 0));
  if exists (select from platform_iam.binding b join platform_iam.principal p on p.uid = b.subject
             where p.kind = 'user' and p.name = lower(address) and b.scope = place and b.role = chosen) then
    raise exception '% has this role here already', lower(address)
      using errcode = 'IW499', detail = '{"status": 409, "field": "email"}';
  end if;
  select l.* into waiting from platform_iam.link l join platform_iam.invitation i on i.uid = l.uid
    where l.purpose = 'invitation' and l.email = lower(address) and l.used_at is null
      and i.scope = place and i.role = chosen for update of l;
  if waiting.uid is null then
    insert into platform_iam.link (uid, purpose, email, created_at, asked_at)
      values (new_uid, 'invitation', lower(address), at, at);
    insert into platform_iam.invitation (uid, scope, role, inviter) values (new_uid, place, chosen, giver);
  else
    update platform_iam.invitation i set inviter = giver where i.uid = waiting.uid;
    update platform_iam.link l set asked_at = at,
      token_hash = case when l.expires_at > at then l.token_hash end, expires_at = case when l.expires_at > at then l.expires_at end
      where l.uid = waiting.uid and l.asked_at < asked_before;
  end if;
  return query select coalesce(waiting.uid, new_uid),
    (select platform_iam.full_name(r.path, r.name) from platform_iam.role r where r.uid = chosen),
    waiting.uid is null or waiting.asked_at < asked_before;
end $$;

-- The invitations to a place that nobody has accepted, by address, past `after_email` and `after_uid`; or `only_this`.
-- `state`: waiting, expired, or lapsed where the inviter could no longer give the role.
create or replace function platform_iam.invitations(
  place ltree, after_email text, after_uid text, max integer, only_this uuid, at timestamptz)
returns table (uid uuid, email text, scope text, role text, inviter text, created_at timestamptz, sent_at timestamptz,
               expires_at timestamptz, state text)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  with page as materialized (
    select l.*, i.role as given, i.inviter as giver from platform_iam.invitation i join platform_iam.link l on l.uid = i.uid
    where i.scope = place and l.used_at is null and shared.allows('role-assignment:read', place)
      and (only_this is null or l.uid = only_this)
      and (l.email collate "C", l.uid::text collate "C") > (after_email collate "C", after_uid collate "C")
    order by l.email collate "C", l.uid::text collate "C" limit max),
  gift as materialized (
    select g.given, g.giver, platform_iam.may_give(g.giver, g.given, place) as good
    from (select distinct p.given, p.giver from page p) g)
  select p.uid, p.email, coalesce(nullif(place::text, ''), '-'),
         (select platform_iam.full_name(r.path, r.name) from platform_iam.role r where r.uid = p.given),
         (select s.name from platform_iam.principal s where s.uid = p.giver), p.created_at, p.sent_at, p.expires_at,
         case when not g.good then 'lapsed' when p.expires_at <= at then 'expired' else 'waiting' end
  from page p join gift g on g.given = p.given and g.giver = p.giver
  order by p.email collate "C", p.uid::text collate "C"
$$;

-- Takes an invitation back; returns whom it was for, or null where there is none.
create or replace function platform_iam.revoke_invitation(place ltree, which uuid) returns text
language sql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
  delete from platform_iam.link l using platform_iam.invitation i
  where l.uid = which and i.uid = l.uid and i.scope = place and l.used_at is null
    and shared.allows('role-assignment:delete', place)
  returning l.email
$$;

-- What whoever holds the token is told before he accepts.
create or replace function platform_iam.read_invitation(token bytea, at timestamptz)
returns table (scope text, role text, email text, inviter text, expires_at timestamptz, known boolean)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select coalesce(nullif(i.scope::text, ''), '-'), platform_iam.full_name(r.path, r.name), l.email, s.name, l.expires_at,
         exists (select from platform_iam.principal p where p.kind = 'user' and p.name = l.email)
  from platform_iam.link l join platform_iam.invitation i on i.uid = l.uid
    join platform_iam.role r on r.uid = i.role join platform_iam.principal s on s.uid = i.inviter
  where l.token_hash = token and l.used_at is null and l.expires_at > at
$$;

-- Gives a user what an invitation promised. It is given as the inviter, so that he passes every check of who gives a role
-- himself; what he may no longer give is refused.
create or replace function platform_iam.take_up(which uuid, who uuid, assignment_name text, at timestamptz)
returns table (scope text, role text, email text, inviter text)
language plpgsql volatile set search_path = pg_catalog, public, pg_temp as $$
declare
  i platform_iam.invitation;
  address text := (select p.name from platform_iam.principal p where p.uid = who);
  given text;
  before text := current_setting('ironworks.subject', true);
begin
  select x.* into strict i from platform_iam.invitation x where x.uid = which;
  if i.scope <> '' and not shared.scope_open(i.scope) then
    raise exception '% is gone, which this invitation was to', i.scope using errcode = 'IW499', detail = '{"status": 404}';
  end if;
  if not platform_iam.may_give(i.inviter, i.role, i.scope) then
    raise exception 'whoever sent this invitation may no longer give this role: ask for another'
      using errcode = 'IW499', detail = '{"status": 409}';
  end if;
  select platform_iam.full_name(r.path, r.name) into strict given from platform_iam.role r where r.uid = i.role;
  if not exists (select from platform_iam.binding b where b.subject = who and b.scope = i.scope and b.role = i.role) then
    perform set_config('ironworks.subject', i.inviter::text, true);
    insert into platform_iam.role_assignment (scope, name, spec) values (i.scope, assignment_name,
      jsonb_build_object('subject', 'user:' || address, 'role', given));
    perform set_config('ironworks.subject', coalesce(before, ''), true);
  end if;
  update platform_iam.link l set used_at = at, used_by = who where l.uid = which;
  perform shared.touch_topic('invitations', i.scope::text);
  return query select coalesce(nullif(i.scope::text, ''), '-'), given, address,
    (select p.name from platform_iam.principal p where p.uid = i.inviter);
end $$;

-- The caller accepts an invitation that was sent to his address. No row for a token that is unknown, expired or somebody
-- else's by now; accepted twice is accepted, for an answer may be lost.
create or replace function platform_iam.accept_invitation(token bytea, assignment_name text, at timestamptz)
returns table (scope text, role text, email text, inviter text)
language plpgsql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  l platform_iam.link;
  p platform_iam.principal;
begin
  select x.* into l from platform_iam.link x
    where x.token_hash = token and x.purpose = 'invitation' and (x.used_by = shared.subject() or x.expires_at > at) for update;
  select x.* into p from platform_iam.principal x where x.uid = shared.subject() and x.kind = 'user' and x.active;
  if l.uid is null or p.uid is null or l.used_by <> p.uid then
    return;
  end if;
  if p.name <> l.email then
    raise exception 'this invitation is for another address than that of %: sign in with the one that the mail came to', p.name
      using errcode = 'IW499', detail = '{"status": 403}';
  end if;
  if l.used_at is null then
    return query select * from platform_iam.take_up(l.uid, p.uid, assignment_name, at);
  else
    return query select coalesce(nullif(i.scope::text, ''), '-'), platform_iam.full_name(r.path, r.name), l.email, null::text
      from platform_iam.invitation i join platform_iam.role r on r.uid = i.role where i.uid = l.uid;
  end if;
end $$;

-- Somebody who has no user yet accepts: he gets one, with the password that he chose. No row for a token that does not
-- work.
create or replace function platform_iam.join_by_invitation(
  token bytea, user_name text, title text, password_hash text, assignment_name text, at timestamptz)
returns table (scope text, role text, email text, inviter text)
language plpgsql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  l platform_iam.link;
begin
  select x.* into l from platform_iam.link x
    where x.token_hash = token and x.purpose = 'invitation' and x.used_at is null and x.expires_at > at for update;
  if l.uid is null then
    return;
  end if;
  if exists (select from platform_iam.principal p where p.kind = 'user' and p.name = l.email) then
    raise exception '% has a user here: sign in, then accept', l.email using errcode = 'IW499', detail = '{"status": 409}';
  end if;
  return query select * from platform_iam.take_up(
    l.uid, platform_iam.make_user(l.email, user_name, title, password_hash), assignment_name, at);
end $$;

-- Somebody whose address a provider proved, and who has no user: whoever was invited gets one, and every role that he was
-- invited to and that its inviter may still give. Returns the user, or null where there is nothing to come for.
create or replace function platform_iam.admit_invited(address text, user_name text, at timestamptz) returns uuid
language plpgsql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  who uuid;
  l platform_iam.link;
  count int := 0;
begin
  for l in select x.* from platform_iam.link x join platform_iam.invitation i on i.uid = x.uid
           where x.purpose = 'invitation' and x.email = lower(address) and x.used_at is null
             and coalesce(x.expires_at > at, true) and platform_iam.may_give(i.inviter, i.role, i.scope)
             and (i.scope = ''::ltree or shared.scope_open(i.scope))
           order by x.created_at for update of x loop
    who := coalesce(who, platform_iam.make_user(l.email, user_name, null, null));
    count := count + 1;
    perform platform_iam.take_up(l.uid, who, user_name || '-' || count, at);
  end loop;
  return who;
end $$;

-- --- forgotten passwords --------------------------------------------------------------------------------------------

-- Somebody forgot a password, or says so: notes it for any address alike, whether it has a user or not; the worker finds
-- out. Null where a mail was asked for since `asked_before`.
create or replace function platform_iam.ask_password(new_uid uuid, address text, at timestamptz, asked_before timestamptz)
returns uuid language sql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
  insert into platform_iam.link as l (uid, purpose, email, created_at, asked_at)
    values (new_uid, 'password', lower(address), at, at)
    on conflict (email) where purpose = 'password' do update set asked_at = at, used_at = null, used_by = null,
      token_hash = case when l.used_at is null then l.token_hash end
      where l.asked_at < asked_before
    returning l.uid
$$;

-- A link for another user, whom the caller hands it himself. He needs what setting that user's password takes.
create or replace function platform_iam.issue_password_link(
  who uuid, new_uid uuid, new_token_hash bytea, at timestamptz, until timestamptz)
returns void language plpgsql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  perform platform_iam.refuse_others_password(who);
  insert into platform_iam.link as l (uid, purpose, email, token_hash, expires_at, created_at, asked_at)
    select new_uid, 'password', p.name, new_token_hash, until, at, at from platform_iam.principal p where p.uid = who
    on conflict (email) where purpose = 'password' do update set asked_at = at, used_at = null, used_by = null,
      token_hash = excluded.token_hash, expires_at = excluded.expires_at;
end $$;

-- Uses a token up: the password of the address's user is another, and his sessions end. No row for a token that does not
-- work, or whose user is gone or disabled.
create or replace function platform_iam.reset_password(token bytea, new_hash text, at timestamptz)
returns table (user_uid uuid, email text)
language plpgsql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  update platform_iam.link l set used_at = at, used_by = p.uid from platform_iam.principal p
    where l.token_hash = token and l.purpose = 'password' and l.expires_at > at and l.used_at is null
      and p.kind = 'user' and p.name = l.email and p.active
    returning p.uid, p.name into user_uid, email;
  if user_uid is null then
    return;
  end if;
  insert into platform_iam.password as w (user_uid, hash, changed_at) values (reset_password.user_uid, new_hash, at)
    on conflict on constraint password_pkey do update set hash = excluded.hash, changed_at = excluded.changed_at;
  perform platform_iam.end_sessions(user_uid, 'password', at);
  return next;
end $$;

-- What the domain's topic is made of; that one is mailed or accepted is told besides.
select shared.tell_changes('invitations', 'platform_iam.invitation');

select platform_iam.hand_out(
  api => array['link_works', 'begin_signup', 'ask_signups_again', 'redeem_signup', 'admit_newcomer', 'invite', 'invitations',
    'revoke_invitation', 'read_invitation', 'accept_invitation', 'join_by_invitation', 'admit_invited', 'ask_password',
    'issue_password_link', 'reset_password'],
  worker => array['link_purpose', 'arm_link'], gateway => '{}');
