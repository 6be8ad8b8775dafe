"""`kill -9` of every part in random order while clients work: everything converges, and every answer is billed once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from ironworks.shared.supervision import ProgramSpec
from tests.e2e import counting
from tests.e2e.site import CHAT, EMBED, EMBEDDING_MODEL, TENANT, Site, fresh_home
from tests.support.installation import installation
from tests.support.supervisor import lives, until

COUNTING = "counting"
PARTS = ("api", "gateway", "worker", "postgres", COUNTING, "replica", "replica")


@pytest.fixture
def site(run_folder: Path) -> Iterator[Site]:
    """An installation of its own, which writes to the disk as it does for people."""
    with installation(fresh_home(run_folder)) as installed:
        started = installed.run("up")
        assert started.returncode == 0, started.stdout + started.stderr
        found = Site(installed)
        found.endpoint(EMBED, EMBEDDING_MODEL)
        yield found


@dataclass
class Load:
    """Clients at work, and what they were told.

    `sent`: the ids that callers gave their requests. `answered`: request id → usage, for those whose terminator or
    whole body came. `promised`: resource → the last number whose writing was confirmed, `tried` the last one sent.
    """

    site: Site
    chance: random.Random
    sent: set[str] = field(default_factory=set)
    answered: dict[str, dict[str, int]] = field(default_factory=dict)
    promised: dict[str, int] = field(default_factory=dict)
    tried: dict[str, int] = field(default_factory=dict)
    signups: int = 0
    going: bool = True
    numbers: Iterator[int] = field(default_factory=count)

    def run(self) -> list[asyncio.Task[None]]:
        clients = [self._embed(), self._embed(), self._chat(), self._chat(), self._apply("a"), self._apply("b")]
        return [asyncio.create_task(client) for client in [*clients, self._sign_up()]]

    async def _repeat(self, http: httpx.AsyncClient, once: Callable[[], Awaitable[None]], pause: float) -> None:
        async with http:
            while self.going:
                with contextlib.suppress(httpx.HTTPError):
                    await once()
                await asyncio.sleep(pause)

    def _name_request(self) -> dict[str, str]:
        name = f"e2e-{next(self.numbers)}"
        self.sent.add(name)
        return {"x-request-id": name}

    async def _embed(self) -> None:
        http = self.site.async_gateway()

        async def once() -> None:
            body = {"model": EMBED, "input": f"number {self.chance.randrange(1000)}"}
            answer = await http.post("embeddings", json=body, headers=self._name_request())
            if answer.status_code == 200:
                self.answered[answer.headers["x-request-id"]] = answer.json()["usage"]

        await self._repeat(http, once, 0.05)

    async def _chat(self) -> None:
        http = self.site.async_gateway()

        async def once() -> None:
            stream = self.chance.random() < 0.7
            body = {
                "model": CHAT,
                "messages": [{"role": "user", "content": f"Say {self.chance.randrange(100)}."}],
                "max_tokens": 3,
                **({"stream": True, "stream_options": {"include_usage": True}} if stream else {}),
            }
            answer = await http.post("chat/completions", json=body, headers=self._name_request())
            if answer.status_code == 200 and (not stream or answer.text.endswith("data: [DONE]\n\n")):
                self.answered[answer.headers["x-request-id"]] = _usage(answer.text, stream)

        await self._repeat(http, once, 0.1)

    async def _apply(self, who: str) -> None:
        """Write a growing number into tenants of one's own, again and again."""
        env = self.site.env
        http = httpx.AsyncClient(
            base_url=env["IRONWORKS_URL"],
            headers={"authorization": f"Bearer {env['IRONWORKS_TOKEN']}"},
            timeout=10,
            trust_env=False,
        )

        async def once() -> None:
            name = f"{who}{self.chance.randrange(20)}"
            number = self.tried[name] = self.tried.get(name, 0) + 1
            metadata = {"name": name, "scope": TENANT, "annotations": {"number": str(number)}}
            document = {"api_version": "v1", "kind": "Tenant", "metadata": metadata, "spec": {}}
            path = f"/api/v1/scopes/{TENANT}/tenants/{name}:apply"
            answer = await http.post(path, json=document)
            if answer.status_code in (200, 201):
                self.promised[name] = number
            else:
                assert answer.status_code >= 500, answer.text

        await self._repeat(http, once, 0.05)

    async def _sign_up(self) -> None:
        """Each makes an event, and a consumer makes a mail of it."""
        http = httpx.AsyncClient(base_url=self.site.env["IRONWORKS_URL"], timeout=10, trust_env=False)

        async def once() -> None:
            name = f"customer-{next(self.numbers)}"
            body = {"email": f"{name}@example.org", "password": f"the secret of {name}", "account": name}
            answer = await http.post("/api/v1/signup", json=body)
            self.signups += answer.status_code == 202
            assert answer.status_code in (202, 429) or answer.status_code >= 500, answer.text

        await self._repeat(http, once, 2.0)


def _usage(text: str, stream: bool) -> dict[str, int]:
    if not stream:
        return dict(json.loads(text)["usage"])
    chunks = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    return dict(next(chunk["usage"] for chunk in reversed(chunks) if chunk.get("usage")))


# --- killing ----------------------------------------------------------------------------------------------------------


async def _kill_one(site: Site, chance: random.Random) -> str:
    """Kill a random part that runs just now; returns which."""
    while True:
        programs = await site.programs()
        wanted = chance.choice(PARTS)
        running = sorted(name for name, each in programs.items() if name.startswith(wanted) and each.pid is not None)
        if running:
            victim = chance.choice(running)
            pid = programs[victim].pid
            assert pid is not None
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                return victim
        await asyncio.sleep(0.05)


async def _kill_supervisor(site: Site) -> None:
    """The one part that a person starts again: `up` finds the others running, or starts them."""
    pid = await site.installation.client.pid()
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not lives(pid))
    started = await site.installation.run_aside("up", "--no-demo")
    assert started.returncode == 0, started.stdout + started.stderr


async def _kills(site: Site, load: Load, kills: int) -> None:
    before_supervisor = load.chance.randrange(kills // 3, kills)
    for number in range(kills):
        await asyncio.sleep(load.chance.uniform(0.2, 2.0))
        if number == before_supervisor or (number % 50 == 49):
            await _kill_supervisor(site)
        else:
            await _kill_one(site, load.chance)
        assert set(site.copies().values()) <= {1}


# --- what must hold then ----------------------------------------------------------------------------------------------


async def _survives(site: Site, kills: int, seed: int) -> None:
    async with site.books() as books:
        await books.execute(counting.TABLE)
    await site.installation.client.ensure(_counting_program(site))
    load = Load(site, random.Random(seed))
    clients = load.run()
    await until(lambda: len(load.answered) > 5 and load.promised, within=60)
    try:
        await _kills(site, load, kills)
    finally:
        load.going = False
        await asyncio.gather(*clients)
    assert len(load.answered) > kills
    assert len(load.promised) > 10

    started = await site.installation.run_aside("up", "--no-demo")
    assert started.returncode == 0, started.stdout + started.stderr
    async with site.books() as books:
        await _converges(site, books)
        await _no_promise_is_broken(books, load)
        await _every_answer_is_billed_once(books, load)
        await _every_event_had_its_effect_once(books, load)
    report = await asyncio.to_thread(site.operator.request, "POST", "/api/v1/audit:verify", body={})
    assert report["ok"], report
    names = {name for name in await site.programs() if name.startswith("replica-")}
    assert site.copies() == dict.fromkeys(names, 1)
    assert len(names) == 2


def _counting_program(site: Site) -> ProgramSpec:
    settings = site.installation.settings
    return ProgramSpec(
        name=COUNTING,
        argv=(sys.executable, "-m", counting.__name__),
        cwd=str(Path(__file__).parents[2]),
        env={**settings.environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        log=str(settings.logs / f"{COUNTING}.log"),
        after=("postgres",),
    )


async def _converges(site: Site, books: asyncpg.Connection[asyncpg.Record]) -> None:
    """Everything runs, and every controller has done what its resources ask for."""
    tables = await books.fetch("select table_name from shared.kind where reconciled")
    pending = " union all ".join(
        f"select uid from {table} where deletion_timestamp is not null"
        " or (status ->> 'observed_generation')::bigint is distinct from generation"
        for (table,) in tables
    )

    async def settled() -> bool:
        ready = all(each.up for each in (await site.programs()).values())
        return ready and not await books.fetch(pending)

    await until(settled, within=120)
    for name in (CHAT, EMBED):
        await asyncio.to_thread(site.wait_for, "Endpoint", TENANT, name, "Running")
    failing = await books.fetch("select kind, uid, last_error from shared.work_item where last_error is not null")
    assert failing == []


async def _no_promise_is_broken(books: asyncpg.Connection[asyncpg.Record], load: Load) -> None:
    """What was confirmed is there; what is there was asked for."""
    rows = await books.fetch(
        "select name, (annotations ->> 'number')::int as number from platform_tenancy.tenant where path = $1", TENANT
    )
    stored = {row["name"]: row["number"] for row in rows}
    assert all(stored[name] >= number for name, number in load.promised.items())
    assert all(number <= load.tried[name] for name, number in stored.items())


async def _every_answer_is_billed_once(books: asyncpg.Connection[asyncpg.Record], load: Load) -> None:
    async def is_recorded() -> bool:
        found = await books.fetch("select event_id from platform_metering.usage_event")
        return load.answered.keys() <= {row["event_id"] for row in found}

    await until(is_recorded, within=60)
    events = await books.fetch(
        "select event_id, client_request_id, quantities, counted from platform_metering.usage_event"
        " where client_request_id is not null"
    )
    # nothing is used that nobody asked for, and nothing twice
    names = [row["client_request_id"] for row in events]
    assert set(names) <= load.sent
    assert len(names) == len(set(names))
    for row in events:
        used = load.answered.get(row["event_id"])
        if used is not None and not row["counted"]:
            quantities = json.loads(row["quantities"])
            read = quantities.get("input_tokens", 0) + quantities.get("cached_input_tokens", 0)
            assert (read, quantities.get("output_tokens", 0)) == (
                used["prompt_tokens"],
                used.get("completion_tokens", 0),
            )
    assert await books.fetchval("select count(*) from platform_metering.set_aside") == 0
    await _books_balance(books)


async def _books_balance(books: asyncpg.Connection[asyncpg.Record]) -> None:
    """Every measured quantity is one rated line, and every transfer the sum of its lines."""
    assert await books.fetchval("select count(*) from platform_pricing.unrated_line") == 0
    unlike = await books.fetch(
        "select * from (select event_id, key as meter, value::bigint as quantity"
        " from platform_metering.usage_event, jsonb_each_text(quantities) where value::bigint > 0) measured"
        " full join (select usage_event_id as event_id, meter, quantity from platform_pricing.rated_line) rated"
        " using (event_id, meter, quantity) where measured is null or rated is null"
    )
    assert unlike == []
    unequal = await books.fetch(
        "select * from (select transfer_id as id, sum(amount_nano) as amount_nano from platform_pricing.rated_line"
        " where transfer_id is not null group by 1) lines"
        " full join (select id, amount_nano from platform_ledger.transfer) moved using (id, amount_nano)"
        " where lines is null or moved is null"
    )
    assert unequal == []


async def _every_event_had_its_effect_once(books: asyncpg.Connection[asyncpg.Record], load: Load) -> None:
    unlike = (
        "select position, n from shared.change_log"
        " full join (select position, count(*) as n from e2e.effect group by 1) effect using (position)"
        " where n is distinct from 1"
    )

    async def caught_up() -> bool:
        behind = await books.fetchval(
            "select count(*) from shared.change_consumer, shared.change_head"
            " where change_consumer.position < change_head.position and name = 'e2e.counting'"
        )
        return not behind and not await books.fetch(unlike)

    await until(caught_up, within=60)
    assert await books.fetchval("select count(*) from shared.change_pending") == 0
    head, rows = await books.fetchrow("select max(position), count(*) from shared.change_log")
    assert head == rows
    assert await books.fetchval("select count(*) from shared.dead_letter") == 0
    asked = await books.fetchval(
        "select count(*) from shared.change_log where event_type = 'platform.iam.verification_requested.v1'"
    )
    assert asked >= load.signups > 0
    mails = "select count(*) from platform_notification.mail"
    # one that a worker was sending when it was killed waits for its claim to run out, two minutes later
    await until(lambda: _equals(books, f"{mails} where sent_at is not null", asked), within=180)
    assert await books.fetchval(mails) == asked


async def _equals(books: asyncpg.Connection[asyncpg.Record], question: str, answer: Any) -> bool:
    return bool(await books.fetchval(question) == answer)


# --- the tests --------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(600)
async def test_thirty_kills(site: Site) -> None:
    await _survives(site, kills=30, seed=30)


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_three_hundred_kills(site: Site) -> None:
    await _survives(site, kills=300, seed=300)
