-- How each process sees the targets of Routes: those that are not plainly well, or serve somebody now. What a process
-- tells replaces what it told before.
create table tokenfactory_gateway.target_state (
  process uuid not null references tokenfactory_gateway.process (uid) on delete cascade,
  route uuid not null,
  scope ltree not null,
  place smallint not null,
  upstream text not null,
  upstreams smallint not null,
  standing text not null,
  until timestamptz,
  fault text not null,
  failed_at timestamptz,
  in_flight integer not null,
  queued integer not null,
  latency_ms double precision,
  primary key (process, route, place, upstream)
);
create index on tokenfactory_gateway.target_state (route);

alter table tokenfactory_gateway.target_state enable row level security;
alter table tokenfactory_gateway.target_state force row level security;
