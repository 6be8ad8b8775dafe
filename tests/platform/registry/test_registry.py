"""Declared words: synced at start, versioned, switched by the operator, refused when unknown."""

from __future__ import annotations

import asyncio
import json
from typing import ClassVar

import asyncpg
import pytest

from ironworks.platform import registry
from ironworks.platform.registry import routes
from ironworks.platform.registry.declarations import DECLARATIONS
from ironworks.shared.context import Actor, Event
from ironworks.shared.declarations import (
    METER,
    PERMISSION,
    AuditAction,
    Declarations,
    EventClass,
    Meter,
    NotificationTemplate,
    Permission,
    declarations_of_kind,
)
from ironworks.shared.errors import Conflict, Forbidden, Invalid, NotFound
from ironworks.shared.kind import TENANT, Kind, Spec
from tests.support.lower import LowerWorld


def tokens(description: str = "Tokens read") -> Declarations:
    return Declarations(
        permissions=(Permission("endpoint:invoke", "Call a model"),),
        meters=(Meter("input_tokens", "token", "sum", description),),
    )


async def sync(world: LowerWorld, declarations: Declarations, source: str = "test.tokens") -> int:
    async with world.system("worker") as ctx:
        return await registry.sync_registry(ctx, [(source, declarations)])


async def operator(world: LowerWorld) -> Actor:
    return await world.subject("op@example.com", {"registry:manage": [""], "registry:read": [""]})


async def test_syncing_twice_changes_nothing(world: LowerWorld) -> None:
    first = await sync(world, tokens())
    assert await sync(world, tokens()) == first
    assert [r["version"] for r in await world.query("select version from platform_registry.entry")] == [1] * 7


async def test_a_changed_body_makes_the_next_version_and_keeps_the_old(world: LowerWorld) -> None:
    first = await sync(world, tokens("Tokens read"))
    second = await sync(world, tokens("Tokens that the model read"))
    assert second == first + 1
    async with world.system("api") as ctx:
        entry, versions = await registry.get_entry(ctx, METER, "input_tokens")
        permission, _ = await registry.get_entry(ctx, PERMISSION, "endpoint:invoke")
    assert (entry.version, permission.version) == (2, 1)
    assert [(v.version, v.registry_version, v.body["description"]) for v in versions] == [
        (2, second, "Tokens that the model read"),
        (1, first, "Tokens read"),
    ]


async def test_processes_that_start_together_make_one_version(world: LowerWorld) -> None:
    before = await sync(world, Declarations(), "nobody")
    results = await asyncio.gather(*(sync(world, tokens()) for _ in range(12)))
    assert set(results) == {before + 1}
    rows = await world.query("select count(*) as n from platform_registry.entry_version where name = 'input_tokens'")
    assert rows[0]["n"] == 1


async def test_a_word_that_its_domain_withdraws_is_refused_and_may_come_back(world: LowerWorld) -> None:
    await sync(world, tokens())
    await sync(world, Declarations(permissions=tokens().permissions))
    async with world.system("worker") as ctx:
        assert await registry.is_enabled(ctx, PERMISSION, "endpoint:invoke")
        with pytest.raises(registry.DisabledEntry):
            await registry.require(ctx, METER, "input_tokens")
    await sync(world, tokens())
    async with world.system("worker") as ctx:
        await registry.require(ctx, METER, "input_tokens")


async def test_a_sync_leaves_other_domains_alone(world: LowerWorld) -> None:
    await sync(world, tokens())
    await sync(world, Declarations(), "test.other")
    async with world.system("worker") as ctx:
        await registry.require(ctx, METER, "input_tokens")


async def test_unknown_words_fail_closed_in_python_and_in_sql(world: LowerWorld) -> None:
    await sync(world, tokens())
    async with world.system("gateway") as ctx:
        with pytest.raises(registry.UnknownEntry) as refused:
            await registry.require(ctx, METER, "input_tokens", "output_tokens", "'; drop table x")
        assert refused.value.details["names"] == ["output_tokens", "'; drop table x"]
        assert isinstance(refused.value, Invalid)
        assert await ctx.db.fetchval("select shared.registered('meter', 'input_tokens')") is True
        assert await ctx.db.fetchval("select shared.registered('meter', 'output_tokens')") is False
        assert await ctx.db.fetchval("select shared.registered(null, null)") is False
        assert await registry.enabled_names(ctx, METER) == {"input_tokens"}


async def test_the_operator_switches_an_entry_off_and_on(world: LowerWorld) -> None:
    await sync(world, tokens())
    op = await operator(world)
    async with world.acting(op) as ctx:
        off = await registry.disable_entry(ctx, METER, "input_tokens")
    assert (off.enabled, off.version) == (False, 2)
    async with world.system("gateway") as ctx:
        assert not await registry.is_enabled(ctx, METER, "input_tokens")
        with pytest.raises(registry.DisabledEntry) as refused:
            await registry.require(ctx, METER, "input_tokens")
        assert isinstance(refused.value, Conflict)
    await sync(world, tokens("changed meanwhile"))
    async with world.system("gateway") as ctx:
        assert not await registry.is_enabled(ctx, METER, "input_tokens"), "a sync must not undo the switch"
    async with world.acting(op) as ctx:
        assert (await registry.enable_entry(ctx, METER, "input_tokens")).usable
    trail = await world.query("select action, target_id, actor from platform_audit.pending order by occurred_at")
    assert [(r["action"], r["target_id"], r["actor"]) for r in trail] == [
        ("registry.entry.disable", "meter/input_tokens", "op@example.com"),
        ("registry.entry.enable", "meter/input_tokens", "op@example.com"),
    ]
    events = await world.query("select payload::text, registry_version from shared.change_pending order by id")
    assert [json.loads(r["payload"])["enabled"] for r in events] == [False, True]
    assert all(r["registry_version"] for r in events)


async def test_switching_twice_changes_and_records_nothing_more(world: LowerWorld) -> None:
    await sync(world, tokens())
    op = await operator(world)
    for _ in range(2):
        async with world.acting(op) as ctx:
            assert (await registry.disable_entry(ctx, METER, "input_tokens")).version == 2
    assert len(await world.query("select from platform_audit.pending")) == 1


async def test_only_who_manages_the_registry_may_switch(world: LowerWorld) -> None:
    await sync(world, tokens())
    tenant_admin = await world.subject("eve", {"registry:manage": ["acme.shop"], "registry:read": [""]})
    with pytest.raises(Forbidden):
        async with world.acting(tenant_admin) as ctx:
            await registry.disable_entry(ctx, METER, "input_tokens")
    async with world.acting(tenant_admin) as ctx:
        assert await ctx.db.fetchval("select platform_registry.switch('meter', 'input_tokens', false)") is None
        assert await registry.is_enabled(ctx, METER, "input_tokens")


async def test_what_enabling_needs_cannot_be_disabled(world: LowerWorld) -> None:
    op = await operator(world)
    for declared in DECLARATIONS:
        if declared.name == "registry:read":
            continue
        with pytest.raises(Conflict):
            async with world.acting(op) as ctx:
                await registry.disable_entry(ctx, declared.category, declared.name)


async def test_an_unknown_entry_is_not_found(world: LowerWorld) -> None:
    op = await operator(world)
    with pytest.raises(NotFound):
        async with world.acting(op) as ctx:
            await registry.enable_entry(ctx, METER, "nothing")


@pytest.mark.parametrize("role", ["api", "worker", "gateway"])
async def test_no_process_may_write_the_registry_itself(world: LowerWorld, role: str) -> None:
    for statement in (
        "update platform_registry.entry set enabled = true",
        "delete from platform_registry.entry",
        "insert into platform_registry.registry_version values (99, 'sync')",
        "update platform_registry.entry_version set enabled = true",
        "select platform_registry.record_version(99, 'sync')",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with world.system(role) as ctx:  # type: ignore[arg-type]
                await ctx.db.execute(statement)


async def test_a_word_declared_twice_stops_the_start(world: LowerWorld) -> None:
    with pytest.raises(ValueError, match=r"declared by a\.x and again by b\.y"):
        async with world.system("worker") as ctx:
            await registry.sync_registry(ctx, [("a.x", tokens()), ("b.y", tokens())])


async def test_listing_pages_through_everything_once(world: LowerWorld) -> None:
    await sync(world, tokens())
    op = await operator(world)
    seen: list[tuple[str, str]] = []
    cursor: str | None = None
    for _ in range(20):
        async with world.acting(op) as ctx:
            page = await routes.list_entries(ctx, routes.EntriesQuery(limit=2, cursor=cursor))
        seen += [(item.category, item.name) for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == sorted(set(seen))
    assert len(seen) == 7
    async with world.acting(op) as ctx:
        only = await routes.list_entries(ctx, routes.EntriesQuery(category="meter"))
    assert [item.name for item in only.items] == ["input_tokens"]


def test_names_that_break_the_form_are_refused_at_import() -> None:
    for make in (
        lambda: Permission("endpoint", "no action"),
        lambda: Permission("Endpoint:read", "capitals"),
        lambda: Meter("a b", "x", "sum", "a space"),
        lambda: AuditAction("create", "no domain"),
    ):
        with pytest.raises(ValueError, match="is not a valid"):
            make()


def test_an_event_is_declared_under_its_own_type() -> None:
    class Happened(Event):
        type: ClassVar[str] = "test.thing.happened.v1"
        count: int

    declared = EventClass("test.thing.happened.v1", Happened)
    assert declared.stored()["schema"]["properties"]["count"] == {"title": "Count", "type": "integer"}
    with pytest.raises(ValueError, match="declared as"):
        EventClass("test.thing.happened.v2", Happened)


def test_a_kind_declares_its_permissions_and_audit_actions() -> None:
    kind = Kind("ModelRegistry", "model-registries", "inference_models", (TENANT,), Spec)
    declared = declarations_of_kind(kind)
    assert tuple(p.name for p in declared.permissions) == kind.permissions
    assert [a.name for a in declared.audit_actions] == [
        "model-registry.create", "model-registry.update", "model-registry.delete", "model-registry.force-delete",
    ]  # fmt: skip


def test_declarations_iterate_over_all_categories() -> None:
    template = NotificationTemplate("iam.verify", "Verify", "Open {link}", ("link",))
    declared = Declarations(notification_templates=(template,), meters=tokens().meters)
    assert [d.category for d in declared] == ["meter", "notification_template"]
