-- How a request went, for who looks at it: never counted, and no part of what tells two events apart.
alter table platform_metering.usage_event add column course jsonb check (jsonb_typeof(course) = 'object');
comment on column platform_metering.usage_event.course is
  'duration_ms, first_byte_ms, tries, streamed (1 or 0); null for what did not come through a gateway';
