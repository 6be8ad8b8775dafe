-- Nearly all events of a batch were rated by the same few prices: what is distinct is found before it is taken apart.
create or replace function platform_pricing.refuse_unknown_prices() returns trigger language plpgsql
security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  if exists (
    select from (select distinct a.price_ids from added a) used cross join lateral unnest(used.price_ids) as price_id
    where not exists (select from platform_pricing.price p where p.id = price_id)) then
    raise exception 'a rated line names a price that does not exist' using errcode = 'foreign_key_violation';
  end if;
  return null;
end $$;
