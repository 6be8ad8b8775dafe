-- References inside lists, such as `targets[].endpoint`. A resource has any number of them, so each such field has a
-- table of its own, `<table>_ref_targets_endpoint`, whose rows are foreign keys like the columns of single references.

create function shared.link_table(table_name text, field text) returns text language sql immutable
  return table_name || '_ref_' || replace(replace(field, '[]', ''), '.', '_');
grant execute on function shared.link_table(text, text) to ironworks_system;

-- What `wanted` (`name` or `path/name`) names in a kind's table, seen from a scope, and locked so that it cannot begin
-- to be deleted before this transaction ends. as_caller: what the API's caller may not read does not exist.
create function shared.resolve_reference(
  target shared.kind, wanted text, place ltree, as_caller boolean, out target_uid uuid, out deleting boolean
) language plpgsql set search_path = pg_catalog, public, pg_temp as $$
declare
  readable text := 'true';
  own text := case when target.node then 'node' else 'scope' end;
  target_path text := ltree2text(place);
  target_name text := wanted;
begin
  if position('/' in wanted) > 0 then
    target_path := case split_part(wanted, '/', 1) when '-' then '' else split_part(wanted, '/', 1) end;
    target_name := split_part(wanted, '/', 2);
  end if;
  if as_caller and session_user = 'ironworks_api' then
    readable := format('%s <@ any (shared.granted(%L))', own, target.resource || ':read');
    if target.inherited then
      readable := readable || format(' or scope @> any (shared.granted(%L))', target.resource || ':read');
    end if;
  end if;
  execute format('select uid, deletion_timestamp is not null from %s where path = $1 and name = $2 and (%s) for share',
                 target.table_name, readable)
    into target_uid, deleting using target_path, target_name;
end $$;
grant execute on function shared.resolve_reference(shared.kind, text, ltree, boolean) to ironworks_system;

-- Keeps the link tables of a row as its spec says. A name that was there before is not asked about again: who may
-- change a resource may leave in it what he may not read himself.
create function shared.kind_list_references() returns trigger language plpgsql security definer
set search_path = pg_catalog, public, pg_temp as $$
declare
  field text;
  target_table text;
  target shared.kind;
  items text[];
  rest text[];
  known text[];
  wanted text;
  spot bigint;
  here record;
  uids uuid[];
  problems jsonb := '[]';
begin
  for field, target_table in select key, value from jsonb_each_text(tg_argv[0]::jsonb) loop
    items := string_to_array(split_part(field, '[].', 1), '.');
    rest := string_to_array(split_part(field, '[].', 2), '.');
    continue when tg_op = 'UPDATE' and new.spec #> items is not distinct from old.spec #> items;
    select * into strict target from shared.kind k where k.table_name = target_table;
    known := '{}';
    if tg_op = 'UPDATE' then
      select coalesce(array_agg(e #>> rest), '{}') into known
        from jsonb_array_elements(coalesce(old.spec #> items, '[]')) e where e #>> rest is not null;
    end if;
    uids := '{}';
    for wanted, spot in
      select e #>> rest, n - 1 from jsonb_array_elements(coalesce(new.spec #> items, '[]')) with ordinality i (e, n)
      where e #>> rest is not null order by n
    loop
      select * into here from shared.resolve_reference(target, wanted, new.scope, not wanted = any (known));
      if here.target_uid is null or (here.deleting and not wanted = any (known)) then
        problems := problems || jsonb_build_array(jsonb_build_object(
          'field', format('spec.%s[%s].%s', array_to_string(items, '.'), spot, array_to_string(rest, '.')),
          'kind', target.kind, 'name', wanted, 'deleting', coalesce(here.deleting, false)));
      else
        uids := uids || here.target_uid;
      end if;
    end loop;
    continue when problems <> '[]';
    execute format('delete from %s where owner = $1 and target <> all ($2)', shared.link_table(tg_argv[1], field))
      using new.uid, uids;
    execute format('insert into %s (owner, target) select distinct $1, u from unnest($2) u on conflict do nothing',
                   shared.link_table(tg_argv[1], field)) using new.uid, uids;
  end loop;
  if problems <> '[]' then
    raise exception 'unresolved references' using errcode = 'IW404', detail = problems::text;
  end if;
  return null;
end $$;
alter function shared.kind_list_references() owner to ironworks_system;

alter function shared.create_kind_table(text, text, boolean, boolean, boolean, jsonb) rename to create_plain_kind_table;

-- The table of a kind, as before, and its link tables: `refs => '{"targets[].endpoint": "inference_endpoints.endpoint"}'`.
create function shared.create_kind_table(
  kind text, table_name text, inherited boolean default false, node boolean default false,
  reconciled boolean default true, refs jsonb default '{}'
) returns void language plpgsql as $$
declare
  single jsonb;
  listed jsonb;
  field text;
  target text;
  links text;
begin
  select coalesce(jsonb_object_agg(key, value) filter (where position('[]' in key) = 0), '{}'),
         coalesce(jsonb_object_agg(key, value) filter (where position('[]' in key) > 0), '{}')
    into single, listed from jsonb_each(refs);
  perform shared.create_plain_kind_table(kind, table_name, inherited, node, reconciled, single);
  if listed = '{}' then
    return;
  end if;
  update shared.kind k set refs = create_kind_table.refs where k.kind = create_kind_table.kind;
  for field, target in select key, value from jsonb_each_text(listed) loop
    if field !~ '^[a-z0-9_.]+\[\]\.[a-z0-9_.]+$' then
      raise exception 'a reference may lie in a list, not in a list of lists: %', field;
    end if;
    links := shared.link_table(table_name, field);
    execute format('create table %s (owner uuid not null references %s (uid) on delete cascade,
                    target uuid not null references %s (uid) on delete restrict, primary key (owner, target))',
                   links, table_name, target);
    execute format('create index on %s (target)', links);
    execute format('alter table %s enable row level security', links);
    execute format('alter table %s force row level security', links);
    execute format('create policy system on %s to ironworks_system using (true) with check (true)', links);
    execute format('create policy worker on %s for select to ironworks_worker using (true)', links);
    execute format('grant select, insert, delete on %s to ironworks_system', links);
    execute format('grant select on %s to ironworks_worker', links);
  end loop;
  execute format('create trigger kind_list_references after insert or update of spec on %s for each row
                  execute function shared.kind_list_references(%L, %L)', table_name, listed, table_name);
end $$;
