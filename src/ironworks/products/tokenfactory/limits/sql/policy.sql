-- The gateway reads every limit and changes none; it alone tells which hosts it runs on.
grant select on tokenfactory_limits.limit to ironworks_gateway;
drop policy if exists gateway on tokenfactory_limits.limit;
create policy gateway on tokenfactory_limits.limit for select to ironworks_gateway using (true);
drop policy if exists gateway on tokenfactory_limits.host;
create policy gateway on tokenfactory_limits.host to ironworks_gateway using (true) with check (true);
