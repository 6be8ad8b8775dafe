-- People look through transfers of all scopes from the newest on.
create index on platform_ledger.transfer (posted_at, id);
