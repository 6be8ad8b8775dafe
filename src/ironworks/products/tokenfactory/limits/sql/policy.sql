-- The gateway reads every limit and changes none; it alone tells which hosts it runs on.
grant select on tokenfactory_limits.limit to ironworks_gateway;
drop policy if exists gateway on tokenfactory_limits.limit;
create policy gateway on tokenfactory_limits.limit for select to ironworks_gateway using (true);
drop policy if exists gateway on tokenfactory_limits.host;
create policy gateway on tokenfactory_limits.host to ironworks_gateway using (true) with check (true);

-- Which models may be called at a path: what a key there is told by a refusal, for who may not read the limits above.
create or replace function tokenfactory_limits.allowing(path text) returns table (uid uuid, home text, spec text)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select l.uid, l.path, l.spec::text from tokenfactory_limits.limit l
  where l.deletion_timestamp is null and l.ref_key is null and l.spec -> 'allowed_models' <> 'null'
    and (l.scope @> text2ltree(allowing.path) or l.scope <@ text2ltree(allowing.path))
  order by l.path, l.name
$$;
alter function tokenfactory_limits.allowing(text) owner to ironworks_system;
revoke all on function tokenfactory_limits.allowing(text) from public;
grant execute on function tokenfactory_limits.allowing(text) to ironworks_api;
