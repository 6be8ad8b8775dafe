"""Traces over HTTP: their list without texts, one with its texts, and its end."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from ironworks.platform import secrets
from ironworks.products.tokenfactory.traces import service
from ironworks.products.tokenfactory.traces.declarations import DELETE, READ
from ironworks.products.tokenfactory.traces.model import OpenedTrace, TraceView
from ironworks.shared.context import Context
from ironworks.shared.http import Router
from ironworks.shared.listing import PageQuery, decode_cursor, encode_cursor, read_moment
from ironworks.shared.path import show_path

router = Router("tokenfactory.traces")


class TraceSummary(BaseModel):
    """A traced request without its texts."""

    request_id: str
    scope: str = Field(description="Where the calling key lives.")
    occurred_at: datetime
    expires_at: datetime = Field(description="When it is deleted.")
    operation: str
    model: str = Field(description="As the caller wrote it.")
    endpoint: str = Field(description="`path/name` of what answered.")
    key_uid: UUID
    policy_uid: UUID
    status: int
    input_tokens: int
    output_tokens: int
    content_type: str = Field(description="Of the request.")
    size: int = Field(description="Bytes that are kept of both texts.")
    truncated: bool

    @classmethod
    def of(cls, view: TraceView) -> TraceSummary:
        return cls(**facts_of(view))


class TraceDetail(TraceSummary):
    """A traced request with its texts, as they passed; cut off where `truncated`."""

    request: str
    answer: str

    @classmethod
    def opened(cls, trace: OpenedTrace) -> TraceDetail:
        return cls(**facts_of(trace.view), request=trace.request, answer=trace.answer)


class TracePage(BaseModel):
    items: list[TraceSummary]
    next_cursor: str | None


def facts_of(view: TraceView) -> dict[str, object]:
    """A view's fields under their public names."""
    facts: dict[str, object] = {name: getattr(view, name) for name in TraceView.__slots__}
    facts["scope"] = show_path(str(facts.pop("path")))
    facts["policy_uid"] = facts.pop("policy")
    return facts


@router.get("/api/v1/scopes/{path}/traces", permission=READ)
async def list_traces(ctx: Context, path: str, query: PageQuery) -> TracePage:
    """List the traced requests of a scope and all below it, newest first, without their texts."""
    before = _decode(query.cursor) if query.cursor else None
    found = await service.list_traces(ctx, path, query.limit + 1, before)
    page = found[: query.limit]
    more = len(found) > query.limit
    return TracePage(
        items=[TraceSummary.of(view) for view in page],
        next_cursor=encode_cursor(page[-1].occurred_at.isoformat(), page[-1].request_id) if more else None,
    )


@router.get("/api/v1/scopes/{path}/traces/{request_id}", permission=READ)
async def read_trace(ctx: Context, path: str, request_id: str, keyring: secrets.Keyring) -> TraceDetail:
    """Read one traced request and its answer; the audit trail keeps who did."""
    return TraceDetail.opened(await service.read_trace(ctx, keyring, path, request_id))


@router.delete("/api/v1/scopes/{path}/traces/{request_id}", permission=DELETE, status=204)
async def delete_trace(ctx: Context, path: str, request_id: str) -> None:
    """Delete one trace before its time."""
    await service.delete_trace(ctx, path, request_id)


def _decode(cursor: str) -> tuple[datetime, str]:
    at, request_id = decode_cursor(cursor)
    return read_moment(at), request_id
