"""Parts of a snapshot: each on its own, one change without loading all, and one kept on disk for the next start."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from ironworks.platform.secrets import TextMasterKeys, load_keyring, new_master_key
from ironworks.products.tokenfactory.gateway import GatewaySettings, KeyView, Sources, read_rows
from ironworks.products.tokenfactory.gateway.keeping import Keeper, Seal
from ironworks.products.tokenfactory.gateway.model import Refusal
from ironworks.products.tokenfactory.gateway.snapshot import KEPT_AS, Mirror, Snapshot
from ironworks.products.tokenfactory.routing import Route, route_to
from tests.products.tokenfactory.world import key_view, target


@dataclass(frozen=True)
class Row:
    name: str
    amount: int


@dataclass
class Part:
    """A source of limits, budgets or prices."""

    rows: Sequence[Any] = (Row("one", 1),)
    kinds: frozenset[str] = frozenset({"Limit"})
    broken: bool = False
    loads: int = 0
    row: type = Row

    async def load(self) -> Sequence[Any]:
        self.loads += 1
        if self.broken:
            raise ConnectionError("the database is down")
        return tuple(self.rows)


@dataclass
class Keys:
    """A KeySource that can also answer for single keys; it notes what it was asked."""

    keys: dict[UUID, KeyView] = field(default_factory=dict)
    kinds: frozenset[str] = frozenset({"ApiKey", "User", "Role"})
    single: frozenset[str] = frozenset({"ApiKey", "User"})
    asked: list[set[UUID] | None] = field(default_factory=list)
    skipped: tuple[str, ...] = ()
    broken: bool = False

    async def load_keys(self) -> Sequence[KeyView]:
        return self._answer(None)

    async def load_changed(self, uids: Collection[UUID]) -> Sequence[KeyView]:
        return self._answer(set(uids))

    def _answer(self, uids: set[UUID] | None) -> Sequence[KeyView]:
        self.asked.append(uids)
        if self.broken:
            raise ConnectionError("the database is down")
        return [key for key in self.keys.values() if uids is None or key.uid in uids or key.owner in uids]

    def put(self, *keys: KeyView) -> None:
        self.keys.update({key.uid: key for key in keys})


@dataclass
class Routes:
    """The same for routes."""

    routes: list[Route] = field(default_factory=list)
    kinds: frozenset[str] = frozenset({"Endpoint", "Platform"})
    single: frozenset[str] = frozenset({"Endpoint"})
    asked: list[set[UUID] | None] = field(default_factory=list)
    broken: bool = False

    async def load_routes(self) -> Sequence[Route]:
        return self._answer(None)

    async def load_changed(self, uids: Collection[UUID]) -> Sequence[Route]:
        return self._answer(set(uids))

    def _answer(self, uids: set[UUID] | None) -> Sequence[Route]:
        self.asked.append(uids)
        if self.broken:
            raise ConnectionError("the database is down")
        return list(self.routes)


@dataclass
class World:
    keys: Keys
    routes: Routes
    limits: Part
    mirror: Mirror
    changes: list[frozenset[str]]

    async def until(self, wanted: Any, within: float = 60.0) -> None:
        async with asyncio.timeout(within):
            while not wanted():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def mirrored(
    tmp_path: Path, *, keys: Sequence[KeyView] = (), seal: Seal | None = None, broken: bool = False, **settings: Any
) -> AsyncIterator[World]:
    source, routes, limits = Keys(broken=broken), Routes(broken=broken), Part(broken=broken)
    source.put(*keys)
    budgets, prices = (Part(rows=(), broken=broken) for _ in range(2))
    changes: list[frozenset[str]] = []

    def changed(_: Snapshot, parts: frozenset[str]) -> None:
        changes.append(parts)

    sources = Sources(source, routes, limits, budgets, prices, seal=seal)
    mirror = Mirror(sources, GatewaySettings(spool=tmp_path, **settings), changed)
    running = [asyncio.create_task(work) for work in (mirror.run(), beat(mirror))]
    try:
        yield World(source, routes, limits, mirror, changes)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def beat(mirror: Mirror) -> None:
    """As from a live feed."""
    while True:
        mirror.heartbeat()
        await asyncio.sleep(0.3)


async def test_a_changed_key_is_loaded_alone(tmp_path: Path) -> None:
    owner = uuid4()
    many = [key_view(f"k{n}", owner=owner if n < 3 else uuid4()) for n in range(1000)]
    async with mirrored(tmp_path, keys=many) as world:
        await world.mirror.wait_loaded()
        assert len(world.mirror.read().keys) == 1000
        del world.keys.keys[many[0].uid]
        world.mirror.notice("ApiKey", many[0].uid)
        await world.until(lambda: many[0].digest not in world.mirror.read().keys)
        assert world.keys.asked == [None, {many[0].uid}]
        world.keys.put(*(replace(key, disabled=True) for key in many[1:3]))
        world.mirror.notice("User", owner)
        await world.until(lambda: world.mirror.read().keys[many[2].digest].disabled)
        assert world.keys.asked[2:] == [{owner}]
        assert len(world.mirror.read().keys) == 999
        assert world.changes == [
            frozenset(("keys", "routes", "limits", "budgets", "prices")),
            *[frozenset(("keys",))] * 2,
        ]


async def test_a_rotated_key_leaves_no_digest_behind(tmp_path: Path) -> None:
    key = key_view("before")
    async with mirrored(tmp_path, keys=[key, key_view("other")]) as world:
        await world.mirror.wait_loaded()
        after = hashlib.sha256(b"after").digest()
        world.keys.put(replace(key, digest=after))
        world.mirror.notice("ApiKey", key.uid)
        await world.until(lambda: after in world.mirror.read().keys)
        assert set(world.mirror.read().keys) == {after, key_view("other").digest}


async def test_what_may_change_many_keys_loads_all(tmp_path: Path) -> None:
    async with mirrored(tmp_path, keys=[key_view()]) as world:
        await world.mirror.wait_loaded()
        for kind, uid in (("Role", uuid4()), ("ApiKey", None), ("", None)):
            before = len(world.keys.asked)
            world.mirror.notice(kind, uid)
            await world.until(lambda before=before: len(world.keys.asked) > before)
            assert world.keys.asked[-1] is None
        world.mirror.notice("Bucket", uuid4())
        await asyncio.sleep(0.2)
        assert len(world.keys.asked) == 4


async def test_a_changed_endpoint_is_replaced_in_every_route_that_leads_to_it(tmp_path: Path) -> None:
    moved, other = target("moved", "h:1"), target("other", "h:9")
    async with mirrored(tmp_path) as world:
        await world.mirror.wait_loaded()
        world.routes.routes = [route_to(moved), route_to(other), replace(route_to(moved), uid=uuid4(), name="alias")]
        world.mirror.notice("Platform")
        await world.until(lambda: len(world.mirror.read().routes.routes) == 3)
        again = replace(moved, replicas=target("moved", "h:2").replicas)
        world.routes.routes = [route_to(again), route_to(other), replace(route_to(again), uid=uuid4(), name="alias")]
        world.mirror.notice("Endpoint", moved.uid)
        await world.until(lambda: {r.address for r in world.mirror.read().routes.replicas()} == {"h:2", "h:9"})
        assert world.routes.asked[-1] == {moved.uid}
        assert len(world.mirror.read().routes.routes) == 3
        world.routes.routes = [route_to(other)]
        world.mirror.notice("Endpoint", moved.uid)
        await world.until(lambda: [r.name for r in world.mirror.read().routes.routes] == ["other"])


async def test_a_part_that_fails_stays_as_it_was_and_holds_up_no_other(tmp_path: Path) -> None:
    key = key_view()
    async with mirrored(tmp_path, keys=[key]) as world:
        await world.mirror.wait_loaded()
        world.limits.broken = world.routes.broken = True
        world.mirror.notice("Limit", uuid4())
        world.mirror.notice("Endpoint", uuid4())
        await world.until(lambda: set(world.mirror.problems) == {"limits", "routes"})
        world.keys.put(replace(key, disabled=True))
        world.mirror.notice("ApiKey", key.uid)
        await world.until(lambda: world.mirror.read().keys[key.digest].disabled)
        assert world.mirror.read().limits == (Row("one", 1),)
        assert world.mirror.ages["limits"] > world.mirror.ages["keys"]
        assert world.mirror.age >= world.mirror.ages["limits"]
        world.limits.broken = world.routes.broken = False
        await world.until(lambda: not world.mirror.problems)


async def test_without_one_part_nothing_is_served(tmp_path: Path) -> None:
    async with mirrored(tmp_path, broken=True) as world:
        world.keys.broken = world.routes.broken = False
        await world.until(lambda: {"limits", "budgets", "prices"} == set(world.mirror.problems))
        with pytest.raises(Refusal, match="starting"):
            world.mirror.read()


async def test_a_row_that_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    found, skipped = await read_rows(
        ["1", "x", "3", ""], lambda row: int(row) if row else None, lambda row: f"acme/{row}"
    )
    assert (found, skipped) == ([1, 3], ("acme/x",))
    async with mirrored(tmp_path) as world:
        world.keys.skipped = ("acme/x",)
        await world.mirror.wait_loaded()
        world.mirror.notice("ApiKey")
        await world.until(lambda: "acme/x" in world.mirror.problems.get("keys", ""))


async def test_the_event_loop_is_never_held_for_long_by_many_keys(tmp_path: Path) -> None:
    many = [key_view(f"k{n}") for n in range(10_000)]
    async with mirrored(tmp_path, keys=many) as world:
        await world.mirror.wait_loaded()
        longest = []
        for n in range(5):
            del world.keys.keys[many[n].uid]
            world.mirror.notice("ApiKey", many[n].uid)
            longest.append(await _longest_hold(lambda n=n: many[n].digest not in world.mirror.read().keys))
        assert min(longest) < 0.01  # about 2 ms


async def _longest_hold(done: Any) -> float:
    """Seconds of processor time, which other processes do not add to, that anything kept the event loop at once."""
    longest, last = 0.0, time.thread_time()
    while not done():
        await asyncio.sleep(0)
        now = time.thread_time()
        longest, last = max(longest, now - last), now
    return longest


# --- on disk -----------------------------------------------------------------------------------------------------


async def a_seal() -> Seal:
    return await load_keyring(TextMasterKeys(new_master_key()))


async def kept(tmp_path: Path, seal: Seal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a gateway with one key and one route leave its snapshot behind."""
    monkeypatch.setattr("ironworks.products.tokenfactory.gateway.snapshot.KEEP_EVERY", 0.05)
    async with mirrored(tmp_path, keys=[key_view()], seal=seal) as world:
        await world.mirror.wait_loaded()
        world.routes.routes = [route_to(target("plain", "h:1"))]
        world.mirror.notice("Endpoint")
        await world.until(lambda: world.mirror.read().routes.routes and (tmp_path / KEPT_AS).exists())
        (tmp_path / KEPT_AS).unlink()
        world.mirror.notice("Limit")
        await world.until((tmp_path / KEPT_AS).exists)
        assert not world.mirror.problems


async def test_a_start_without_a_database_serves_from_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seal = await a_seal()
    await kept(tmp_path, seal, monkeypatch)
    assert (tmp_path / KEPT_AS).stat().st_mode & 0o077 == 0
    assert b"replica-secret" not in (tmp_path / KEPT_AS).read_bytes()
    async with mirrored(tmp_path, seal=seal, broken=True, first_load=0.2) as world:
        await world.mirror.wait_loaded()
        snapshot = world.mirror.read()
        assert snapshot.keys[key_view().digest].scope == key_view().scope
        assert [replica.bearer for replica in snapshot.routes.replicas()] == ["replica-secret"]
        assert snapshot.limits == [Row("one", 1)]
        assert set(world.mirror.problems) == {"keys", "routes", "limits", "budgets", "prices"}
        world.keys.broken = False
        await world.until(lambda: not world.mirror.read().keys)  # the database is back, and knows no key


@pytest.mark.parametrize("harm", ["cut", "changed", "empty", "other key", "old"])
async def test_a_kept_snapshot_that_cannot_be_trusted_is_not(
    harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal = await a_seal()
    await kept(tmp_path, seal, monkeypatch)
    file = tmp_path / KEPT_AS
    data = file.read_bytes()
    file.write_bytes({"cut": data[:-9], "changed": data[:-1] + bytes([data[-1] ^ 1]), "empty": b""}.get(harm, data))
    settings: dict[str, Any] = {"stale_after": 0.0} if harm == "old" else {}
    seal = await a_seal() if harm == "other key" else seal
    async with mirrored(tmp_path, seal=seal, broken=True, first_load=0.2, **settings) as world:
        await asyncio.sleep(0.5)
        with pytest.raises(Refusal, match="starting"):
            world.mirror.read()


async def test_a_disk_that_takes_nothing_is_told_and_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ironworks.products.tokenfactory.gateway.snapshot.KEEP_EVERY", 0.05)
    missing = tmp_path / "missing"
    async with mirrored(missing, keys=[key_view()], seal=await a_seal()) as world:
        await world.mirror.wait_loaded()
        await world.until(lambda: "disk" in world.mirror.problems)
        assert world.mirror.read().keys
        missing.mkdir()
        await world.until(lambda: not world.mirror.problems)


@dataclass(frozen=True)
class Provider:
    """A row as the release before kept it."""

    credential: str


@dataclass(frozen=True)
class LaterProvider:
    credential: str
    region: str


async def test_what_another_release_kept_is_left_alone_and_not_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seal = await a_seal()
    await Keeper(tmp_path / KEPT_AS, seal, {"routes": Provider}).save({"routes": [Provider("hunter2-a")]}, 1.0)
    assert await Keeper(tmp_path / KEPT_AS, seal, {"routes": LaterProvider}).load() is None
    told = str([vars(record) for record in caplog.records])
    assert "region" in told
    assert "hunter2" not in told
