"""Rotation of master keys and data keys: no downtime, and any step may be cut off."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import pytest

from ironworks.platform import secrets
from ironworks.platform.secrets import routes
from ironworks.platform.secrets.service import _FIRST_OWNER
from ironworks.shared.context import Actor, Context
from ironworks.shared.errors import Forbidden, NotFound
from tests.platform.secrets.conftest import have_bucket
from tests.support.lower import LowerWorld

OLD, NEW = secrets.new_master_key(), secrets.new_master_key()
SCOPES = [f"acme.shop.t{number}" for number in range(4)]


async def operator(world: LowerWorld) -> Actor:
    return await world.subject("op", {"secrets:rotate": [""], "bucket:update": [""]})


async def put(world: LowerWorld, actor: Actor, scope: str, owner: UUID, value: str) -> None:
    await have_bucket(world, owner, scope)
    async with world.acting(actor) as ctx:
        await ctx.services.vault.put(ctx, scope, owner, {"v": value})


async def get(world: LowerWorld, owner: UUID) -> str:
    async with world.system("gateway") as ctx:
        return (await ctx.services.vault.get(ctx, owner))["v"]


async def fill(world: LowerWorld, actor: Actor, count: int = 24) -> dict[UUID, tuple[str, str]]:
    """Owner → (scope, value)."""
    kept = {uuid4(): (SCOPES[number % len(SCOPES)], f"value {number}") for number in range(count)}
    for owner, (scope, value) in kept.items():
        await put(world, actor, scope, owner, value)
    return kept


async def request(world: LowerWorld, actor: Actor, scope: str = "") -> int:
    async with world.acting(actor) as ctx:
        return await secrets.request_rotation(ctx, scope)


async def rotate(world: LowerWorld, keyring: secrets.Keyring) -> None:
    await secrets.run_rotation(await world.database("worker"), keyring)


async def test_a_new_master_key_takes_over_and_the_old_can_go(world: LowerWorld, keyring: secrets.Keyring) -> None:
    keyring.replace(secrets.parse_master_keys(OLD))
    old_id, op = keyring.current_id, await operator(world)
    kept = await fill(world, op)
    keyring.replace(secrets.parse_master_keys(f"{NEW}\n{OLD}"))
    await put(world, op, "acme.other", extra := uuid4(), "written meanwhile")
    async with world.acting(op) as ctx:
        assert (await secrets.report_keys(ctx)).by_master_key == {old_id: 4, keyring.current_id: 1}
    await rotate(world, keyring)
    keyring.replace(secrets.parse_master_keys(NEW))
    async with world.acting(op) as ctx:
        report = await routes.show_keys(ctx)
    assert report.data_keys_by_master_key == {keyring.current_id: 5}
    assert {owner: await get(world, owner) for owner in kept} == {owner: value for owner, (_, value) in kept.items()}
    assert await get(world, extra) == "written meanwhile"


async def test_rewrapping_goes_through_all_in_batches(world: LowerWorld, keyring: secrets.Keyring) -> None:
    keyring.replace(secrets.parse_master_keys(OLD))
    await fill(world, await operator(world))
    keyring.replace(secrets.parse_master_keys(f"{NEW}\n{OLD}"))
    seen: list[tuple[str, int] | None] = []
    cursor: tuple[str, int] | None = ("", 0)
    while cursor is not None and len(seen) < 10:
        async with world.system("worker") as ctx:
            cursor = await secrets.rewrap_data_keys(ctx, keyring, cursor, limit=1)
        seen.append(cursor)
    assert seen == [(scope, 1) for scope in SCOPES] + [None]


async def test_data_keys_are_replaced_values_sealed_anew_and_old_keys_removed(
    world: LowerWorld, keyring: secrets.Keyring
) -> None:
    op = await operator(world)
    kept = await fill(world, op)
    before = await world.query("select owner, ciphertext from platform_secrets.secret order by owner")
    assert await request(world, op) == 4
    assert await request(world, op) == 0, "asked for already"
    await rotate(world, keyring)
    rows = await world.query("select scope::text, version from platform_secrets.data_key order by scope")
    assert [(r["scope"], r["version"]) for r in rows] == [(scope, 2) for scope in SCOPES]
    after = await world.query("select owner, ciphertext from platform_secrets.secret order by owner")
    assert all(a["ciphertext"] != b["ciphertext"] for a, b in zip(before, after, strict=True))
    assert {owner: await get(world, owner) for owner in kept} == {owner: value for owner, (_, value) in kept.items()}
    async with world.acting(op) as ctx:
        assert (await secrets.report_keys(ctx)).settled
    trail = await world.query("select action, after::text from platform_audit.pending order by occurred_at")
    assert [(r["action"], r["after"]) for r in trail] == [
        ("secrets.rotation.request", '{"data_keys": 4}'),
        ("secrets.rotation.request", '{"data_keys": 0}'),
    ]


async def test_a_rotation_reaches_the_scope_it_was_asked_for(world: LowerWorld, keyring: secrets.Keyring) -> None:
    op = await operator(world)
    await fill(world, op)
    owner_of_one = await world.subject("t1", {"secrets:rotate": [SCOPES[1]]})
    assert await request(world, owner_of_one, SCOPES[1]) == 1
    for scope, refusal in (("", Forbidden), (SCOPES[2], NotFound)):
        with pytest.raises(refusal):
            await request(world, owner_of_one, scope)
    await rotate(world, keyring)
    rows = await world.query("select version from platform_secrets.data_key order by scope")
    assert [r["version"] for r in rows] == [1, 2, 1, 1]
    async with world.acting(owner_of_one) as ctx:
        assert sum((await secrets.report_keys(ctx)).by_master_key.values()) == 1


Step = Callable[[Context], Awaitable[object]]


async def test_every_step_may_be_cut_off_and_run_again(world: LowerWorld, keyring: secrets.Keyring) -> None:
    """After each step, committed or rolled back, every value reads and writes; the next run finishes the work."""
    keyring.replace(secrets.parse_master_keys(OLD))
    op = await operator(world)
    kept = await fill(world, op)
    keyring.replace(secrets.parse_master_keys(f"{NEW}\n{OLD}"))
    await request(world, op)
    steps: list[Step] = [
        lambda ctx: secrets.rewrap_data_keys(ctx, keyring, limit=2),
        lambda ctx: secrets.rotate_data_keys(ctx, keyring, limit=3),
        lambda ctx: secrets.reencrypt_secrets(ctx, keyring, limit=7),
        lambda ctx: secrets.purge_data_keys(ctx, limit=1),
    ]

    async def cut_off(step: Step) -> None:
        async with world.system("worker") as ctx:
            await step(ctx)
            raise ConnectionError("killed")

    chance = random.Random(7)
    for _ in range(6):
        for step in chance.sample(steps, len(steps)):
            with pytest.raises(ConnectionError):
                await cut_off(step)
            async with world.system("worker") as ctx:
                await step(ctx)
            owner = chance.choice(list(kept))
            assert await get(world, owner) == kept[owner][1]
            kept[owner] = (kept[owner][0], f"changed {chance.random()}")
            await put(world, op, kept[owner][0], owner, kept[owner][1])
    await rotate(world, keyring)
    keyring.replace(secrets.parse_master_keys(NEW))
    for owner, (_, value) in kept.items():
        assert await get(world, owner) == value
    async with world.acting(op) as ctx:
        report = await secrets.report_keys(ctx)
    assert report.settled
    assert report.by_master_key == {keyring.current_id: 4}


async def test_rotating_under_readers_and_writers_loses_nothing(world: LowerWorld, keyring: secrets.Keyring) -> None:
    keyring.replace(secrets.parse_master_keys(OLD))
    op = await operator(world)
    kept = await fill(world, op, 12)
    keyring.replace(secrets.parse_master_keys(f"{NEW}\n{OLD}"))
    stop = asyncio.Event()
    turns = {"reads": 0, "writes": 0}

    async def write(owners: list[UUID]) -> None:
        while not stop.is_set():
            for owner in owners:
                scope = kept[owner][0]
                value = f"turn {turns['writes']}"
                await put(world, op, scope, owner, value)
                kept[owner] = (scope, value)
                turns["writes"] += 1

    async def read() -> None:
        while not stop.is_set():
            for owner in list(kept):
                assert (await get(world, owner)).startswith(("turn", "value"))
                turns["reads"] += 1

    owners = list(kept)
    tasks = [asyncio.create_task(t) for t in (write(owners[:6]), write(owners[6:]), read(), read())]
    try:
        for _ in range(8):
            await request(world, op)
            await asyncio.gather(rotate(world, keyring), rotate(world, keyring))
    finally:
        stop.set()
        await asyncio.gather(*tasks)
    await rotate(world, keyring)
    keyring.replace(secrets.parse_master_keys(NEW))
    assert {owner: await get(world, owner) for owner in kept} == {owner: value for owner, (_, value) in kept.items()}
    async with world.acting(op) as ctx:
        assert (await secrets.report_keys(ctx)).settled
    assert min(turns.values()) > 20


async def test_a_writer_holding_a_key_keeps_it_from_being_purged(world: LowerWorld, keyring: secrets.Keyring) -> None:
    op = await operator(world)
    await put(world, op, SCOPES[0], uuid4(), "first")
    await have_bucket(world, late := uuid4(), SCOPES[0])
    async with world.acting(op) as ctx:
        await ctx.services.vault.put(ctx, SCOPES[0], late, {"v": "late"})
        await request(world, op)
        await asyncio.wait_for(rotate(world, keyring), 60)
    assert await get(world, late) == "late"
    rows = await world.query("select version from platform_secrets.data_key order by version")
    assert [r["version"] for r in rows] == [1, 2]
    await rotate(world, keyring)
    rows = await world.query("select version from platform_secrets.data_key")
    assert [r["version"] for r in rows] == [2]
    assert await get(world, late) == "late"


async def test_what_does_not_open_is_left_and_does_not_hold_up_the_rest(
    world: LowerWorld, keyring: secrets.Keyring
) -> None:
    op = await operator(world)
    kept = await fill(world, op, 6)
    first, *rest = sorted(kept)
    await world.admin(
        "update platform_secrets.secret set nonce = decode(repeat('00', 12), 'hex') where owner = $1", first
    )
    await request(world, op)
    await rotate(world, keyring)
    for owner in rest:
        assert await get(world, owner) == kept[owner][1]
    with pytest.raises(secrets.TamperedSecret):
        await get(world, first)
    async with world.acting(op) as ctx:
        assert (await secrets.report_keys(ctx)).retired == 1
    async with world.system("worker") as ctx:
        assert await secrets.reencrypt_secrets(ctx, keyring, (_FIRST_OWNER, "")) == (first, "v")


async def test_keys_of_a_master_that_is_not_at_hand_stay(world: LowerWorld, keyring: secrets.Keyring) -> None:
    keyring.replace(secrets.parse_master_keys(OLD))
    kept = await fill(world, await operator(world), 4)
    keyring.replace(secrets.parse_master_keys(NEW))
    await rotate(world, keyring)
    keyring.replace(secrets.parse_master_keys(f"{NEW}\n{OLD}"))
    for owner, (_, value) in kept.items():
        assert await get(world, owner) == value
