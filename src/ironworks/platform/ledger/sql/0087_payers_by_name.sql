-- Who owes anything, one account after the other: in the order of paths, `acme-eu` lies between `acme` and `acme.shop`.
create index on platform_ledger.ledger_account (split_part(path, '.', 1)) where purpose = 'receivable';
