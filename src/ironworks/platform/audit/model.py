"""Records, the chain that binds them, and the pure rule that finds the first link which does not hold.

The bytes a hash is made of are written here a second time, apart from the SQL that seals (`sql/policy.sql`), so that
a fault or a fraud in the one shows in the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

from ironworks.shared.errors import Invalid
from ironworks.shared.path import OPERATOR

READ: Final = "audit:read"
VERIFY: Final = "audit:verify"
ACCESS_DENIED: Final = "access.denied"
ABOVE_PLATFORMS: Final = "-"
"""The chain of what happens at the operator's scope and at accounts."""

Result: TypeAlias = Literal["ok", "denied", "failed"]
RESULTS: Final[tuple[Result, ...]] = ("ok", "denied", "failed")
Problem: TypeAlias = Literal["altered", "missing", "reordered", "head"]

GENESIS: Final = bytes(32)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_TEXT: Final = 512


class BadResult(Invalid):
    """A result that is none of ok, denied, failed."""

    code = "UNKNOWN_AUDIT_RESULT"


@dataclass(frozen=True, slots=True)
class NewRecord:
    """What something was done to, and how it is since; `after` must hold no secret."""

    target_type: str
    target_id: str
    scope: str
    after: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that was done, or denied. `chain_seq` is None until it is sealed; `before`, `after` are JSON texts."""

    platform: str
    chain_seq: int | None
    uid: UUID
    occurred_at: datetime
    actor_uid: UUID | None
    actor_kind: str
    actor: str
    address: str
    action: str
    target_type: str
    target_id: str
    path: str
    result: str
    correlation_id: str
    client_request_id: str | None
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """A record with its links, every column as stored. `before` and `after` are Postgres' own text of the jsonb."""

    platform: str
    chain_seq: int
    previous_hash: bytes
    hash: bytes
    sealed_at: datetime
    uid: UUID
    occurred_at: datetime
    actor_uid: UUID | None
    actor_kind: str
    actor: str
    address: str
    action: str
    target_type: str
    target_id: str
    scope: str
    path: str
    result: str
    correlation_id: str
    client_request_id: str | None
    before: str | None
    after: str | None

    def canonical(self) -> bytes:
        """The bytes that `hash` is the SHA-256 of: each column but `hash` as `<length in bytes>:<text>;`."""
        columns = (
            self.platform,
            str(self.chain_seq),
            self.previous_hash.hex(),
            _micros(self.sealed_at),
            str(self.uid),
            _micros(self.occurred_at),
            None if self.actor_uid is None else str(self.actor_uid),
            self.actor_kind,
            self.actor,
            self.address,
            self.action,
            self.target_type,
            self.target_id,
            self.scope,
            self.path,
            self.result,
            self.correlation_id,
            self.client_request_id,
            self.before,
            self.after,
        )
        return b"ironworks.audit.v1;" + b"".join(map(_field, columns))

    def expected_hash(self) -> bytes:
        """What `hash` must be."""
        return hashlib.sha256(self.canonical()).digest()


@dataclass(frozen=True, slots=True)
class ChainHead:
    """Where a chain ends."""

    platform: str
    chain_seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Anchor:
    """A head that somebody noted outside of the database: the chain must still lead through it."""

    chain_seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class BadRecord:
    """The first place where a chain does not hold."""

    chain_seq: int
    problem: Problem
    message: str
    uid: UUID | None = None


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What verifying one chain found. `head` is the hash to note as an anchor for the next time."""

    platform: str
    records: int
    head: str
    bad: BadRecord | None

    @property
    def ok(self) -> bool:
        return self.bad is None


@dataclass(frozen=True, slots=True)
class TrailQuery:
    """Which records to list: those of `path` and below, newest first. `after` is the last (time, uid) seen.

    `action`: one, or all that begin so where it ends in `*`.
    """

    path: str
    action: str | None = None
    actor: str | None = None
    result: Result | None = None
    target_type: str | None = None
    target: str | None = None
    uid: UUID | None = None
    correlation_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: tuple[datetime, UUID] | None = None
    limit: int = 100


class Chain:
    """Verifies one chain as its records come, in order of `chain_seq`; `bad` holds the first that fails."""

    def __init__(self, platform: str, anchor: Anchor | None = None) -> None:
        self.platform = platform
        self.records = 0
        self.last = GENESIS
        self.bad: BadRecord | None = None
        self._anchor = anchor

    def feed(self, records: Iterable[SealedRecord]) -> None:
        """Go on with the next records; stops at the first bad one."""
        for record in records:
            self.bad = self.bad or self._problem(record)
            if self.bad:
                return
            self.records = record.chain_seq
            self.last = record.hash

    def finish(self, head: ChainHead | None, beyond: int | None) -> ChainReport:
        """Compare where the records end with where the chain says it ends.

        Args:
            head: the chain's noted end, read before the records up to it.
            beyond: the number of a record past the noted end, if there is one.
        """
        self.bad = self.bad or self._end_problem(head, beyond)
        return ChainReport(self.platform, self.records, self.last.hex(), self.bad)

    def _problem(self, record: SealedRecord) -> BadRecord | None:
        wanted = self.records + 1
        if record.chain_seq > wanted:
            gap = str(wanted) if record.chain_seq == wanted + 1 else f"{wanted} to {record.chain_seq - 1}"
            return BadRecord(wanted, "missing", f"record {gap} is missing")
        if record.chain_seq < wanted:
            return BadRecord(record.chain_seq, "reordered", "its number is out of order", record.uid)
        if record.previous_hash != self.last:
            return BadRecord(wanted, "reordered", "it does not follow the record before it", record.uid)
        if record.hash != record.expected_hash():
            return BadRecord(wanted, "altered", "its content is not what was sealed", record.uid)
        if record.platform != self.platform or record.path != record.scope or chain_of(record.path) != self.platform:
            return BadRecord(wanted, "altered", "it belongs to another chain", record.uid)
        if self._anchor and self._anchor.chain_seq == wanted and self._anchor.hash != record.hash:
            return BadRecord(wanted, "altered", "it is not the record that was noted", record.uid)
        return None

    def _end_problem(self, head: ChainHead | None, beyond: int | None) -> BadRecord | None:
        end = max(head.chain_seq if head else 0, self._anchor.chain_seq if self._anchor else 0)
        if end > self.records:
            return BadRecord(self.records + 1, "missing", f"the chain ends before it and reached to {end}")
        if head and head.hash != self.last:
            return BadRecord(end, "head", "the chain's noted end is not its last record")
        if beyond is not None:
            return BadRecord(beyond, "head", f"the chain is noted to end at {end} and goes on")
        return None


def chain_of(path: str) -> str:
    """The chain that records at `path` belong to: the platform's, or `-` above platforms."""
    labels = path.split(".")
    return ".".join(labels[:2]) if len(labels) >= 2 else ABOVE_PLATFORMS


def scope_of(platform: str) -> str:
    """The scope at which a chain's records, all of them, lie or lie below."""
    return OPERATOR if platform == ABOVE_PLATFORMS else platform


def clean(text: str) -> str:
    """`text` as it can be stored and shown: no control characters, at most 512 characters.

    Much of it comes from callers who were refused: nothing they send may break the record of it.
    """
    shown = text.encode("utf-8", "replace").decode("utf-8")
    shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in shown)
    return shown if len(shown) <= _MAX_TEXT else shown[: _MAX_TEXT - 1] + "…"


def clean_json(value: Any) -> Any:
    """`value` without what jsonb cannot hold: NUL characters and halves of surrogate pairs."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\N{REPLACEMENT CHARACTER}")
    if isinstance(value, dict):
        return {clean_json(str(key)): clean_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean_json(item) for item in value]
    return value


def _field(value: str | None) -> bytes:
    if value is None:
        return b"-;"
    encoded = value.encode()
    return b"%d:%b;" % (len(encoded), encoded)


def _micros(moment: datetime) -> str:
    return str((moment - _EPOCH) // timedelta(microseconds=1))
