"""The trail over HTTP: reading it, and having it verified."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import Annotated, Any, TypeAlias
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter

from ironworks.platform.audit import service
from ironworks.platform.audit.model import (
    ABOVE_PLATFORMS,
    READ,
    VERIFY,
    Anchor,
    ChainReport,
    Problem,
    Record,
    Result,
    TrailQuery,
    chain_of,
)
from ironworks.shared.context import Context
from ironworks.shared.errors import invalid
from ironworks.shared.http import Router
from ironworks.shared.listing import DEFAULT_PAGE, MAX_PAGE
from ironworks.shared.path import parse_path, show_path
from ironworks.shared.shapes import Shape

router = Router("platform.audit")

# Bounds within which any offset converts to UTC.
Moment: TypeAlias = Annotated[
    AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), le=datetime(9000, 1, 1, tzinfo=UTC))
]
_MOMENT = TypeAdapter[datetime](Moment)


class AuditQuery(BaseModel):
    """Which records to list; times are RFC 3339 with an offset."""

    model_config = ConfigDict(extra="forbid")
    action: str | None = Field(None, max_length=128, description="One, or with `*` at its end all that begin so.")
    actor: str | None = Field(None, max_length=512, description="As shown in a record.")
    result: Result | None = None
    target_type: str | None = Field(None, max_length=512, description="The kind of what it was done to.")
    target: str | None = Field(None, max_length=512, description="A record's `target_id`.")
    uid: UUID | None = Field(None, description="This one record.")
    correlation_id: str | None = Field(None, max_length=128, description="The id of the request that caused it.")
    since: Moment | None = Field(None, description="At or after.")
    until: Moment | None = Field(None, description="Before.")
    limit: int = Field(DEFAULT_PAGE, ge=1, le=MAX_PAGE)
    cursor: str | None = Field(None, max_length=512)


class RecordView(Shape):
    """One record; `chain_seq` is its number in the platform's chain, null for the second until it is sealed."""

    uid: UUID
    occurred_at: datetime
    actor: str
    actor_uid: UUID | None
    actor_kind: str
    address: str
    action: str
    target_type: str
    target_id: str
    scope: str
    result: str
    correlation_id: str
    client_request_id: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    platform: str
    chain_seq: int | None

    @classmethod
    def of(cls, record: Record) -> RecordView:
        return cls.show(
            record,
            scope=show_path(record.path),
            before=json.loads(record.before) if record.before else None,
            after=json.loads(record.after) if record.after else None,
        )


class RecordPage(BaseModel):
    """Records, newest first."""

    items: list[RecordView]
    next_cursor: str | None


class AnchorView(BaseModel):
    """A head noted at an earlier verification."""

    model_config = ConfigDict(extra="forbid")
    records: int = Field(ge=1, le=2**62)
    head: str = Field(pattern="^[0-9a-f]{64}$")


class VerifyRequest(BaseModel):
    """Which chain to verify; without a platform, all of them."""

    model_config = ConfigDict(extra="forbid")
    platform: str | None = Field(None, max_length=127, description="A platform's path, or `-` for all above platforms.")
    anchor: AnchorView | None = Field(None, description="Needs `platform`.")


class BadRecordView(BaseModel):
    """The first place where a chain does not hold."""

    chain_seq: int
    uid: UUID | None
    problem: Problem
    message: str


class ChainView(Shape):
    """One chain. Note `records` and `head` elsewhere: as `anchor` they reveal even a chain that was rebuilt."""

    platform: str
    ok: bool
    records: int
    head: str
    first_bad: BadRecordView | None

    @classmethod
    def of(cls, report: ChainReport) -> ChainView:
        bad = report.bad
        return cls.show(
            report,
            first_bad=bad
            and BadRecordView(chain_seq=bad.chain_seq, uid=bad.uid, problem=bad.problem, message=bad.message),
        )


class VerifyReport(BaseModel):
    """`ok` when every chain holds."""

    ok: bool
    chains: list[ChainView]


@router.get("/api/v1/scopes/{path}/audit", permission=READ, summary="List audit records of a scope and all below")
async def list_records(ctx: Context, path: str, query: AuditQuery) -> RecordPage:
    records = await service.list_records(
        ctx,
        TrailQuery(
            path=parse_path(path),
            action=query.action,
            actor=query.actor,
            result=query.result,
            target_type=query.target_type,
            target=query.target,
            uid=query.uid,
            correlation_id=query.correlation_id,
            since=query.since,
            until=query.until,
            after=_decode_cursor(query.cursor) if query.cursor else None,
            limit=query.limit + 1,
        ),
    )
    page = records[: query.limit]
    more = len(records) > query.limit
    return RecordPage(items=[RecordView.of(record) for record in page], next_cursor=_cursor(page[-1]) if more else None)


@router.post("/api/v1/audit:verify", permission=VERIFY, summary="Verify audit chains")
async def verify(ctx: Context, body: VerifyRequest) -> VerifyReport:
    if body.platform is None:
        if body.anchor:
            raise invalid("anchor", "belongs to one chain", "name its platform")
        reports = await service.verify_all(ctx)
    else:
        anchor = Anchor(body.anchor.records, bytes.fromhex(body.anchor.head)) if body.anchor else None
        reports = [await service.verify_chain(ctx, _platform(body.platform), anchor)]
    return VerifyReport(ok=all(report.ok for report in reports), chains=[ChainView.of(report) for report in reports])


def _platform(text: str) -> str:
    path = parse_path(text, "platform")
    if text != ABOVE_PLATFORMS and chain_of(path) != path:
        raise invalid("platform", f"{text!r} is not a platform's path", "write account.platform, or - for all above")
    return path or ABOVE_PLATFORMS


def _cursor(record: Record) -> str:
    text = f"{record.occurred_at.isoformat()} {record.uid}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode_cursor(cursor: str) -> tuple[datetime, UUID]:
    try:
        moment, uid = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split(" ")
        return _MOMENT.validate_python(moment), UUID(uid)
    except (binascii.Error, UnicodeDecodeError, ValueError) as problem:
        text = "take next_cursor from the page before, or leave it out"
        raise invalid("cursor", "is not one of ours", text) from problem
