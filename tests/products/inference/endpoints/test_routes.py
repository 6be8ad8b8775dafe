"""Logs and model lists over HTTP, for who may see them and for who may not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from ironworks.products.inference import clusters, endpoints, models
from ironworks.shared.context import Actor
from ironworks.shared.db import Database
from ironworks.shared.errors import Unauthenticated
from ironworks.shared.http import RouteTable
from ironworks.shared.serving import Api
from tests.products.inference.world import ScriptedCluster
from tests.support.world import World

DEV = "acme.shop.dev"
LOGS = f"/api/v1/scopes/{DEV}/endpoints/chat/logs"


@dataclass
class Place:
    """An API over one world; `tokens` are who its callers are."""

    world: World
    api: Api
    tokens: dict[str, Actor]
    cluster: ScriptedCluster
    endpoint: endpoints.Endpoint

    async def get(self, path: str, token: str = "dev", **query: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.api)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            return await client.get(path, params=query, headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
async def place(people: World, cluster: ScriptedCluster) -> Place:
    """The tenant's endpoint `chat` with one replica, and callers of several kinds."""
    tokens = {"operator": people.operator}
    for name, role in (("dev", "developer"), ("viewer", "viewer")):
        tokens[name] = await people.user(f"{name}@example.com")
        await people.grant(f"user:{name}@example.com", f"-/{role}", DEV)
    tokens["stranger"] = await people.user("stranger@example.com")
    made = await people.make(endpoints.ENDPOINT, DEV, "chat", {"model": {"name": "smollm2"}})

    async def authenticate(db: Database, authorization: str | None, address: str) -> Actor:
        try:
            return tokens[(authorization or "").removeprefix("Bearer ")]
        except KeyError:
            raise Unauthenticated("no such key") from None

    inference = [r for r in people.catalogue.routers if r.domain.startswith("inference.")]
    api = Api(
        await people.database("api"),
        RouteTable([route for router in inference for route in router.routes]),
        authenticate,
        injected={clusters.Drivers: clusters.Drivers({"local": cluster.driver})},
    )
    placed = models.Placed(Path("/m"))
    await cluster.start_replica(
        clusters.ReplicaPlan(made.uid, "0123abcd", 0, "llamacpp", "text-generation", "m", placed, "key")
    )
    return Place(people, api, tokens, cluster, made)


async def test_logs_are_text_for_who_may_read_them(place: Place) -> None:
    answer = await place.get(LOGS)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == "log of None\n"
    one = await place.get(LOGS, replica="0123abcd-0")
    assert one.text == f"log of replica-{place.endpoint.uid.hex}-0123abcd-0\n"


async def test_a_replica_that_is_not_there_is_told_with_those_that_are(place: Place) -> None:
    answer = await place.get(LOGS, replica="0123abcd-7")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "REPLICA_NOT_FOUND"
    assert "0123abcd-0" in answer.json()["error"]["message"]


async def test_logs_are_hidden_from_strangers_and_wrong_questions_named(place: Place) -> None:
    assert (await place.get(LOGS, "stranger")).status_code == 404
    assert (await place.get(LOGS, "nobody")).status_code == 401
    assert (await place.get(LOGS.replace("chat", "other"))).status_code == 404
    wrong = await place.get(LOGS, tail="-1", colour="red")
    assert wrong.status_code == 422
    assert {each["field"] for each in wrong.json()["error"]["details"]["fields"]} == {"tail", "colour"}


async def test_a_cluster_that_does_not_answer_is_an_unavailable_log(place: Place) -> None:
    place.cluster.unavailable = True
    assert (await place.get(LOGS, replica="0123abcd-0")).status_code == 503


async def test_whoever_can_deploy_sees_the_models_there_are(place: Place) -> None:
    path = "/api/v1/scopes/-/model-registries/builtin/models"
    answer = await place.get(path)
    assert answer.status_code == 200, answer.text
    listed = {each["name"]: each["task"] for each in answer.json()["items"]}
    assert listed == {"smollm2": "text-generation", "all-minilm-l6-v2": "text-embedding"}
    assert (await place.get(path, "stranger")).status_code == 404
    assert (await place.get(path.replace("builtin", "none"))).status_code == 404


async def test_a_folder_that_cannot_be_read_is_said_so(place: Place) -> None:
    await place.world.make(models.MODEL_REGISTRY, "", "folder", {"type": "directory", "directory": "/nowhere/at/all"})
    answer = await place.get("/api/v1/scopes/-/model-registries/folder/models", "operator")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "REGISTRY_UNREADABLE"
