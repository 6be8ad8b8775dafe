-- The price book and the lines it makes.
select shared.create_domain_schema('platform_pricing');

create function platform_pricing.refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'insufficient_privilege';
end $$;

-- A version is closed by the next one of the same meter, model and currency: nothing is ever updated.
create table platform_pricing.price (
  id uuid primary key default gen_random_uuid(),
  meter text collate "C" not null,
  model text collate "C" not null,
  currency text collate "C" not null check (currency ~ '^[A-Z]{3}$'),
  unit_price numeric not null check (unit_price >= 0 and unit_price <= 1000000 and scale(unit_price) <= 18),
  valid_from timestamptz not null,
  created_at timestamptz not null default now(),
  created_by text not null,
  unique (meter, model, currency, valid_from)
);

create table platform_pricing.rated_line (
  usage_event_id text collate "C" not null,
  meter text collate "C" not null,
  quantity bigint not null check (quantity > 0),
  price_id uuid not null references platform_pricing.price (id),
  amount_nano bigint not null check (amount_nano between 0 and 100000000000000),
  currency text collate "C" not null,
  scope ltree not null,
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  transfer_id uuid,
  rated_at timestamptz not null default now(),
  primary key (usage_event_id, meter),
  constraint what_costs_is_moved check ((amount_nano > 0) = (transfer_id is not null))
);
create index on platform_pricing.rated_line (transfer_id, usage_event_id, meter);

create table platform_pricing.unrated_line (
  usage_event_id text collate "C" not null,
  meter text collate "C" not null,
  quantity bigint not null check (quantity > 0),
  model text collate "C" not null,
  occurred_at timestamptz not null,
  scope ltree not null,
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  reason text not null check (reason in ('no_price', 'over_limit')),
  since timestamptz not null default now(),
  primary key (usage_event_id, meter)
);

create trigger append_only before update or delete or truncate on platform_pricing.price
  for each statement execute function platform_pricing.refuse_change();
create trigger append_only before update or delete or truncate on platform_pricing.rated_line
  for each statement execute function platform_pricing.refuse_change();

alter table platform_pricing.price enable row level security;
alter table platform_pricing.price force row level security;
alter table platform_pricing.rated_line enable row level security;
alter table platform_pricing.rated_line force row level security;
alter table platform_pricing.unrated_line enable row level security;
alter table platform_pricing.unrated_line force row level security;

grant select on platform_pricing.price to ironworks_api, ironworks_worker, ironworks_gateway;
grant insert on platform_pricing.price to ironworks_api, ironworks_worker;
grant select on platform_pricing.rated_line, platform_pricing.unrated_line to ironworks_api, ironworks_worker;
grant insert on platform_pricing.rated_line, platform_pricing.unrated_line to ironworks_worker, ironworks_gateway;
grant delete on platform_pricing.unrated_line to ironworks_worker;
