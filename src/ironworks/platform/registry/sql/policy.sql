-- Whether an entry may be used: declared by a domain and not switched off. False for what nobody declared.
create or replace function platform_registry.enabled(category text, name text) returns boolean
language sql stable parallel safe set search_path = pg_catalog, pg_temp as $$
  select exists (
    select from platform_registry.entry e
    where e.category = enabled.category and e.name = enabled.name and e.enabled and e.declared
  )
$$;
grant execute on function platform_registry.enabled(text, text)
  to ironworks_system, ironworks_api, ironworks_worker, ironworks_gateway;

create or replace function platform_registry.current_version() returns bigint
language sql stable parallel safe set search_path = pg_catalog, pg_temp as $$
  select coalesce(max(version), 0) from platform_registry.registry_version
$$;
grant execute on function platform_registry.current_version()
  to ironworks_system, ironworks_api, ironworks_worker, ironworks_gateway;

-- Writes what the sources in `sources` declare: `declared` is [{category, name, source, body}]. Entries of those
-- sources that are not in it are withdrawn; other sources' are left alone, so that a part of the domains can sync.
-- Processes that start together take turns; whoever finds nothing to change writes nothing.
-- Returns the registry's version.
create or replace function platform_registry.sync(sources text[], declared jsonb) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  upcoming bigint;
begin
  perform pg_advisory_xact_lock(hashtextextended('platform_registry.sync', 0));
  upcoming := platform_registry.current_version() + 1;
  with wanted as materialized (
    select w.category, w.name, w.source, w.body, true as declared
    from jsonb_to_recordset(sync.declared) as w(category text, name text, source text, body jsonb)
    union all
    select e.category, e.name, e.source, e.body, false
    from platform_registry.entry e
    where e.source = any (sync.sources)
      and not exists (
        select from jsonb_to_recordset(sync.declared) as w(category text, name text)
        where w.category = e.category and w.name = e.name)
  )
  insert into platform_registry.entry as e (category, name, source, version, body, declared)
  select w.category, w.name, w.source, 1, w.body, w.declared from wanted w
  order by w.category, w.name
  on conflict (category, name) do update
    set source = excluded.source, body = excluded.body, declared = excluded.declared,
        version = e.version + 1, updated_at = clock_timestamp()
    where (e.source, e.body, e.declared) is distinct from (excluded.source, excluded.body, excluded.declared);
  if found then
    perform platform_registry.record_version(upcoming, 'sync');
    return upcoming;
  end if;
  return upcoming - 1;
end $$;
alter function platform_registry.sync(text[], jsonb) owner to ironworks_system;
grant execute on function platform_registry.sync(text[], jsonb) to ironworks_api, ironworks_worker;

-- The operator's switch. Returns the entry's version after it, or null where there is no such entry or no right.
create or replace function platform_registry.switch(category text, name text, enable boolean) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  known platform_registry.entry;
begin
  if not shared.allows('registry:manage', ''::public.ltree) then
    return null;
  end if;
  perform pg_advisory_xact_lock(hashtextextended('platform_registry.sync', 0));
  select * into known from platform_registry.entry e
  where e.category = switch.category and e.name = switch.name;
  if not found or known.enabled = enable then
    return known.version;
  end if;
  update platform_registry.entry e
  set enabled = enable, version = e.version + 1, updated_at = clock_timestamp()
  where e.category = switch.category and e.name = switch.name;
  perform platform_registry.record_version(
    platform_registry.current_version() + 1, case when enable then 'enable' else 'disable' end);
  return known.version + 1;
end $$;
alter function platform_registry.switch(text, text, boolean) owner to ironworks_system;
grant execute on function platform_registry.switch(text, text, boolean) to ironworks_api;

-- Opens registry version `version` and files every entry version that is not filed yet under it.
create or replace function platform_registry.record_version(version bigint, cause text) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  insert into platform_registry.registry_version (version, cause) values (record_version.version, record_version.cause);
  insert into platform_registry.entry_version
    (category, name, version, registry_version, source, body, enabled, declared)
  select e.category, e.name, e.version, record_version.version, e.source, e.body, e.enabled, e.declared
  from platform_registry.entry e
  where not exists (
    select from platform_registry.entry_version v
    where v.category = e.category and v.name = e.name and v.version = e.version)
$$;
grant execute on function platform_registry.record_version(bigint, text) to ironworks_system;

-- What the domain's topic is made of.
select shared.tell_changes('registry', 'platform_registry.entry', $$''::ltree$$, '{insert,update}');
