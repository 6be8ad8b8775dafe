"""Ledger: who owes whom, as transfers that are never changed.

Owns: ledger accounts, transfers, and balances, which are their sums; kept balances (`snapshots.py`), which are checked
against them; prepaid credit: its grants, their use and expiry (`prepaid.py`, `holdings.py`, pure rules in `credit.py`),
and the state of accounts that pay beforehand (`standing.py`); sums for reports (`totals.py`).
Never: decides what something costs, or why money moves; updates or deletes a transfer.
Invariants: every transfer debits one ledger account and credits another with the same positive amount in the same
currency, so all balances of a currency add up to zero; money moves only between a scope and one at or above it, so a
transfer is seen by exactly those who may see the lower one's bill; a mistake is corrected by one reversing transfer
that names what it corrects; a balance is exact whether or not snapshots help to find it; what remains of an account's
grants adds up to its ledger account `credit`.
"""

from ironworks.platform.ledger.credit import (
    CreditBalance,
    CreditGrant,
    CreditSource,
    CreditState,
    CreditTerms,
    CreditUsedUp,
    PrepaidAccount,
    ReferenceUsed,
    Standing,
)
from ironworks.platform.ledger.events import CreditExpired, CreditGranted, CreditStateChanged, SnapshotMismatch
from ironworks.platform.ledger.model import (
    AccountName,
    AlreadyReversed,
    Balance,
    Mismatch,
    NewTransfer,
    Posting,
    PostingQuery,
    Purpose,
    Transfer,
    TransferKind,
    new_transfer_id,
)
from ironworks.platform.ledger.prepaid import (
    expire_credit,
    grant_credit,
    list_credited,
    list_grants,
    return_credit,
    usable_credit,
    use_credit,
)
from ironworks.platform.ledger.service import (
    check_may_post,
    find_correction,
    get_balances,
    list_currencies,
    list_payers,
    list_postings,
    list_transfers,
    post_transfer,
    post_transfers,
    reverse_transfer,
    take_snapshots,
    verify_snapshots,
)
from ironworks.platform.ledger.standing import (
    get_credit,
    list_credit,
    list_prepaid,
    remove_prepaid,
    require_credit,
    review_credit,
    set_prepaid,
)
from ironworks.platform.ledger.totals import EARNED_BY, MoneySum, sum_earned, sum_owed

__all__ = [
    "EARNED_BY",
    "AccountName",
    "AlreadyReversed",
    "Balance",
    "CreditBalance",
    "CreditExpired",
    "CreditGrant",
    "CreditGranted",
    "CreditSource",
    "CreditState",
    "CreditStateChanged",
    "CreditTerms",
    "CreditUsedUp",
    "Mismatch",
    "MoneySum",
    "NewTransfer",
    "Posting",
    "PostingQuery",
    "PrepaidAccount",
    "Purpose",
    "ReferenceUsed",
    "SnapshotMismatch",
    "Standing",
    "Transfer",
    "TransferKind",
    "check_may_post",
    "expire_credit",
    "find_correction",
    "get_balances",
    "get_credit",
    "grant_credit",
    "list_credit",
    "list_credited",
    "list_currencies",
    "list_grants",
    "list_payers",
    "list_postings",
    "list_prepaid",
    "list_transfers",
    "new_transfer_id",
    "post_transfer",
    "post_transfers",
    "remove_prepaid",
    "require_credit",
    "return_credit",
    "reverse_transfer",
    "review_credit",
    "set_prepaid",
    "sum_earned",
    "sum_owed",
    "take_snapshots",
    "usable_credit",
    "use_credit",
    "verify_snapshots",
]
