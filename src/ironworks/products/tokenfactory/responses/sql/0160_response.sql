select shared.create_domain_schema('tokenfactory_responses');

-- A scope's key, wrapped by a master key that the database never sees. Without it what it sealed does not open.
create table tokenfactory_responses.response_key (
  scope ltree primary key,
  version integer not null check (version >= 1),
  wrapped bytea not null,
  master_key_id text collate "C" not null,
  created_at timestamptz not null default now()
);
create index on tokenfactory_responses.response_key (master_key_id);

-- Sealed with its scope's key. `scope` is where the key lives that made it.
create table tokenfactory_responses.response (
  response_id text collate "C" primary key check (length(response_id) between 1 and 128),
  scope ltree not null references tokenfactory_responses.response_key (scope) on delete cascade,
  previous_id text collate "C",
  key_uid uuid not null,
  model text not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  size integer not null,
  nonce bytea not null check (length(nonce) = 12),
  ciphertext bytea not null
);
create index on tokenfactory_responses.response (scope);
create index on tokenfactory_responses.response (expires_at);

alter table tokenfactory_responses.response_key enable row level security;
alter table tokenfactory_responses.response_key force row level security;
alter table tokenfactory_responses.response enable row level security;
alter table tokenfactory_responses.response force row level security;

grant select, insert on tokenfactory_responses.response_key to ironworks_gateway;
grant select, insert, delete on tokenfactory_responses.response to ironworks_gateway;
grant select, update, delete on tokenfactory_responses.response_key to ironworks_worker;
grant select (response_id, scope, expires_at), delete on tokenfactory_responses.response to ironworks_worker;
