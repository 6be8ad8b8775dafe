select shared.create_domain_schema('platform_registry');

-- One row per registry version: every change of any entry makes the next one. Governed events carry its number.
create table platform_registry.registry_version (
  version bigint primary key,
  cause text not null check (cause in ('sync', 'enable', 'disable')),
  changed_at timestamptz not null default clock_timestamp()
);

create table platform_registry.entry (
  category text not null,
  name text collate "C" not null check (length(name) between 1 and 128),
  source text not null,
  version integer not null check (version >= 1),
  body jsonb not null,
  enabled boolean not null default true,
  declared boolean not null default true,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  primary key (category, name)
);
comment on column platform_registry.entry.source is 'the domain that declares it';
comment on column platform_registry.entry.enabled is 'the operator''s switch; a sync leaves it as it is';
comment on column platform_registry.entry.declared is 'false once its domain no longer declares it: kept for the records that name it';

-- What an entry said at each of its versions, so that an old record can be read as it was meant.
create table platform_registry.entry_version (
  category text not null,
  name text collate "C" not null,
  version integer not null,
  registry_version bigint not null references platform_registry.registry_version,
  source text not null,
  body jsonb not null,
  enabled boolean not null,
  declared boolean not null,
  primary key (category, name, version),
  foreign key (category, name) references platform_registry.entry
);

-- No tenant's data here: every process may read what words exist. Writing goes through the functions of policy.sql.
grant select on platform_registry.registry_version, platform_registry.entry, platform_registry.entry_version
  to ironworks_api, ironworks_worker, ironworks_gateway, ironworks_system;
grant insert on platform_registry.registry_version, platform_registry.entry_version to ironworks_system;
grant insert, update on platform_registry.entry to ironworks_system;
