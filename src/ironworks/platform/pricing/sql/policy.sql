-- What holds for everyone is open to everyone who is signed in; what holds for a scope, to who sees the bills of it, of
-- one above it or of one below it. Only the operator's people add.
drop policy if exists api_read on platform_pricing.price;
create policy api_read on platform_pricing.price for select to ironworks_api
  using ((path = '' and shared.subject() is not null)
         or scope <@ any ((select shared.granted('billing:read'))::ltree[])
         or scope @> any ((select shared.granted('billing:read'))::ltree[])
         or scope <@ any ((select shared.granted('price:create'))::ltree[]));
drop policy if exists api_create on platform_pricing.price;
create policy api_create on platform_pricing.price for insert to ironworks_api
  with check (''::ltree <@ any ((select shared.granted('price:create'))::ltree[]));
drop policy if exists worker on platform_pricing.price;
create policy worker on platform_pricing.price to ironworks_worker using (true) with check (true);
drop policy if exists gateway on platform_pricing.price;
create policy gateway on platform_pricing.price for select to ironworks_gateway using (true);
drop policy if exists system on platform_pricing.price;
create policy system on platform_pricing.price for select to ironworks_system using (true);

drop policy if exists api_read on platform_pricing.price_terms;
create policy api_read on platform_pricing.price_terms for select to ironworks_api
  using ((path = '' and shared.subject() is not null)
         or scope <@ any ((select shared.granted('billing:read'))::ltree[])
         or scope @> any ((select shared.granted('billing:read'))::ltree[])
         or scope <@ any ((select shared.granted('price:create'))::ltree[]));
drop policy if exists api_create on platform_pricing.price_terms;
create policy api_create on platform_pricing.price_terms for insert to ironworks_api
  with check (''::ltree <@ any ((select shared.granted('price:create'))::ltree[]));
drop policy if exists worker on platform_pricing.price_terms;
create policy worker on platform_pricing.price_terms to ironworks_worker using (true) with check (true);

do $$
declare
  t text;
begin
  foreach t in array array['rated_alone', 'rated_event', 'unrated_line'] loop
    execute format('drop policy if exists api_read on platform_pricing.%I', t);
    execute format('create policy api_read on platform_pricing.%I for select to ironworks_api'
      ' using (scope <@ any ((select shared.granted(''billing:read''))::ltree[]))', t);
    execute format('drop policy if exists worker on platform_pricing.%I', t);
    execute format('create policy worker on platform_pricing.%I to ironworks_worker using (true) with check (true)', t);
    execute format('drop policy if exists gateway on platform_pricing.%I', t);
    execute format('create policy gateway on platform_pricing.%I for insert to ironworks_gateway with check (true)', t);
  end loop;
end $$;

grant execute on function platform_pricing.nano_amount(bigint, numeric) to ironworks_api, ironworks_worker;

drop policy if exists api_read on platform_pricing.account_currency;
create policy api_read on platform_pricing.account_currency for select to ironworks_api
  using (scope <@ any ((select shared.granted('billing:read'))::ltree[])
         or scope @> any ((select shared.granted('billing:read'))::ltree[])
         or scope <@ any ((select shared.granted('price:create'))::ltree[])
         or scope <@ any ((select shared.granted('subscription:update'))::ltree[]));
drop policy if exists api_create on platform_pricing.account_currency;
create policy api_create on platform_pricing.account_currency for insert to ironworks_api
  with check (''::ltree <@ any ((select shared.granted('price:create'))::ltree[]));
drop policy if exists worker on platform_pricing.account_currency;
create policy worker on platform_pricing.account_currency to ironworks_worker using (true) with check (true);
drop policy if exists gateway on platform_pricing.account_currency;
create policy gateway on platform_pricing.account_currency for select to ironworks_gateway using (true);

-- What the domain's topics are made of.
select shared.tell_changes('prices', 'platform_pricing.price');
select shared.tell_changes('prices', 'platform_pricing.price_terms');
select shared.tell_changes('prices', 'platform_pricing.account_currency');
