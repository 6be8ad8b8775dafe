-- The hosts that run gateways, so that each may enforce its share of a limit. Holds no tenant's data.
create table tokenfactory_limits.host (
  uid uuid primary key,
  seen_at timestamptz not null
);
alter table tokenfactory_limits.host enable row level security;
alter table tokenfactory_limits.host force row level security;
grant select, insert, delete, update (seen_at) on tokenfactory_limits.host to ironworks_gateway;
