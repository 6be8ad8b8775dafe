"""The audit trail: in the change's transaction, for registered actions only, readable by who may."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from pydantic import ValidationError

from ironworks.platform import audit, registry
from ironworks.platform.audit import routes
from ironworks.shared.context import ANONYMOUS, Actor
from ironworks.shared.errors import Forbidden, Invalid, NotFound
from tests.support.lower import LowerWorld
from tests.support.postgres import Role


async def append(world: LowerWorld, actor: Actor, scope: str, target: str, role: Role = "api") -> None:
    async with world.acting(actor, role) as ctx:
        await ctx.audit("bucket.create", "bucket", target, scope, after={"name": target, "n": 1.50})


async def seal(world: LowerWorld, limit: int = 1000) -> int:
    async with world.system("worker") as ctx:
        return await audit.seal_records(ctx.db, limit)


async def test_a_record_rolls_back_with_its_change(world: LowerWorld) -> None:
    actor = await world.subject("ada", {})

    async def change_and_fail() -> None:
        async with world.acting(actor) as ctx:
            await ctx.audit("bucket.create", "bucket", "b", "acme.shop.eu")
            raise RuntimeError("changed my mind")

    with pytest.raises(RuntimeError, match="changed my mind"):
        await change_and_fail()
    assert await world.query("select from platform_audit.pending") == []


async def test_a_record_says_who_what_where_and_with_which_result(world: LowerWorld) -> None:
    world.clock = lambda: datetime(2030, 5, 4, 3, 2, 1, 987654, tzinfo=UTC)
    actor = await world.subject("ada", {"audit:read": ["acme"]})
    async with (await world.database("api")).transaction(actor, "req_1", "theirs-1") as ctx:
        await ctx.audit("bucket.create", "bucket", "b", "acme.shop.eu", before=None, after={"size": 3})
        (record,) = await audit.list_records(ctx, audit.TrailQuery("acme"))
    assert (record.actor, record.actor_uid, record.actor_kind, record.address) == (
        "ada",
        actor.uid,
        "user",
        "127.0.0.1",
    )
    assert (record.action, record.target_type, record.target_id) == ("bucket.create", "bucket", "b")
    assert (record.path, record.platform, record.chain_seq) == ("acme.shop.eu", "acme.shop", None)
    assert (record.result, record.correlation_id, record.client_request_id) == ("ok", "req_1", "theirs-1")
    assert (record.before, record.after) == (None, '{"size": 3}')
    assert record.occurred_at == datetime(2030, 5, 4, 3, 2, 1, 987654, tzinfo=UTC)


async def test_an_unregistered_action_is_refused_and_so_is_the_change(world: LowerWorld) -> None:
    actor = await world.subject("ada", {})
    with pytest.raises(registry.UnknownEntry, match=r"bucket\.explode"):
        async with world.acting(actor) as ctx:
            await ctx.audit("bucket.explode", "bucket", "b")
    with pytest.raises(Invalid):
        async with world.acting(actor) as ctx:
            await ctx.audit("bucket.create", "bucket", "b", result="perhaps")
    assert await world.query("select from platform_audit.pending") == []


async def test_many_records_of_one_action_are_as_good_as_one_each(world: LowerWorld) -> None:
    actor = await world.subject("ada", {})
    made = [audit.NewRecord("bucket", name, "acme.shop", {"size": n}) for n, name in enumerate(("a", "b\x00"))]
    async with world.acting(actor) as ctx:
        await audit.append_records(ctx, "bucket.create", made)
        await ctx.audit("bucket.create", "bucket", "a", "acme.shop", after={"size": 0})
    first, alone, second = await world.query(
        "select actor, action, target_id, ltree2text(scope), result, after::text from platform_audit.pending order by 3"
    )
    assert tuple(first) == tuple(alone) == ("ada", "bucket.create", "a", "acme.shop", "ok", '{"size": 0}')
    assert second["target_id"] == "b\N{REPLACEMENT CHARACTER}"
    with pytest.raises(registry.UnknownEntry, match=r"bucket\.explode"):
        async with world.acting(actor) as ctx:
            await audit.append_records(ctx, "bucket.explode", made)


async def test_a_disabled_action_is_refused(world: LowerWorld) -> None:
    await world.admin("update platform_registry.entry set enabled = false where name = 'bucket.create'")
    with pytest.raises(registry.DisabledEntry):
        await append(world, await world.subject("ada", {}), "acme.shop", "b")


async def test_nobody_writes_under_another_name(world: LowerWorld) -> None:
    eve = await world.subject("eve", {})
    for uid in ("gen_random_uuid()", "null"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with world.acting(eve) as ctx:
                await ctx.db.execute(
                    f"""insert into platform_audit.pending (occurred_at, actor_uid, actor_kind, actor, address, action,
                    target_type, target_id, scope, result, correlation_id)
                    values (now(), {uid}, 'user', 'ada', '', 'bucket.create', 'bucket', 'b', '', 'ok', 'r')"""
                )


@pytest.mark.parametrize("role", ["api", "worker", "gateway"])
async def test_no_process_may_change_or_remove_a_record(world: LowerWorld, role: Role) -> None:
    ada = await world.subject("ada", {"audit:read": [""], "audit:verify": [""]})
    await append(world, ada, "acme.shop", "sealed")
    await seal(world)
    await append(world, ada, "acme.shop", "pending")
    for table in ("record", "pending", "chain_head"):
        for statement in (
            f"update platform_audit.{table} set scope = 'x'",
            f"delete from platform_audit.{table}",
            f"truncate platform_audit.{table}",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with world.acting(ada, role) as ctx:
                    await ctx.db.execute(statement)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with world.acting(ada, role) as ctx:
            await ctx.db.execute("select platform_audit.save_head(null)")


async def test_even_the_owner_is_stopped_by_a_trigger(world: LowerWorld) -> None:
    await append(world, await world.subject("ada", {}), "acme.shop", "b")
    with pytest.raises(asyncpg.PostgresError, match="never changed"):
        await world.admin("update platform_audit.pending set actor = 'eve'")
    await seal(world)
    for statement in (
        "update platform_audit.record set actor = 'eve'",
        "delete from platform_audit.record",
        "truncate platform_audit.record",
    ):
        with pytest.raises(asyncpg.PostgresError, match="never changed or removed"):
            await world.admin(statement)


async def test_each_reads_what_its_grants_reach(world: LowerWorld) -> None:
    writer = await world.subject("writer", {})
    for scope in ("", "acme", "acme.shop", "acme.shop.eu", "acme.shop-2.eu", "acme.shop.eu.returns", "other.shop"):
        await append(world, writer, scope, scope or "-")
    await seal(world, limit=4)  # some sealed, some not
    eu = await world.subject("eu", {"audit:read": ["acme.shop.eu"]})
    shop = await world.subject("shop", {"audit:read": ["acme.shop"]})
    operator = await world.subject("op", {"audit:read": [""]})

    async def read(actor: Actor, path: str) -> set[str]:
        async with world.acting(actor) as ctx:
            return {record.target_id for record in await audit.list_records(ctx, audit.TrailQuery(path))}

    assert await read(eu, "") == {"acme.shop.eu", "acme.shop.eu.returns"}
    assert await read(shop, "acme.shop") == {"acme.shop", "acme.shop.eu", "acme.shop.eu.returns"}
    assert await read(shop, "other.shop") == set()
    assert len(await read(operator, "")) == 7
    assert await read(operator, "acme") == {
        "acme", "acme.shop", "acme.shop.eu", "acme.shop-2.eu", "acme.shop.eu.returns",
    }  # fmt: skip
    assert await read(writer, "") == set()


async def test_pages_show_every_record_once_newest_first(world: LowerWorld) -> None:
    ada = await world.subject("ada", {"audit:read": [""]})
    at = datetime(2030, 1, 1, tzinfo=UTC)
    for number in range(9):
        moment = at + timedelta(seconds=number // 3)  # three share each moment
        world.clock = lambda moment=moment: moment  # type: ignore[misc]
        await append(world, ada, "acme.shop", f"b{number}")
        if number == 4:
            await seal(world)
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(9):
        async with world.acting(ada) as ctx:
            page = await routes.list_records(ctx, "acme.shop", routes.AuditQuery(limit=2, cursor=cursor))
        seen += [item.target_id for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert len(seen) == 9
    assert [sorted(seen[:3]), sorted(seen[3:6]), sorted(seen[6:])] == [
        ["b6", "b7", "b8"],
        ["b3", "b4", "b5"],
        ["b0", "b1", "b2"],
    ]


async def test_filters(world: LowerWorld) -> None:
    ada = await world.subject("ada", {"audit:read": [""]})
    bob = await world.subject("bob", {})
    world.clock = lambda: datetime(2030, 1, 1, tzinfo=UTC)
    await append(world, ada, "acme.shop", "b1")
    world.clock = lambda: datetime(2030, 1, 2, tzinfo=UTC)
    await append(world, bob, "acme.shop", "b2")
    async with world.acting(bob) as ctx:
        await audit.record_denied(ctx, "route", "POST /x", permission="bucket:create")

    async def find(**filters: object) -> list[str]:
        async with world.acting(ada) as ctx:
            page = await routes.list_records(ctx, "-", routes.AuditQuery.model_validate(filters))
            return sorted(item.target_id for item in page.items)

    assert await find(actor="ada") == ["b1"]
    assert await find(action="bucket.create") == ["b1", "b2"]
    assert await find(result="denied") == ["POST /x"]
    assert await find(target="b2") == ["b2"]
    assert await find(target_type="bucket") == ["b1", "b2"]
    assert await find(action="bucket.*") == ["b1", "b2"]
    assert await find(action="*", target_type="route") == ["POST /x"]
    assert await find(action="buck%*") == []
    async with world.acting(ada) as ctx:
        (first,) = (await routes.list_records(ctx, "-", routes.AuditQuery(actor="ada"))).items
    assert await find(uid=str(first.uid)) == ["b1"]
    assert await find(since="2030-01-02T00:00:00Z", action="bucket.create") == ["b2"]
    assert await find(until="2030-01-02T00:00:00+00:00") == ["b1"]
    assert await find(correlation_id="req_none") == []
    assert await find(actor="' or true --") == []


@pytest.mark.parametrize("cursor", ["x", "%%", "MjAzMC0wMS0wMSB4", "4pi6", "MDAwMS0wMS0wMVQwMDowMDowMCsxNDowMCB4"])
async def test_a_foreign_cursor_is_refused(world: LowerWorld, cursor: str) -> None:
    ada = await world.subject("ada", {"audit:read": [""]})
    with pytest.raises(Invalid, match="not one of ours"):
        async with world.acting(ada) as ctx:
            await routes.list_records(ctx, "-", routes.AuditQuery(cursor=cursor))


def test_a_time_that_no_offset_can_convert_is_refused() -> None:
    with pytest.raises(ValidationError):
        routes.AuditQuery.model_validate({"since": "0001-01-01T00:00:00+14:00"})


async def test_a_refused_attempt_is_recorded_where_the_actor_could_look(world: LowerWorld) -> None:
    eve = await world.subject("eve", {"bucket:read": ["acme.shop"]})
    for scope in ("acme.shop.eu", "other.shop", "made.up", "no path!", "'; drop"):
        async with world.acting(eve) as ctx:
            await audit.record_denied(
                ctx, "route", f"DELETE {scope}", scope, permission="bucket:delete", reason="NOT_FOUND"
            )
    async with world.acting(ANONYMOUS) as ctx:
        await audit.record_denied(ctx, "user", "a\x00b\ud800\n" + "x" * 600)
    rows = await world.query("select * from platform_audit.pending order by occurred_at")
    assert [(r["path"], r["result"]) for r in rows] == [("acme.shop.eu", "denied")] + [("", "denied")] * 5
    assert rows[0]["after"] == '{"reason": "NOT_FOUND", "permission": "bucket:delete"}'
    assert rows[5]["target_id"].startswith("a\N{REPLACEMENT CHARACTER}b?\N{REPLACEMENT CHARACTER}xx")
    assert len(rows[5]["target_id"]) == 512
    assert rows[5]["actor"] == "anonymous"


async def test_what_jsonb_cannot_hold_does_not_break_the_record(world: LowerWorld) -> None:
    ada = await world.subject("ada", {})
    async with world.acting(ada) as ctx:
        await ctx.audit("bucket.create", "bucket", "b", after={"a\x00": ["\x00", {"b": "\ud800"}]})
    assert len(await world.query("select from platform_audit.pending")) == 1


async def test_writers_do_not_wait_for_the_sealer(world: LowerWorld) -> None:
    ada = await world.subject("ada", {})
    await append(world, ada, "acme.shop", "b1")
    async with world.system("worker") as sealing:
        assert await audit.seal_records(sealing.db, 10) == 1
        await asyncio.wait_for(append(world, ada, "acme.shop", "b2"), 60)
        async with world.system("worker") as second:
            assert await asyncio.wait_for(audit.seal_records(second.db, 10), 60) == 0, "one sealer at a time"
    assert await seal(world) == 1


async def test_the_gateway_does_not_seal(world: LowerWorld) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with world.system("gateway") as ctx:
            await audit.seal_records(ctx.db)


async def test_verifying_needs_the_permission_at_the_chain(world: LowerWorld) -> None:
    ada = await world.subject("ada", {"audit:verify": ["acme.shop"]})
    bob = await world.subject("bob", {"audit:verify": ["acme.shop.eu"]})
    await append(world, ada, "acme.shop.eu", "b")
    await append(world, ada, "acme", "a")
    await seal(world)
    async with world.acting(ada) as ctx:
        report = await audit.verify_chain(ctx, "acme.shop")
    assert (report.ok, report.records) == (True, 1)
    for actor, platform, error in ((ada, "-", Forbidden), (bob, "acme.shop", Forbidden), (bob, "other.x", NotFound)):
        with pytest.raises(error):
            async with world.acting(actor) as ctx:
                await audit.verify_chain(ctx, platform)
    with pytest.raises(Invalid, match="not a platform"):
        async with world.acting(ada) as ctx:
            await routes.verify(ctx, routes.VerifyRequest(platform="acme.shop.eu"))
