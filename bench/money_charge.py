"""Charging for the money benchmark: writers in processes of their own, as gateways are, and plain COPY beside them."""

from __future__ import annotations

import asyncio
import gc
import io
import multiprocessing
import queue
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_DNS, uuid4, uuid5

import asyncpg

from ironworks.platform import billing, metering
from ironworks.products.tokenfactory.gateway.identifiers import RequestIds
from ironworks.products.tokenfactory.gateway.model import GatewaySettings
from ironworks.shared.context import Services, system_actor
from ironworks.shared.db import Database

METERS = (metering.INPUT_TOKENS, metering.CACHED_INPUT_TOKENS, metering.OUTPUT_TOKENS)
TENANTS = [f"a{n % 50}.shop.t{n}" for n in range(1_000)]
ONE = TENANTS[:1]
PATIENCE = 600
"""Seconds that the writers of a load have, together."""
FRESH_SECONDS = 20
_SOME = [uuid5(NAMESPACE_DNS, str(n)) for n in range(100)]
"""Keys and endpoints."""


@dataclass(frozen=True)
class Load:
    """`writers` processes charge `requests` in all, spread over `scopes`, `batch` at a time; `judged` by the goal."""

    name: str
    writers: int
    requests: int
    scopes: Sequence[str]
    batch: int
    judged: bool = True

    @property
    def batches(self) -> int:
        """Of each writer; at least one."""
        return max(1, self.requests // self.writers // self.batch)


@dataclass(frozen=True)
class Charged:
    """Requests a second, and the CPU microseconds that one took in its writer and in that one's Postgres process."""

    rate: float
    writer: float
    postgres: float

    @property
    def cpu(self) -> float:
        return self.writer + self.postgres


def events(count: int, scopes: Sequence[str], ids: RequestIds) -> list[metering.UsageEvent]:
    """Requests with three quantities each, as a gateway ships them."""
    return [
        metering.UsageEvent(
            id=ids.new(),
            occurred_at=datetime.now(UTC),
            scope=scopes[n % len(scopes)],
            quantities=dict(zip(METERS, (100 + n % 900, 1 + n % 50, 30 + n % 300), strict=True)),
            model="smollm2",
            route="smollm2",
            endpoint_uid=_SOME[n % 10],
            endpoint_name="smollm2",
            endpoint_scope=scopes[n % len(scopes)],
            key_uid=_SOME[n % 100],
            dimensions={"operation": "/v1/chat/completions", "status": "200"},
            priced_at=datetime.now(UTC),
            route_uid=_SOME[n % 10],
            course={"duration_ms": 900 + n % 100, "first_byte_ms": 40, "tries": 1, "streamed": 1},
        )
        for n in range(count)
    ]


async def _nothing(*_: Any) -> None: ...


async def connect(url: str, size: int = 1) -> Database:
    return await Database.connect(url, Services(_nothing, None), max_size=size)  # type: ignore[arg-type]


async def charge(database: Database, batch: Sequence[metering.UsageEvent]) -> None:
    async with database.transaction(system_actor("bench")) as ctx:
        await billing.charge_usage(ctx, batch)


async def _ready(url: str, scopes: Sequence[str]) -> tuple[Database, RequestIds]:
    """A writer that has begun to write."""
    database, ids = await connect(url), RequestIds()
    for count in (100, len(scopes)):
        await charge(database, events(count, scopes, ids))
    return database, ids


def write(url: str, load: Load, start: Barrier, answers: Any) -> None:
    """One writer; puts (begin, end) of its work on the clock that all processes share, and the CPU seconds of both."""

    async def work() -> tuple[float, float, float, float]:
        database, ids = await _ready(url, load.scopes)
        async with database.pool.acquire() as conn:
            backend = conn.get_server_pid()
        batches = [events(load.batch, load.scopes, ids) for _ in range(load.batches)]
        suit_the_interpreter()
        start.wait(timeout=PATIENCE)
        began, own, theirs = time.monotonic(), time.process_time(), cpu_seconds(backend)
        for batch in batches:
            await charge(database, batch)
        ended, own, theirs = time.monotonic(), time.process_time() - own, cpu_seconds(backend) - theirs
        await database.close()
        return began, ended, own, theirs

    answers.put(asyncio.run(work()))


def suit_the_interpreter() -> None:
    """As a gateway's process does it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)


def cpu_seconds(pid: int) -> float:
    """CPU time that a process of this machine has used."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def keep_pace(url: str, load: Load, start: Barrier, delays: Any) -> None:
    """One writer of a steady rate, as a gateway ships; puts seconds from events' moments to the commit that charged
    them. `load.requests` are those of one second."""

    async def work() -> list[float]:
        database, ids = await _ready(url, load.scopes)
        pause = GatewaySettings(spool=Path()).ship_every
        share = int(load.requests * pause / load.writers)
        start.wait(timeout=PATIENCE)
        found: list[float] = []
        due = time.monotonic()
        for _ in range(int(FRESH_SECONDS / pause)):
            oldest = due
            due += pause
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            waiting = events(share, load.scopes, ids)
            for first in range(0, share, load.batch):
                await charge(database, waiting[first : first + load.batch])
                found += _delays(time.monotonic() - oldest, pause, first, min(first + load.batch, share), share)
        await database.close()
        return found

    delays.put(asyncio.run(work()))


def _delays(since_oldest: float, pause: float, first: int, last: int, share: int) -> list[float]:
    """Of a hundredth of the events from `first` to `last`: all `share` came evenly through the pause."""
    return [since_oldest - pause * n / share for n in range(first, last, max(1, share // 100))]


def together(target: Callable[..., None], url: str, load: Load) -> list[Any]:
    """What the writers of a load put, all begun at once. Raises RuntimeError when one died, as of a deadlock."""
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(load.writers), context.Queue()
    writers = [context.Process(target=target, args=(url, load, start, answers)) for _ in range(load.writers)]
    for writer in writers:
        writer.start()
    found: list[Any] = []
    deadline = time.monotonic() + PATIENCE
    try:
        while len(found) < len(writers):
            try:
                found.append(answers.get(timeout=1))
            except queue.Empty:
                if time.monotonic() > deadline or any(writer.exitcode for writer in writers):
                    raise RuntimeError(f"a writer of {load.name!r} failed, or took too long") from None
    finally:
        for writer in writers:
            writer.join(timeout=30 if len(found) == len(writers) else 0)
            writer.kill()
    return found


def measure(url: str, load: Load) -> Charged:
    """A load, charged and committed."""
    answers = together(write, url, load)
    done = load.writers * load.batches * load.batch
    seconds = max(end for _, end, _, _ in answers) - min(begin for begin, *_ in answers)
    own, theirs = sum(each[2] for each in answers), sum(each[3] for each in answers)
    return Charged(done / seconds, 1e6 * own / done, 1e6 * theirs / done)


async def measure_copy(admin: asyncpg.Connection[asyncpg.Record], requests: int, batch: int) -> Charged:
    """Plain COPY by a superuser: a claim, an event, and a row of three lines each, into copies of the tables with their
    indexes."""
    await admin.execute(
        """
        create table public.floor_claim (like platform_metering.usage_claim including all);
        create table public.floor_event (like platform_metering.usage_event including all);
        create table public.floor_line (like platform_pricing.rated_event including all)
        """
    )
    price = await admin.fetchval("select id from platform_pricing.price limit 1")
    ids, backend = RequestIds(), admin.get_server_pid()
    seconds = own = theirs = 0.0
    batches = max(1, requests // batch)
    for _ in range(batches):
        tables = _rows(events(batch, TENANTS, ids), price)
        before = time.monotonic(), time.process_time(), cpu_seconds(backend)
        async with admin.transaction():
            for table, columns, rows in tables:
                await admin.copy_to_table(table, schema_name="public", source=rows, columns=columns, format="csv")
        after = time.monotonic(), time.process_time(), cpu_seconds(backend)
        seconds, own, theirs = (
            total + now - then for total, now, then in zip((seconds, own, theirs), after, before, strict=True)
        )
    await admin.execute("drop table public.floor_claim, public.floor_event, public.floor_line")
    done = batches * batch
    return Charged(done / seconds, 1e6 * own / done, 1e6 * theirs / done)


def _rows(batch: Sequence[metering.UsageEvent], price: Any) -> list[tuple[str, tuple[str, ...], io.BytesIO]]:
    """(table, columns, CSV) of what a batch comes to."""
    now, transfer = datetime.now(UTC), uuid4()
    claims = [(e.id, r"\x" + e.digest().hex(), now) for e in batch]
    heads = [
        (e.id, e.occurred_at, e.scope, '"{""input_tokens"":100,""output_tokens"":30}"', e.model, e.route,
         e.endpoint_uid, e.endpoint_name, e.endpoint_scope, e.key_uid, "f", '"{""status"":""200""}"', e.priced_at,
         e.route_uid)
        for e in batch
    ]  # fmt: skip
    lines = [
        (e.id, _array(e.quantities), _array(e.quantities.values()), _array([price] * len(e.quantities)),
         _array(100 * quantity for quantity in e.quantities.values()), "USD", e.scope, transfer, now.date(), e.model)
        for e in batch
    ]  # fmt: skip
    return [
        ("floor_claim", _CLAIM, _csv(claims)),
        ("floor_event", _EVENT, _csv(heads)),
        ("floor_line", _LINE, _csv(lines)),
    ]


def _array(values: Iterable[Any]) -> str:
    return '"{' + ",".join(map(str, values)) + '}"'


def _csv(rows: Sequence[Sequence[Any]]) -> io.BytesIO:
    return io.BytesIO("".join(",".join(map(str, row)) + "\n" for row in rows).encode())


_CLAIM = ("event_id", "digest", "claimed_at")
_EVENT = (
    "event_id", "occurred_at", "scope", "quantities", "model", "route", "endpoint_uid", "endpoint_name",
    "endpoint_scope", "key_uid", "counted", "dimensions", "priced_at", "route_uid",
)  # fmt: skip
_LINE = (
    "usage_event_id", "meters", "quantities", "price_ids", "amounts_nano", "currency", "scope", "transfer_id", "day",
    "model",
)  # fmt: skip
