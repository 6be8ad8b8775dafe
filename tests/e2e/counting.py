"""A worker of the tests' own: for every row of the change log it writes one, which nothing keeps unique.

Run by the supervisor as `python -m tests.e2e.counting`, killed like every other part.
"""

from __future__ import annotations

import asyncio

from ironworks.app.settings import load_settings
from ironworks.app.wiring import open_process, run_together
from ironworks.shared.changelog import LoggedChange, LoggedEvent
from ironworks.shared.consumers import Consumer, ConsumerRunner
from ironworks.shared.context import Context

TABLE = """
create schema e2e;
create table e2e.effect (position bigint not null);
grant usage on schema e2e to ironworks_worker;
grant insert on e2e.effect to ironworks_worker;
"""


async def on_anything(ctx: Context, entry: LoggedEvent | LoggedChange) -> None:
    await ctx.db.execute("insert into e2e.effect (position) values ($1)", entry.position)


async def _count() -> None:
    async with open_process(load_settings(), "worker", connections=3) as process:
        kinds = tuple(kind.name for kind in process.catalogue.kinds)
        consumer = Consumer("e2e.counting", on_anything, patterns=("*",), kinds=kinds)
        runner = ConsumerRunner(process.database, [consumer], process.tail, process.notifier.poke)
        await run_together(runner.run(), *process.background())


if __name__ == "__main__":
    asyncio.run(_count())
