-- The gateway reads what is called and where it goes; it writes nothing here.
grant select on tokenfactory_routing.route, tokenfactory_routing.external_endpoint to ironworks_gateway;
drop policy if exists gateway on tokenfactory_routing.route;
create policy gateway on tokenfactory_routing.route for select to ironworks_gateway using (true);
drop policy if exists gateway on tokenfactory_routing.external_endpoint;
create policy gateway on tokenfactory_routing.external_endpoint for select to ironworks_gateway using (true);

-- Two routes of one scope that callers would write alike: told by name, where the unique index could only say that there
-- is a conflict. Two that are written at once still meet the index.
create or replace function tokenfactory_routing.refuse_second_name() returns trigger language plpgsql security definer
set search_path = pg_catalog, public, pg_temp as $$
declare
  wanted text := coalesce(new.spec ->> 'model', new.name);
  other text;
begin
  select r.name into other from tokenfactory_routing.route r
    where r.path = ltree2text(new.scope) and coalesce(r.spec ->> 'model', r.name) = wanted and r.uid <> new.uid
      and r.name <> new.name;
  if other is not null then
    raise exception 'the model % is the name of the route % at this scope already; give spec.model another name',
      quote_literal(left(wanted, 200)), quote_literal(other)
      using errcode = 'IW499', detail = json_build_object('status', 409, 'field', 'spec.model', 'route', other)::text;
  end if;
  return new;
end $$;
alter function tokenfactory_routing.refuse_second_name() owner to ironworks_system;
drop trigger if exists one_public_name on tokenfactory_routing.route;
create trigger one_public_name before insert or update of spec on tokenfactory_routing.route
  for each row execute function tokenfactory_routing.refuse_second_name();

-- Look at an external endpoint again now: what `:test` asks for, since only a worker may open its credentials.
create or replace function tokenfactory_routing.request_check(target uuid) returns boolean language plpgsql security definer
set search_path = pg_catalog, public, pg_temp as $$
begin
  if not exists (select from tokenfactory_routing.external_endpoint e
                 where e.uid = target and e.deletion_timestamp is null
                   and e.scope <@ any (shared.granted('external-endpoint:test'))) then
    return false;
  end if;
  perform shared.enqueue('ExternalEndpoint', target);
  return true;
end $$;
alter function tokenfactory_routing.request_check(uuid) owner to ironworks_system;
grant execute on function tokenfactory_routing.request_check(uuid) to ironworks_api;

-- The Routes that lead to an external endpoint, as far as the caller may read them; they are handed down.
create or replace function tokenfactory_routing.routes_to(external uuid) returns setof uuid language sql stable
security definer set search_path = pg_catalog, public, pg_temp as $$
  select r.uid from tokenfactory_routing.route_ref_targets_external l join tokenfactory_routing.route r on r.uid = l.owner
  where l.target = routes_to.external and r.deletion_timestamp is null
    and (r.scope <@ any (shared.granted('route:read')) or r.scope @> any (shared.granted('route:read')))
$$;
alter function tokenfactory_routing.routes_to(uuid) owner to ironworks_system;
revoke all on function tokenfactory_routing.routes_to(uuid) from public;
grant execute on function tokenfactory_routing.routes_to(uuid) to ironworks_api;
