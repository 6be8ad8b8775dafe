"""Ledger: who owes whom, as transfers that are never changed.

Owns: ledger accounts, transfers, and balances, which are their sums.
Never: decides what something costs, or why money moves; updates or deletes a transfer.
Invariants: every transfer debits one ledger account and credits another with the same positive amount in the same
currency, so all balances of a currency add up to zero; money moves only between a scope and one at or above it, so a
transfer is seen by exactly those who may see the lower one's bill; a mistake is corrected by one reversing transfer
that names what it corrects.
"""

from ironworks.platform.ledger.model import (
    AccountName,
    AlreadyReversed,
    Balance,
    NewTransfer,
    Posting,
    Purpose,
    Transfer,
    TransferKind,
)
from ironworks.platform.ledger.service import (
    get_balances,
    list_payers,
    list_postings,
    list_transfers,
    post_transfer,
    post_transfers,
    reverse_transfer,
)

__all__ = [
    "AccountName",
    "AlreadyReversed",
    "Balance",
    "NewTransfer",
    "Posting",
    "Purpose",
    "Transfer",
    "TransferKind",
    "get_balances",
    "list_payers",
    "list_postings",
    "list_transfers",
    "post_transfer",
    "post_transfers",
    "reverse_transfer",
]
