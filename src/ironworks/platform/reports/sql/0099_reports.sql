-- What usage costs the operator: versions, each closed by the next one of the same meter, model and currency.
select shared.create_domain_schema('platform_reports');

create function platform_reports.refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'insufficient_privilege';
end $$;

create table platform_reports.cost_rate (
  id uuid primary key default gen_random_uuid(),
  meter text collate "C" not null,
  model text collate "C" not null,
  currency text collate "C" not null check (currency ~ '^[A-Z]{3}$'),
  unit_cost numeric not null check (unit_cost >= 0 and unit_cost <= 1000000 and scale(unit_cost) <= 18),
  valid_from date not null,
  created_at timestamptz not null default now(),
  created_by text not null,
  unique (meter, model, currency, valid_from)
);
create trigger append_only before update or delete or truncate on platform_reports.cost_rate
  for each statement execute function platform_reports.refuse_change();

alter table platform_reports.cost_rate enable row level security;
alter table platform_reports.cost_rate force row level security;
grant select, insert on platform_reports.cost_rate to ironworks_api;
