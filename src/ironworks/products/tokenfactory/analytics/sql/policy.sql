drop policy if exists worker on tokenfactory_analytics.history;
create policy worker on tokenfactory_analytics.history to ironworks_worker using (true) with check (true);

drop policy if exists gateway on tokenfactory_analytics.hourly;
create policy gateway on tokenfactory_analytics.hourly to ironworks_gateway using (true) with check (true);
drop policy if exists worker on tokenfactory_analytics.hourly;
create policy worker on tokenfactory_analytics.hourly to ironworks_worker using (true) with check (true);
drop policy if exists api_read on tokenfactory_analytics.hourly;
create policy api_read on tokenfactory_analytics.hourly for select to ironworks_api
  using (scope <@ any ((select shared.granted('usage:read'))::ltree[]));

drop policy if exists gateway on tokenfactory_analytics.minutely;
create policy gateway on tokenfactory_analytics.minutely to ironworks_gateway using (true) with check (true);
drop policy if exists worker on tokenfactory_analytics.minutely;
create policy worker on tokenfactory_analytics.minutely to ironworks_worker using (true) with check (true);
drop policy if exists api_read on tokenfactory_analytics.minutely;
create policy api_read on tokenfactory_analytics.minutely for select to ironworks_api
  using (scope <@ any ((select shared.granted('usage:read'))::ltree[]));

-- Two histograms in one. An array grows to hold the cells that it lacks; what lies between is null, which counts nothing.
create or replace function tokenfactory_analytics.merge_counts(a int[], b int[]) returns int[] language plpgsql immutable
set search_path = pg_catalog, pg_temp as $$
begin
  if b = '{}' then
    return a;
  elsif a = '{}' then
    return b;
  end if;
  for i in array_lower(b, 1) .. array_upper(b, 1) loop
    a[i] := coalesce(a[i], 0) + b[i];
  end loop;
  return a;
end $$;
grant execute on function tokenfactory_analytics.merge_counts(int[], int[]) to ironworks_gateway, ironworks_worker;
