"""A gateway with keys and targets that a test makes up, and a ledger that remembers what was charged."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4, uuid5

import httpx

from ironworks.platform.pricing import Price
from ironworks.products.tokenfactory.budgets import BudgetView
from ironworks.products.tokenfactory.gateway import (
    Gateway,
    GatewaySettings,
    KeyView,
    ReportHealth,
    Sources,
    UsageRecord,
    Waker,
)
from ironworks.products.tokenfactory.limits import LimitView
from ironworks.products.tokenfactory.responses import KeepResponses
from ironworks.products.tokenfactory.routing import Replica, Route, Target, route_to
from ironworks.products.tokenfactory.traces import KeepTraces, PolicyView
from tests.products.tokenfactory.budgets.lender import FakeLender
from tests.products.tokenfactory.upstream import BEHAVIOURS

if TYPE_CHECKING:
    import anthropic
    import openai

SCOPE = "demo.app.dev"
SECRET = "iwk_test_dev"
_NAMES = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")


def key_view(secret: str = SECRET, scope: str = SCOPE, **changes: Any) -> KeyView:
    """A key that may call everything at and below its scope."""
    view = KeyView(
        uid=uuid5(_NAMES, secret),
        digest=hashlib.sha256(secret.encode()).digest(),
        scope=scope,
        owner=uuid4(),
        invoke_scopes=(scope,),
    )
    return replace(view, **changes)


def target(name: str, *addresses: str, scope: str = SCOPE, served_as: str = "") -> Target:
    """An endpoint at `scope` that the replicas call the same."""
    replicas = tuple(Replica(address, "replica-secret") for address in addresses)
    return Target(
        uuid5(_NAMES, f"{scope}/{name}"), scope, name, f"catalogue/{name}", served_as or name, replicas, 1_700_000_000
    )


def targets_for(*addresses: str) -> list[Target]:
    """One target per behaviour of the mock model server, a plain one, and some elsewhere in the tree."""
    return [
        target("plain", *addresses),
        target("renamed", *addresses, served_as="/models/internal-name.gguf"),
        target("idle"),
        target("deep", *addresses, scope=f"{SCOPE}.eu"),
        target("foreign", *addresses, scope="other.app.dev"),
        *(target(name, *addresses) for name in BEHAVIOURS),
    ]


@dataclass
class Fixed:
    """A KeySource and RouteSource that answer what the test put in, or fail: each target by its name, and routes."""

    keys: list[KeyView] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    limits: list[LimitView] = field(default_factory=list)
    kinds: frozenset[str] = frozenset({"ApiKey", "Endpoint"})
    broken: bool = False
    unroutable: bool = False
    loads: int = 0

    async def load_keys(self) -> Sequence[KeyView]:
        self.loads += 1
        if self.broken:
            raise ConnectionError("the database is down")
        return list(self.keys)

    async def load_routes(self) -> Sequence[Route]:
        if self.broken or self.unroutable:
            raise ConnectionError("the database is down")
        return [*map(route_to, self.targets), *self.routes]

    async def load(self) -> Sequence[LimitView]:
        if self.broken:
            raise ConnectionError("the database is down")
        return list(self.limits)


@dataclass
class Policies:
    """A Source of trace policies."""

    views: list[PolicyView] = field(default_factory=list)
    kinds: frozenset[str] = frozenset({"TracePolicy"})

    async def load(self) -> Sequence[PolicyView]:
        return list(self.views)


@dataclass
class Rows:
    """A Source that has what it was given."""

    rows: Sequence[Any]
    kinds: frozenset[str] = frozenset()

    async def load(self) -> Sequence[Any]:
        return self.rows


@dataclass
class Ledger:
    """A `charge` that counts each request once, and tells `charged` of it."""

    records: dict[str, UsageRecord] = field(default_factory=dict)
    conflicts: list[UsageRecord] = field(default_factory=list)
    calls: int = 0
    broken: bool = False
    charged: Callable[[UsageRecord], None] = lambda record: None

    async def charge(self, batch: Sequence[UsageRecord]) -> None:
        self.calls += 1
        if self.broken:
            raise ConnectionError("the database is down")
        for record in batch:
            if record.request_id not in self.records:
                self.charged(record)
            if self.records.setdefault(record.request_id, record) != record:
                self.conflicts.append(record)

    async def expect(self, count: int, within: float = 60.0) -> list[UsageRecord]:
        """Exactly `count` records, once they are there."""
        async with asyncio.timeout(within):
            while len(self.records) < count:
                await asyncio.sleep(0.01)
        assert len(self.records) == count
        assert not self.conflicts
        return list(self.records.values())


@dataclass
class World:
    """The running gateway and how to reach it."""

    gateway: Gateway
    port: int
    source: Fixed
    ledger: Ledger
    spool: Path
    callers: list[Any] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def http(self, secret: str = SECRET) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, headers={"authorization": f"Bearer {secret}"}, timeout=20)

    def openai(self, secret: str = SECRET) -> openai.AsyncOpenAI:
        import openai  # slow to import, and gateway processes that tests start import this module too

        caller = openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=secret, max_retries=0, timeout=20)
        self.callers.append(caller)
        return caller

    def anthropic(self, secret: str = SECRET) -> anthropic.AsyncAnthropic:
        import anthropic

        caller = anthropic.AsyncAnthropic(base_url=self.url, api_key=secret, max_retries=0, timeout=60)
        self.callers.append(caller)
        return caller

    async def raw(self, data: bytes, within: float = 60.0) -> bytes:
        """What comes back for `data` until the gateway closes the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        try:
            async with asyncio.timeout(within):
                return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def run_world(
    spool: Path,
    targets: Sequence[Target],
    keys: Sequence[KeyView] = (),
    limits: Sequence[LimitView] = (),
    *,
    trace: KeepTraces | None = None,
    policies: Sequence[PolicyView] = (),
    report: ReportHealth | None = None,
    routes: Sequence[Route] = (),
    waker: Waker | None = None,
    keep: KeepResponses | None = None,
    budgets: Sequence[BudgetView] = (),
    prices: Sequence[Price] = (),
    lender: FakeLender | None = None,
    **settings: Any,
) -> AsyncIterator[World]:
    """A gateway in this process, ready to serve, stopped at the end of the block."""
    source = Fixed([key_view(), *keys], list(targets), routes=list(routes), limits=list(limits))
    ledger = Ledger()
    settings = {"ship_every": 0.02, "drain": 2.0, **settings}
    sources = Sources(
        source, source, limits=source, traces=Policies(list(policies)), budgets=Rows(budgets), prices=Rows(prices)
    )
    gateway = Gateway(GatewaySettings(spool=spool, **settings), sources=sources, charge=ledger.charge, trace=trace)
    if lender is not None:
        gateway.lend_by(lender)
        ledger.charged = lender.count
    if report is not None:
        gateway.report_health(report)
    if waker is not None:
        gateway.wake_by(waker)
    if keep is not None:
        gateway.keep_responses(keep)
    sock = listener()
    serving = asyncio.create_task(gateway.serve([sock]))
    world = World(gateway, sock.getsockname()[1], source, ledger, spool)
    try:
        await until_healthy(world.url if "tls_certificate" not in settings else world.url.replace("http", "https"))
        yield world
    finally:
        for caller in world.callers:  # a gateway that stops waits a second for the next request of one that stays
            await caller.close()
        gateway.stop()
        await asyncio.wait_for(serving, 60)
        sock.close()


def listener() -> socket.socket:
    """A listening socket on a free port of loopback."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    sock.listen(1024)
    return sock


async def until_healthy(url: str, within: float = 60.0) -> None:
    async with httpx.AsyncClient(verify=False) as http, asyncio.timeout(within):
        while True:
            try:
                if (await http.get(f"{url}/healthz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.02)


def chat(model: str = "plain", **more: Any) -> dict[str, Any]:
    """The body of a chat completion."""
    return {"model": model, "messages": [{"role": "user", "content": "Tell me a story"}], **more}


def post(path: str, body: object, *headers: str, secret: str = SECRET) -> bytes:
    """A raw POST that closes its connection."""
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [
        f"POST {path} HTTP/1.1",
        "host: gateway",
        f"authorization: Bearer {secret}",
        "content-type: application/json",
        f"content-length: {len(payload)}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + payload
