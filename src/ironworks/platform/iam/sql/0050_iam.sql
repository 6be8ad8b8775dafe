-- Who is there, what each may do and how each proves who it is.

select shared.create_domain_schema('platform_iam');
select shared.create_kind_table('User', 'platform_iam.user', reconciled => false);
select shared.create_kind_table('ServiceAccount', 'platform_iam.service_account', reconciled => false);
select shared.create_kind_table('Role', 'platform_iam.role', inherited => true, reconciled => false);
select shared.create_kind_table('RoleAssignment', 'platform_iam.role_assignment', reconciled => false,
  refs => '{"role": "platform_iam.role"}');
select shared.create_kind_table('ApiKey', 'platform_iam.api_key');

-- What policies ask about, in the shape they ask: plain tables that triggers keep from the kinds above. Nobody but the
-- functions of this domain reads or writes them.

create table platform_iam.principal (
  uid uuid primary key,
  kind text not null check (kind in ('user', 'service_account', 'api_key')),
  scope ltree not null,
  name text not null,
  active boolean not null,
  owner uuid references platform_iam.principal (uid) on delete cascade,
  permissions text[],
  expires_at timestamptz,
  check ((kind = 'api_key') = (owner is not null))
);
comment on column platform_iam.principal.name is 'a user''s e-mail address in lower case; else path/name';
comment on column platform_iam.principal.permissions is 'of a key: all it may use of its owner''s; null: everything';
create unique index user_address on platform_iam.principal (name) where kind = 'user';
create unique index service_account_name on platform_iam.principal (name) where kind = 'service_account';
create index on platform_iam.principal (owner);

create table platform_iam.binding (
  assignment uuid primary key,
  subject uuid not null references platform_iam.principal (uid) on delete cascade,
  scope ltree not null,
  role uuid not null
);
create index on platform_iam.binding (subject, scope, role);
create index on platform_iam.binding (role);

create table platform_iam.role_permission (
  role uuid not null,
  permission text collate "C" not null,
  primary key (role, permission)
);
create index on platform_iam.role_permission (permission, role);

create table platform_iam.preset (
  role uuid primary key references platform_iam.role (uid),
  name text not null unique
);

-- Credentials. Secrets are here only as hashes.

create table platform_iam.password (
  user_uid uuid primary key references platform_iam.principal (uid) on delete cascade,
  hash text not null,
  changed_at timestamptz not null
);

create table platform_iam.session (
  id uuid primary key,
  user_uid uuid not null references platform_iam.principal (uid) on delete cascade,
  address text not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  ended_at timestamptz,
  end_reason text
);
create index on platform_iam.session (user_uid);
create index on platform_iam.session (expires_at);

create table platform_iam.refresh_token (
  hash bytea primary key check (length(hash) = 32),
  session uuid not null references platform_iam.session (id) on delete cascade,
  issued_at timestamptz not null,
  used_at timestamptz
);
create index on platform_iam.refresh_token (session);

create table platform_iam.login_guard (
  guard text primary key,
  failures int not null,
  last_attempt timestamptz not null,
  blocked_until timestamptz
);
create index on platform_iam.login_guard (last_attempt);

create table platform_iam.key_material (
  key uuid primary key references platform_iam.principal (uid) on delete cascade,
  hash bytea not null unique check (length(hash) = 32),
  previous_hash bytea unique check (length(previous_hash) = 32),
  previous_until timestamptz,
  issued_at timestamptz not null,
  last_used_at timestamptz,
  check ((previous_hash is null) = (previous_until is null))
);

-- Public halves only: each process signs with a key of its own that never leaves its memory.
create table platform_iam.signing_key (
  kid text primary key,
  process text not null,
  public_key bytea not null check (length(public_key) = 32),
  published_at timestamptz not null,
  verifies_until timestamptz not null
);
create index on platform_iam.signing_key (verifies_until);

create table platform_iam.signup (
  uid uuid primary key,
  email text not null,
  display_name text,
  password_hash text not null,
  account uuid not null,
  account_name text not null,
  token_hash bytea unique check (length(token_hash) = 32),
  token_expires_at timestamptz,
  sent_at timestamptz,
  created_at timestamptz not null,
  verified_at timestamptz
);
create index on platform_iam.signup (email);

do $$
declare
  t text;
begin
  foreach t in array array['principal', 'binding', 'role_permission', 'preset', 'password', 'session', 'refresh_token',
                           'login_guard', 'key_material', 'signing_key', 'signup'] loop
    execute format('alter table platform_iam.%I enable row level security', t);
    execute format('alter table platform_iam.%I force row level security', t);
    execute format('create policy system on platform_iam.%I to ironworks_system using (true) with check (true)', t);
    execute format('grant select, insert, update, delete on platform_iam.%I to ironworks_system', t);
  end loop;
end $$;
