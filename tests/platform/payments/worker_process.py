"""A worker that does nothing but move money, as a program of its own, for a test to kill.

python -m tests.platform.payments.worker_process DATABASE_URL SECONDS_AHEAD

It begins when it is told Stripe's address, in a line.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

from ironworks.platform import audit, payments
from ironworks.platform.payments.controller import move_money
from ironworks.shared.context import Services, utc_now
from ironworks.shared.db import Database
from tests.platform.payments.stripe_server import KEY, SECRET
from tests.support.lower import NoVault


async def _main(database_url: str, stripe_url: str, ahead: float) -> None:
    services = Services(audit.append_record, NoVault())  # type: ignore[arg-type]
    db = await Database.connect(database_url, services, clock=lambda: utc_now() + timedelta(seconds=ahead), max_size=4)
    provider = payments.open_provider(payments.ProviderSecrets(KEY, (SECRET,), stripe_url))
    while True:
        await move_money(db, provider)
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.stdin.readline().strip(), float(sys.argv[2])))
