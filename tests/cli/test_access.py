"""Who has access, and why somebody may do something, as the command line tells it."""

from __future__ import annotations

import json
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


@pytest.fixture(scope="module")
def api(postgres: Server, run_folder: Path) -> Iterator[ServedApi]:
    place = bootstrapped_database(postgres, run_folder)
    given = {"subject": "user:ann@example.com", "role": "-/viewer"}
    with served_api(place) as served:
        with Client(Profile(served.url, place.operator_token)) as client:
            for kind, name, scope, spec in (
                ("Account", "acme", "-", {}),
                ("Platform", "shop", "acme", {}),
                ("User", "ann", "-", {"email": "ann@example.com"}),
                ("RoleAssignment", "ann", "acme.shop", given),
            ):
                client.apply({"kind": kind, "metadata": {"name": name, "scope": scope}, "spec": spec})
        yield served
    postgres.drop_database(place)


@pytest.fixture
def run(api: ServedApi) -> Run:
    def invoke(*words: str, code: int = 0) -> str:
        found = CliRunner().invoke(main, ["--url", api.url, "--token", api.place.operator_token, *words])
        assert found.exit_code == code, found.output
        return found.output if code else found.stdout

    return invoke


def test_members_are_listed_with_what_gives_them_their_roles(run: Run) -> None:
    lines = [line.split() for line in run("members", "-s", "acme.shop").splitlines()]
    assert lines[0] == ["SUBJECT", "ROLE", "GIVEN", "AT", "ASSIGNMENT"]
    assert ["user:ann@example.com", "-/viewer", "acme.shop", "acme.shop/ann"] in lines
    assert ["user:operator@localhost", "-/operator", "-", "-/operator"] in lines
    (below,) = json.loads(run("members", "-s", "acme", "--below", "-o", "json"))["items"]
    assert below["subject"] == "user:ann@example.com"


def test_why_somebody_may_do_something_or_may_not(run: Run) -> None:
    said = run("can", "ann@example.com", "endpoint:read", "-s", "acme.shop")
    assert said == "yes: user:ann@example.com, endpoint:read at acme.shop\n  -/viewer by acme.shop/ann\n"
    said = run("can", "ann@example.com", "endpoint:create", "-s", "acme.shop", code=1)
    assert "no role that holds it is given there or above" in said
    said = run("can", "user:ann@example.com", "endpoint:read", "-s", "acme", code=1)
    assert "acme.shop/ann, which is further down and does not reach" in said


def test_the_trail_is_listed_by_kind_and_outcome(run: Run) -> None:
    found = json.loads(run("audit", "list", "-s", "-", "--kind", "User", "--action", "user.*", "-o", "json"))["items"]
    assert [(record["action"], record["target_id"]) for record in found] == [("user.create", "-/ann")]
    assert json.loads(run("audit", "list", "-s", "acme", "--result", "failed", "-o", "json"))["items"] == []


def test_people_are_invited_listed_and_no_longer_invited(run: Run) -> None:
    said = run("members", "invite", "Eve@example.com", "developer", "-s", "acme.shop")
    assert said.startswith("eve@example.com is invited to acme.shop as -/developer")
    run("members", "invite", "eve@example.com", "-/viewer", "-s", "acme.shop")
    lines = [line.split() for line in run("members", "invitations", "-s", "acme.shop").splitlines()]
    assert sorted(line[:4] for line in lines[1:]) == [
        ["eve@example.com", role, "operator@localhost", "waiting"] for role in ("-/developer", "-/viewer")
    ]
    assert run("members", "revoke", "eve@example.com", "-s", "acme.shop").count("no longer invited") == 2
    assert json.loads(run("members", "invitations", "-s", "acme.shop", "-o", "json")) == {"items": []}
    assert "no invitation" in run("members", "revoke", "eve@example.com", "-s", "acme.shop", code=1)


def test_a_link_is_made_for_who_forgot_his_password(run: Run, api: ServedApi) -> None:
    link = run("password-link", "Ann@example.com").strip()
    token = link.partition("/link#")[2]
    with Client(Profile(api.url, api.place.operator_token)) as client:
        told = client.request("POST", "/api/v1/password:reset", body={"token": token, "password": "a long new one"})
    assert told == {"email": "ann@example.com"}
    assert "nobody here" in run("password-link", "nobody@example.com", code=2)
