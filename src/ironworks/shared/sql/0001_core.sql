-- The ground: identity as settings, the authorizer's late-bound hooks, and the one function that makes every kind's
-- table. Runs as ironworks_owner; the roles and the extension are made before it (shared/migrations.py).

alter default privileges for role ironworks_owner revoke execute on functions from public;

create sequence shared.resource_version;
grant usage on sequence shared.resource_version to ironworks_api, ironworks_worker, ironworks_gateway, ironworks_system;

create function shared.create_domain_schema(name text) returns void language plpgsql as $$
begin
  execute format('create schema %I', name);
  execute format('grant usage on schema %I to ironworks_api, ironworks_worker, ironworks_gateway, ironworks_system', name);
  execute format('grant create on schema %I to ironworks_system', name);
end $$;

create function shared.subject() returns uuid language sql stable parallel safe
  return nullif(current_setting('ironworks.subject', true), '')::uuid;

-- The three hooks below are bound late (plpgsql), so that tables may name them before the domain behind exists; until
-- then they fail, which denies.
create function shared.granted(permission text) returns ltree[] language plpgsql stable as
$$ begin return platform_iam.granted(permission); end $$;

create function shared.sees(scope ltree) returns boolean language plpgsql stable as
$$ begin return platform_iam.visible(scope); end $$;

-- Whether a scope exists and is not being deleted; the caller's transaction keeps it so.
create function shared.scope_open(scope ltree) returns boolean language plpgsql as
$$ begin return platform_tenancy.scope_open(scope); end $$;

create function shared.allows(permission text, scope ltree) returns boolean language sql stable
  return scope <@ any (shared.granted(permission));

grant execute on function shared.subject(), shared.granted(text), shared.sees(ltree), shared.scope_open(ltree),
  shared.allows(text, ltree)
  to ironworks_api, ironworks_worker, ironworks_gateway, ironworks_system;

-- Every kind there is; policies and referrers are found through it.
create table shared.kind (
  kind text primary key,
  table_name text not null unique,
  resource text not null,
  inherited boolean not null,
  node boolean not null,
  reconciled boolean not null,
  refs jsonb not null
);
grant select on shared.kind to ironworks_api, ironworks_worker, ironworks_gateway, ironworks_system;

-- Versions, immutability of identity, and the rule of soft delete.
create function shared.kind_before() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    if new.scope <> '' and not shared.scope_open(new.scope) then
      raise exception 'no such scope' using errcode = 'IW410';
    end if;
    new.generation := 1;
    new.deletion_timestamp := null;
    new.creation_timestamp := now();
  else
    if (new.uid, new.scope, new.name) is distinct from (old.uid, old.scope, old.name) then
      raise exception 'identity is immutable' using errcode = 'IW422';
    end if;
    -- also the update that begins it: who may delete and not update changes nothing else
    if old.deletion_timestamp is not null and new.deletion_timestamp is distinct from old.deletion_timestamp
       or new.deletion_timestamp is not null
          and (new.spec, new.labels, new.annotations, new.display_name, new.owner_references)
              is distinct from (old.spec, old.labels, old.annotations, old.display_name, old.owner_references) then
      raise exception 'being deleted' using errcode = 'IW409';
    end if;
    if new.spec is distinct from old.spec or new.deletion_timestamp is distinct from old.deletion_timestamp then
      new.generation := old.generation + 1;
    end if;
  end if;
  new.resource_version := nextval('shared.resource_version');
  new.update_timestamp := now();
  return new;
end $$;

-- Turns the names in a spec into foreign keys. The target is locked, so that it cannot begin to be deleted before this
-- transaction ends; a target the caller may not read does not exist for it.
create function shared.kind_references() returns trigger language plpgsql security definer
set search_path = pg_catalog, public, pg_temp as $$
declare
  field text;
  target_table text;
  target shared.kind;
  wanted text;
  target_path text;
  target_name text;
  found_uid uuid;
  found_deleting boolean;
  problems jsonb := '[]';
begin
  for field, target_table in select key, value from jsonb_each_text(tg_argv[0]::jsonb) loop
    wanted := new.spec #>> string_to_array(field, '.');
    continue when tg_op = 'UPDATE' and wanted is not distinct from (old.spec #>> string_to_array(field, '.'));
    found_uid := null;
    if wanted is not null then
      select * into strict target from shared.kind k where k.table_name = target_table;
      if position('/' in wanted) > 0 then
        target_path := case split_part(wanted, '/', 1) when '-' then '' else split_part(wanted, '/', 1) end;
        target_name := split_part(wanted, '/', 2);
      else
        target_path := ltree2text(new.scope); -- new.path is generated after this trigger
        target_name := wanted;
      end if;
      execute format(
        'select uid, deletion_timestamp is not null from %s where path = $1 and name = $2 and (%s) for share',
        target_table,
        case when session_user <> 'ironworks_api' then 'true' else
          format('%s <@ any (shared.granted(%L))', case when target.node then 'node' else 'scope' end, target.resource || ':read')
          || case when target.inherited then format(' or scope @> any (shared.granted(%L))', target.resource || ':read') else '' end
        end)
      into found_uid, found_deleting using target_path, target_name;
      if found_uid is null or found_deleting then
        problems := problems || jsonb_build_array(jsonb_build_object(
          'field', 'spec.' || field, 'kind', target.kind, 'name', wanted, 'deleting', coalesce(found_deleting, false)));
      end if;
    end if;
    new := jsonb_populate_record(new, jsonb_build_object('ref_' || replace(field, '.', '_'), found_uid));
  end loop;
  if problems <> '[]' then
    raise exception 'unresolved references' using errcode = 'IW404', detail = problems::text;
  end if;
  return new;
end $$;
alter function shared.kind_references() owner to ironworks_system;

-- What follows from any change, whoever made it: labels, the change log, work for the controller.
create function shared.kind_after() returns trigger language plpgsql security definer
set search_path = pg_catalog, public, pg_temp as $$
declare
  op text;
begin
  if tg_op = 'DELETE' then
    perform shared.append_change(tg_argv[0], old.uid, old.scope, old.name, 'deleted', old.resource_version);
    return null;
  end if;
  op := case when tg_op = 'INSERT' then 'created'
             when new.generation = old.generation and new.status is distinct from old.status then 'status'
             else 'updated' end;
  if tg_op = 'INSERT' or new.labels is distinct from old.labels then
    if tg_op = 'UPDATE' then
      execute format('delete from %I.%I where uid = $1', tg_table_schema, tg_table_name || '_label') using new.uid;
    end if;
    if new.labels <> '{}' then
      execute format('insert into %I.%I (uid, scope, path, name, key, value)
                      select $1, $2, $3, $4, key, value from jsonb_each_text($5)', tg_table_schema, tg_table_name || '_label')
      using new.uid, new.scope, new.path, new.name, new.labels;
    end if;
  end if;
  perform shared.append_change(tg_argv[0], new.uid, new.scope, new.name, op, new.resource_version);
  if tg_argv[1] = 'reconciled' and op <> 'status' then
    perform shared.enqueue(tg_argv[0], new.uid);
  end if;
  return null;
end $$;
alter function shared.kind_after() owner to ironworks_system;

-- Policies of one kind's table and its labels; kept apart so that a later version can be applied over all kinds.
create function shared.apply_kind_policies(which text) returns void language plpgsql as $$
declare
  k shared.kind;
  t text;
  own text;
  readable text;
  granted text := '%s <@ any ((select shared.granted(%L))::ltree[])';
begin
  select * into strict k from shared.kind where kind = which;
  own := case when k.node then 'node' else 'scope' end;
  readable := format(granted, own, k.resource || ':read');
  if k.inherited then
    readable := readable || format(' or scope @> any ((select shared.granted(%L))::ltree[])', k.resource || ':read');
  end if;
  foreach t in array array[k.table_name, k.table_name || '_label'] loop
    execute format('alter table %s enable row level security', t);
    execute format('alter table %s force row level security', t);
    execute format('drop policy if exists system on %s', t);
    execute format('create policy system on %s to ironworks_system using (true) with check (true)', t);
    execute format('drop policy if exists worker on %s', t);
    execute format('create policy worker on %s to ironworks_worker using (true) with check (true)', t);
    execute format('drop policy if exists api_read on %s', t);
    execute format('create policy api_read on %s for select to ironworks_api using (%s)', t, readable);
  end loop;
  execute format('drop policy if exists api_create on %s', k.table_name);
  execute format('create policy api_create on %s for insert to ironworks_api with check (%s)', k.table_name,
    format(granted, 'scope', k.resource || ':create'));
  execute format('drop policy if exists api_update on %s', k.table_name);
  execute format('create policy api_update on %s for update to ironworks_api using (%s or %s)
                  with check ((%s and deletion_timestamp is null) or (%s and deletion_timestamp is not null))',
    k.table_name,
    format(granted, own, k.resource || ':update'), format(granted, own, k.resource || ':delete'),
    format(granted, own, k.resource || ':update'), format(granted, own, k.resource || ':delete'));
  execute format('drop policy if exists api_delete on %s', k.table_name);
  execute format('create policy api_delete on %s for delete to ironworks_api using (deletion_timestamp is not null and %s)',
    k.table_name, format(granted, own, k.resource || case when k.reconciled then ':force-delete' else ':delete' end));
end $$;

-- The table of a kind: `select shared.create_kind_table('Endpoint', 'inference_endpoints.endpoint', refs => '{…}')`.
-- refs: dotted spec field → table it names. node: the resource is itself a scope. reconciled: a controller exists.
create function shared.create_kind_table(
  kind text, table_name text, inherited boolean default false, node boolean default false,
  reconciled boolean default true, refs jsonb default '{}'
) returns void language plpgsql as $$
declare
  resource text := replace(split_part(table_name, '.', 2), '_', '-');
  field text;
  target text;
  plain text := split_part(table_name, '.', 2);
begin
  execute format($t$
    create table %1$s (
      uid uuid primary key default gen_random_uuid(),
      scope ltree not null,
      path text collate "C" not null generated always as (ltree2text(scope)) stored,
      name text collate "C" not null check (name ~ '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$'),
      display_name text check (length(display_name) <= 128),
      labels jsonb not null default '{}',
      annotations jsonb not null default '{}',
      generation bigint not null default 1,
      resource_version bigint not null default 0,
      creation_timestamp timestamptz not null default now(),
      update_timestamp timestamptz not null default now(),
      deletion_timestamp timestamptz,
      owner_references jsonb not null default '[]',
      spec jsonb not null,
      status jsonb not null default %2$L,
      phase text generated always as (status ->> 'phase') stored,
      unique (path, name)
    )$t$, table_name,
    jsonb_build_object('phase', case when reconciled then 'Pending' else 'Ready' end, 'conditions', '[]'::jsonb,
                       'observed_generation', case when reconciled then 0 else 1 end));
  if node then
    execute format($t$alter table %s add column node ltree not null
      generated always as (text2ltree(case when ltree2text(scope) = '' then name else ltree2text(scope) || '.' || name end)) stored$t$,
      table_name);
  end if;
  execute format($t$
    create table %1$s_label (
      uid uuid not null references %1$s (uid) on delete cascade,
      scope ltree not null,
      path text collate "C" not null,
      name text collate "C" not null,
      key text collate "C" not null,
      value text collate "C" not null,
      primary key (uid, key)
    )$t$, table_name);
  if node then
    execute format($t$alter table %s_label add column node ltree not null
      generated always as (text2ltree(case when ltree2text(scope) = '' then name else ltree2text(scope) || '.' || name end)) stored$t$,
      table_name);
  end if;
  execute format('create index on %s_label (key, value, path, name)', table_name);
  for field, target in select r.key, r.value from jsonb_each_text(refs) r loop
    execute format('alter table %s add column %I uuid references %s (uid) on delete restrict',
      table_name, 'ref_' || replace(field, '.', '_'), target);
    execute format('create index on %s (%I)', table_name, 'ref_' || replace(field, '.', '_'));
  end loop;
  insert into shared.kind values (kind, table_name, resource, inherited, node, reconciled, refs);
  execute format('create trigger kind_before before insert or update on %s for each row execute function shared.kind_before()', table_name);
  if refs <> '{}' then
    execute format('create trigger kind_references before insert or update of spec on %s for each row execute function shared.kind_references(%L)', table_name, refs);
  end if;
  execute format('create trigger kind_after after insert or update or delete on %s for each row execute function shared.kind_after(%L, %L)',
    table_name, kind, case when reconciled then 'reconciled' else '' end);
  execute format('grant select, insert, update, delete on %1$s, %1$s_label to ironworks_system', table_name);
  execute format('grant select, delete, insert (uid, scope, name, display_name, labels, annotations, owner_references, spec),
    update (display_name, labels, annotations, owner_references, spec, deletion_timestamp) on %s to ironworks_api', table_name);
  execute format('grant select, delete, update (status) on %s to ironworks_worker', table_name);
  execute format('grant select on %s_label to ironworks_api, ironworks_worker', table_name);
  perform shared.apply_kind_policies(kind);
end $$;
