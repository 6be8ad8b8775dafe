"""An endpoint that sleeps without requests and wakes with the next one."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

from ironworks.products.inference import endpoints
from ironworks.shared.context import system_actor
from tests.products.inference.world import ScriptedCluster, World

GATEWAY = system_actor("gateway")
SLEEPY = {"num": 2, "scale_to_zero_after_seconds": 60}


async def asleep(world: World, cluster: ScriptedCluster) -> UUID:
    """An endpoint that has gone to sleep."""
    uid = await world.endpoint(replicas=SLEEPY)
    await world.run(await world.worker(), cluster)
    world.now += timedelta(seconds=60)
    await world.run(await world.worker(), cluster)
    assert (await world.status(uid))["phase"] == "Idle"
    return uid


async def use(world: World, *uids: UUID) -> None:
    async with (await world.connect("gateway")).transaction(GATEWAY) as ctx:
        await endpoints.note_use(ctx, uids)


async def wake(world: World, uid: UUID) -> bool:
    async with (await world.connect("gateway")).transaction(GATEWAY) as ctx:
        return await endpoints.wake_endpoint(ctx, uid)


async def the_target(world: World, uid: UUID) -> endpoints.Target:
    async with (await world.connect("gateway")).transaction(GATEWAY) as ctx:
        [target] = await endpoints.list_targets(ctx, [uid])
    return target


async def test_an_endpoint_without_requests_gives_its_replicas_back(world: World, cluster: ScriptedCluster) -> None:
    uid = await asleep(world, cluster)
    assert cluster.replicas == {}
    status, ready = await world.status(uid), await world.condition(uid)
    assert (status["ready_replicas"], status["desired_replicas"]) == (0, 2)
    assert (ready["status"], ready["reason"]) == ("True", "ScaledToZero")
    assert "60 s" in ready["message"]
    target = await the_target(world, uid)
    assert (target.wakes, target.replicas) == (True, ())
    before = await world.status(uid)
    await world.run(await world.worker(), cluster)
    assert await world.status(uid) == before


async def test_it_wakes_when_asked_and_sleeps_again(world: World, cluster: ScriptedCluster) -> None:
    uid = await asleep(world, cluster)
    assert await wake(world, uid)
    await world.run(await world.worker(), cluster)
    assert (await world.status(uid))["phase"] == "Running"
    assert (await world.status(uid))["idle_since"] is None
    assert len((await the_target(world, uid)).replicas) == 2
    world.now += timedelta(seconds=60)
    await world.run(await world.worker(), cluster)
    assert (await world.status(uid))["phase"] == "Idle"


async def test_what_is_used_stays_up(world: World, cluster: ScriptedCluster) -> None:
    uid, other = await world.endpoint(replicas=SLEEPY), await world.endpoint("other")
    worker = await world.worker()
    await world.run(worker, cluster)
    for _ in range(4):
        world.now += timedelta(seconds=20)
        await use(world, uid, other)
        await world.run(worker, cluster, rounds=2)
        assert (await world.status(uid))["phase"] == "Running"
    assert (await world.status(other))["phase"] == "Running"
    assert await world.admin.fetchval("select count(*) from inference_endpoints.activity") == 1


async def test_replicas_finish_what_they_have_before_they_go(world: World, cluster: ScriptedCluster) -> None:
    uid = await world.endpoint(replicas=SLEEPY)
    worker = await world.worker()
    await world.run(worker, cluster)
    world.now += timedelta(seconds=60)
    await world.run(worker, cluster, rounds=1)
    assert [view["state"] for view in (await world.status(uid))["replicas"]] == ["draining"] * 2
    assert len(cluster.replicas) == 2
    assert (await the_target(world, uid)).replicas == ()


async def test_one_that_is_not_ready_yet_does_not_sleep(world: World, cluster: ScriptedCluster) -> None:
    uid = await world.endpoint(replicas=SLEEPY)
    cluster.crashing = True
    worker = await world.worker()
    await world.run(worker, cluster)
    world.now += timedelta(seconds=600)
    await world.run(worker, cluster, rounds=2)
    assert (await world.status(uid))["phase"] == "Failed"
    assert not (await the_target(world, uid)).wakes


async def test_a_call_while_it_goes_to_sleep_is_not_missed(world: World, cluster: ScriptedCluster) -> None:
    uid = await world.endpoint(replicas=SLEEPY)
    worker = await world.worker()
    await world.run(worker, cluster)
    world.now += timedelta(seconds=60)
    looked = cluster.list_replicas

    async def called_meanwhile(group: UUID) -> object:
        """The step has read how the endpoint is used, and does not know of this call."""
        cluster.list_replicas = looked  # type: ignore[method-assign]
        assert await wake(world, uid)
        return await looked(group)

    cluster.list_replicas = called_meanwhile  # type: ignore[method-assign,assignment]
    await world.run(worker, cluster)
    assert (await world.status(uid))["phase"] == "Running"


async def test_many_gateways_that_ask_at_once_are_one_call(world: World, cluster: ScriptedCluster) -> None:
    uid = await asleep(world, cluster)
    gateway = await world.connect("gateway")

    async def ask() -> bool:
        async with gateway.transaction(GATEWAY) as ctx:
            return await endpoints.wake_endpoint(ctx, uid)

    assert sum(await asyncio.gather(*(ask() for _ in range(40)))) == 1
    assert await world.admin.fetchval("select wakes from inference_endpoints.activity") == 1
    world.now += timedelta(seconds=5)
    assert await ask()


async def test_who_is_gone_wakes_no_more(world: World, cluster: ScriptedCluster) -> None:
    uid = await asleep(world, cluster)
    await world.delete(uid)
    assert not await wake(world, uid)
    await world.run(await world.worker(), cluster)
    assert not await world.exists(uid)
    assert await world.admin.fetchval("select count(*) from inference_endpoints.activity") == 0


async def test_a_spec_that_sleeps_no_more_wakes_it_and_a_pause_is_a_pause(
    world: World, cluster: ScriptedCluster
) -> None:
    uid = await asleep(world, cluster)
    await world.change(uid, replicas={"num": 0, "scale_to_zero_after_seconds": 60})
    await world.run(await world.worker(), cluster)
    assert (await world.status(uid))["phase"] == "Paused"
    assert not (await the_target(world, uid)).wakes
    await world.change(uid, replicas={"num": 1})
    await world.run(await world.worker(), cluster)
    assert (await world.status(uid))["phase"] == "Running"
