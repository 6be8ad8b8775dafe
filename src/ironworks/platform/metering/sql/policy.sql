drop policy if exists gateway on platform_metering.usage_claim;
create policy gateway on platform_metering.usage_claim to ironworks_gateway using (true) with check (true);

-- The API claims ids of what comes from outside alone, for whoever may hand in usage at all.
drop policy if exists api on platform_metering.usage_claim;
create policy api on platform_metering.usage_claim to ironworks_api
  using (starts_with(event_id, 'ce_') and cardinality((select shared.granted('usage:write'))) > 0)
  with check (starts_with(event_id, 'ce_') and cardinality((select shared.granted('usage:write'))) > 0);
drop policy if exists system on platform_metering.usage_claim;
create policy system on platform_metering.usage_claim to ironworks_system using (true) with check (true);

drop policy if exists gateway on platform_metering.usage_event;
create policy gateway on platform_metering.usage_event for insert to ironworks_gateway with check (true);
drop policy if exists worker on platform_metering.usage_event;
create policy worker on platform_metering.usage_event for select to ironworks_worker using (true);
-- who may see a bill may see the usage behind it
drop policy if exists api_read on platform_metering.usage_event;
create policy api_read on platform_metering.usage_event for select to ironworks_api using (
  scope <@ any ((select shared.granted('usage:read'))::ltree[])
  or scope <@ any ((select shared.granted('billing:read'))::ltree[]));
drop policy if exists api_create on platform_metering.usage_event;
create policy api_create on platform_metering.usage_event for insert to ironworks_api with check (
  starts_with(event_id, 'ce_') and scope <@ any ((select shared.granted('usage:write'))::ltree[]));
drop policy if exists system on platform_metering.usage_event;
create policy system on platform_metering.usage_event to ironworks_system using (true);
drop policy if exists system on platform_metering.usage_rest;
create policy system on platform_metering.usage_rest to ironworks_system using (true);

drop policy if exists gateway on platform_metering.set_aside;
create policy gateway on platform_metering.set_aside for insert to ironworks_gateway with check (true);
drop policy if exists worker on platform_metering.set_aside;
create policy worker on platform_metering.set_aside for select to ironworks_worker using (true);
drop policy if exists api_read on platform_metering.set_aside;
create policy api_read on platform_metering.set_aside for select to ironworks_api using (
  scope <@ any ((select shared.granted('usage:read'))::ltree[]));
drop policy if exists api_create on platform_metering.set_aside;
create policy api_create on platform_metering.set_aside for insert to ironworks_api with check (
  scope <@ any ((select shared.granted('usage:write'))::ltree[]));

drop policy if exists api_create on platform_metering.uncharged;
create policy api_create on platform_metering.uncharged for insert to ironworks_api with check (
  scope <@ any ((select shared.granted('usage:write'))::ltree[]));
drop policy if exists worker on platform_metering.uncharged;
create policy worker on platform_metering.uncharged to ironworks_worker using (true);

drop policy if exists ours on platform_metering.horizon;
create policy ours on platform_metering.horizon for select to ironworks_worker, ironworks_gateway using (true);
drop policy if exists api_read on platform_metering.horizon;
create policy api_read on platform_metering.horizon for select to ironworks_api
  using (cardinality((select shared.granted('usage:write'))) > 0);
drop policy if exists system on platform_metering.horizon;
create policy system on platform_metering.horizon to ironworks_system using (true) with check (true);

-- Sums show what the events show.
drop policy if exists api_read on platform_metering.usage_hourly;
create policy api_read on platform_metering.usage_hourly for select to ironworks_api using (
  scope <@ any ((select shared.granted('usage:read'))::ltree[])
  or scope <@ any ((select shared.granted('billing:read'))::ltree[]));
drop policy if exists worker on platform_metering.usage_hourly;
create policy worker on platform_metering.usage_hourly to ironworks_worker using (true) with check (true);
drop policy if exists api_read on platform_metering.usage_daily;
create policy api_read on platform_metering.usage_daily for select to ironworks_api using (
  scope <@ any ((select shared.granted('usage:read'))::ltree[])
  or scope <@ any ((select shared.granted('billing:read'))::ltree[]));
drop policy if exists worker on platform_metering.usage_daily;
create policy worker on platform_metering.usage_daily to ironworks_worker using (true) with check (true);
drop policy if exists api_read on platform_metering.rolled;
create policy api_read on platform_metering.rolled for select to ironworks_api
  using (cardinality(shared.granted('usage:read')) > 0 or cardinality(shared.granted('billing:read')) > 0);
drop policy if exists worker on platform_metering.rolled;
create policy worker on platform_metering.rolled to ironworks_worker using (true) with check (true);

-- Readings; what they come to is charged by the worker.
drop policy if exists api_read on platform_metering.reading;
create policy api_read on platform_metering.reading for select to ironworks_api using (
  scope <@ any ((select shared.granted('usage:read'))::ltree[])
  or scope <@ any ((select shared.granted('billing:read'))::ltree[]));
drop policy if exists api_create on platform_metering.reading;
create policy api_create on platform_metering.reading for insert to ironworks_api with check (
  starts_with(event_id, 'ce_') and scope <@ any ((select shared.granted('usage:write'))::ltree[]));
drop policy if exists gateway on platform_metering.reading;
create policy gateway on platform_metering.reading for insert to ironworks_gateway with check (true);
drop policy if exists worker on platform_metering.reading;
create policy worker on platform_metering.reading to ironworks_worker using (true) with check (true);
drop policy if exists api_read on platform_metering.settled;
create policy api_read on platform_metering.settled for select to ironworks_api using (
  scope <@ any ((select shared.granted('usage:read'))::ltree[])
  or scope <@ any ((select shared.granted('billing:read'))::ltree[]));
drop policy if exists worker on platform_metering.settled;
create policy worker on platform_metering.settled to ironworks_worker using (true) with check (true);
drop policy if exists worker on platform_metering.usage_claim;
create policy worker on platform_metering.usage_claim to ironworks_worker using (true) with check (true);
drop policy if exists worker_create on platform_metering.usage_event;
create policy worker_create on platform_metering.usage_event for insert to ironworks_worker with check (true);
drop policy if exists worker_create on platform_metering.set_aside;
create policy worker_create on platform_metering.set_aside for insert to ironworks_worker with check (true);

-- Months: made ahead, and dropped when all that they hold is past retention. Only the worker keeps them.
create or replace function platform_metering.keep_months(first date, months int)
returns int language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  month date;
  part text;
  changed int := 0;
begin
  for month in select (first + make_interval(months => n))::date from generate_series(0, months - 1) n loop
    part := 'usage_' || to_char(month, 'YYYY_MM');
    continue when to_regclass('platform_metering.' || part) is not null;
    begin
      execute format('create table platform_metering.%I (like platform_metering.usage_event'
        ' including defaults including generated including constraints)', part);
      execute format('alter table platform_metering.%I enable row level security', part);
      execute format('alter table platform_metering.%I force row level security', part);
      execute format('alter table platform_metering.usage_event attach partition platform_metering.%I'
        ' for values from (%L) to (%L)', part,
        month::timestamp at time zone 'UTC', (month + interval '1 month') at time zone 'UTC');
      changed := changed + 1;
    exception when check_violation then
      null; -- events of this month are in the rest already, and stay there
    end;
  end loop;
  for part in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'platform_metering.usage_event'::regclass and c.relname ~ '^usage_\d{4}_\d{2}$'
      and (to_date(substr(c.relname, 7), 'YYYY_MM') + interval '1 month') at time zone 'UTC' <= (select events_from from platform_metering.horizon)
  loop
    execute format('drop table platform_metering.%I', part);
    changed := changed + 1;
  end loop;
  return changed;
end $$;
alter function platform_metering.keep_months(date, int) owner to ironworks_system;
revoke all on function platform_metering.keep_months(date, int) from public;
grant execute on function platform_metering.keep_months(date, int) to ironworks_worker;

-- Says first that nothing older counts any more, so that what is forgotten next cannot be recorded a second time.
create or replace function platform_metering.move_horizon(claims timestamptz, events timestamptz)
returns void language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  select pg_advisory_xact_lock(hashtextextended('platform_metering.horizon', 0));
  update platform_metering.horizon
  set claims_from = greatest(claims_from, claims), events_from = greatest(events_from, events);
$$;
alter function platform_metering.move_horizon(timestamptz, timestamptz) owner to ironworks_system;
revoke all on function platform_metering.move_horizon(timestamptz, timestamptz) from public;
grant execute on function platform_metering.move_horizon(timestamptz, timestamptz) to ironworks_worker;

create or replace function platform_metering.forget_claims(at_most int)
returns int language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  with gone as (
    delete from platform_metering.usage_claim where event_id in (
      select event_id from platform_metering.usage_claim
      where claimed_at < (select claims_from from platform_metering.horizon) order by claimed_at limit at_most)
    returning 1)
  select count(*)::int from gone
$$;
alter function platform_metering.forget_claims(int) owner to ironworks_system;
revoke all on function platform_metering.forget_claims(int) from public;
grant execute on function platform_metering.forget_claims(int) to ironworks_worker;

create or replace function platform_metering.forget_rest(at_most int)
returns int language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  with gone as (
    delete from platform_metering.usage_rest where ctid = any (array(
      select ctid from platform_metering.usage_rest
      where occurred_at < (select events_from from platform_metering.horizon) limit at_most))
    returning 1)
  select count(*)::int from gone
$$;
alter function platform_metering.forget_rest(int) owner to ironworks_system;
revoke all on function platform_metering.forget_rest(int) from public;
grant execute on function platform_metering.forget_rest(int) to ironworks_worker;

-- What the domain's topics are made of.
select shared.tell_changes('usage', 'platform_metering.usage_event', operations => '{insert}');
select shared.tell_changes('usage', 'platform_metering.set_aside', operations => '{insert}');
