"""The spool by itself: records, torn tails, segments, full and failing disks, shipping."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironworks.products.tokenfactory.gateway import UsageRecord, forcing, sync
from ironworks.products.tokenfactory.gateway import spool as spool_module
from ironworks.products.tokenfactory.gateway.forcing import Done, Forcer, KernelForcer, ThreadForcer
from ironworks.products.tokenfactory.gateway.segments import encode_record, read_records
from ironworks.products.tokenfactory.gateway.shipping import Shipper, dead_records
from ironworks.products.tokenfactory.gateway.spool import Cursor, Spool, SpoolFull
from tests.products.tokenfactory.upstream import Upstream
from tests.products.tokenfactory.world import Ledger, World, chat, post, run_world, targets_for

OPENING = (
    "key",
    "demo.app.dev",
    "route",
    "endpoint",
    "demo.app.dev",
    "m",
    "catalogue/m",
    "m",
    "/v1/chat/completions",
    True,
    "alice",
    {"team": "red"},
    (("lease", 12),),
    1.5,
    1.5,
)
FIRST_OPENING = (
    "key",
    "demo.app.dev",
    "endpoint",
    "demo.app.dev",
    "m",
    "catalogue/m",
    "m",
    "/v1/completions",
    True,
    1.5,
)


class SlowDisk:
    """A Forcer that ends when it is told to."""

    def __init__(self) -> None:
        self.done: Done
        self.groups: list[Sequence[int]] = []

    def begin(self, files: Sequence[int]) -> None:
        self.groups.append(files)

    async def asked(self, times: int) -> None:
        async with asyncio.timeout(5):
            while len(self.groups) < times:
                await asyncio.sleep(0)

    def answer(self, problem: OSError | None) -> None:
        self.done(problem)

    def close(self) -> None:
        pass


def slow_disk(monkeypatch: pytest.MonkeyPatch) -> SlowDisk:
    """The disk of the spools made from now on."""
    disk = SlowDisk()

    def make(loop: asyncio.AbstractEventLoop, done: Done) -> SlowDisk:
        disk.done = done
        return disk

    monkeypatch.setattr(sync, "forcer_of", make)
    return disk


def no_aio(loop: asyncio.AbstractEventLoop, done: Done) -> Forcer:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def opening(number: int) -> bytes:
    return fields(f"req_{number}", None, *OPENING)


def fields(*values: object) -> bytes:
    """As JSON without brackets."""
    return orjson.dumps(values)[1:-1]


CLOSING = (2.5, 200, 11, 4, 5, False)
WHOLE_CLOSING = (
    *CLOSING, 1, 2, 3, (("images", 1),), 99, 7, False, 1, 10, 20, 30, (("queue", 1, 2, "a/b"),), "", "gpt@eu",
)  # fmt: skip


async def close(spool: Spool, ticket: object, number: int) -> OSError | None:
    done: asyncio.Future[OSError | None] = asyncio.get_running_loop().create_future()
    spool.close(ticket, CLOSING, done.set_result)  # type: ignore[arg-type]
    return await done


@given(payloads=st.lists(st.binary(max_size=50), max_size=8), cut=st.integers(0, 600), noise=st.binary(max_size=20))
def test_whatever_is_torn_what_came_before_is_read(payloads: list[bytes], cut: int, noise: bytes) -> None:
    whole = [encode_record(7, 1 + i % 2, payload) for i, payload in enumerate(payloads)]
    data = b"".join(whole)
    kept, size = [], 0
    for payload, record in zip(payloads, whole, strict=True):
        size += len(record)
        if not any(data[cut:size]):  # what was torn off was zeros, as all that was never written is
            kept.append(payload)
    read = [payload for _, payload, _ in read_records(data[:cut] + b"\0" * 64, 7)]
    assert read == kept
    assert [payload for _, payload, _ in read_records(data + noise, 7)][: len(payloads)] == payloads


@given(number=st.integers(0, 10**6), ahead=st.integers(1, 10**4), payload=st.binary(max_size=20))
def test_a_file_used_again_is_empty(number: int, ahead: int, payload: bytes) -> None:
    record = encode_record(number, 1, payload)
    assert list(read_records(record, number))
    assert not list(read_records(record, number + ahead))


@given(data=st.binary(max_size=300))
def test_noise_is_never_a_record(data: bytes) -> None:
    assert not list(read_records(data, 0))


async def test_records_survive_their_process_in_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path, asyncio.get_running_loop(), segment=2048)
    tickets = [spool.open(opening(number), 25) for number in range(20)]
    for number in (3, 7, 1):
        assert await close(spool, tickets[number], number) is None
    spool.count(tickets[5], 42)
    records = {record.request_id: record for record in dead_records(spool.directory)}
    assert len(records) == 20
    assert [r.output_tokens for r in (records["req_3"], records["req_5"], records["req_6"])] == [5, 42, 0]
    assert [r.input_tokens for r in (records["req_3"], records["req_5"], records["req_6"])] == [11, 25, 0]
    assert records["req_5"].counted
    assert records["req_5"].status == 499
    assert list(dead_records(spool.directory)) == list(dead_records(spool.directory))
    spool.release()


async def test_a_slot_used_again_counts_for_its_new_holder_only(tmp_path: Path) -> None:
    spool = Spool(tmp_path, asyncio.get_running_loop(), slots=1)
    first = spool.open(opening(1), 25)
    spool.count(first, 9)
    with pytest.raises(SpoolFull):
        spool.open(opening(2), 25)
    await close(spool, first, 1)
    spool.open(opening(2), 25)
    records = {record.request_id: record for record in dead_records(spool.directory)}
    assert records["req_1"].output_tokens == 5
    assert records["req_2"].output_tokens == 0
    spool.release()


async def test_what_is_kept_in_memory_is_what_is_on_disk(tmp_path: Path) -> None:
    spool = Spool(tmp_path, asyncio.get_running_loop(), segment=2048, sync=False)
    for number in range(20):
        said = (f"req_{number}", None, *OPENING)
        spool.close(spool.open(fields(*said), 25, said), WHOLE_CLOSING, lambda problem: None)
    kept, end = spool.read_closed(Cursor(), 100)
    assert [record.request_id for record in kept] == [f"req_{number}" for number in range(20)]
    read, same_end = spool.read_closed(Cursor(), 100)  # the charge failed: again, and nothing is in memory any more
    assert end == same_end
    on_disk = list(dead_records(spool.directory))
    assert orjson.dumps(list(map(tuple, kept))) == orjson.dumps(list(map(tuple, read)))
    assert read == on_disk
    spool.release()


async def test_a_long_request_holds_up_no_segment(tmp_path: Path) -> None:
    spool = Spool(tmp_path, asyncio.get_running_loop(), segment=2048)
    ledger = Ledger()
    shipper = Shipper(spool, tmp_path, ledger.charge, every=0.01, batch=7)
    long = spool.open(opening(0), 25)
    for number in range(1, 300):
        await close(spool, spool.open(opening(number), 25), number)
        if number % 20 == 0:
            assert await shipper.ship_all(1)
    spool.count(long, 3)
    assert len(list(spool.directory.glob("*.segment"))) < 10 + spool_module.MAX_SPARES
    lost = [record for record in dead_records(spool.directory) if record.request_id == "req_0"]
    assert [record.output_tokens for record in lost] == [3]
    await close(spool, long, 0)
    assert await shipper.ship_all(1)
    assert len(ledger.records) == 300
    assert not ledger.conflicts
    spool.release()
    assert not list(tmp_path.iterdir())


async def test_a_file_used_again_is_read_in_its_turn_and_forced_without_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = slow_disk(monkeypatch)
    spool = Spool(tmp_path, asyncio.get_running_loop(), segment=1024)
    shipper = Shipper(spool, tmp_path, Ledger().charge, every=0.01, batch=100)
    for number in range(40):
        done = asyncio.create_task(close(spool, spool.open(opening(number), 25), number))
        await disk.asked(number + 1)
        disk.answer(None)
        await done
        if number < 35:
            await shipper.ship_once()
    kept = [record.request_id for record in dead_records(spool.directory)]
    assert kept[-5:] == [f"req_{number}" for number in range(35, 40)], "in order, whatever the files are called"
    assert len(kept) < 10, "what is charged is void"
    assert [len(group) for group in disk.groups[20:35]] == [1] * 15
    spool.release()


async def test_the_lag_is_for_how_long_what_ended_waits_whatever_is_open(tmp_path: Path) -> None:
    spool = Spool(tmp_path, asyncio.get_running_loop())
    ledger = Ledger()
    shipper = Shipper(spool, tmp_path, ledger.charge, every=0.01, batch=10)
    await close(spool, spool.open(opening(1), 25), 1)
    spool.open(opening(0), 25)
    await asyncio.sleep(0.3)
    assert shipper.lag >= 0.3
    assert await shipper.ship_all(1)
    assert shipper.lag < 0.2
    assert spool.backlog > 0, "what is still open is not behind"
    for number in range(2, 12):
        await close(spool, spool.open(opening(number), 25), number)
    await asyncio.sleep(0.3)
    assert await shipper.ship_once(), "a full batch: there may be more"
    assert shipper.lag >= 0.3
    assert not await shipper.ship_once()
    assert shipper.lag < 0.2
    spool.release(keep=True)


async def test_only_what_is_on_disk_is_charged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = slow_disk(monkeypatch)
    spool = Spool(tmp_path, asyncio.get_running_loop())
    done = asyncio.create_task(close(spool, spool.open(opening(1), 25), 1))
    await disk.asked(1)
    assert spool.read_closed(Cursor(), 10)[0] == []
    disk.answer(None)
    await done
    assert len(spool.read_closed(Cursor(), 10)[0]) == 1
    spool.release()


async def test_what_was_written_while_a_sync_failed_is_not_on_disk_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = slow_disk(monkeypatch)
    spool = Spool(tmp_path, asyncio.get_running_loop())
    first = asyncio.create_task(close(spool, spool.open(opening(1), 25), 1))
    await disk.asked(1)
    second = asyncio.create_task(close(spool, spool.open(opening(2), 25), 2))
    await asyncio.sleep(0)
    disk.answer(OSError(errno.EIO, "Input/output error"))
    assert isinstance(await first, OSError)
    assert isinstance(await second, OSError)
    assert not spool.healthy
    spool.release()


async def test_one_whose_answer_breaks_holds_up_no_other(tmp_path: Path) -> None:
    spool = Spool(tmp_path, asyncio.get_running_loop())

    def breaks(problem: OSError | None) -> None:
        raise KeyError("an answer that cannot be told")

    spool.close(spool.open(opening(1), 25), CLOSING, breaks)
    async with asyncio.timeout(60):
        assert await close(spool, spool.open(opening(2), 25), 2) is None
    spool.release()


async def test_a_spool_that_cannot_be_settled_holds_up_no_other(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    spools = sorted([Spool(tmp_path, loop) for _ in range(3)], key=lambda spool: spool.directory)
    for number, dead in enumerate(spools[:2]):
        await close(dead, dead.open(opening(number), 25), number)
        os.close(dead._lock)  # what the kernel does when the process dies

    ledger = Ledger()

    async def charge(batch: Sequence[UsageRecord]) -> None:
        if batch[0].request_id == "req_0":
            raise ValueError("a record that nobody understands")
        await ledger.charge(batch)

    shipper = Shipper(spools[2], tmp_path, charge, every=0.01, batch=10)
    with pytest.raises(ValueError, match="nobody understands"):
        await shipper.recover_once()
    assert set(ledger.records) == {"req_1"}
    assert spools[0].directory.is_dir()
    assert not spools[1].directory.exists()


async def test_a_charge_that_fails_is_tried_again(world: World) -> None:
    world.ledger.broken = True
    async with world.http() as http:
        for _ in range(5):
            assert (await http.post("/v1/chat/completions", json=chat())).status_code == 200
        await asyncio.sleep(0.2)
        text = (await http.get("/metrics")).text
    assert "ironworks_gateway_charging_fails_seconds 0.0" not in text
    assert world.ledger.calls > 1
    world.ledger.broken = False
    await world.ledger.expect(5)


async def test_the_spool_of_a_dead_process_is_settled_by_one_only(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    dead = Spool(tmp_path, loop)
    await close(dead, dead.open(opening(1), 25), 1)
    dead.open(opening(2), 25)
    os.close(dead._lock)  # what the kernel does when the process dies
    (tmp_path / ".new-half-made").mkdir()
    (tmp_path / ".new-half-made" / "lock").touch()
    ledger, others = Ledger(), [Spool(tmp_path, loop) for _ in range(3)]
    shippers = [Shipper(spool, tmp_path, ledger.charge, every=0.01, batch=10) for spool in others]
    counts = await asyncio.gather(*(shipper.recover_once() for shipper in shippers))
    assert sorted(counts) == [0, 0, 2]
    assert len(ledger.records) == 2
    for spool in others:
        spool.release()
    assert not list(tmp_path.iterdir())


async def test_a_full_disk_refuses_and_heals(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = False
    allocate = os.posix_fallocate

    def fallocate(fd: int, offset: int, size: int) -> None:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        allocate(fd, offset, size)

    monkeypatch.setattr(os, "posix_fallocate", fallocate)
    async with run_world(tmp_path, targets_for(upstream.address), segment=2048) as world, world.http() as http:
        full = True
        statuses = [(await http.post("/v1/chat/completions", json=chat())).status_code for _ in range(20)]
        assert set(statuses[-5:]) == {503}
        full = False
        statuses += [(await http.post("/v1/chat/completions", json=chat())).status_code for _ in range(5)]
        assert set(statuses[-5:]) == {200}
        assert (await http.get("/healthz")).status_code == 200
        async with asyncio.timeout(60):
            while sum(record.status == 200 for record in world.ledger.records.values()) < statuses.count(200):
                await asyncio.sleep(0.01)
        assert not world.ledger.conflicts


@pytest.mark.parametrize("kind", [KernelForcer, ThreadForcer])
async def test_an_answer_whose_usage_is_not_on_disk_is_withheld(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[KernelForcer | ThreadForcer]
) -> None:
    begin = kind.begin
    if kind is ThreadForcer:
        monkeypatch.setattr(forcing, "KernelForcer", no_aio)
    with os.fdopen(os.eventfd(0)) as no_file:  # which nobody can force to disk
        async with run_world(tmp_path / "spool", targets_for(upstream.address)) as world, world.http() as http:
            asked = 0
            for stream in (False, True):
                monkeypatch.setattr(kind, "begin", lambda forcer, files: begin(forcer, [no_file.fileno()]))
                problems: list[str] = []
                async with asyncio.timeout(60):
                    while not problems:  # it heals twice a second, which may be before a busy machine lets us look
                        asked += 1
                        answer = await world.raw(post("/v1/chat/completions", chat(stream=stream), "connection: close"))
                        assert b"spool_unavailable" in answer
                        assert (b'"content":' in answer) is stream, "what came before is shown, for it is billed"
                        assert b"[DONE]" not in answer
                        assert not answer.endswith(b"0\r\n\r\n")
                        problems = (await http.get("/healthz")).json()["problems"]
                assert problems == ["spool_unavailable"]
                monkeypatch.setattr(kind, "begin", begin)
                assert (await http.post("/v1/chat/completions", json=chat())).status_code == 200
                assert (await http.get("/healthz")).status_code == 200
            await world.ledger.expect(asked + 2)


async def test_the_spool_of_the_release_before_is_still_charged(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    dead = Spool(tmp_path, loop, segment=4096)
    done: asyncio.Future[OSError | None] = loop.create_future()
    ticket = dead.open(fields("req_1", None, *FIRST_OPENING), 25)
    dead.close(ticket, CLOSING, done.set_result)
    assert await done is None
    open_one = dead.open(fields("req_2", "mine", *FIRST_OPENING), 25)
    dead.count(open_one, 7)
    closed, lost = dead_records(dead.directory)
    assert (closed.endpoint_uid, closed.route_uid, closed.priced_at) == ("endpoint", "", 0.0)
    assert (closed.input_tokens, closed.cached_tokens, closed.output_tokens, closed.cost_nano) == (11, 4, 5, -1)
    assert (lost.client_request_id, lost.input_tokens, lost.output_tokens, lost.counted) == ("mine", 25, 7, True)
    dead.release()
