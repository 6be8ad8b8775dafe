-- What was posted since a transaction is read for snapshots alone, and is young: it need not be in the index with its
-- amounts. With them the index was taken for balances too, of which it read everybody's transfers for each account.
drop index platform_ledger.transfer_posted_in_debit_account_credit_account_amount_nano_idx;
create index transfer_posted_in on platform_ledger.transfer (posted_in);
