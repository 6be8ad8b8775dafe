"""The registry's use cases.

Checks ask the database each time: one index lookup in the caller's own transaction, where a copy in memory would
have to be told of every switch. SQL that inserts a row checks in the same statement, by `shared.registered`.
"""

from __future__ import annotations

from collections.abc import Iterable

from ironworks.platform.registry import store
from ironworks.platform.registry.events import EntrySwitched
from ironworks.platform.registry.model import (
    MANAGE,
    DisabledEntry,
    Entry,
    EntryVersion,
    UnknownEntry,
    check_may_disable,
    collect_declared,
)
from ironworks.shared.context import Context
from ironworks.shared.declarations import Category, Declarations
from ironworks.shared.errors import NotFound


async def sync_registry(ctx: Context, declared: Iterable[tuple[str, Declarations]]) -> int:
    """Write what domains declare; returns the registry's version.

    Args:
        declared: (domain, what it declares); a domain may come more than once. Entries which a domain among them no
            longer declares are withdrawn; domains that are not among them are left alone.

    Idempotent, and safe in processes that start together. Raises ValueError when a word is declared twice.
    """
    pairs = list(declared)
    entries = [
        {"category": category, "name": name, "source": source, "body": declaration.stored()}
        for (category, name), (source, declaration) in collect_declared(pairs).items()
    ]
    return await store.write_declared(ctx, sorted({source for source, _ in pairs}), entries)


async def require(ctx: Context, category: Category, *names: str) -> None:
    """Raises UnknownEntry or DisabledEntry unless all of `names` may be used now."""
    unusable = await store.fetch_unusable(ctx, category, names)
    word = category.replace("_", " ")
    unknown = [name for name, known in unusable.items() if not known]
    if unknown:
        shown = ", ".join(repr(name[:128]) for name in unknown)
        raise UnknownEntry(f"unknown {word}: {shown}; a domain must declare it", category=category, names=unknown)
    if unusable:
        shown = ", ".join(map(repr, unusable))
        raise DisabledEntry(
            f"disabled {word}: {shown}; an operator can enable it", category=category, names=[*unusable]
        )


async def is_enabled(ctx: Context, category: Category, name: str) -> bool:
    """Whether `name` may be used now; False for what nobody declared."""
    return not await store.fetch_unusable(ctx, category, [name])


async def enabled_names(ctx: Context, category: Category) -> frozenset[str]:
    """Every name of a category that may be used now, for callers that check many."""
    return await store.fetch_enabled_names(ctx, category)


async def current_version(ctx: Context) -> int:
    """The registry's version, which governed events carry; 0 before the first sync."""
    return await store.fetch_current_version(ctx.db)


async def list_entries(
    ctx: Context,
    category: Category | None = None,
    source: str | None = None,
    after: tuple[str, str] = ("", ""),
    limit: int = 100,
) -> list[Entry]:
    """Up to `limit` entries in the order of (category, name), those after `after`."""
    return await store.fetch_entries(ctx, category, source, after, limit)


async def get_entry(ctx: Context, category: Category, name: str) -> tuple[Entry, list[EntryVersion]]:
    """An entry and all its versions, newest first. Raises NotFound."""
    entry = await store.fetch_entry(ctx, category, name)
    if entry is None:
        raise NotFound(f"no {category} {name[:128]!r} is declared")
    return entry, await store.fetch_versions(ctx, category, name)


async def disable_entry(ctx: Context, category: Category, name: str) -> Entry:
    """Switch an entry off: from this transaction's commit on, its use is refused.

    Needs `registry:manage` at the operator's scope. Raises NotFound, Forbidden, Conflict for what enabling needs.
    """
    check_may_disable(category, name)
    return await _switch(ctx, category, name, enable=False)


async def enable_entry(ctx: Context, category: Category, name: str) -> Entry:
    """Take `disable_entry` back. Raises NotFound, Forbidden."""
    return await _switch(ctx, category, name, enable=True)


async def _switch(ctx: Context, category: Category, name: str, *, enable: bool) -> Entry:
    await ctx.require(MANAGE, "")
    before, _ = await get_entry(ctx, category, name)
    await store.switch(ctx, category, name, enable)
    after, _ = await get_entry(ctx, category, name)
    if after.version != before.version:
        await ctx.audit(
            f"registry.entry.{'enable' if enable else 'disable'}",
            "registry_entry",
            f"{category}/{name}",
            before={"enabled": before.enabled, "version": before.version},
            after={"enabled": after.enabled, "version": after.version},
        )
        await ctx.emit(EntrySwitched(category=category, name=name, enabled=enable, version=after.version))
    return after
