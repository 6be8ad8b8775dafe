"""Looks at upstreams between requests: whether those that refused connections are back, and whether those whose health
is to be watched are well.

The first is a connection made and closed, the second a GET whose status counts; no request is risked on either. An
upstream is looked at once at a time, however many models it has, and at most so many are at once. Redirects are not
followed, bodies not waited for.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal, TypeAlias, cast

import httptools

from ironworks.products.tokenfactory.gateway import wire
from ironworks.products.tokenfactory.gateway.dialing import dial
from ironworks.products.tokenfactory.gateway.model import GatewaySettings
from ironworks.products.tokenfactory.routing import Balancer, HealthCheck, Replica, ReplicaState
from ironworks.shared import telemetry

log = telemetry.logger(__name__)

EVERY: Final = 1.0
"""Seconds between looks at what refuses connections, and how exactly the times of all others are kept."""
AT_ONCE: Final = 64
MAX_HEAD: Final = 64 * 1024

Finding: TypeAlias = Literal["well", "ill", "unreachable"]


class Looks:
    """All looks of a process. `ejected` is called whenever one sets an upstream aside."""

    def __init__(
        self, balancer: Balancer, settings: GatewaySettings, tls: ssl.SSLContext, ejected: Callable[[], None]
    ) -> None:
        self._balancer = balancer
        self._settings = settings
        self._tls = tls
        self._ejected = ejected
        self._loop = asyncio.get_running_loop()
        self._limit = asyncio.Semaphore(AT_ONCE)
        self._watched: dict[Replica, list[ReplicaState]] = {}
        self._due: dict[Replica, float] = {}
        self._under_way: set[Replica] = set()

    async def run(self) -> None:
        """For ever; cancel to stop."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await asyncio.sleep(EVERY)
                for replica, states in self._next(self._loop.time()):
                    if replica not in self._under_way:
                        self._under_way.add(replica)
                        tasks.create_task(self._look(replica, states))

    def _next(self, now: float) -> Iterator[tuple[Replica, Sequence[ReplicaState]]]:
        """What to look at now."""
        if self._watched is not self._balancer.looked_at:
            self._watched = self._balancer.looked_at
            self._due = {
                replica: self._due.get(replica) or now + random.random() * check.interval  # noqa: S311
                for replica in self._watched
                if (check := replica.check) is not None
            }
        knocks: dict[Replica, list[ReplicaState]] = {}
        for state in self._balancer.set_aside(now):
            if state.unreachable and state.replica in self._due:
                self._due[state.replica] = now
            elif state.unreachable:
                knocks.setdefault(state.replica, []).append(state)
        yield from knocks.items()
        for replica, at in self._due.items():
            if at <= now:
                yield replica, self._watched[replica]

    async def _look(self, replica: Replica, states: Sequence[ReplicaState]) -> None:
        try:
            async with self._limit:
                finding = await self._find(replica)
            self._tell(replica, states, finding, self._loop.time())
        except Exception:
            log.exception("a look at a model server failed", address=replica.address)
        finally:
            self._under_way.discard(replica)

    async def _find(self, replica: Replica) -> Finding:
        check = replica.check
        request = wire.look_head(replica, check.path) if check is not None else b""
        addresses = self._settings.upstream_addresses
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                asked = await dial(self._loop, replica, addresses, lambda: _Asked(self._loop, request), self._tls)
        except (OSError, TimeoutError, ValueError):
            return "unreachable"
        try:
            return "well" if check is None else await _judge(asked, check)
        finally:
            asked.close()

    def _tell(self, replica: Replica, states: Sequence[ReplicaState], finding: Finding, now: float) -> None:
        check = replica.check
        if finding == "well":
            for state in states:
                state.recovered(now)
        again = check.interval if check is not None and finding != "unreachable" else EVERY
        if replica in self._due:
            self._due[replica] = now + again * (0.9 + 0.2 * random.random())  # noqa: S311 - or all come at once
        if finding == "well" or check is None:
            return
        unreachable = finding == "unreachable"
        aside = [state.looked_ill(now, again, check.failures, unreachable=unreachable) for state in states]
        if any(aside):
            self._ejected()
            log.warning("a model server is not well and is set aside", address=replica.address, found=finding)


async def _judge(asked: _Asked, check: HealthCheck) -> Finding:
    try:
        async with asyncio.timeout(check.timeout):
            status = await asked.status
    except TimeoutError:
        return "ill"
    return "well" if status in check.statuses else "ill"


class _Asked(asyncio.Protocol):
    """One connection and what was asked on it. `status` is the answer's, 0 where none came."""

    def __init__(self, loop: asyncio.AbstractEventLoop, request: bytes) -> None:
        self.status: asyncio.Future[int] = loop.create_future()
        self._request = request
        self._size = 0
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._request:
            self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._answer(0)
        if self._size > MAX_HEAD:
            self._answer(0)

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200:
            self._answer(status)

    def connection_lost(self, exc: Exception | None) -> None:
        self._answer(0)

    def _answer(self, status: int) -> None:
        if not self.status.done():
            self.status.set_result(status)

    def close(self) -> None:
        """Whatever else it says is not read."""
        self._transport.abort()
