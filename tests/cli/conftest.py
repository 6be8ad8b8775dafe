"""A served API with two customers, and the command against it; a module with other needs has an `api` of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from click.testing import CliRunner

from ironworks.cli.main import main
from ironworks.sdk import Client
from ironworks.sdk.config import Profile
from tests.support.api import ServedApi, bootstrapped_database, served_api
from tests.support.postgres import Server

Run: TypeAlias = Callable[..., str]
KeyOf: TypeAlias = Callable[[str, str], str]


@pytest.fixture(scope="module")
def api(postgres: Server, run_folder: Path) -> Iterator[ServedApi]:
    place = bootstrapped_database(postgres, run_folder)
    with served_api(place) as served:
        with Client(Profile(served.url, place.operator_token)) as client:
            for account in ("acme", "rival"):
                client.apply({"kind": "Account", "metadata": {"name": account, "scope": "-"}})
        yield served
    postgres.drop_database(place)


@pytest.fixture(scope="module")
def operator(api: ServedApi) -> Iterator[Client]:
    with Client(Profile(api.url, api.place.operator_token)) as client:
        yield client


@pytest.fixture(scope="module")
def key_of(operator: Client) -> KeyOf:
    """Makes somebody in an account who holds a preset role there; returns his key."""

    def make(account: str, role: str) -> str:
        owner = f"service-account:{account}/{role}"
        for kind, spec in (
            ("ServiceAccount", {}),
            ("RoleAssignment", {"subject": owner, "role": f"-/{role}"}),
            ("ApiKey", {"owner": owner}),
        ):
            operator.apply({"kind": kind, "metadata": {"name": role, "scope": account}, "spec": spec})
        issued = operator.request("POST", f"/api/v1/scopes/{account}/api-keys/{role}:rotate", body={})
        key: str = issued["key"]
        return key

    return make


@pytest.fixture(scope="module")
def run(api: ServedApi) -> Run:
    """The command, as the operator or with another token; its output, after checking its exit code."""

    def invoke(*words: str, code: int = 0, token: str = api.place.operator_token, typed: str | None = None) -> str:
        found = CliRunner().invoke(main, ["--url", api.url, "--token", token, *words], input=typed)
        assert found.exit_code == code, found.output
        return found.output

    return invoke
