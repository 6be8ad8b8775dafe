-- When an endpoint that may sleep was last asked for something, and how often it was asked to wake.
create table inference_endpoints.activity (
  endpoint uuid primary key references inference_endpoints.endpoint (uid) on delete cascade,
  last_used_at timestamptz,
  woken_at timestamptz,
  wakes bigint not null default 0,
  slept_after bigint not null default 0 check (slept_after <= wakes)
) with (fillfactor = 70);
comment on column inference_endpoints.activity.wakes is 'a count, since clocks cannot tell which of two was first';
comment on column inference_endpoints.activity.slept_after is 'what wakes was when it was last sent to sleep';
alter table inference_endpoints.activity enable row level security;
alter table inference_endpoints.activity force row level security;
grant select, insert, update on inference_endpoints.activity to ironworks_system, ironworks_worker;

-- The field is new; those that were there keep serving.
update inference_endpoints.endpoint e
  set spec = jsonb_set(e.spec, '{replicas,scale_to_zero_after_seconds}', 'null')
  where e.spec -> 'replicas' is not null and not e.spec -> 'replicas' ? 'scale_to_zero_after_seconds';
