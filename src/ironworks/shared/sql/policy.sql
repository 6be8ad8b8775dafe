-- Questions across all kinds, answered past the policies and therefore with no more than the caller may know.

-- Who refers to a resource and is not being deleted itself: by name where the caller may read it, else without one, so
-- that it can be counted. Nobody learns who refers to what he may not read.
create or replace function shared.referrers(which text, target uuid)
returns table (kind text, path text, name text, visible boolean) language plpgsql stable security definer
set search_path = pg_catalog, public, pg_temp as $$
declare
  own shared.kind;
  k shared.kind;
  field text;
  readable text := '(session_user = ''ironworks_worker'' or %s <@ any (shared.granted(%L)))';
  found boolean;
begin
  select * into strict own from shared.kind s where s.kind = which;
  execute format('select ' || readable || ' from %s where uid = $1',
                 case when own.node then 'node' else 'scope' end, own.resource || ':read', own.table_name)
    into found using target;
  if not coalesce(found, false) then
    return;
  end if;
  for k in select * from shared.kind s order by s.kind loop
    for field in select r.key from jsonb_each_text(k.refs) r where r.value = own.table_name loop
      return query execute format(
        'select %L::text, case when r.readable then r.path end, case when r.readable then r.name end, r.readable
         from (select path::text, name::text, ' || readable || ' as readable from %s t
               where %s and deletion_timestamp is null limit 1000) r order by r.path, r.name',
        k.kind, case when k.node then 'node' else 'scope' end, k.resource || ':read', k.table_name,
        case when position('[]' in field) = 0 then format('%I = $1', 'ref_' || replace(field, '.', '_'))
             else format('exists (select from %s l where l.owner = t.uid and l.target = $1)',
                         shared.link_table(k.table_name, field)) end)
      using target;
    end loop;
  end loop;
end $$;
alter function shared.referrers(text, uuid) owner to ironworks_system;
grant execute on function shared.referrers(text, uuid) to ironworks_api, ironworks_worker;

-- How many resources of each kind live at or below a scope. For our own triggers, whoever caused them.
create or replace function shared.resources_below(place ltree) returns table (kind text, count bigint)
language plpgsql stable security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  k shared.kind;
  p text := ltree2text(place);
begin
  for k in select * from shared.kind s order by s.kind loop
    return query execute format(
      'select %L::text, count(*) from %s where path = $1 or (path >= $1 || ''.'' and path < $1 || ''/'') having count(*) > 0',
      k.kind, k.table_name) using p;
  end loop;
end $$;
alter function shared.resources_below(ltree) owner to ironworks_system;

-- Whether the caller may write the resource of that uid, of whatever kind: for tables that hold parts of resources.
create or replace function shared.may_write(owner uuid) returns boolean language plpgsql stable security definer
set search_path = pg_catalog, public, pg_temp as $$
declare
  k shared.kind;
  place ltree;
begin
  for k in select * from shared.kind loop
    execute format('select %I from %s where uid = $1', case when k.node then 'node' else 'scope' end, k.table_name)
      into place using owner;
    if place is not null then
      return place <@ any (shared.granted(k.resource || ':update') || shared.granted(k.resource || ':create')
                           || shared.granted(k.resource || ':delete'));
    end if;
  end loop;
  return false;
end $$;
alter function shared.may_write(uuid) owner to ironworks_system;
grant execute on function shared.may_write(uuid) to ironworks_api;

-- Whether the caller may write resources of any kind at a scope.
create or replace function shared.writes_at(place ltree) returns boolean language sql stable security definer
set search_path = pg_catalog, public, pg_temp as $$
  select exists (
    select from shared.kind k
    where place <@ any (shared.granted(k.resource || ':create') || shared.granted(k.resource || ':update')))
$$;
alter function shared.writes_at(ltree) owner to ironworks_system;
grant execute on function shared.writes_at(ltree) to ironworks_api, ironworks_system;

-- How the change log, its consumers, the work queue and the workers are, for who may read the state of the system.
grant select on shared.queue_worker to ironworks_system;
create or replace function shared.describe_system() returns jsonb language plpgsql stable security definer
set search_path = pg_catalog, public, pg_temp as $$
begin
  if not coalesce(shared.allows('system:read', ''::ltree), false) then
    raise exception 'this needs the permission ''system:read'' at ''-''' using errcode = 'IW499',
      detail = '{"status": 403, "permission": "system:read"}';
  end if;
  return jsonb_build_object(
    'change_log', (
      select jsonb_build_object(
        'position', h.position, 'floor', h.floor,
        'unnumbered', (select count(*) from (select from shared.change_pending limit 100000) p))
      from shared.change_head h),
    'consumers', coalesce((
      select jsonb_agg(jsonb_build_object('name', c.name, 'behind', h.position - c.position, 'attempts', c.attempts,
                                          'retry_at', c.retry_at, 'error', c.error, 'updated_at', c.updated_at)
                       order by c.name)
      from shared.change_consumer c, shared.change_head h), '[]'),
    'queues', coalesce((
      select jsonb_agg(to_jsonb(q) order by q.kind) from (
        select i.kind, count(*) filter (where i.token is null and i.due_at <= now()) as due,
               count(*) filter (where i.token is not null) as working,
               count(*) filter (where i.attempts > 0) as failing,
               min(i.due_at) filter (where i.token is null and i.due_at <= now()) as oldest_due_at,
               (array_agg(i.last_error order by i.attempts desc) filter (where i.attempts > 0))[1] as last_error
        from shared.work_item i group by i.kind) q), '[]'),
    'workers', coalesce((
      select jsonb_agg(jsonb_build_object('id', w.worker, 'host', w.runner, 'heartbeat_at', w.heartbeat_at)
                       order by w.runner, w.worker)
      from shared.queue_worker w), '[]'),
    'dead_letters', (select count(*) from shared.dead_letter d where d.replayed_at is null),
    'dead_letters_changed_at', (
      select max(greatest(d.failed_at, d.replay_requested_at, d.replayed_at)) from shared.dead_letter d));
end $$;
alter function shared.describe_system() owner to ironworks_system;
grant execute on function shared.describe_system() to ironworks_api;

-- What the entry of a dead letter says, for who may read dead letters: payloads are for nobody else but the worker. Null
-- where the log no longer keeps it.
create or replace function shared.dead_letter_entry(letter bigint) returns jsonb
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select jsonb_build_object('type', l.event_type, 'payload', l.payload, 'correlation_id', l.correlation_id,
                            'kind', l.kind, 'name', l.name, 'operation', l.op, 'uid', coalesce(l.event_id, l.uid),
                            'occurred_at', l.occurred_at)
  from shared.dead_letter d join shared.change_log l on l.position = d.position
  where d.id = letter and coalesce(shared.allows('dead-letter:read', ''::ltree), false)
$$;
alter function shared.dead_letter_entry(bigint) owner to ironworks_system;
grant execute on function shared.dead_letter_entry(bigint) to ironworks_api;
