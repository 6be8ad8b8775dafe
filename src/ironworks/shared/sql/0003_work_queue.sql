-- The work queue: what controllers and schedules have to look at, shared by any number of workers.
--
-- An item is a (kind, uid); it says only that something may have changed. Whoever changes something enqueues it in the
-- same transaction, which bumps `wanted`. A worker claims due items under a token, works outside any transaction, and
-- finishes with the token and the `wanted` that it had claimed: another `wanted` means that something changed
-- meanwhile, so the item stays; another token means that the item was taken over, so nothing of the step is committed.

create table shared.work_item (
  kind text collate "C" not null,
  uid uuid not null,
  wanted bigint not null default 1,
  due_at timestamptz not null,          -- 'infinity' while held, until someone enqueues it again
  runner text not null default '',      -- '' is any; otherwise only workers of that host
  attempts int not null default 0,      -- failures in a row
  token uuid,
  worker uuid,
  last_error text,
  primary key (kind, uid),
  check ((token is null) = (worker is null))
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
create index work_item_due on shared.work_item (kind, runner, due_at) where token is null;
create index work_item_held on shared.work_item (worker) where token is not null;

-- Resources whose work belongs to one host; outlives the items.
create table shared.work_pin (
  kind text collate "C" not null,
  uid uuid not null,
  runner text not null,
  primary key (kind, uid)
);

-- Live workers. One heartbeat serves all the items that a worker holds.
create table shared.queue_worker (
  worker uuid primary key,
  runner text not null,
  heartbeat_at timestamptz not null
);

grant select, insert, update, delete on shared.work_item, shared.work_pin, shared.queue_worker to ironworks_worker;
grant select, insert, update on shared.work_item to ironworks_system;
grant select on shared.work_pin to ironworks_system;

create function shared.enqueue(kind text, uid uuid, due_in interval default '0') returns void language sql
security definer set search_path = pg_catalog, pg_temp
begin atomic
  insert into shared.work_item as i (kind, uid, due_at, runner)
  values (enqueue.kind, enqueue.uid, clock_timestamp() + enqueue.due_in,
          coalesce((select p.runner from shared.work_pin p where p.kind = enqueue.kind and p.uid = enqueue.uid), ''))
  on conflict (kind, uid) do update set wanted = i.wanted + 1, due_at = least(i.due_at, excluded.due_at);
end;
alter function shared.enqueue(text, uuid, interval) owner to ironworks_system;
revoke all on function shared.enqueue(text, uuid, interval) from public;
grant execute on function shared.enqueue(text, uuid, interval)
  to ironworks_api, ironworks_worker, ironworks_gateway, ironworks_system;

-- Up to slots[n] due items of kinds[n], oldest first, for one worker; an item that a writer holds locked is left for
-- the next round. The table's size swings faster than its statistics follow, so the plan is not left to them.
create function shared.claim_work(worker uuid, runner text, kinds text[], slots int[])
returns table (kind text, uid uuid, token uuid, wanted bigint, attempts int, waited double precision) language sql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
  with due as materialized (
    select found.*
    from unnest(claim_work.kinds, claim_work.slots) as lane (kind, slots)
    cross join lateral (
      select mine.*
      from unnest(case claim_work.runner when '' then array[''] else array['', claim_work.runner] end) as place (runner)
      cross join lateral (
        select i.kind, i.uid, i.due_at from shared.work_item i
        where i.kind = lane.kind and i.runner = place.runner and i.token is null and i.due_at <= now()
        order by i.due_at limit lane.slots for update skip locked
      ) mine
      order by mine.due_at limit lane.slots
    ) found
  )
  update shared.work_item i
  set token = gen_random_uuid(), worker = claim_work.worker, due_at = 'infinity'
  from due where i.kind = due.kind and i.uid = due.uid
  returning i.kind, i.uid, i.token, i.wanted, i.attempts, extract(epoch from now() - due.due_at)::double precision
$$;

-- Let go of a held item; false if it is not ours any more.
-- delay: look again after it, or never (null) unless it was enqueued meanwhile. failed: count the attempt.
create function shared.finish_work(kind text, uid uuid, token uuid, wanted bigint, delay interval, failed boolean, error text)
returns boolean language plpgsql as $$
begin
  if delay is null then
    delete from shared.work_item i
    where i.kind = finish_work.kind and i.uid = finish_work.uid
      and i.token = finish_work.token and i.wanted = finish_work.wanted;
    if found then
      return true;
    end if;
  end if;
  update shared.work_item i
  set token = null, worker = null,
      due_at = least(i.due_at, clock_timestamp() + delay),
      attempts = case when failed and i.wanted = finish_work.wanted then i.attempts + 1 else 0 end,
      last_error = case when failed then error end
  where i.kind = finish_work.kind and i.uid = finish_work.uid and i.token = finish_work.token;
  return found;
end $$;

-- The write transaction of a reconcile step, in one round trip. Writes the resource first and the item last, the order
-- in which every other writer locks them. Raises IW423, which undoes all of it, if the item was taken over.
-- status: null writes none. remove: the resource is cleaned up, its row goes. pin: the runner this work belongs to.
create function shared.finish_step(
  target text, kind text, uid uuid, token uuid, wanted bigint, status jsonb, remove boolean, delay interval,
  failed boolean, error text, pin text, request_id text
) returns void language plpgsql as $$
begin
  perform set_config('ironworks.request_id', request_id, true);
  -- losing the newest steps in a crash of the server is harmless: they are taken again
  perform set_config('synchronous_commit', 'off', true);
  if status is not null then
    execute format('update %s set status = $1 where uid = $2', target::regclass) using status, uid;
  end if;
  if remove then
    execute format('delete from %s where uid = $1 and deletion_timestamp is not null', target::regclass) using uid;
    delete from shared.work_pin p where p.kind = finish_step.kind and p.uid = finish_step.uid;
  end if;
  if not shared.finish_work(kind, uid, token, wanted, delay, failed, error) then
    raise exception 'the lock of % % was taken over', kind, uid using errcode = 'IW423';
  end if;
  if pin is not null then
    insert into shared.work_pin as p values (finish_step.kind, finish_step.uid, pin)
    on conflict on constraint work_pin_pkey do update set runner = excluded.runner where p.runner <> excluded.runner;
    update shared.work_item i set runner = pin where i.kind = finish_step.kind and i.uid = finish_step.uid;
  end if;
end $$;

create function shared.beat(worker uuid, runner text) returns void language sql as $$
  insert into shared.queue_worker as w values (beat.worker, beat.runner, now())
  on conflict (worker) do update set heartbeat_at = excluded.heartbeat_at
$$;

-- Free the items of workers that have not been heard of for `lease`. The attempt counts: an item that kills its worker
-- must not do so in a tight loop.
create function shared.take_over_work(lease interval) returns bigint language plpgsql as $$
declare
  taken bigint;
begin
  delete from shared.queue_worker w where w.heartbeat_at < now() - lease;
  with orphan as (
    select i.kind, i.uid from shared.work_item i
    where i.token is not null and not exists (select from shared.queue_worker w where w.worker = i.worker)
    for update skip locked
  )
  update shared.work_item i
  set token = null, worker = null, attempts = i.attempts + 1, last_error = 'its worker died',
      due_at = least(i.due_at, now() + least(i.attempts * i.attempts, 300) * interval '1 second')
  from orphan where i.kind = orphan.kind and i.uid = orphan.uid;
  get diagnostics taken = row_count;
  return taken;
end $$;

-- A worker leaves in peace: what it still holds is free at once.
create function shared.leave_queue(worker uuid) returns void language sql as $$
  update shared.work_item i set token = null, worker = null, due_at = least(i.due_at, now())
  where i.worker = leave_queue.worker;
  delete from shared.queue_worker w where w.worker = leave_queue.worker;
$$;

-- Free what a worker holds besides the tokens it knows of: the answer to its claim got lost, or its finishing failed.
create function shared.release_lost(worker uuid, active uuid[]) returns void language sql as $$
  update shared.work_item i
  set token = null, worker = null, attempts = i.attempts + 1, due_at = least(i.due_at, now() + interval '1 second')
  where i.worker = release_lost.worker and i.token <> all (release_lost.active)
$$;

-- Look at every resource of a kind again, spread over a time; what is queued already stays as it is.
create function shared.enqueue_all(target text, kind text, spread interval) returns bigint language plpgsql as $$
declare
  added bigint;
begin
  execute format(
    'insert into shared.work_item (kind, uid, due_at, runner)
     select $1, r.uid, now() + random() * $2, coalesce(p.runner, '''')
     from %s r left join shared.work_pin p on p.kind = $1 and p.uid = r.uid
     on conflict do nothing', target::regclass) using kind, spread;
  get diagnostics added = row_count;
  return added;
end $$;

grant execute on function
  shared.claim_work(uuid, text, text[], int[]),
  shared.finish_work(text, uuid, uuid, bigint, interval, boolean, text),
  shared.finish_step(text, text, uuid, uuid, bigint, jsonb, boolean, interval, boolean, text, text, text),
  shared.beat(uuid, text),
  shared.take_over_work(interval),
  shared.leave_queue(uuid),
  shared.release_lost(uuid, uuid[]),
  shared.enqueue_all(text, text, interval)
to ironworks_worker;
