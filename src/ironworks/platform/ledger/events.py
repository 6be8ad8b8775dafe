"""What the ledger publishes. Amounts are whole nano-units (10⁻⁹) of the currency; `account` is a path."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from ironworks.shared.context import Event


class CreditGranted(Event):
    """An account got credit; `source` is `paid` or `promotion`."""

    type: ClassVar[str] = "platform.ledger.credit_granted.v1"
    governed: ClassVar[bool] = True
    grant_id: UUID
    account: str
    currency: str
    amount_nano: int
    source: str
    reference: str
    expires_at: datetime | None


class CreditExpired(Event):
    """So much of a grant expired unused."""

    type: ClassVar[str] = "platform.ledger.credit_expired.v1"
    governed: ClassVar[bool] = True
    grant_id: UUID
    account: str
    currency: str
    amount_nano: int


class CreditStateChanged(Event):
    """A prepaid account went from one state to another; `release_at`: when what runs is released, or was."""

    type: ClassVar[str] = "platform.ledger.credit_state_changed.v1"
    governed: ClassVar[bool] = True
    account: str
    currency: str
    before: str
    state: str
    available_nano: int
    release_at: datetime | None


class SnapshotMismatch(Event):
    """A kept balance does not agree with its transfers: somebody changed rows past the ledger. A person must look."""

    type: ClassVar[str] = "platform.ledger.snapshot_mismatch.v1"
    governed: ClassVar[bool] = True
    ledger_account: UUID
    scope: str
    kept_nano: int
    summed_nano: int
