-- Accounts, platforms and tenants: one tree of scopes, and the register of every path that ever named one.

select shared.create_domain_schema('platform_tenancy');
select shared.create_kind_table('Account', 'platform_tenancy.account', node => true);
select shared.create_kind_table('Platform', 'platform_tenancy.platform', node => true);
select shared.create_kind_table('Tenant', 'platform_tenancy.tenant', node => true);

-- A row is never removed: it is the tombstone that keeps a newcomer from inheriting invoices and grants. `phase` is the
-- truth that stops a suspended platform at once; controllers copy it to the resource's status.
create table platform_tenancy.node_path (
  path ltree primary key check (nlevel(path) between 1 and 8),
  uid uuid not null unique,
  kind text not null check (kind in ('Account', 'Platform', 'Tenant')),
  external_id text collate "C" unique check (external_id ~ '^[a-z0-9]{10}$'),
  phase text not null,
  phase_since timestamptz not null default now(),
  reason text not null default '' check (length(reason) <= 500),
  ends_at timestamptz,
  claimed_at timestamptz not null default now(),
  closed_at timestamptz,
  check ((kind = 'Platform') = (external_id is not null))
);
comment on column platform_tenancy.node_path.ends_at is 'when a pending cancellation takes effect';
comment on column platform_tenancy.node_path.closed_at is 'when deletion was requested; from then on nothing may enter';
create index on platform_tenancy.node_path (ends_at) where phase = 'pending_cancellation';
-- What platform_tenancy.halted says, in the same words: few nodes, asked about by every use of a key.
create index node_path_halted on platform_tenancy.node_path using gist (path)
  where closed_at is not null or phase in ('suspended', 'cancelled', 'deleted')
     or (kind = 'Account' and phase = 'pending');

alter table platform_tenancy.node_path enable row level security;
alter table platform_tenancy.node_path force row level security;
grant select, insert, update on platform_tenancy.node_path to ironworks_system;
grant select, update (phase, phase_since, reason, ends_at) on platform_tenancy.node_path to ironworks_api, ironworks_worker;

-- Whether keys may act in a scope: false in what is suspended, cancelled, being deleted or not yet verified. Asked by
-- whoever turns a key into rights; the answer is bound when it is called.
create function shared.scope_running(scope ltree) returns boolean
language plpgsql stable set search_path = pg_catalog, public, pg_temp as $$
begin
  return platform_tenancy.scope_running(scope);
end $$;
grant execute on function shared.scope_running(ltree)
  to ironworks_api, ironworks_worker, ironworks_gateway, ironworks_system;
