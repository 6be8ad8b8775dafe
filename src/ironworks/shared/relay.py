"""The relay: events go out to a broker, each one once and in order.

It is a consumer of the log whose effect is outside: it publishes, waits for the broker's word, then moves its cursor.
A crash between the two is repaired from both ends: the broker drops a repeated event id for a while, and a relay that
starts anew asks the broker for the last event it holds and goes on behind it. While the broker is down the log keeps
everything.

One process at a time relays to one destination. `Publisher` is the destination: NATS JetStream here.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, Protocol
from urllib.parse import urlsplit
from uuid import UUID

import nats
from nats import errors as nats_errors
from nats.aio.client import Client
from nats.js import errors as js_errors
from nats.js.api import StorageType, StreamConfig

from ironworks.shared import telemetry
from ironworks.shared.changelog import LoggedEvent, Notice, Tail, lead
from ironworks.shared.consumers import (
    move_cursor,
    read_entries,
    register_cursor,
    set_aside,
    settle_letter,
    wanted_letter,
)
from ironworks.shared.context import Connection
from ironworks.shared.errors import Invalid, Unavailable
from ironworks.shared.notify import dedicated, keep_trying
from ironworks.shared.path import show_path

log = telemetry.logger(__name__)
_published = telemetry.counter("ironworks_relay_published_total", "Events that a destination has taken", ["relay"])

STREAM: Final = "IRONWORKS"
_BAD_CONFIG: Final = 10058  # JetStream: the stream exists with another configuration


class Refused(Invalid):
    """The destination will never take this event; it is set aside."""


class Publisher(Protocol):
    """Where a relay publishes to."""

    async def open(self) -> UUID | None:
        """Connect; the id of the last event that the destination holds, where it can tell. Raises Unavailable."""

    async def publish(self, event: LoggedEvent) -> None:
        """Return when the event is kept for good. Raises Refused for this event, Unavailable for any."""

    async def close(self) -> None:
        """Let go of the connection."""


def envelope(event: LoggedEvent) -> dict[str, Any]:
    """What leaves the installation. `tenant` is a path, `-` for the operator's scope; times are RFC 3339, UTC."""
    return {
        "event_id": str(event.event_id),
        "event_type": event.event_type,
        "version": event.version,
        "occurred_at": event.occurred_at.isoformat(),
        "tenant": show_path(event.scope),
        "correlation_id": event.correlation_id,
        "registry_version": event.registry_version,
        "payload": event.payload,
    }


class Relay:
    """Publishes every event to one destination; `run` is a background task in any number of workers.

    Args:
        url: database of the worker login.
        name: of the cursor; one destination, one name. Remove it with `forget_consumer` when the relay is switched
            off, or the log keeps all events for it.
        poll: seconds between looks without news. standby: between attempts to become the one that relays.
    """

    def __init__(
        self,
        url: str,
        publisher: Publisher,
        tail: Tail,
        *,
        name: str = "relay.nats",
        batch: int = 200,
        poll: float = 2.0,
        standby: float = 1.0,
    ) -> None:
        self.url = url
        self.publisher = publisher
        self.tail = tail
        self.name = name
        self.batch = batch
        self.poll = poll
        self.standby = standby

    async def run(self) -> None:
        """Relay, or wait to, until cancelled; a broker that is down is tried again, at least every ten seconds."""
        await keep_trying(self._session, f"the relay {self.name}", longest_pause=10.0)

    async def _session(self) -> None:
        async with dedicated(self.url, "ironworks-relay", idle_session_timeout="30000") as db:
            await lead(db, zlib.crc32(self.name.encode()), self.standby)
            await register_cursor(db, self.name, "beginning")
            try:
                position = await self._resume(db, await self.publisher.open())
                await self._follow(db, position)
            finally:
                await self.publisher.close()

    async def _resume(self, db: Connection, last: UUID | None) -> int:
        """The cursor's position, or that of the last event the destination holds, where it is further."""
        position: int = await db.fetchval("select position from shared.change_consumer where name = $1", self.name)
        held = await db.fetchval("select position from shared.change_log where event_id = $1", last)
        if held is None or held <= position:
            return position
        await move_cursor(db, self.name, position, held)
        return int(held)

    async def _follow(self, db: Connection, position: int) -> None:
        with self.tail.subscribe(_is_event, limit=1) as news:
            while True:
                news.clear()
                events, upto = await read_entries(db, position, self.batch, ("*",), ())
                for event in events:
                    assert isinstance(event, LoggedEvent)
                    await self._publish(db, event)
                await move_cursor(db, self.name, position, upto)
                position = upto
                if not events and not await self._replay_one(db):
                    await news.wait(self.poll)

    async def _publish(self, db: Connection, event: LoggedEvent) -> None:
        try:
            await self.publisher.publish(event)
            _published.labels(self.name).inc()
        except Refused as problem:
            await set_aside(db, self.name, event, problem, 1)

    async def _replay_one(self, db: Connection) -> bool:
        letter = await wanted_letter(db, self.name)
        if not isinstance(letter, LoggedEvent):
            return False
        try:
            await self.publisher.publish(letter)
            await settle_letter(db, self.name, letter.position)
        except Refused as problem:
            await set_aside(db, self.name, letter, problem, 1)
        return True


def _is_event(notice: Notice) -> bool:
    return notice.event_type is not None


class NatsPublisher:
    """JetStream as a destination: the subject is the event's type, `Nats-Msg-Id` its id.

    Args:
        servers: `nats://…` addresses.
        subjects: what the stream takes, for instance `platform.>`; every event's first word must be among them.
        keep: how long the stream holds an event. repeat: how long it recognises a repeated id.
        patience: seconds to wait for an answer of the broker.
    """

    def __init__(
        self,
        servers: Sequence[str],
        subjects: Sequence[str],
        *,
        stream: str = STREAM,
        replicas: int = 1,
        keep: timedelta = timedelta(days=7),
        repeat: timedelta = timedelta(minutes=10),
        patience: float = 5.0,
    ) -> None:
        self.servers = list(servers)
        self.config = StreamConfig(
            name=stream,
            subjects=list(subjects),
            storage=StorageType.FILE,
            num_replicas=replicas,
            max_age=keep.total_seconds(),
            duplicate_window=repeat.total_seconds(),
        )
        self.patience = patience
        self._client: Client | None = None

    async def open(self) -> UUID | None:
        await self._reach()
        try:
            self._client = await nats.connect(
                self.servers, name="ironworks-relay", allow_reconnect=False, connect_timeout=2, error_cb=_ignore
            )
            await self._ensure_stream(self._client)
            return await self._last_event(self._client)
        except (OSError, nats_errors.Error, js_errors.Error) as problem:
            raise Unavailable(f"NATS does not answer: {type(problem).__name__} {problem}") from problem

    async def publish(self, event: LoggedEvent) -> None:
        if self._client is None or not self._client.is_connected:
            raise Unavailable("the connection to NATS is gone")
        headers = {"Nats-Msg-Id": str(event.event_id), "Nats-Expected-Stream": str(self.config.name)}
        body = json.dumps(envelope(event), separators=(",", ":")).encode()
        try:
            await self._client.jetstream().publish(event.event_type, body, timeout=self.patience, headers=headers)
        except (nats_errors.MaxPayloadError, nats_errors.BadSubjectError) as problem:
            raise Refused(f"NATS does not take {event.event_type}: {type(problem).__name__} {problem}") from problem
        except (OSError, nats_errors.Error, js_errors.Error) as problem:
            raise Unavailable(f"NATS did not take {event.event_type}: {type(problem).__name__} {problem}") from problem

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None and not client.is_closed:
            await client.close()

    async def _reach(self) -> None:
        """Find one server that listens: a refused first connect would cost the client two seconds."""
        for server in self.servers:
            address = urlsplit(server)
            try:
                async with asyncio.timeout(2):
                    _, writer = await asyncio.open_connection(address.hostname, address.port or 4222)
            except OSError:
                continue
            writer.close()
            return
        raise Unavailable("no NATS server listens")

    async def _ensure_stream(self, client: Client) -> None:
        manager = client.jsm(timeout=self.patience)
        try:
            await manager.add_stream(self.config)
        except js_errors.BadRequestError as problem:
            if problem.err_code != _BAD_CONFIG:
                raise
            await manager.update_stream(self.config)

    async def _last_event(self, client: Client) -> UUID | None:
        manager = client.jsm(timeout=self.patience)
        state = (await manager.stream_info(str(self.config.name))).state
        if not state.messages:
            return None
        message = await manager.get_msg(str(self.config.name), seq=state.last_seq)
        found = (message.headers or {}).get("Nats-Msg-Id")
        return UUID(found) if found else None


async def _ignore(_: Exception) -> None:
    """The client's errors also end the call that met them; told twice they would only fill the log."""
