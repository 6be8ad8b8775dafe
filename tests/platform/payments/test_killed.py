"""A worker that is killed outright between what Stripe answers and what we commit; Stripe goes on without it.

Three processes: the worker, Stripe's stand-in, and the test. The worker dies by SIGKILL: nothing of it runs any more.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import pytest

from ironworks.platform import invoices, payments
from ironworks.platform.payments.model import LEASE
from tests.platform.payments.paying import ACCOUNT, DOLLARS_5, PayingWorld
from tests.support.postgres import TestDatabase

STATE = payments.PaymentState


@contextmanager
def program(name: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A module of this folder as a process, killed at the end."""
    command = [sys.executable, "-m", f"tests.platform.payments.{name}", *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


@pytest.fixture
def workers(database: TestDatabase) -> Iterator[tuple[subprocess.Popen[str], subprocess.Popen[str]]]:
    """Two that wait to begin; by the second one's clock it is after the first one's lease."""
    url, later = database.url("worker"), str(LEASE.total_seconds() + 60)
    with program("worker_process", url, "0") as first, program("worker_process", url, later) as second:
        yield first, second


@pytest.fixture
def stripe_url() -> Iterator[str]:
    with program("stripe_process") as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()


def ask(stripe_url: str, what: str) -> Any:
    with urllib.request.urlopen(f"{stripe_url}/test/{what}", timeout=5) as answer:
        return json.load(answer)


def begin(worker: subprocess.Popen[str], stripe_url: str) -> None:
    assert worker.stdin is not None
    worker.stdin.write(f"{stripe_url}\n")
    worker.stdin.flush()


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.02)


async def test_a_worker_killed_between_the_answer_and_the_commit_charges_once(
    workers: tuple[subprocess.Popen[str], subprocess.Popen[str]], stripe_url: str, world: PayingWorld
) -> None:
    first, second = workers
    left = ask(stripe_url, "card")
    await world.world.admin(
        "insert into platform_payments.customer (account, provider, reference, default_method)"
        " values ($1, 'stripe', $2, $3)",
        ACCOUNT, left["customer"], left["card"],
    )  # fmt: skip
    await world.pay()
    holder = await asyncpg.connect(world.world.place.admin)
    try:
        begin(first, stripe_url)
        await until(lambda: _decided(stripe_url))
        await holder.execute("begin; select from platform_payments.payment for update")
        ask(stripe_url, "release")
        await until(lambda: _waits(holder))
        first.kill()
        first.wait(10)
    finally:
        await holder.close()
    payment = await world.only_payment()
    assert payment.state is STATE.SENDING, "nothing of the answer was committed"
    assert ask(stripe_url, "moved")["moved"] == [[payment.reference, 500]]
    begin(second, stripe_url)
    await until(lambda: _is_paid(world))
    await world.consume()
    told = ask(stripe_url, "moved")
    assert (len(told["moved"]), told["decided"]) == (1, 1), "it was asked what became of it, and not to pay again"
    assert await world.balance("cash") == DOLLARS_5
    assert (await world.invoice()).state is invoices.InvoiceState.PAID


async def _decided(stripe_url: str) -> bool:
    return bool(ask(stripe_url, "moved")["decided"])


async def _waits(connection: asyncpg.Connection) -> bool:
    """Whether a transaction of this database waits for the row that we hold."""
    return bool(
        await connection.fetchval(
            "select exists (select from pg_stat_activity where datname = current_database()"
            " and usename = 'ironworks_worker' and wait_event_type = 'Lock')"
        )
    )


async def _is_paid(world: PayingWorld) -> bool:
    return (await world.only_payment()).state is STATE.SUCCEEDED
