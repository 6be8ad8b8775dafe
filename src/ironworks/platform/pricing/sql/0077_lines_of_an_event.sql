-- The lines of a usage event in one row: they are rated at once, moved by one transfer, and never change. In a row of its
-- own each line had its place in three indexes, which was most of what keeping it cost.
--
-- Alone stand the lines of before, those that waited for a price, and those that cost nothing beside others that cost
-- something. `rated_line` shows both as what they are: lines.
alter table platform_pricing.rated_line rename to rated_alone;

create table platform_pricing.rated_event (
  usage_event_id text collate "C" primary key,
  meters text[] collate "C" not null,
  quantities bigint[] not null check (0 < all (quantities)),
  price_ids uuid[] not null,
  amounts_nano bigint[] not null check (0 <= all (amounts_nano) and 100000000000000 >= all (amounts_nano)),
  currency text collate "C" not null,
  scope ltree not null,
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  transfer_id uuid,
  rated_at timestamptz not null default now(),
  day date not null,
  model text collate "C",
  constraint as_many_of_each check (
    cardinality(meters) > 0 and cardinality(meters) = cardinality(quantities)
    and cardinality(meters) = cardinality(price_ids) and cardinality(meters) = cardinality(amounts_nano)),
  constraint what_costs_is_moved
    check (case when transfer_id is null then 0 = all (amounts_nano) else 0 < all (amounts_nano) end)
);
create index rated_event_period on platform_pricing.rated_event (path, day);
create index rated_event_transfer on platform_pricing.rated_event (transfer_id) where transfer_id is not null;

create trigger append_only before update or delete or truncate on platform_pricing.rated_event
  for each statement execute function platform_pricing.refuse_change();
create function platform_pricing.refuse_unknown_prices() returns trigger language plpgsql
security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  if exists (
    select from (select distinct unnest(a.price_ids) as price_id from added a) used
    where not exists (select from platform_pricing.price p where p.id = used.price_id)) then
    raise exception 'a rated line names a price that does not exist' using errcode = 'foreign_key_violation';
  end if;
  return null;
end $$;
alter function platform_pricing.refuse_unknown_prices() owner to ironworks_system;
create trigger names_prices after insert on platform_pricing.rated_event referencing new table as added
  for each statement execute function platform_pricing.refuse_unknown_prices();

alter table platform_pricing.rated_event enable row level security;
alter table platform_pricing.rated_event force row level security;
grant select on platform_pricing.rated_event to ironworks_api, ironworks_worker;
grant insert on platform_pricing.rated_event to ironworks_worker, ironworks_gateway;

create view platform_pricing.rated_line with (security_invoker = true) as
  select usage_event_id, meter, quantity, price_id, amount_nano, currency, scope, path, transfer_id, rated_at, day, model
  from platform_pricing.rated_alone
  union all
  select e.usage_event_id, l.meter collate "C", l.quantity, l.price_id, l.amount_nano, e.currency, e.scope, e.path,
         e.transfer_id, e.rated_at, e.day, e.model
  from platform_pricing.rated_event e
  cross join lateral unnest(e.meters, e.quantities, e.price_ids, e.amounts_nano)
    as l (meter, quantity, price_id, amount_nano);
grant select on platform_pricing.rated_line to ironworks_api, ironworks_worker;

-- Arrays come as text, as Postgres writes them, for the sake of who hands them in.
create type platform_pricing.new_event as (
  usage_event_id text,
  meters text,
  quantities text,
  price_ids text,
  amounts_nano text,
  currency text,
  scope text,
  transfer_id uuid,
  day date,
  model text
);
