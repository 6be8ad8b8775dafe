-- The day, in UTC, on which a line's quantity was used, and the model. Lines of before have the day on which they were
-- rated (no row is ever updated, so the values come with the column), and no model.
alter table platform_pricing.rated_line
  add column day date not null generated always as ((rated_at at time zone 'utc')::date) stored,
  add column model text collate "C";
alter table platform_pricing.rated_line alter column day drop expression;
