"""The relay to a real NATS server: every event once and in order, whatever is down."""

from __future__ import annotations

import asyncio
import json
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import nats
import pytest

from ironworks.shared.changelog import LoggedEvent
from ironworks.shared.dead_letters import list_dead_letters
from ironworks.shared.relay import NatsPublisher, Refused, Relay
from tests.shared.shelves import Priced, Sawn, Woodshop, open_shop, running, until
from tests.support.postgres import TestDatabase, free_port


@dataclass
class Broker:
    """A NATS server that can be killed and started again with what it had stored."""

    port: int
    folder: Path
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            str(Path(sysconfig.get_path("scripts")) / "nats-server"),
            *("--addr", "127.0.0.1", "--port", str(self.port), "--jetstream", "--store_dir", str(self.folder)),
            stderr=asyncio.subprocess.DEVNULL,
        )
        await until(self._listens)

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def messages(self, stream: str = "IRONWORKS") -> list[tuple[str, dict[str, Any]]]:
        """All that the stream holds: (subject, envelope)."""
        client = await nats.connect(self.url)
        try:
            state = (await client.jsm().stream_info(stream)).state
            found = [await client.jsm().get_msg(stream, seq=n) for n in range(1, state.last_seq + 1)]
            return [(str(message.subject), json.loads(message.data or b"")) for message in found]
        finally:
            await client.close()

    def publisher(self, **options: Any) -> NatsPublisher:
        return NatsPublisher([self.url], ["test.>"], **options)


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    made = Broker(free_port(), tmp_path / "jetstream")
    await made.start()
    yield made
    await made.kill()


@pytest.fixture
async def shop(database: TestDatabase) -> AsyncIterator[Woodshop]:
    made = await open_shop(database)
    yield made
    for db in made.databases:
        await db.close()
    await made.admin.close()


@asynccontextmanager
async def relaying(shop: Woodshop, *publishers: Any) -> AsyncIterator[None]:
    tail = shop.tail()
    url = shop.place.url("worker")
    relays = [Relay(url, publisher, tail, poll=0.05, standby=0.05, batch=7) for publisher in publishers]
    async with running(tail.run(), shop.sequencer().run(), *(relay.run() for relay in relays)):
        yield


async def relayed(shop: Woodshop) -> bool:
    """Whether the relay's cursor is at the log's end."""
    return bool(
        await shop.admin.fetchval(
            "select head > 0 and head = (select position from shared.change_consumer where name = 'relay.nats')"
            " and not exists (select from shared.change_pending) from shared.change_bounds()"
        )
    )


async def test_events_arrive_in_order_in_their_envelope_and_changes_of_resources_do_not(
    shop: Woodshop, broker: Broker
) -> None:
    async with relaying(shop, broker.publisher()):
        await shop.emit(Sawn(board=1), scope="acme.shop")
        await shop.add("a")
        await shop.emit(Priced(nano=2))
        await until(lambda: relayed(shop))
    (first, sawn), (second, priced) = await broker.messages()
    assert (first, second) == ("test.wood.sawn.v2", "test.wood.priced.v1")
    logged = [row for row in await shop.log() if row["event_type"]]
    assert sawn == {
        "event_id": str(logged[0]["event_id"]),
        "event_type": "test.wood.sawn.v2",
        "version": 2,
        "occurred_at": logged[0]["occurred_at"].isoformat(),
        "tenant": "acme.shop",
        "correlation_id": logged[0]["correlation_id"],
        "registry_version": None,
        "payload": {"board": 1},
    }
    assert (priced["tenant"], priced["registry_version"]) == ("-", 7)


async def test_nothing_is_lost_or_repeated_while_the_broker_is_killed_and_comes_back(
    shop: Woodshop, broker: Broker
) -> None:
    async with relaying(shop, broker.publisher(), broker.publisher()):
        for round_ in range(3):
            await shop.emit(*(Sawn(board=10 * round_ + n) for n in range(5)))
            await broker.kill()
            await shop.emit(*(Sawn(board=10 * round_ + n) for n in range(5, 10)))
            await broker.start()
        await until(lambda: relayed(shop))
    assert [body["payload"]["board"] for _, body in await broker.messages()] == list(range(30))


async def test_a_relay_that_died_before_its_cursor_moved_goes_on_behind_what_the_broker_holds(
    shop: Woodshop, broker: Broker
) -> None:
    """Also long after the broker has forgotten which ids it has seen."""
    brief = {"repeat": timedelta(milliseconds=100)}
    async with relaying(shop, broker.publisher(**brief)):
        await shop.emit(*(Sawn(board=n) for n in range(5)))
        await until(lambda: relayed(shop))
    await shop.admin.execute("update shared.change_consumer set position = 2")
    await asyncio.sleep(0.3)
    async with relaying(shop, broker.publisher(**brief)):
        await shop.emit(Sawn(board=5))
        await until(lambda: relayed(shop))
    assert [body["payload"]["board"] for _, body in await broker.messages()] == [0, 1, 2, 3, 4, 5]


async def test_an_event_too_large_for_the_broker_is_set_aside(shop: Woodshop, broker: Broker) -> None:
    api = await shop.connect("api")
    operator = await shop.subject(("dead-letter:read", ""))
    await shop.admin.execute(
        "select shared.append_event('test.wood.sawn.v2', '', jsonb_build_object('x', repeat('x', 2000000)), 'r', false)"
    )
    async with relaying(shop, broker.publisher()):
        await shop.emit(Sawn(board=1))
        await until(lambda: relayed(shop))
    assert [body["payload"] for _, body in await broker.messages()] == [{"board": 1}]
    async with api.transaction(operator) as ctx:
        [letter] = await list_dead_letters(ctx, consumer="relay.nats")
    assert "MaxPayloadError" in letter.error


async def test_a_stream_that_was_made_with_other_settings_is_brought_up_to_date(shop: Woodshop, broker: Broker) -> None:
    client = await nats.connect(broker.url)
    await client.jsm().add_stream(name="IRONWORKS", subjects=["old.>"])
    await client.close()
    async with relaying(shop, broker.publisher()):
        await shop.emit(Sawn(board=1))
        await until(lambda: relayed(shop))
    assert len(await broker.messages()) == 1


class PickyPublisher:
    """A destination that refuses one board until it is told not to."""

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.picky = True

    async def open(self) -> UUID | None:
        return None

    async def publish(self, event: LoggedEvent) -> None:
        board = event.payload["board"]
        if self.picky and board == 1:
            raise Refused("not this one")
        self.taken.append(board)

    async def close(self) -> None: ...


async def test_a_refused_event_is_replayed_when_asked_for(shop: Woodshop) -> None:
    picky = PickyPublisher()
    async with relaying(shop, picky):
        await shop.emit(*(Sawn(board=n) for n in range(3)))
        await until(lambda: relayed(shop))
        assert picky.taken == [0, 2]
        picky.picky = False
        await shop.admin.execute("update shared.dead_letter set replay_requested_at = now()")
        await until(lambda: picky.taken == [0, 2, 1])
