-- The change log: what happened to resources and what domains published, in one gap-free order.
--
-- A change is inserted here without a number, in its own transaction (change_pending). One sequencer at a time moves
-- committed rows to change_log and numbers them: a reader that has seen position n has seen every change up to n for
-- good, which neither a plain sequence (rows commit out of order) nor a transaction-id horizon (any long transaction
-- holds it up) could promise.

create table shared.change_pending (
  -- No cache: ids must be handed out in the order in which they are asked for; see shared.sequence_changes.
  id bigint generated always as identity (cache 1) primary key,
  kind text,
  uid uuid,
  scope ltree not null,
  name text collate "C",
  op text check (op in ('created', 'updated', 'status', 'deleted')),
  resource_version bigint,
  event_id uuid,
  event_type text collate "C",
  version integer,
  payload jsonb,
  correlation_id text,
  registry_version bigint,
  occurred_at timestamptz not null default clock_timestamp(),
  check (num_nonnulls(kind, uid, name, op, resource_version) = case when event_type is null then 5 else 0 end),
  check (num_nonnulls(event_id, version, payload, correlation_id) = case when event_type is null then 0 else 4 end)
) with (autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0);
comment on table shared.change_pending is 'changes that have no position yet; a queue that is empty within milliseconds';

create table shared.change_log (
  position bigint primary key,
  kind text,
  uid uuid,
  scope ltree not null,
  name text collate "C",
  op text,
  resource_version bigint,
  event_id uuid unique,
  event_type text collate "C",
  version integer,
  payload jsonb,
  correlation_id text,
  registry_version bigint,
  occurred_at timestamptz not null
);
create index change_log_event on shared.change_log (position) where event_type is not null;

create table shared.change_head (
  only_row boolean primary key default true check (only_row),
  position bigint not null default 0,
  floor bigint not null default 0 check (floor <= position)
);
comment on column shared.change_head.position is 'the newest position given; every lower one is given too';
comment on column shared.change_head.floor is 'rows up to here may be gone: a reader that is not past it must start anew';
insert into shared.change_head default values;

create table shared.change_consumer (
  name text primary key,
  position bigint not null,
  attempts integer not null default 0,
  retry_at timestamptz,
  error text,
  updated_at timestamptz not null default clock_timestamp()
);
comment on column shared.change_consumer.position is 'the effects of everything up to here are committed';
comment on column shared.change_consumer.attempts is 'how often the row after position has failed';

create table shared.dead_letter (
  id bigint generated always as identity primary key,
  consumer text not null,
  position bigint not null,
  subject text not null,
  scope ltree not null,
  error text not null,
  attempts integer not null,
  failed_at timestamptz not null default clock_timestamp(),
  replay_requested_at timestamptz,
  replayed_at timestamptz,
  unique (consumer, position)
);
create index dead_letter_wanted on shared.dead_letter (consumer, position)
  where replay_requested_at is not null and replayed_at is null;
comment on column shared.dead_letter.subject is 'event type, or kind and operation';

alter table shared.change_pending enable row level security;
alter table shared.change_pending force row level security;
alter table shared.change_log enable row level security;
alter table shared.change_log force row level security;
alter table shared.change_consumer enable row level security;
alter table shared.change_consumer force row level security;
alter table shared.dead_letter enable row level security;
alter table shared.dead_letter force row level security;
create policy system on shared.change_pending to ironworks_system using (true) with check (true);
create policy system on shared.change_log to ironworks_system using (true) with check (true);
create policy system on shared.change_consumer to ironworks_system using (true) with check (true);
create policy system on shared.dead_letter to ironworks_system using (true) with check (true);
grant select, insert, delete on shared.change_pending, shared.change_log to ironworks_system;
grant select, update on shared.change_head to ironworks_system;
grant select on shared.change_consumer, shared.dead_letter to ironworks_system;

-- Payloads are for the worker, whose consumers act on them. The others learn that something changed
-- (shared.tail_changes) and read it under their own policies.
create policy worker on shared.change_log for select to ironworks_worker using (true);
grant select on shared.change_log, shared.change_head to ironworks_worker;
create policy worker on shared.change_consumer to ironworks_worker using (true) with check (true);
grant select, insert, update, delete on shared.change_consumer to ironworks_worker;
create policy worker on shared.dead_letter to ironworks_worker using (true) with check (true);
grant select, insert, update on shared.dead_letter to ironworks_worker;
create policy api_read on shared.dead_letter for select to ironworks_api
  using ((select shared.allows('dead-letter:read', ''::ltree)));
create policy api_replay on shared.dead_letter for update to ironworks_api
  using ((select shared.allows('dead-letter:replay', ''::ltree))) with check (true);
grant select, update (replay_requested_at) on shared.dead_letter to ironworks_api;

-- Called by the triggers of every kind, after the resource's row is locked.
create function shared.append_change(
  kind text, uid uuid, scope ltree, name text, op text, resource_version bigint
) returns void language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  insert into shared.change_pending (kind, uid, scope, name, op, resource_version)
  values (append_change.kind, append_change.uid, append_change.scope, append_change.name, append_change.op,
          append_change.resource_version)
$$;
alter function shared.append_change(text, uuid, ltree, text, text, bigint) owner to ironworks_system;

-- The registry's version at this moment, for governed events; the registry is bound late, and fails closed.
create function shared.registry_version() returns bigint
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return platform_registry.current_version();
end $$;
grant execute on function shared.registry_version() to ironworks_system;

-- Publishes an event with the transaction that calls it. `type` ends in its version: platform.iam.user_created.v1.
create function shared.append_event(type text, scope text, payload jsonb, correlation_id text, governed boolean)
returns void language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  version constant integer := substring(type from '^[a-z0-9_]+(?:\.[a-z0-9_]+)+\.v([1-9][0-9]{0,4})$');
begin
  if version is null then
    raise exception 'event type % does not end in its version', type using errcode = 'invalid_parameter_value';
  end if;
  insert into shared.change_pending
    (scope, event_id, event_type, version, payload, correlation_id, registry_version)
  values (text2ltree(append_event.scope), gen_random_uuid(), type, version, append_event.payload,
          append_event.correlation_id, case when governed then shared.registry_version() end);
end $$;
alter function shared.append_event(text, text, jsonb, text, boolean) owner to ironworks_system;
grant execute on function shared.append_event(text, text, jsonb, text, boolean)
  to ironworks_api, ironworks_worker, ironworks_gateway, ironworks_system;

-- Gives committed pending rows their positions, at most `max` of them; returns how many.
--
-- Why id order is commit order for any one object: a writer takes its id while it holds the object's row lock, and
-- lets go of the lock only after its commit can be seen. So of two writers of one object the later has the greater id
-- and is seen only together with the earlier; and an append that follows a read of committed data has a greater id
-- than that data. A row of another object that commits late comes into a later batch, with a higher position. The
-- lock is taken before the snapshots of the statements below, so they see the batch before.
create function shared.sequence_changes(max integer) returns integer
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  head bigint;
  moved integer;
begin
  perform pg_advisory_xact_lock(hashtextextended('shared.sequence_changes', 0));
  select h.position into strict head from shared.change_head h;
  with taken as (
    delete from shared.change_pending p
    where p.id = any (array(select w.id from shared.change_pending w order by w.id limit max))
    returning p.*
  )
  insert into shared.change_log
    (position, kind, uid, scope, name, op, resource_version,
     event_id, event_type, version, payload, correlation_id, registry_version, occurred_at)
  select head + row_number() over (order by t.id), t.kind, t.uid, t.scope, t.name, t.op, t.resource_version,
         t.event_id, t.event_type, t.version, t.payload, t.correlation_id, t.registry_version, t.occurred_at
  from taken t;
  get diagnostics moved = row_count;
  if moved > 0 then
    update shared.change_head set position = head + moved;
  end if;
  return moved;
end $$;
alter function shared.sequence_changes(integer) owner to ironworks_system;
grant execute on function shared.sequence_changes(integer) to ironworks_api, ironworks_worker;

-- Removes rows older than `older_than`, oldest first, among the `max` lowest positions; returns how many. What a
-- consumer has yet to see, or has set aside and not replayed, stays.
create function shared.prune_changes(older_than interval, max integer) returns integer
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  last bigint;
  gone integer;
begin
  perform pg_advisory_xact_lock(hashtextextended('shared.sequence_changes', 0));
  select coalesce(min(o.position) filter (where o.occurred_at > clock_timestamp() - older_than) - 1, max(o.position))
  into last
  from (select l.position, l.occurred_at from shared.change_log l
        where l.position > (select h.floor from shared.change_head h)
        order by l.position limit prune_changes.max) o;
  last := least(last, (select min(c.position) from shared.change_consumer c));
  delete from shared.change_log l
  where l.position <= last
    and not exists (select from shared.dead_letter d where d.position = l.position and d.replayed_at is null);
  get diagnostics gone = row_count;
  update shared.change_head h set floor = last where h.floor < last;
  return gone;
end $$;
alter function shared.prune_changes(interval, integer) owner to ironworks_system;
grant execute on function shared.prune_changes(interval, integer) to ironworks_worker;

-- The lowest position that may be gone, and the newest there is.
create function shared.change_bounds() returns table (floor bigint, head bigint)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select h.floor, h.position from shared.change_head h
$$;
alter function shared.change_bounds() owner to ironworks_system;
grant execute on function shared.change_bounds() to ironworks_api, ironworks_worker, ironworks_gateway;

-- What a process may know of everybody's changes: that they happened, never what they say. For the process itself;
-- refused in a transaction that acts for a caller.
create function shared.tail_changes(after bigint, max integer, only_kind text default null)
returns table ("position" bigint, kind text, uid uuid, scope text, name text, op text, resource_version bigint,
               event_type text)
language plpgsql stable security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  if shared.subject() is not null then
    raise exception 'the change log is not for callers' using errcode = 'insufficient_privilege';
  end if;
  return query
    select l.position, l.kind, l.uid, ltree2text(l.scope), l.name::text, l.op, l.resource_version, l.event_type::text
    from shared.change_log l
    where l.position > after and (only_kind is null or l.kind = only_kind)
    order by l.position limit max;
end $$;
alter function shared.tail_changes(bigint, integer, text) owner to ironworks_system;
grant execute on function shared.tail_changes(bigint, integer, text)
  to ironworks_api, ironworks_worker, ironworks_gateway;
