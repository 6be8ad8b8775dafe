"""`python -m ironworks.app worker`: everything that runs without a caller.

Any number of workers share the queue, the consumers' cursors and the schedules; `--domains` runs the part of them that
belongs to some domains, so that each can be a deployment of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Coroutine, Sequence
from typing import Any

import uvloop

from ironworks.app.adapters import adapters_of
from ironworks.app.bootstrap import declare
from ironworks.app.domains import Catalogue, collect
from ironworks.app.operations import HOUSEKEEPING
from ironworks.app.settings import Settings
from ironworks.app.wiring import Process, host_name, open_process, run_together
from ironworks.shared import telemetry
from ironworks.shared.consumers import ConsumerRunner, forget_consumer
from ironworks.shared.reconcile_runtime import ReconcileRuntime, watch_consumers
from ironworks.shared.relay import NatsPublisher, Relay

EVENT_SUBJECTS = ("platform.>", "inference.>", "tokenfactory.>")
RELAY = "relay.nats"


def main(settings: Settings, arguments: Sequence[str]) -> int | None:
    parser = argparse.ArgumentParser(prog="python -m ironworks.app worker")
    parser.add_argument(
        "--domains", default="", help="comma-separated, for instance platform.iam,products.inference.endpoints"
    )
    wanted = tuple(filter(None, parser.parse_args(arguments).domains.split(",")))
    telemetry.configure(settings.log_level, "worker")
    return uvloop.run(_work(settings, wanted))


async def _work(settings: Settings, wanted: tuple[str, ...]) -> None:
    async with open_process(settings, "worker", connections=20) as process:
        part = collect(wanted) if wanted else process.catalogue
        runtime = build_runtime(process, part)
        consumers = ConsumerRunner(
            process.database,
            [*part.consumers, *watch_consumers(part.reconcilers)],
            process.tail,
            process.notifier.poke,
        )
        await declare(process)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, runtime.stop)
        await run_together(runtime.run(), consumers.run(), *await _relays(process), *process.background())


async def _relays(process: Process) -> list[Coroutine[Any, Any, None]]:
    """The relay to NATS where the settings name one; a relay that was switched off must not hold the log for ever."""
    if process.settings.nats_url is None:
        await forget_consumer(process.database, RELAY)
        return []
    publisher = NatsPublisher([process.settings.nats_url], EVENT_SUBJECTS)
    return [Relay(process.url, publisher, process.tail, name=RELAY).run()]


def build_runtime(process: Process, part: Catalogue) -> ReconcileRuntime:
    """The reconcile runtime over the controllers and schedules of `part`."""
    return ReconcileRuntime(
        process.database,
        part.reconcilers,
        adapters_of(process.settings, process.keyring),
        schedules=[*HOUSEKEEPING, *part.schedules],
        runner=host_name(),
        url=process.url,
        notifier=process.notifier,
    )
