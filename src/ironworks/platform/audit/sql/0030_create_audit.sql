select shared.create_domain_schema('platform_audit');

-- The chain a record belongs to: its platform, or '-' above platforms.
create function platform_audit.chain_of(scope ltree) returns text
language sql immutable parallel safe
return case when nlevel(scope) >= 2 then ltree2text(subltree(scope, 0, 2)) else '-' end;
grant execute on function platform_audit.chain_of(ltree)
  to ironworks_system, ironworks_api, ironworks_worker, ironworks_gateway;

-- Records as their transactions leave them. Nothing here waits for anybody; the sealer moves them on.
create table platform_audit.pending (
  uid uuid primary key default gen_random_uuid(),
  occurred_at timestamptz not null,
  actor_uid uuid,
  actor_kind text not null,
  actor text not null,
  address text not null,
  action text not null,
  target_type text not null,
  target_id text not null,
  scope ltree not null,
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  platform text collate "C" not null generated always as (platform_audit.chain_of(scope)) stored,
  result text not null check (result in ('ok', 'denied', 'failed')),
  correlation_id text not null,
  client_request_id text,
  before jsonb,
  after jsonb
);
create index on platform_audit.pending (occurred_at, uid);

-- Sealed records: one chain per platform, without gaps. Never changed, by nobody.
create table platform_audit.record (
  platform text collate "C" not null,
  chain_seq bigint not null check (chain_seq >= 1),
  previous_hash bytea not null check (length(previous_hash) = 32),
  hash bytea not null check (length(hash) = 32),
  sealed_at timestamptz not null,
  uid uuid not null unique,
  occurred_at timestamptz not null,
  actor_uid uuid,
  actor_kind text not null,
  actor text not null,
  address text not null,
  action text not null,
  target_type text not null,
  target_id text not null,
  scope ltree not null,
  path text collate "C" not null,
  result text not null,
  correlation_id text not null,
  client_request_id text,
  before jsonb,
  after jsonb,
  primary key (platform, chain_seq)
);
create index on platform_audit.record (platform, occurred_at desc, uid desc);
create index on platform_audit.record (occurred_at desc, uid desc);
create index on platform_audit.record (correlation_id);

-- Where each chain ends, so that a cut-off tail is noticed.
create table platform_audit.chain_head (
  platform text collate "C" primary key,
  scope ltree not null,
  chain_seq bigint not null,
  hash bytea not null,
  sealed_at timestamptz not null
);

create function platform_audit.refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'audit records are never changed or removed' using errcode = 'IW403';
end $$;
create trigger append_only before update or delete on platform_audit.record
  for each row execute function platform_audit.refuse_change();
create trigger append_only_all before truncate on platform_audit.record
  for each statement execute function platform_audit.refuse_change();
create trigger never_changed before update on platform_audit.pending
  for each row execute function platform_audit.refuse_change();

alter table platform_audit.pending enable row level security;
alter table platform_audit.pending force row level security;
alter table platform_audit.record enable row level security;
alter table platform_audit.record force row level security;
alter table platform_audit.chain_head enable row level security;
alter table platform_audit.chain_head force row level security;

grant select on platform_audit.pending, platform_audit.record, platform_audit.chain_head to ironworks_api;
grant insert (occurred_at, actor_uid, actor_kind, actor, address, action, target_type, target_id, scope, result,
              correlation_id, client_request_id, before, after)
  on platform_audit.pending to ironworks_api, ironworks_worker, ironworks_gateway;
grant select, update, delete on platform_audit.pending to ironworks_system;
grant select, insert on platform_audit.record to ironworks_system;
grant select, insert, update on platform_audit.chain_head to ironworks_system;
