"""Keys as the gateway learns of them: from the real change log, one by one, and always what a full load would give."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from ironworks.app import gateway as program
from ironworks.app.gateway_keys import Keys
from ironworks.app.gateway_waking import Uses
from ironworks.platform import iam, tenancy
from ironworks.products.tokenfactory import routing
from ironworks.products.tokenfactory.gateway import GatewaySettings, KeyView, Sources, UsageRecord
from ironworks.products.tokenfactory.gateway.snapshot import Mirror
from ironworks.shared.changelog import Sequencer, Tail
from tests.app.test_charging import record
from tests.platform.iam.test_authentication import rotated
from tests.support.postgres import TestDatabase
from tests.support.world import World, scope_world

OWNER = "service-account:acme/robot"


class NoRoutes:
    kinds: frozenset[str] = frozenset()

    async def load_routes(self) -> Sequence[routing.Route]:
        return ()


@dataclass
class Asked:
    """A ChangedKeys that notes what it was asked for."""

    keys: Keys
    whole: int = 0
    done: int = 0
    single: frozenset[str] = frozenset(iam.KEY_HOLDERS)
    kinds: frozenset[str] = frozenset(iam.KEY_SOURCES)
    pieces: list[int] = field(default_factory=list)

    async def load_keys(self) -> Sequence[KeyView]:
        self.whole += 1
        found = await self.keys.load_keys()
        asyncio.get_running_loop().call_later(0.05, self._finish)
        return found

    def finished(self, loads: int) -> bool:
        return self.done >= loads

    def _finish(self) -> None:
        """What was loaded is in the mirror by now."""
        self.done += 1

    async def load_changed(self, uids):  # type: ignore[no-untyped-def]
        self.pieces.append(len(uids))
        return await self.keys.load_changed(uids)


@dataclass
class Fed:
    """A mirror that follows the log of a real database, as a gateway process does."""

    world: World
    mirror: Mirror
    source: Asked

    def notice(self, *facts: object) -> None:
        self.mirror.notice(*facts)  # type: ignore[arg-type]

    def heartbeat(self) -> None:
        self.mirror.heartbeat()

    async def agrees(self, within: float = 60.0) -> None:
        """Wait until the mirror holds what a full load of this moment gives."""
        async with asyncio.timeout(within):
            while dict(self.mirror.read().keys) != {key.digest: key for key in await self.source.keys.load_keys()}:
                await asyncio.sleep(0.05)

    async def quiet(self) -> None:
        """Wait until all that happened has been loaded, and nothing more is."""
        await self.agrees()
        before = -1
        while before != self.source.whole:
            before = self.source.whole
            await asyncio.sleep(0.5)

    async def until(self, wanted: Callable[[], bool], within: float = 60.0) -> None:
        async with asyncio.timeout(within):
            while not wanted():
                await asyncio.sleep(0.01)

    def key(self, text: str) -> KeyView | None:
        return self.mirror.read().keys.get(iam.token_hash(text))


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[World]:
    async with scope_world(database) as made:
        await made.scope("acme.shop.eu")
        await made.settle()
        await made.admin.execute(
            "insert into platform_registry.entry (category, name, source, version, body)"
            " values ('permission', 'endpoint:invoke', 'test', 1, '{}')"
        )
        async with made.system() as ctx:
            await iam.sync_presets(ctx, [*made.catalogue.permissions, "endpoint:invoke"])
        await made.service_account("acme", "robot")
        await made.grant(OWNER, "-/developer", "acme.shop")
        yield made


@pytest.fixture
async def fed(world: World, database: TestDatabase, tmp_path: Path) -> AsyncIterator[Fed]:
    source = Asked(Keys(await world.database("gateway")))
    mirror = Mirror(Sources(source, NoRoutes()), GatewaySettings(spool=tmp_path), lambda *_: None)
    made = Fed(world, mirror, source)
    tail = Tail(database.url("gateway"), poll=0.1)
    running = [
        asyncio.create_task(work)
        for work in (
            Sequencer(database.url("worker"), poll=0.05).run(),
            tail.run(),
            program._feed(tail, made),  # type: ignore[arg-type]
            mirror.run(),
        )
    ]
    await mirror.wait_loaded()
    yield made
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def test_a_disabled_key_stops_and_nothing_else_is_loaded(fed: Fed) -> None:
    world = fed.world
    await world.key("acme.shop.eu", "one", world.operator, owner=OWNER)
    await world.key("acme.shop.eu", "two", world.operator, owner=OWNER)
    texts = [await rotated(world, "acme.shop.eu", name) for name in ("one", "two")]
    await fed.until(lambda: all(fed.key(text) is not None for text in texts))
    await fed.quiet()
    whole = fed.source.whole
    fed.source.pieces.clear()
    await world.change(iam.API_KEY, "acme.shop.eu", "one", {"disabled": True})
    await fed.until(lambda: (key := fed.key(texts[0])) is not None and key.disabled)
    other = fed.key(texts[1])
    assert other is not None
    assert not other.disabled
    assert (fed.source.whole, set(fed.source.pieces)) == (whole, {1})


async def test_whatever_changes_the_gateway_ends_with_what_is_so(fed: Fed) -> None:
    world = fed.world
    for name in ("one", "two"):
        await world.key("acme.shop.eu", name, world.operator, owner=OWNER)
        await rotated(world, "acme.shop.eu", name)
    await fed.agrees()
    await rotated(world, "acme.shop.eu", "one", grace=60)
    await fed.agrees()
    await world.change(iam.SERVICE_ACCOUNT, "acme", "robot", {"disabled": True})
    await fed.agrees()
    assert [key.disabled for key in fed.mirror.read().keys.values() if key.scope == "acme.shop.eu"] == [True] * 3
    await world.change(iam.SERVICE_ACCOUNT, "acme", "robot", {"disabled": False})
    await world.grant(OWNER, "-/developer", "acme", world.operator)
    await fed.agrees()
    async with world.acting(world.operator) as ctx:
        await tenancy.suspend_platform(ctx, "acme", "shop", "")
    await fed.agrees()
    assert any(key.suspended for key in fed.mirror.read().keys.values())
    async with world.acting(world.operator) as ctx:
        await tenancy.resume_platform(ctx, "acme", "shop")
    await world.delete(iam.API_KEY, "acme.shop.eu", "one")
    await world.settle()
    await fed.agrees()
    assert len([key for key in fed.mirror.read().keys.values() if key.scope == "acme.shop.eu"]) == 1


async def test_ten_thousand_keys_do_not_hold_up_the_event_loop(fed: Fed) -> None:
    await fed.world.admin.execute(
        """
        create temp table many as select n, gen_random_uuid() as key, ('acme.shop.t' || n)::ltree as place
          from generate_series(1, 10000) n;
        insert into platform_iam.principal (uid, kind, scope, name, active, owner)
          select m.key, 'api_key', m.place, m.place::text || '/k', true, o.uid
          from many m, platform_iam.principal o where o.name = 'acme/robot';
        insert into platform_iam.key_material (key, hash, issued_at)
          select key, sha256(key::text::bytea), now() from many;
        analyze platform_iam.principal; analyze platform_iam.key_material;
        """
    )
    gc.collect()
    gc.freeze()  # as the gateway does, once it has loaded
    worst = []
    for _ in range(3):
        done = partial(fed.source.finished, fed.source.whole + 1)
        fed.mirror.notice("Role")
        worst.append(await longest_hold(done))
    await fed.until(lambda: len(fed.mirror.read().keys) > 10_000)
    gc.unfreeze()
    assert min(worst) < 0.01


async def longest_hold(done: Callable[[], bool]) -> float:
    """Seconds of processor time, which other processes do not add to, that anything kept the event loop at once."""
    longest, last = 0.0, time.thread_time()
    while not done():
        await asyncio.sleep(0)
        now = time.thread_time()
        longest, last = max(longest, now - last), now
    return longest


async def test_a_key_that_calls_models_shows_that_it_is_used(world: World) -> None:
    await world.scope("acme.shop")
    made = await world.key("acme.shop", "k", world.operator)
    await rotated(world, "acme.shop", "k")
    await world.settle()
    assert (await world.get(iam.API_KEY, "acme.shop", "k")).status.last_used_at is None

    async def charge(records: Sequence[UsageRecord]) -> None:
        assert len(records) == 1

    uses = Uses(await world.database("gateway"), charge, tell_every=0)
    await uses([record(key_uid=str(made.uid), cached_answer=True)])
    telling = asyncio.create_task(uses.tell_forever(set))
    try:
        async with asyncio.timeout(60):
            while (await world.get(iam.API_KEY, "acme.shop", "k")).status.last_used_at is None:
                await world.settle()
    finally:
        telling.cancel()
