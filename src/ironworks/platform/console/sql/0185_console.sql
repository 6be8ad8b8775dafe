-- What a console is made of besides what was built into it, and which platform has which of its features.
select shared.create_domain_schema('platform_console');

create table platform_console.feature_module (
  digest text collate "C" primary key check (digest ~ '^[0-9a-f]{96}$'),
  content bytea not null check (length(content) between 1 and 921600)
);
comment on column platform_console.feature_module.digest is 'SHA-384 of the content, in hex';

create table platform_console.feature (
  id text collate "C" primary key check (length(id) <= 63),
  manifest jsonb not null,
  digest text collate "C" not null references platform_console.feature_module (digest),
  registered_by text not null,
  registered_at timestamptz not null
);

create table platform_console.feature_switch (
  scope ltree not null check (nlevel(scope) = 2),
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  feature text collate "C" not null check (length(feature) <= 63),
  enabled boolean not null,
  set_by text not null,
  set_at timestamptz not null,
  primary key (path, feature)
);

do $$
declare
  t text;
begin
  foreach t in array array['feature_module', 'feature', 'feature_switch'] loop
    execute format('alter table platform_console.%I enable row level security', t);
    execute format('alter table platform_console.%I force row level security', t);
  end loop;
end $$;
grant select on platform_console.feature_module to ironworks_system;
grant select, insert, update, delete on platform_console.feature, platform_console.feature_module to ironworks_api;
grant select, insert, update on platform_console.feature_switch to ironworks_api;
