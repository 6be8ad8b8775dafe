-- Sums and histograms of charged usage: by the minute for what happens now, by the hour for what happened.
select shared.create_domain_schema('tokenfactory_analytics');

-- `series` is made of the columns from scope to endpoint, so that the key that every batch looks up is short. The
-- subscripts of latency and first_token are the histogram's cells (see model.cell_of): an array holds those from the
-- first to the last that is not zero. Room is left on each page, because rows change with every batch.
create table tokenfactory_analytics.hourly (
  series uuid not null,
  bucket timestamptz not null,
  scope ltree not null,
  path text collate "C" not null generated always as (ltree2text(scope)) stored,
  key_uid uuid,
  route_uid uuid,
  route text not null,
  model text not null,
  endpoint text not null,
  requests bigint not null default 0,
  client_errors bigint not null default 0,
  server_errors bigint not null default 0,
  cost_nano numeric not null default 0,
  input_tokens bigint not null default 0,
  cached_input_tokens bigint not null default 0,
  input_audio_tokens bigint not null default 0,
  output_tokens bigint not null default 0,
  reasoning_tokens bigint not null default 0,
  output_audio_tokens bigint not null default 0,
  speech_characters bigint not null default 0,
  audio_seconds bigint not null default 0,
  rerank_documents bigint not null default 0,
  images bigint not null default 0,
  cached_responses bigint not null default 0,
  latency int[] not null,
  first_token int[] not null,
  primary key (series, bucket)
) with (fillfactor = 70);
create index on tokenfactory_analytics.hourly (path, bucket);
create index on tokenfactory_analytics.hourly (bucket);

create table tokenfactory_analytics.minutely (
  like tokenfactory_analytics.hourly including defaults including generated including storage,
  primary key (series, bucket)
) with (fillfactor = 70);
create index on tokenfactory_analytics.minutely (path, bucket);
create index on tokenfactory_analytics.minutely (bucket);

-- What was charged before this table was there is counted once, scope by scope, by the worker. `before`: gateways of the
-- release before may go on for a while after the migration. `reached`: the last scope that is done.
create table tokenfactory_analytics.history (
  one boolean primary key default true check (one),
  before timestamptz not null default now() + interval '1 hour',
  reached text collate "C",
  done boolean not null default false
);
insert into tokenfactory_analytics.history default values;

alter table tokenfactory_analytics.history enable row level security;
alter table tokenfactory_analytics.history force row level security;
alter table tokenfactory_analytics.hourly enable row level security;
alter table tokenfactory_analytics.hourly force row level security;
alter table tokenfactory_analytics.minutely enable row level security;
alter table tokenfactory_analytics.minutely force row level security;

-- The gateway adds to rows of every tenant, and must see a row to add to it.
grant select, insert, update on tokenfactory_analytics.hourly, tokenfactory_analytics.minutely to ironworks_gateway;
grant select, insert, update, delete on tokenfactory_analytics.hourly, tokenfactory_analytics.minutely
  to ironworks_worker;
grant select on tokenfactory_analytics.hourly, tokenfactory_analytics.minutely to ironworks_api;
grant select, update (reached, done) on tokenfactory_analytics.history to ironworks_worker;
