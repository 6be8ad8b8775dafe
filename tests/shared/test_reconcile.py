"""Controllers under a real queue: what they say is written, once, by whoever holds the item."""

from __future__ import annotations

import asyncio
from collections import Counter
from uuid import UUID

import asyncpg
import pytest

from ironworks.shared.context import Context
from ironworks.shared.errors import Unavailable
from ironworks.shared.kind import Kind, Spec
from ironworks.shared.reconcile import Outcome, Step, reconciler_of, reconciles
from tests.shared.boxes import BOX, Box, Boxes


@reconciles(BOX)
async def double(step: Step[Box]) -> Outcome:
    if step.resource.deleting:
        return step.gone()
    return step.ready(doubled=2 * step.resource.spec.size)


async def test_a_new_resource_becomes_ready_and_leaves_the_queue(boxes: Boxes) -> None:
    uid = await boxes.create("a", size=4)
    worker = await boxes.worker(reconciler_of(double))
    await worker.run_until_idle()
    status = await boxes.status(uid)
    assert (status["phase"], status["doubled"], status["observed_generation"]) == ("Ready", 8, 1)
    assert (await boxes.ready(uid))["status"] == "True"
    assert await boxes.items() == []


async def test_an_unchanged_status_is_not_written_again(boxes: Boxes) -> None:
    uid = await boxes.create("a")
    worker = await boxes.worker(reconciler_of(double))
    await worker.run_until_idle()
    before = await boxes.status(uid)
    await boxes.admin.execute("select shared.enqueue('Box', $1)", uid)
    await worker.run_until_idle()
    assert await boxes.status(uid) == before
    assert await boxes.items() == []


async def test_deletion_is_cleanup_first_and_then_the_row_goes(boxes: Boxes) -> None:
    cleaned: list[str] = []

    @reconciles(BOX)
    async def act(step: Step[Box]) -> Outcome:
        if step.resource.deleting:
            if step.resource.status.phase != "Deleting":
                return step.again(0)
            cleaned.append(step.resource.name)
            return step.gone()
        return step.ready()

    uid = await boxes.create("a")
    worker = await boxes.worker(reconciler_of(act))
    await worker.run_until_idle()
    await boxes.delete(uid)
    await worker.run_until_idle()
    assert cleaned == ["a"]
    assert await boxes.get(uid) is None
    assert await boxes.items() == []


async def test_the_secrets_of_a_kind_that_has_some_go_with_the_row(boxes: Boxes) -> None:
    from typing import Annotated

    from ironworks.shared.kind import EVERYWHERE, Secret

    class SafeSpec(Spec):
        size: int = 1
        password: Annotated[str | None, Secret()] = None

    safe = Kind("Box", plural="boxes", schema="test_storage", levels=EVERYWHERE, spec=SafeSpec)
    told: dict[str, str] = {}

    @reconciles(safe)
    async def act(step: Step[Box]) -> Outcome:
        told.update(await step.secrets())
        return step.gone() if step.resource.deleting else step.ready()

    uid = await boxes.create("a")
    worker = await boxes.worker(reconciler_of(act))
    await worker.run_until_idle()
    await boxes.delete(uid)
    await worker.run_until_idle()
    assert await boxes.get(uid) is None
    assert boxes.vault.removed == [uid]
    assert told == {"auth.password": f"of {uid}"}


async def test_a_change_during_a_step_is_looked_at_too(boxes: Boxes) -> None:
    uid = await boxes.create("a", size=1)
    seen: list[int] = []

    @reconciles(BOX)
    async def act(step: Step[Box]) -> Outcome:
        seen.append(step.resource.spec.size)
        if len(seen) == 1:
            await boxes.resize(uid, 5)
        return step.ready(doubled=2 * step.resource.spec.size)

    worker = await boxes.worker(reconciler_of(act))
    await worker.run_until_idle()
    assert seen == [1, 5]
    status = await boxes.status(uid)
    assert (status["doubled"], status["observed_generation"]) == (10, 2)
    assert await boxes.items() == []


async def test_a_controller_that_raises_shows_it_without_the_secret_and_backs_off(boxes: Boxes) -> None:
    uid = await boxes.create("a")

    @reconciles(BOX)
    async def act(step: Step[Box]) -> Outcome:
        step.condition("Halfway", True, "Begun")
        step.also(lambda ctx: pytest.fail("a step that failed has no effects"))
        raise RuntimeError("password=hunter2hunter2")

    worker = await boxes.worker(reconciler_of(act))
    for attempts in (1, 2, 3):
        await boxes.hurry()
        await worker.run_until_idle()
        item = await boxes.item(uid)
        assert item is not None
        assert item["attempts"] == attempts
        assert item["token"] is None
    status = await boxes.status(uid)
    assert status["phase"] == "Failed"
    assert [c["type"] for c in status["conditions"]] == ["Ready"]
    ready = await boxes.ready(uid)
    assert (ready["status"], ready["reason"]) == ("False", "ReconcileError")
    assert "RuntimeError" in ready["message"]
    assert "hunter2" not in str(status)
    assert "hunter2" not in str(await boxes.items())


async def test_backoff_grows_and_a_change_ends_it(boxes: Boxes) -> None:
    uid = await boxes.create("a")
    steps: list[int] = []

    @reconciles(BOX)
    async def act(step: Step[Box]) -> Outcome:
        steps.append(step.attempts)
        return step.failed("NoRoom", "make room") if step.resource.spec.size < 5 else step.ready()

    worker = await boxes.worker(reconciler_of(act))
    for _ in range(8):
        await boxes.hurry()
        await worker.run_until_idle()
    assert steps == list(range(8))
    waits = await boxes.admin.fetchval("select extract(epoch from due_at - now()) from shared.work_item")
    assert 8 < waits < 33  # the eighth failure: at most 32 s, at least half of it
    await worker.run_until_idle()
    assert len(steps) == 8
    await boxes.resize(uid, 5)
    await worker.run_until_idle()
    assert len(steps) == 9
    assert await boxes.items() == []


async def test_a_failure_the_caller_may_read_is_told_in_its_words(boxes: Boxes) -> None:
    uid = await boxes.create("a")

    @reconciles(BOX)
    async def act(step: Step[Box]) -> Outcome:
        raise Unavailable("the storage system does not answer")

    worker = await boxes.worker(reconciler_of(act))
    await worker.run_until_idle()
    assert (await boxes.ready(uid))["message"] == "the storage system does not answer"


async def test_a_step_that_hangs_is_ended(boxes: Boxes) -> None:
    uid = await boxes.create("a")

    @reconciles(BOX, timeout=0.1)
    async def act(step: Step[Box]) -> Outcome:
        await asyncio.sleep(60)
        return step.ready()

    worker = await boxes.worker(reconciler_of(act))
    await worker.run_until_idle()
    assert "longer than 0.1 seconds" in (await boxes.ready(uid))["message"]


async def test_conditions_keep_the_time_of_their_last_turn(boxes: Boxes) -> None:
    uid = await boxes.create("a")
    say = ["True"]

    @reconciles(BOX)
    async def act(step: Step[Box]) -> Outcome:
        step.condition("Warm", say[0] == "True", "Measured", f"attempt {step.request_id}")
        return step.ready()

    worker = await boxes.worker(reconciler_of(act))

    async def look() -> dict[str, str]:
        await boxes.admin.execute("select shared.enqueue('Box', $1)", uid)
        await worker.run_until_idle()
        return {c["type"]: c["last_transition_time"] for c in (await boxes.status(uid))["conditions"]}

    first, second = await look(), await look()
    assert first == second
    say[0] = "False"
    third = await look()
    assert third["Ready"] == first["Ready"]
    assert third["Warm"] > first["Warm"]


async def test_a_stolen_lock_commits_nothing(boxes: Boxes) -> None:
    uid = await boxes.create("a")
    effects: list[str] = []

    async def effect(ctx: Context) -> None:
        await ctx.db.execute('update test_storage.box set status = \'{"phase": "Stolen"}\' where uid = $1', uid)
        effects.append("ran")

    @reconciles(BOX)
    async def act(step: Step[Box]) -> Outcome:
        step.also(effect)
        if not effects:
            await boxes.admin.execute(
                "update shared.work_item set token = gen_random_uuid(), worker = gen_random_uuid()"
            )
        return step.ready(doubled=99)

    worker = await boxes.worker(reconciler_of(act))
    await worker.run_until_idle()
    assert effects == ["ran"]
    status = await boxes.status(uid)
    assert (status["phase"], status.get("doubled", 0)) == ("Pending", 0)
    item = await boxes.item(uid)
    assert item is not None
    assert item["token"] is not None


async def test_a_stolen_lock_without_effects_commits_nothing_either(boxes: Boxes) -> None:
    uid = await boxes.create("a")

    @reconciles(BOX)
    async def act(step: Step[Box]) -> Outcome:
        await boxes.admin.execute(
            "update shared.work_item set token = null, worker = null, due_at = now() + interval '1 h'"
        )
        return step.ready(doubled=99)

    worker = await boxes.worker(reconciler_of(act))
    await worker.run_until_idle()
    assert (await boxes.status(uid))["phase"] == "Pending"


async def test_effects_commit_with_the_step_or_not_at_all(boxes: Boxes) -> None:
    uid = await boxes.create("a")
    other = await boxes.create("b")

    async def effect(ctx: Context) -> None:
        await ctx.db.execute("select shared.enqueue('Other', $1, '1 h')", other)
        if await ctx.db.fetchval("select count(*) from shared.work_item where kind = 'Other'") and broken:
            raise RuntimeError("no")

    @reconciles(BOX)
    async def act(step: Step[Box]) -> Outcome:
        if step.resource.uid == uid:
            step.also(effect)
        return step.ready()

    broken = True
    worker = await boxes.worker(reconciler_of(act))
    await worker.run_until_idle()
    assert (await boxes.ready(uid))["reason"] == "ReconcileError"
    assert [i for i in await boxes.items() if i["kind"] == "Other"] == []
    broken = False
    await boxes.hurry()
    await worker.run_until_idle()
    assert (await boxes.ready(uid))["status"] == "True"
    assert len([i for i in await boxes.items() if i["kind"] == "Other"]) == 1


async def test_trouble_with_our_own_database_is_not_blamed_on_the_resource(boxes: Boxes) -> None:
    uid = await boxes.create("a")
    killer = await asyncpg.connect(boxes.database.admin)
    steps = 0

    @reconciles(BOX)
    async def act(step: Step[Box]) -> Outcome:
        nonlocal steps
        steps += 1
        if steps < 3:
            async with step.read() as ctx:
                await killer.execute(
                    "select pg_terminate_backend($1)", await ctx.db.fetchval("select pg_backend_pid()")
                )
                await ctx.db.fetchval("select 1")
        return step.ready()

    worker = await boxes.worker(reconciler_of(act), poll=0.05)
    running = asyncio.create_task(worker.run())
    async with asyncio.timeout(60):
        while await boxes.item(uid) is not None:
            assert (await boxes.status(uid))["phase"] in ("Pending", "Ready")
            await asyncio.sleep(0.02)
    worker.stop()
    await running
    await killer.close()
    assert steps == 3
    assert (await boxes.status(uid))["phase"] == "Ready"


async def test_a_step_reads_more_but_cannot_write_while_it_reads(boxes: Boxes) -> None:
    uid = await boxes.create("a")
    found: list[int] = []

    @reconciles(BOX)
    async def act(step: Step[Box]) -> Outcome:
        async with step.read() as ctx:
            found.append(await ctx.db.fetchval("select count(*) from test_storage.box"))
            await ctx.db.execute("update test_storage.box set status = '{}'")
        return step.ready()

    worker = await boxes.worker(reconciler_of(act))
    await worker.run_until_idle()
    assert found == [1]
    assert "ReadOnlySQLTransactionError" in (await boxes.ready(uid))["message"]


async def test_a_referrer_that_is_not_gone_yet_only_delays(boxes: Boxes) -> None:
    await boxes.admin.execute(
        "create table test_storage.shelf (box uuid references test_storage.box (uid) on delete restrict)"
    )
    uid = await boxes.create("a")
    await boxes.admin.execute("insert into test_storage.shelf values ($1)", uid)
    worker = await boxes.worker(reconciler_of(double))
    await worker.run_until_idle()
    await boxes.delete(uid)
    await worker.run_until_idle()
    assert "refers to it" in (await boxes.ready(uid))["message"]
    assert (await boxes.status(uid))["phase"] == "Deleting"
    await boxes.admin.execute("delete from test_storage.shelf")
    await boxes.hurry()
    await worker.run_until_idle()
    assert await boxes.get(uid) is None


@pytest.mark.parametrize("status", [{"nonsense": 1}, {"doubled": "many"}, {"phase": "Nowhere"}])
async def test_a_status_that_does_not_fit_is_an_error_of_the_controller(boxes: Boxes, status: dict[str, str]) -> None:
    uid = await boxes.create("a")

    @reconciles(BOX)
    async def act(step: Step[Box]) -> Outcome:
        return step.ready(**status)  # type: ignore[arg-type]

    worker = await boxes.worker(reconciler_of(act))
    await worker.run_until_idle()
    assert (await boxes.ready(uid))["reason"] == "ReconcileError"


async def test_a_stored_resource_that_does_not_fit_its_kind_stops_no_other(boxes: Boxes) -> None:
    bad, good = await boxes.create("bad"), await boxes.create("good")
    await boxes.admin.execute('update test_storage.box set spec = \'{"size": "huge"}\' where uid = $1', bad)
    worker = await boxes.worker(reconciler_of(double))
    await worker.run_until_idle()
    assert (await boxes.status(good))["phase"] == "Ready"
    assert (await boxes.ready(bad))["reason"] == "DoesNotFitKind"
    item = await boxes.item(bad)
    assert item is not None
    assert item["attempts"] == 1


async def test_two_workers_never_step_on_one_resource_at_once(boxes: Boxes) -> None:
    uids = [await boxes.create(f"box-{n}") for n in range(40)]
    inside: Counter[UUID] = Counter()
    steps: Counter[UUID] = Counter()

    @reconciles(BOX, concurrency=4)
    async def act(step: Step[Box]) -> Outcome:
        uid = step.resource.uid
        inside[uid] += 1
        assert inside[uid] == 1
        await asyncio.sleep(0.002)
        inside[uid] -= 1
        steps[uid] += 1
        return step.ready(doubled=2 * step.resource.spec.size) if steps[uid] >= 3 else step.again(0.01)

    workers = [await boxes.worker(reconciler_of(act), poll=0.02) for _ in range(2)]
    running = [asyncio.create_task(worker.run()) for worker in workers]

    async def change_at_random() -> None:
        for n in range(60):
            await boxes.resize(uids[n % len(uids)], 2 + n)

    async with asyncio.timeout(60):
        await change_at_random()
        while any(i["kind"] == "Box" for i in await boxes.items()):
            await asyncio.sleep(0.02)
    for worker in workers:
        worker.stop()
    await asyncio.gather(*running)
    for uid in uids:
        row = await boxes.admin.fetchrow(
            "select (spec ->> 'size')::int * 2 = (status ->> 'doubled')::int as fits, phase"
            " from test_storage.box where uid = $1",
            uid,
        )
        assert row is not None
        assert (row["fits"], row["phase"]) == (True, "Ready")


async def test_pinned_work_is_done_by_its_host_alone(boxes: Boxes) -> None:
    uid = await boxes.create("a")
    by: list[str] = []

    @reconciles(BOX)
    async def act(step: Step[Box]) -> Outcome:
        by.append(step.runner)
        if step.resource.deleting:
            return step.gone()
        step.pin("east")
        return step.ready() if step.runner == "east" else step.again(60)

    west = await boxes.worker(reconciler_of(act), runner="west")
    east = await boxes.worker(reconciler_of(act), runner="east")
    await west.run_until_idle()
    await west.run_until_idle()
    assert by == ["west"]
    await east.run_until_idle()
    assert by == ["west", "east"]
    await boxes.resize(uid, 3)  # the pin outlives the item
    await west.run_until_idle()
    await east.run_until_idle()
    assert by == ["west", "east", "east"]
    await boxes.delete(uid)
    await west.run_until_idle()
    await east.run_until_idle()
    assert by[3:] == ["east"]
    assert await boxes.admin.fetchval("select count(*) from shared.work_pin") == 0


async def test_resync_looks_at_everything_again(boxes: Boxes) -> None:
    looks: Counter[str] = Counter()

    @reconciles(BOX, resync=0.2)
    async def act(step: Step[Box]) -> Outcome:
        looks[step.resource.name] += 1
        return step.ready()

    for name in ("a", "b"):
        await boxes.create(name)
    worker = await boxes.worker(reconciler_of(act), poll=0.02)
    running = asyncio.create_task(worker.run())
    async with asyncio.timeout(60):
        while min(looks["a"], looks["b"]) < 3:
            await asyncio.sleep(0.02)
    worker.stop()
    await running


async def test_what_a_step_asks_for_is_injected_or_the_worker_does_not_start(boxes: Boxes) -> None:
    class Store: ...

    @reconciles(BOX)
    async def act(step: Step[Box], store: Store) -> Outcome:
        assert isinstance(store, Store)
        return step.ready()

    act.__annotations__["store"] = Store
    uid = await boxes.create("a")
    with pytest.raises(LookupError, match="store"):
        await boxes.worker(reconciler_of(act))
    worker = await boxes.worker(reconciler_of(act), injected={Store: Store()})
    await worker.run_until_idle()
    assert (await boxes.status(uid))["phase"] == "Ready"
