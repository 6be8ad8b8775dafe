-- Who may do what where, told to people: why a subject may do something, all that it may do, and who has a role.

-- The subject that is asked about: as find_subject, or an API key that the caller may read.
create or replace function platform_iam.find_asked(written text) returns platform_iam.principal language sql stable
set search_path = pg_catalog, public, pg_temp as $$
  select p from platform_iam.principal p
  where case when written like 'api-key:%'
    then p.kind = 'api_key' and p.name = substr(written, 9) and shared.allows('api-key:read', p.scope)
    else p.uid = platform_iam.find_subject(written) end
$$;

create or replace function platform_iam.shown_subject(p platform_iam.principal) returns text language sql immutable
  return replace(p.kind, '_', '-') || ':' || p.name;

-- Why a subject holds a permission at a place, or why not: each assignment that would give it, and what stands against
-- it. An assignment above that the caller may not read is told without its name. Null where there is no such subject.
create or replace function platform_iam.explain_access(written text, wanted text, place ltree) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  s platform_iam.principal;
  o platform_iam.principal;
  given jsonb;
begin
  select * into s from platform_iam.find_asked(written);
  if s.uid is null then
    return null;
  end if;
  select * into strict o from platform_iam.principal p where p.uid = coalesce(s.owner, s.uid);
  select coalesce(jsonb_agg(jsonb_build_object(
      'assignment', case when b.readable then platform_iam.full_name(a.path, a.name) end,
      'scope', case when b.readable then coalesce(nullif(b.scope::text, ''), '-') end,
      'role', case when b.readable then platform_iam.full_name(r.path, r.name) end,
      'reaches', b.scope @> place) order by not b.scope @> place, b.scope, a.name), '[]') into given
  from (select x.*, shared.allows('role-assignment:read', x.scope) as readable from platform_iam.binding x
        where x.subject = o.uid and (x.scope @> place or x.scope <@ place)
          and exists (select from platform_iam.role_permission rp where rp.role = x.role and rp.permission = wanted)) b
    join platform_iam.role_assignment a on a.uid = b.assignment
    join platform_iam.role r on r.uid = b.role
  where b.readable or b.scope @> place;
  return jsonb_build_object(
    'allowed', shared.registered('permission', wanted) and place <@ any (platform_iam.held(s.uid, wanted)),
    'subject', platform_iam.shown_subject(s),
    'owner', case when s.owner is not null then platform_iam.shown_subject(o) end,
    'assignments', given,
    'obstacles', array_to_json(array_remove(array[
      case when not shared.registered('permission', wanted) then 'permission-unknown-or-disabled' end,
      case when not exists (select from jsonb_array_elements(given) g where (g ->> 'reaches')::boolean) then 'no-role' end,
      case when not o.active then case when s.owner is null then 'subject-disabled' else 'owner-disabled' end end,
      case when s.owner is not null and not s.active then 'key-disabled' end,
      case when s.expires_at <= now() then 'key-expired' end,
      case when wanted <> all (s.permissions) then 'key-leaves-it-out' end,
      case when s.owner is not null and not s.scope @> place then 'outside-of-the-key' end,
      case when s.owner is not null and not shared.scope_running(s.scope) then 'key-halted' end], null)));
end $$;

-- All that a subject may do at a place now. Null where there is no such subject.
create or replace function platform_iam.held_permissions(written text, place ltree) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  s platform_iam.principal;
begin
  select * into s from platform_iam.find_asked(written);
  if s.uid is null then
    return null;
  end if;
  return jsonb_build_object(
    'subject', platform_iam.shown_subject(s),
    'owner', (select platform_iam.shown_subject(o) from platform_iam.principal o where o.uid = s.owner),
    'permissions', coalesce((
      select jsonb_agg(given.permission order by given.permission)
      from (select distinct rp.permission
            from platform_iam.binding b join platform_iam.role_permission rp on rp.role = b.role
            where b.subject = coalesce(s.owner, s.uid) and b.scope @> place) given
      where shared.registered('permission', given.permission)
        and place <@ any (platform_iam.held(s.uid, given.permission))), '[]'));
end $$;

-- Who has a role at a place or above it, with `beneath` below it instead; by subject, past the subject `after`. An
-- assignment above that the caller may not read is left out; `above` says that there is one.
create or replace function platform_iam.list_members(place ltree, beneath boolean, after text, max integer) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  readable ltree[] := shared.granted('role-assignment:read');
begin
  return (
    with given as (
      select platform_iam.shown_subject(p) collate "C" as subject, p.uid, p.kind, p.active, b.scope, b.assignment, b.role,
             b.scope <@ any (readable) as readable
      from platform_iam.binding b join platform_iam.principal p on p.uid = b.subject
      where case when beneath then b.scope <@ place and b.scope <> place else b.scope @> place end),
    member as (
      select distinct g.subject, g.uid, g.kind, g.active from given g
      where g.readable and g.subject > after collate "C" order by g.subject limit max)
    select jsonb_build_object(
      'above', exists (select from given g where not g.readable),
      'items', coalesce(jsonb_agg(jsonb_build_object(
          'subject', m.subject, 'kind', replace(m.kind, '_', '-'), 'active', m.active,
          'display_name', (select u.display_name from platform_iam.user u where u.uid = m.uid),
          'assignments', (
            select jsonb_agg(jsonb_build_object(
                'assignment', platform_iam.full_name(a.path, a.name),
                'scope', coalesce(nullif(g.scope::text, ''), '-'),
                'role', platform_iam.full_name(r.path, r.name)) order by g.scope, a.name)
            from given g join platform_iam.role_assignment a on a.uid = g.assignment
              join platform_iam.role r on r.uid = g.role
            where g.uid = m.uid and g.readable)) order by m.subject), '[]'))
    from member m);
end $$;

select platform_iam.hand_out(
  api => array['explain_access', 'held_permissions', 'list_members'], worker => '{}', gateway => '{}');
