-- Lines that are saved at once are handed in as one list of these, not as a list for each column, which takes a fraction
-- of the time to write and to read.
create type platform_pricing.new_line as (
  usage_event_id text,
  meter text,
  quantity bigint,
  price_id uuid,
  amount_nano bigint,
  currency text,
  scope text,
  transfer_id uuid,
  day date,
  model text
);

-- That a line names a price is looked at once for all lines of a statement. Prices are append-only, so what held when a
-- line came holds for good: a foreign key would look, and lock the price, for each line, and many lines have one price.
alter table platform_pricing.rated_line drop constraint rated_line_price_id_fkey;
create function platform_pricing.refuse_unknown_price() returns trigger language plpgsql
security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  if exists (select from added a where not exists (select from platform_pricing.price p where p.id = a.price_id)) then
    raise exception 'a rated line names a price that does not exist' using errcode = 'foreign_key_violation';
  end if;
  return null;
end $$;
grant select on platform_pricing.price to ironworks_system;
alter function platform_pricing.refuse_unknown_price() owner to ironworks_system;
create trigger names_a_price after insert on platform_pricing.rated_line referencing new table as added
  for each statement execute function platform_pricing.refuse_unknown_price();

-- A transfer has at most some thousand lines, which are quickly sorted, so its index need not hold their order.
drop index platform_pricing.rated_line_transfer_id_usage_event_id_meter_idx;
create index rated_line_transfer on platform_pricing.rated_line (transfer_id) where transfer_id is not null;
