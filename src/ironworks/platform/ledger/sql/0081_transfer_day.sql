-- The day, in UTC, that a transfer belongs to; for those of before it is the one on which they were posted. (No row is
-- ever updated, so the values come with the column.)
alter table platform_ledger.transfer
  add column day date not null generated always as ((posted_at at time zone 'utc')::date) stored;
alter table platform_ledger.transfer alter column day drop expression;
