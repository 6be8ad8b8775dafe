drop policy if exists gateway on platform_metering.usage_claim;
create policy gateway on platform_metering.usage_claim to ironworks_gateway using (true) with check (true);

drop policy if exists gateway on platform_metering.usage_event;
create policy gateway on platform_metering.usage_event for insert to ironworks_gateway with check (true);
drop policy if exists worker on platform_metering.usage_event;
create policy worker on platform_metering.usage_event for select to ironworks_worker using (true);
-- who may see a bill may see the usage behind it
drop policy if exists api_read on platform_metering.usage_event;
create policy api_read on platform_metering.usage_event for select to ironworks_api using (
  scope <@ any ((select shared.granted('usage:read'))::ltree[])
  or scope <@ any ((select shared.granted('billing:read'))::ltree[]));

drop policy if exists gateway on platform_metering.set_aside;
create policy gateway on platform_metering.set_aside for insert to ironworks_gateway with check (true);
drop policy if exists worker on platform_metering.set_aside;
create policy worker on platform_metering.set_aside for select to ironworks_worker using (true);
drop policy if exists api_read on platform_metering.set_aside;
create policy api_read on platform_metering.set_aside for select to ironworks_api using (
  scope <@ any ((select shared.granted('usage:read'))::ltree[]));
