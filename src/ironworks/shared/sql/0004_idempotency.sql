-- Answers kept for a repeated Idempotency-Key, written in the transaction of the effect itself.
create table shared.idempotency (
  subject uuid not null,
  method text not null,
  path text not null,
  key text not null,
  body_hash bytea not null,
  status int,
  response bytea,
  uid text,
  created_at timestamptz not null default now(),
  primary key (subject, method, path, key)
);
create index on shared.idempotency (created_at);
alter table shared.idempotency enable row level security;
alter table shared.idempotency force row level security;
create policy own on shared.idempotency to ironworks_api using (subject = shared.subject()) with check (subject = shared.subject());
create policy worker on shared.idempotency to ironworks_worker using (true);
grant select, insert, update (status, response, uid) on shared.idempotency to ironworks_api;
grant select, delete on shared.idempotency to ironworks_worker;
