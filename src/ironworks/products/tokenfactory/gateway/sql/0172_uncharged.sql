-- How far the charge of a process's usage is behind.
alter table tokenfactory_gateway.process
  add column waiting_bytes bigint not null default 0,
  add column lag_seconds double precision not null default 0;
drop function if exists
  tokenfactory_gateway.report_health(uuid, text, integer, timestamptz, boolean, text, jsonb, jsonb);
