select shared.create_domain_schema('platform_secrets');

-- One key per scope and version, wrapped by a master key that the database never sees. The highest version seals what
-- is written; lower ones stay until nothing is sealed with them any more.
create table platform_secrets.data_key (
  scope ltree not null,
  version integer not null check (version >= 1),
  wrapped bytea not null check (length(wrapped) = 60),
  master_key_id text collate "C" not null,
  created_at timestamptz not null default clock_timestamp(),
  rotate_requested_at timestamptz,
  primary key (scope, version)
);
create index on platform_secrets.data_key (master_key_id);

create table platform_secrets.secret (
  owner uuid not null,
  pointer text collate "C" not null check (length(pointer) between 1 and 512),
  scope ltree not null,
  key_version integer not null,
  nonce bytea not null check (length(nonce) = 12),
  ciphertext bytea not null,
  updated_at timestamptz not null default clock_timestamp(),
  primary key (owner, pointer),
  foreign key (scope, key_version) references platform_secrets.data_key (scope, version) on delete restrict
);
create index on platform_secrets.secret (scope, key_version);

alter table platform_secrets.data_key enable row level security;
alter table platform_secrets.data_key force row level security;
alter table platform_secrets.secret enable row level security;
alter table platform_secrets.secret force row level security;

-- The API writes secrets and cannot read one back: it has no right to `nonce` and `ciphertext`.
grant select (owner, pointer, scope, key_version, updated_at), insert, delete,
      update (scope, key_version, nonce, ciphertext, updated_at)
  on platform_secrets.secret to ironworks_api;
grant insert (scope, version, wrapped, master_key_id),
      select (scope, version, master_key_id, created_at, rotate_requested_at), update (rotate_requested_at)
  on platform_secrets.data_key to ironworks_api;
grant select, insert, update, delete on platform_secrets.secret, platform_secrets.data_key to ironworks_worker;
grant select on platform_secrets.secret, platform_secrets.data_key to ironworks_gateway;
grant select, update on platform_secrets.data_key to ironworks_system;
