"""What the API refuses of endpoints, registries and clusters, with every problem named."""

from __future__ import annotations

from typing import Any

import pytest

from ironworks.products.inference import clusters, endpoints, engines, models
from ironworks.shared.errors import Conflict, Invalid, IronworksError, NotFound
from tests.support.world import World

DEV = "acme.shop.dev"


async def _fields(people: World, spec: dict[str, Any]) -> set[str]:
    """The fields that are complained about when an endpoint with `spec` is created."""
    with pytest.raises(Invalid) as refusal:
        await people.make(endpoints.ENDPOINT, DEV, "chat", spec)
    assert all(each["problem"] for each in refusal.value.details["fields"])
    return {each["field"] for each in refusal.value.details["fields"]}


async def test_a_model_name_is_all_that_an_endpoint_needs(people: World) -> None:
    made = await people.make(endpoints.ENDPOINT, DEV, "chat", {"model": {"name": "smollm2"}})
    assert made.spec.cluster == "-/local"
    assert made.spec.engine.engine == "-/llama-cpp"
    assert made.spec.model.registry == "-/builtin"
    assert made.spec.replicas.num == 1


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({}, "spec.model"),
        ({"model": {"name": "nothing"}}, "spec.model"),
        ({"model": {"name": "smollm2", "version": "0"}}, "spec.model"),
        ({"model": {"name": "smollm2", "file": "/etc/passwd"}}, "spec.model"),
        ({"model": {"name": "smollm2", "task": "juggling"}}, "spec.model.task"),
        ({"model": {"name": "smollm2", "registry": "-/none"}}, "spec.model.registry"),
        ({"model": {"name": "smollm2"}, "cluster": "local"}, "spec.cluster"),
        ({"model": {"name": "smollm2"}, "engine": {"engine": "-/vllm"}}, "spec.engine.engine"),
        ({"model": {"name": "smollm2"}, "engine": {"version": "9"}}, "spec.engine.version"),
        ({"model": {"name": "smollm2"}, "replicas": {"num": -1}}, "spec.replicas.num"),
        ({"model": {"name": "smollm2"}, "replicas": {"num": 65}}, "spec.replicas.num"),
        ({"model": {"name": "smollm2"}, "resources": {"cpu": "lots"}}, "spec.resources.cpu"),
        ({"model": {"name": "smollm2"}, "resources": {"memory": "0"}}, "spec.resources.memory"),
        ({"model": {"name": "smollm2"}, "env": {"LD_PRELOAD": "/tmp/x.so"}}, "spec.env.LD_PRELOAD"),
        ({"model": {"name": "smollm2"}, "env": {"IRONWORKS_ENGINE_KEY": "x"}}, "spec.env.IRONWORKS_ENGINE_KEY"),
        ({"model": {"name": "smollm2"}, "colour": "red"}, "spec.colour"),
    ],
)
async def test_what_could_never_run_is_refused_by_field(people: World, spec: dict[str, Any], field: str) -> None:
    assert await _fields(people, spec) == {field}


async def test_a_task_that_the_engine_cannot_do_is_refused_with_those_it_can(people: World) -> None:
    versions = [{"version": "1", "runtime": "llamacpp", "supported_tasks": ["text-generation"]}]
    await people.make(engines.ENGINE, "", "chatty", {"versions": versions})
    model = {"name": "smollm2", "task": "text-rerank"}
    with pytest.raises(Invalid) as refusal:
        await people.make(endpoints.ENDPOINT, DEV, "chat", {"model": model, "engine": {"engine": "-/chatty"}})
    [problem] = refusal.value.details["fields"]
    assert (problem["field"], problem["remedy"]) == ("spec.model.task", "it can do: text-generation")


async def test_every_problem_is_told_at_once(people: World) -> None:
    spec = {
        "model": {"name": "nothing"},
        "variables": {"engine_args": {"ctx_size": -1, "parallel": "many", "n_gpu": 1}},
        "env": {"PATH": "/tmp"},
    }
    assert await _fields(people, spec) == {
        "spec.model",
        "spec.variables.engine_args.ctx_size",
        "spec.variables.engine_args.parallel",
        "spec.variables.engine_args.n_gpu",
        "spec.env.PATH",
    }


async def test_the_cluster_of_an_endpoint_never_changes(people: World) -> None:
    await people.make(clusters.CLUSTER, "", "other", {"type": "local"})
    await people.make(endpoints.ENDPOINT, DEV, "chat", {"model": {"name": "smollm2"}})
    with pytest.raises(Invalid, match="immutable"):
        await people.change(endpoints.ENDPOINT, DEV, "chat", {"cluster": "-/other"})


async def test_what_an_endpoint_uses_cannot_go(people: World) -> None:
    await people.make(endpoints.ENDPOINT, DEV, "chat", {"model": {"name": "smollm2"}})
    for kind, name in ((clusters.CLUSTER, "local"), (engines.ENGINE, "llama-cpp"), (models.MODEL_REGISTRY, "builtin")):
        with pytest.raises(Conflict, match=r"acme\.shop\.dev/chat"):
            await people.delete(kind, "", name)


async def test_only_the_operator_offers_its_machines_and_folders(people: World) -> None:
    with pytest.raises(Invalid, match="only the operator"):
        await people.make(clusters.CLUSTER, DEV, "mine", {"type": "local"})
    with pytest.raises(Invalid, match="only the operator"):
        await people.make(models.MODEL_REGISTRY, DEV, "mine", {"type": "directory", "directory": "/etc"})
    await people.make(models.MODEL_REGISTRY, "", "folder", {"type": "directory", "directory": "/srv/models"})


async def test_a_developer_deploys_on_what_the_operator_offers_and_changes_none_of_it(people: World) -> None:
    dev = await people.user("dev@example.com")
    await people.grant("user:dev@example.com", "-/developer", DEV)
    await people.make(endpoints.ENDPOINT, DEV, "chat", {"model": {"name": "smollm2"}}, dev)
    assert (await people.get(clusters.CLUSTER, "", "local", dev)).name == "local"
    with pytest.raises(IronworksError) as refusal:
        await people.change(clusters.CLUSTER, "", "local", {"config": {"local": {"cpu": "1"}}}, dev)
    assert refusal.value.status in (403, 404)


async def test_a_registry_of_another_tenant_does_not_exist(people: World) -> None:
    await people.scope("acme.shop.prod")
    await people.make(models.MODEL_REGISTRY, "acme.shop.prod", "theirs", {"type": "package", "models": []})
    dev = await people.user("dev@example.com")
    await people.grant("user:dev@example.com", "-/developer", DEV)
    with pytest.raises(NotFound):
        await people.get(models.MODEL_REGISTRY, "acme.shop.prod", "theirs", dev)
    with pytest.raises(Invalid, match="does not exist"):
        await people.make(
            endpoints.ENDPOINT, DEV, "chat", {"model": {"name": "m", "registry": "acme.shop.prod/theirs"}}, dev
        )
