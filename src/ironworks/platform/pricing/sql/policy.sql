-- The price book is the same for everyone who is signed in; only the operator's people add to it.
drop policy if exists api_read on platform_pricing.price;
create policy api_read on platform_pricing.price for select to ironworks_api using (shared.subject() is not null);
drop policy if exists api_create on platform_pricing.price;
create policy api_create on platform_pricing.price for insert to ironworks_api
  with check (''::ltree <@ any ((select shared.granted('price:create'))::ltree[]));
drop policy if exists worker on platform_pricing.price;
create policy worker on platform_pricing.price to ironworks_worker using (true) with check (true);
drop policy if exists gateway on platform_pricing.price;
create policy gateway on platform_pricing.price for select to ironworks_gateway using (true);

drop policy if exists api_read on platform_pricing.rated_line;
create policy api_read on platform_pricing.rated_line for select to ironworks_api
  using (scope <@ any ((select shared.granted('billing:read'))::ltree[]));
drop policy if exists worker on platform_pricing.rated_line;
create policy worker on platform_pricing.rated_line to ironworks_worker using (true) with check (true);
drop policy if exists gateway on platform_pricing.rated_line;
create policy gateway on platform_pricing.rated_line for insert to ironworks_gateway with check (true);

drop policy if exists api_read on platform_pricing.unrated_line;
create policy api_read on platform_pricing.unrated_line for select to ironworks_api
  using (scope <@ any ((select shared.granted('billing:read'))::ltree[]));
drop policy if exists worker on platform_pricing.unrated_line;
create policy worker on platform_pricing.unrated_line to ironworks_worker using (true) with check (true);
drop policy if exists gateway on platform_pricing.unrated_line;
create policy gateway on platform_pricing.unrated_line for insert to ironworks_gateway with check (true);
