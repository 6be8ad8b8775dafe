-- A close goes through a scope's transfers in the order in which they were posted.
create index on platform_ledger.transfer (path, posted_at, id);
