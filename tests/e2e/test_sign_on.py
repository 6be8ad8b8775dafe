"""Browsers that set an installation up, and sign in by an OpenID provider; the story is web/e2e/stories/sign-on.mjs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from ironworks.app.domains import collect
from ironworks.app.settings import Settings
from ironworks.app.wiring import open_process, run_together
from ironworks.app.worker import build_runtime
from ironworks.shared.consumers import ConsumerRunner
from tests.support.api import BootstrappedPlace, bootstrapped_database, served_api
from tests.support.browser import Stage, build_console, find_browser, pictures
from tests.support.postgres import Server, free_port

pytestmark = [pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.fixture
def issuer() -> Iterator[str]:
    """A provider that knows four people, of whom one has no verified address."""
    import oidc_provider_mock as mock

    people = [
        mock.User(sub=name, claims={"email": f"{name}@example.com", "email_verified": name != "bob"})
        for name in ("ann", "bob", "carl", "dora")
    ]
    with mock.run_server_in_thread(user_claims=people, require_nonce=True) as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture
def bootstrapped(postgres: Server, run_folder: Path) -> Iterator[BootstrappedPlace]:
    place = bootstrapped_database(postgres, run_folder)
    yield place
    postgres.drop_database(place)


@contextmanager
def post_office(settings: Settings) -> Iterator[None]:
    """The part of a worker that sends mails, in a thread of its own until the end of the block."""
    loop = asyncio.new_event_loop()

    async def work() -> None:
        part = collect(("platform.iam", "platform.notification"))
        async with open_process(settings, "worker", connections=4) as process:
            consumers = ConsumerRunner(process.database, part.consumers, process.tail, process.notifier.poke)
            await run_together(build_runtime(process, part).run(), consumers.run(), *process.background())

    def run() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    task = loop.create_task(work())
    thread = threading.Thread(target=run, name="post-office", daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(30)


def test_a_person_signs_in_by_a_provider(bootstrapped: BootstrappedPlace, issuer: str, tmp_path: Path) -> None:
    build_console()
    port, ours, secret = free_port(), bootstrapped.settings, tmp_path / "secret"
    secret.write_text("a secret")
    settings = replace(
        ours, ports={**ours.ports, "api": port}, oidc=(issuer, "ironworks-test"), oidc_secret_file=secret,
        oidc_label="Example",
    )  # fmt: skip
    with served_api(bootstrapped, settings, port=port, console=True) as served, post_office(settings):
        Stage(find_browser(), served.url, bootstrapped.operator_token, pictures()).tell("sign-on")
