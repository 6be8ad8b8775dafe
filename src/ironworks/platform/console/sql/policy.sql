-- Which features there are, everybody who is somebody may know; which a platform has, whoever sees the platform.

drop policy if exists api_read on platform_console.feature;
create policy api_read on platform_console.feature for select to ironworks_api
  using ((select shared.subject()) is not null);
drop policy if exists api_write on platform_console.feature;
create policy api_write on platform_console.feature to ironworks_api
  using (''::ltree <@ any ((select shared.granted('console-feature:register'))::ltree[]))
  with check (''::ltree <@ any ((select shared.granted('console-feature:register'))::ltree[]));

drop policy if exists system on platform_console.feature_module;
create policy system on platform_console.feature_module for select to ironworks_system using (true);
drop policy if exists api_write on platform_console.feature_module;
create policy api_write on platform_console.feature_module to ironworks_api
  using (''::ltree <@ any ((select shared.granted('console-feature:register'))::ltree[]))
  with check (''::ltree <@ any ((select shared.granted('console-feature:register'))::ltree[]));

drop policy if exists api_read on platform_console.feature_switch;
create policy api_read on platform_console.feature_switch for select to ironworks_api using (shared.sees(scope));
drop policy if exists api_insert on platform_console.feature_switch;
create policy api_insert on platform_console.feature_switch for insert to ironworks_api
  with check (scope <@ any ((select shared.granted('platform:update'))::ltree[]));
drop policy if exists api_update on platform_console.feature_switch;
create policy api_update on platform_console.feature_switch for update to ironworks_api
  using (scope <@ any ((select shared.granted('platform:update'))::ltree[]))
  with check (scope <@ any ((select shared.granted('platform:update'))::ltree[]));

-- The module of that digest: a browser imports it without a credential, and who knows the digest knows the content.
create or replace function platform_console.read_module(wanted text) returns bytea
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select m.content from platform_console.feature_module m where m.digest = wanted
$$;
alter function platform_console.read_module(text) owner to ironworks_system;
grant execute on function platform_console.read_module(text) to ironworks_api;

-- What the domain's topics are made of.
select shared.tell_changes('features', 'platform_console.feature', $$''::ltree$$);
select shared.tell_changes('features', 'platform_console.feature_switch');
