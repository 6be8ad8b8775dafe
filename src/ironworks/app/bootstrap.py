"""What a fresh database needs before anybody can use it; running it again changes nothing.

The words that the domains declare, the preset roles, the first operator with his API key, prices and plans.
"""

from __future__ import annotations

import secrets

from ironworks.app.credentials import replace_secret
from ironworks.app.settings import Settings
from ironworks.app.wiring import Process, open_process
from ironworks.platform import iam, pricing, registry, subscriptions
from ironworks.shared.context import system_actor

OPERATOR_EMAIL = "operator@localhost"
OPERATOR_TOKEN = "operator-token"  # noqa: S105 - the file's name
OPERATOR_PASSWORD = "operator-password"  # noqa: S105 - the file's name
ACTOR = system_actor("bootstrap")


async def bootstrap(settings: Settings) -> None:
    """Prepare the database, and keep the operator's credentials in files of their own. As the worker's role."""
    async with open_process(settings, "worker", connections=2) as process:
        await declare(process)
        await _ensure_operator(process)
        async with process.database.transaction(ACTOR) as ctx:
            await pricing.seed_default_prices(ctx)
            await subscriptions.seed_plans(ctx)


async def declare(process: Process) -> None:
    """Write what the domains declare, and give the preset roles what follows from it."""
    async with process.database.transaction(ACTOR) as ctx:
        await registry.sync_registry(ctx, process.catalogue.declarations.items())
    async with process.database.transaction(ACTOR) as ctx:
        await iam.sync_presets(ctx, process.catalogue.permissions)


async def _ensure_operator(process: Process) -> None:
    """Credentials whose file was lost, or never written because we were killed, are replaced.

    The files come after the commit: what they hold always works.
    """
    credentials = process.settings.credentials
    credentials.mkdir(mode=0o700, parents=True, exist_ok=True)
    token, password = credentials / OPERATOR_TOKEN, credentials / OPERATOR_PASSWORD
    chosen = None if password.exists() else secrets.token_urlsafe(18)
    hashed = None if chosen is None else await iam.PasswordHashing().hash(chosen)
    async with process.database.transaction(ACTOR) as ctx:
        issued = await iam.ensure_operator(ctx, OPERATOR_EMAIL, hashed, reissue=not token.exists())
    if chosen is not None:
        replace_secret(password, chosen)
    if issued is not None:
        replace_secret(token, issued.text)
