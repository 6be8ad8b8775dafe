-- That something of a topic changed: what pages show of no kind (invoices, usage, the audit trail) is asked for again
-- where it did. A statement that changes a topic's table leaves one row here, in its own transaction, with the scopes of
-- the rows that it touched and nothing of what they say. A reader keeps the snapshot of its last look; what it is told
-- next is what committed since, in whatever order and however long it took.
create table shared.touched (
  made_in xid8 not null default pg_current_xact_id(),
  at timestamptz not null default clock_timestamp(),
  topic text collate "C" not null,
  scopes ltree[] not null
) with (autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0);
create index on shared.touched (made_in);
alter table shared.touched alter column scopes set storage external; -- read and gone within minutes
comment on table shared.touched is 'kept for minutes: whoever was away for longer is told that everything may have changed';

create table shared.touched_floor (
  only_row boolean primary key default true check (only_row),
  made_in xid8 not null default '1'
);
comment on column shared.touched_floor.made_in is 'rows of transactions up to here may be gone';
insert into shared.touched_floor default values;

alter table shared.touched enable row level security;
alter table shared.touched force row level security;
alter table shared.touched_floor enable row level security;
alter table shared.touched_floor force row level security;
create policy system on shared.touched to ironworks_system using (true) with check (true);
create policy system on shared.touched_floor to ironworks_system using (true) with check (true);
grant select, insert, delete on shared.touched to ironworks_system;
grant select, update on shared.touched_floor to ironworks_system;

-- The trigger of a topic's tables: its arguments are the topic and a changed row's scope, as an expression.
create function shared.touch() returns trigger language plpgsql security definer
set search_path = pg_catalog, public, pg_temp as $$
begin
  execute format(
    'insert into shared.touched (topic, scopes) select %L, array_agg(c.scope)'
    ' from (select %s as scope from changed group by 1) c having count(*) > 0', tg_argv[0], tg_argv[1]);
  return null;
end $$;
alter function shared.touch() owner to ironworks_system;

-- Have changes of a table's rows told as a topic's. Each statement is told once, however many rows it changes.
create function shared.tell_changes(
  topic text, which regclass, scope text default 'scope', operations text[] default '{insert,update,delete}'
) returns void language plpgsql as $$
declare
  operation text;
begin
  foreach operation in array operations loop
    execute format(
      'create or replace trigger %I after %s on %s referencing %s table as changed'
      ' for each statement execute function shared.touch(%L, %L)',
      'tells_' || operation, operation, which, case operation when 'delete' then 'old' else 'new' end, topic, scope);
  end loop;
end $$;

-- The same for who changes what no table of the topic holds.
create function shared.touch_topic(topic text, scope text) returns void language sql security definer
set search_path = pg_catalog, public, pg_temp as $$
  insert into shared.touched (topic, scopes) values (touch_topic.topic, array[text2ltree(touch_topic.scope)])
$$;
alter function shared.touch_topic(text, text) owner to ironworks_system;
revoke all on function shared.touch_topic(text, text) from public;
grant execute on function shared.touch_topic(text, text) to ironworks_api, ironworks_worker;

-- Which topics were touched where by what committed since a snapshot, or, where there is none, lately; and the snapshot
-- to ask with next. Not `complete`: there may have been more, of any topic. For the process itself, as tail_changes.
create function shared.touched_since(since pg_snapshot, lately interval)
returns table (upto text, complete boolean, topics text[], scopes text[])
language plpgsql stable security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  if shared.subject() is not null then
    raise exception 'the touched topics are not for callers' using errcode = 'insufficient_privilege';
  end if;
  return query
    with own as (
      select distinct t.topic, ltree2text(unnest(t.scopes)) as scope from shared.touched t
      where t.made_in >= coalesce(pg_snapshot_xmin(since), '0')
        and case when since is null then t.at > clock_timestamp() - lately
            else not pg_visible_in_snapshot(t.made_in, since) end)
    select pg_current_snapshot()::text,
           since is null or (pg_snapshot_xmin(since) > (select f.made_in from shared.touched_floor f)
                             and pg_snapshot_xmax(since) <= pg_snapshot_xmax(pg_current_snapshot())),
           coalesce((select array_agg(o.topic order by o.topic, o.scope) from own o), '{}'),
           coalesce((select array_agg(o.scope order by o.topic, o.scope) from own o), '{}');
end $$;
alter function shared.touched_since(pg_snapshot, interval) owner to ironworks_system;
revoke all on function shared.touched_since(pg_snapshot, interval) from public;
grant execute on function shared.touched_since(pg_snapshot, interval) to ironworks_api;

-- Removes what is older, but nothing that a transaction still under way may have been overtaken by.
create function shared.forget_touched(older_than interval) returns bigint
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  gone bigint;
  last xid8;
begin
  with forgotten as (
    delete from shared.touched t
    where t.at < clock_timestamp() - older_than and t.made_in < pg_snapshot_xmin(pg_current_snapshot())
    returning t.made_in
  )
  select count(*), max(f.made_in) into gone, last from forgotten f;
  update shared.touched_floor f set made_in = last where f.made_in < last;
  return gone;
end $$;
alter function shared.forget_touched(interval) owner to ironworks_system;
revoke all on function shared.forget_touched(interval) from public;
grant execute on function shared.forget_touched(interval) to ironworks_worker;
