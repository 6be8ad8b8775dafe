-- A policy's key, wrapped by a master key that the database never sees. It goes with its policy, and the traces with it.
create table tokenfactory_traces.trace_key (
  policy uuid primary key references tokenfactory_traces.trace_policy (uid) on delete cascade,
  scope ltree not null,
  version integer not null check (version >= 1),
  wrapped bytea not null,
  master_key_id text collate "C" not null,
  created_at timestamptz not null default now()
);
create index on tokenfactory_traces.trace_key (master_key_id);

-- Sealed with the policy's key. `scope` is where the calling key lives, at the policy's scope or below it.
create table tokenfactory_traces.trace (
  request_id text collate "C" primary key,
  scope ltree not null,
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  policy uuid not null references tokenfactory_traces.trace_key (policy) on delete cascade,
  occurred_at timestamptz not null,
  expires_at timestamptz not null,
  operation text not null,
  model text not null,
  endpoint text not null,
  key_uid uuid not null,
  status integer not null,
  input_tokens integer not null,
  output_tokens integer not null,
  content_type text not null,
  size integer not null,
  truncated boolean not null,
  nonce bytea not null check (length(nonce) = 12),
  ciphertext bytea not null
);
create index on tokenfactory_traces.trace (path, occurred_at desc, request_id);
create index on tokenfactory_traces.trace (policy);
create index on tokenfactory_traces.trace (expires_at);

alter table tokenfactory_traces.trace_key enable row level security;
alter table tokenfactory_traces.trace_key force row level security;
alter table tokenfactory_traces.trace enable row level security;
alter table tokenfactory_traces.trace force row level security;

grant select, insert, update, delete on tokenfactory_traces.trace_key to ironworks_worker;
grant select, delete on tokenfactory_traces.trace to ironworks_worker;
grant select on tokenfactory_traces.trace_key to ironworks_gateway, ironworks_api;
grant insert, select (request_id) on tokenfactory_traces.trace to ironworks_gateway;
grant select, delete on tokenfactory_traces.trace to ironworks_api;
grant select on tokenfactory_traces.trace_policy to ironworks_gateway;
