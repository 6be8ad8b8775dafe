-- How the gateway's processes are, as they say themselves, and what was wrong with them. Holds no tenant's data.
select shared.create_domain_schema('tokenfactory_gateway');

create table tokenfactory_gateway.process (
  uid uuid primary key,
  host text not null,
  pid integer not null,
  started_at timestamptz not null,
  reported_at timestamptz not null default now(),
  stopped_at timestamptz,
  status text not null,
  troubles jsonb not null
);

create table tokenfactory_gateway.incident (
  process uuid not null references tokenfactory_gateway.process (uid) on delete cascade,
  component text not null,
  reason text not null,
  since timestamptz not null,
  message text not null,
  until timestamptz,
  primary key (process, component, reason, since)
);
create index on tokenfactory_gateway.incident (since desc);

alter table tokenfactory_gateway.process enable row level security;
alter table tokenfactory_gateway.process force row level security;
alter table tokenfactory_gateway.incident enable row level security;
alter table tokenfactory_gateway.incident force row level security;
grant select, insert, update on tokenfactory_gateway.process, tokenfactory_gateway.incident to ironworks_system;
grant select on tokenfactory_gateway.process, tokenfactory_gateway.incident to ironworks_api;
grant select, delete on tokenfactory_gateway.process, tokenfactory_gateway.incident to ironworks_worker;
