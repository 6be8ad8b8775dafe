-- What a period's close adds to usage at base price, or takes from it. A version is closed by the next one of the same
-- meter, model, currency and scope: nothing is ever updated.
create table platform_pricing.price_terms (
  id uuid primary key default gen_random_uuid(),
  meter text collate "C" not null,
  model text collate "C" not null,
  currency text collate "C" not null check (currency ~ '^[A-Z]{3}$'),
  scope ltree not null default '',
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  terms jsonb not null check (jsonb_typeof(terms) = 'object'),
  valid_from date not null,
  withdrawn boolean not null default false check (not withdrawn or terms = '{}'),
  created_at timestamptz not null default now(),
  created_by text not null,
  unique (meter, model, currency, path, valid_from)
);
create trigger append_only before update or delete or truncate on platform_pricing.price_terms
  for each statement execute function platform_pricing.refuse_change();
alter table platform_pricing.price_terms enable row level security;
alter table platform_pricing.price_terms force row level security;
grant select, insert on platform_pricing.price_terms to ironworks_api, ironworks_worker;
