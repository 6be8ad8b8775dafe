"""A gateway process over a real database, to be killed: `python -m tests.products.tokenfactory.budgets.budget_process`.

Its key and routes are made up; budgets, prices, leases and charges are the database's, composed as in `ironworks.app`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvloop

from ironworks.app.charging import Charging
from ironworks.app.gateway_budgets import Budgets, Lending, PriceBook, hear_of_shortage
from ironworks.platform import audit
from ironworks.products.tokenfactory.gateway import Gateway, GatewaySettings, Sources
from ironworks.shared import telemetry
from ironworks.shared.context import Services
from ironworks.shared.db import Database
from ironworks.shared.notify import Notifier
from tests.products.tokenfactory.world import Fixed, key_view, targets_for
from tests.support.lower import NoVault


async def main(config: dict[str, Any]) -> None:
    sock = socket.socket(fileno=config["fd"])
    targets = [replace(target, expansion=0.2, template_tokens=1) for target in targets_for(config["upstream"])]
    source = Fixed([key_view()], targets)
    url = config["database"]
    database = await Database.connect(url, Services(audit.append_record, NoVault()), max_size=6)  # type: ignore[arg-type]
    notifier = Notifier(url)
    sources = Sources(source, source, budgets=Budgets(database), prices=PriceBook(database))
    settings = GatewaySettings(spool=Path(config["spool"]), ship_every=0.05, drain=5)
    gateway = Gateway(settings, sources=sources, charge=Charging(database))
    gateway.lend_by(Lending(database, notifier.poke))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, gateway.stop)
    beside = [asyncio.create_task(job) for job in (notifier.run(), hear_of_shortage(url, gateway.hear_of_shortage))]
    await gateway.serve([sock])
    for task in beside:
        task.cancel()
    await asyncio.gather(*beside, return_exceptions=True)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(database.close(), 60)


if __name__ == "__main__":
    telemetry.configure(process="gateway")
    uvloop.run(main(json.loads(sys.argv[1])))
