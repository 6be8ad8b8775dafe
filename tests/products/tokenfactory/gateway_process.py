"""A gateway as its own process, to be killed: `python -m tests.products.tokenfactory.gateway_process '{…}'`.

The ledger is an SQLite file shared with the test: one row per request, and a row in `conflict` for every record that
came again with other content.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import uvloop

import tests.support.compiled  # noqa: F401 - before all that it may take the place of

# isort: split
from ironworks.products.tokenfactory.gateway import Gateway, GatewaySettings, ObservingSettings, Sources, UsageRecord
from ironworks.products.tokenfactory.limits import LimitView
from ironworks.shared import telemetry
from tests.products.tokenfactory.world import SCOPE, Fixed, key_view, targets_for


class FileLedger:
    """Charges into a file, each request once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(self._connect()) as db, db:
            db.execute("create table if not exists charge (id text primary key, record text)")
            db.execute("create table if not exists conflict (id text, record text)")

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=30)
        db.execute("pragma synchronous = off")
        return db

    async def charge(self, batch: Sequence[UsageRecord]) -> None:
        with closing(self._connect()) as db, db:
            for record in batch:
                text = json.dumps(record._asdict(), sort_keys=True)
                db.execute("insert or ignore into charge values (?, ?)", (record.request_id, text))
                db.execute(
                    "insert into conflict select ?, ? from charge where id = ? and record <> ?",
                    (record.request_id, text, record.request_id, text),
                )

    def read(self) -> tuple[dict[str, dict[str, Any]], int]:
        """(records by request id, conflicts)."""
        with closing(self._connect()) as db:
            rows = db.execute("select id, record from charge").fetchall()
            conflicts = db.execute("select count(*) from conflict").fetchone()[0]
        return {request_id: json.loads(record) for request_id, record in rows}, conflicts


async def main(config: dict[str, Any]) -> None:
    sock = socket.socket(fileno=config["fd"])
    limits = [
        LimitView(uid=UUID(int=number), home=SCOPE, scope=SCOPE, **fields)
        for number, fields in enumerate(config.get("limits", []))
    ]
    source = Fixed([key_view()], targets_for(config["upstream"]), limits=limits)
    observing = ObservingSettings(counts=Path(config["counts"]) if "counts" in config else None)
    more = {"own_process": True, "segment": 16_384, "ship_every": 0.05, "drain": 10, **config.get("settings", {})}
    settings = GatewaySettings(spool=Path(config["spool"]), observing=observing, **more)
    ledger = FileLedger(Path(config["ledger"]))
    gateway = Gateway(settings, sources=Sources(source, source, limits=source), charge=ledger.charge)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, gateway.stop)
    (Path(config["ledger"]).parent / f"ready-{os.getpid()}").touch()
    await gateway.serve([sock])


if __name__ == "__main__":
    telemetry.configure(process="gateway")
    uvloop.run(main(json.loads(sys.argv[1])))
