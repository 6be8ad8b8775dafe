-- A price may hold for one scope and all below it, and may be withdrawn from a moment on: a version like any other, that
-- prices nothing. Prices of before are everyone's.
alter table platform_pricing.price
  add column scope ltree not null default '',
  add column withdrawn boolean not null default false,
  add constraint withdrawn_is_no_price check (not withdrawn or unit_price = 0);
alter table platform_pricing.price
  add column path text collate "C" not null generated always as (ltree2text(scope)) stored;
alter table platform_pricing.price drop constraint price_meter_model_currency_valid_from_key;
alter table platform_pricing.price
  add constraint one_version_at_a_time unique (meter, model, currency, path, valid_from);

-- What a period's close adjusts: the lines of a tenant, by day.
create index rated_line_period on platform_pricing.rated_line (path, day);

-- The whole of `rating.nano_amount` in SQL, for whoever checks lines or rates them anew: half to even.
create function platform_pricing.nano_amount(quantity bigint, unit_price numeric) returns numeric
language sql immutable parallel safe
return case
  when mod(quantity * unit_price * 1000000000, 2) = 0.5 then trunc(quantity * unit_price * 1000000000)
  else round(quantity * unit_price * 1000000000)
end;
