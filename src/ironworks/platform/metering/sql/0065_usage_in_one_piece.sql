-- What is recorded at once is handed in as one list of these, not as a list for each column, which takes a fraction of
-- the time to write and to read. JSON comes as text: a list of jsonb would be read six times slower than it is cast.
create type platform_metering.new_claim as (event_id text, digest bytea, claimed_at timestamptz);
create type platform_metering.new_usage as (
  event_id text,
  occurred_at timestamptz,
  scope text,
  quantities text,
  model text,
  route text,
  endpoint_uid uuid,
  endpoint_name text,
  endpoint_scope text,
  key_uid uuid,
  counted boolean,
  client_request_id text,
  dimensions text,
  priced_at timestamptz,
  metadata text,
  route_uid uuid,
  end_user text,
  cached_answer boolean,
  course text
);
