"""The registry over HTTP: `/api/v1/registry`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ironworks.platform.registry import service
from ironworks.platform.registry.model import MANAGE, READ, parse_category
from ironworks.shared.context import Context
from ironworks.shared.declarations import Category
from ironworks.shared.http import Router
from ironworks.shared.listing import DEFAULT_PAGE, MAX_PAGE, decode_cursor, encode_cursor
from ironworks.shared.shapes import Shape

router = Router("platform.registry")


class EntriesQuery(BaseModel):
    """Which entries to list."""

    model_config = ConfigDict(extra="forbid")
    category: Category | None = None
    source: str | None = Field(None, max_length=63, description="The declaring domain, for instance `platform.iam`.")
    limit: int = Field(DEFAULT_PAGE, ge=1, le=MAX_PAGE)
    cursor: str | None = Field(None, max_length=512)


class EntryView(Shape):
    """One declared word; `usable` is what every check answers."""

    category: str
    name: str
    source: str
    version: int
    enabled: bool
    declared: bool
    usable: bool
    updated_at: datetime
    body: dict[str, Any]


class EntryPage(BaseModel):
    """Entries in the order of (category, name)."""

    items: list[EntryView]
    next_cursor: str | None
    version: int = Field(description="The registry's version.")


class EntryVersionView(Shape):
    """What an entry said from a registry version on."""

    version: int
    registry_version: int
    enabled: bool
    declared: bool
    changed_at: datetime
    body: dict[str, Any]


class EntryHistory(BaseModel):
    """An entry's versions, newest first."""

    items: list[EntryVersionView]


@router.get("/api/v1/registry", permission=READ, summary="List what domains declare")
async def list_entries(ctx: Context, query: EntriesQuery) -> EntryPage:
    after = decode_cursor(query.cursor) if query.cursor else ("", "")
    entries = await service.list_entries(ctx, query.category, query.source, after, query.limit + 1)
    page = entries[: query.limit]
    more = len(entries) > query.limit
    return EntryPage(
        items=[EntryView.show(entry) for entry in page],
        next_cursor=encode_cursor(page[-1].category, page[-1].name) if more else None,
        version=await service.current_version(ctx),
    )


@router.get("/api/v1/registry/{category}/{name}/versions", permission=READ, summary="Show an entry's history")
async def list_versions(ctx: Context, category: str, name: str) -> EntryHistory:
    _, versions = await service.get_entry(ctx, parse_category(category), name)
    return EntryHistory(items=[EntryVersionView.show(version) for version in versions])


@router.post("/api/v1/registry/{category}/{name}:disable", permission=MANAGE, summary="Switch an entry off")
async def disable_entry(ctx: Context, category: str, name: str) -> EntryView:
    return EntryView.show(await service.disable_entry(ctx, parse_category(category), name))


@router.post("/api/v1/registry/{category}/{name}:enable", permission=MANAGE, summary="Switch an entry on again")
async def enable_entry(ctx: Context, category: str, name: str) -> EntryView:
    return EntryView.show(await service.enable_entry(ctx, parse_category(category), name))
