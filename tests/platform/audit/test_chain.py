"""The hash chain: whatever is altered, removed or moved is found, and the first of it is named."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironworks.platform import audit
from ironworks.platform.audit.model import GENESIS, Chain, ChainHead, SealedRecord, chain_of
from ironworks.shared.context import Actor
from tests.support.lower import LowerWorld

RECORDS = 6


async def fill(world: LowerWorld, count: int = RECORDS, scope: str = "acme.shop.eu") -> Actor:
    """`count` sealed records at `scope`, some with odd content; returns who may verify everything."""
    actor = await world.subject("ada", {"audit:verify": [""]})
    async with world.acting(actor) as ctx:
        for number in range(count):
            odd = {"text": "ü\n\"';:", "n": [1.10, 1e300, -0.0, None], "z": {"b": 1, "aa": 2}} if number % 2 else None
            await ctx.audit("bucket.create", "bucket", f"b{number}:;é", scope, before=odd, after={"i": number})
    async with world.system("worker") as ctx:
        assert await audit.seal_records(ctx.db) == count
    return actor


async def verify(world: LowerWorld, actor: Actor, anchor: audit.Anchor | None = None) -> audit.ChainReport:
    async with world.acting(actor) as ctx:
        return await audit.verify_chain(ctx, "acme.shop", anchor)


@asynccontextmanager
async def tampering(world: LowerWorld) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A superuser who has switched the triggers and constraints off, as someone who owns the server could."""
    conn = await asyncpg.connect(world.place.admin)
    try:
        await conn.execute("set session_replication_role = replica")
        await conn.execute("alter table platform_audit.record drop constraint if exists record_pkey")
        await conn.execute("alter table platform_audit.record drop constraint if exists record_uid_key")
        await conn.execute("alter table platform_audit.record drop constraint if exists record_chain_seq_check")
        yield conn
    finally:
        await conn.close()


async def test_a_whole_chain_verifies_and_numbers_have_no_gaps(world: LowerWorld) -> None:
    actor = await fill(world)
    report = await verify(world, actor)
    assert (report.ok, report.records, report.bad) == (True, RECORDS, None)
    assert await fill(world, 3) is not None
    assert (await verify(world, actor)).records == RECORDS + 3
    rows = await world.query("select chain_seq from platform_audit.record order by chain_seq")
    assert [r["chain_seq"] for r in rows] == list(range(1, RECORDS + 4))


async def test_every_platform_has_its_own_chain(world: LowerWorld) -> None:
    actor = await fill(world, 2, "acme.shop.eu")
    await fill(world, 3, "acme.other")
    await fill(world, 1, "acme")
    await fill(world, 1, "")
    async with world.acting(actor) as ctx:
        reports = await audit.verify_all(ctx)
    assert {r.platform: (r.records, r.ok) for r in reports} == {
        "-": (2, True),
        "acme.other": (3, True),
        "acme.shop": (2, True),
    }


COLUMNS = {
    "platform": "'acme.shoq'",
    "chain_seq": "chain_seq + 100",
    "previous_hash": "sha256(previous_hash)",
    "hash": "sha256(hash)",
    "sealed_at": "sealed_at + interval '1 microsecond'",
    "uid": "gen_random_uuid()",
    "occurred_at": "occurred_at - interval '1 microsecond'",
    "actor_uid": "gen_random_uuid()",
    "actor_kind": "'system'",
    "actor": "actor || ' '",
    "address": "'10.0.0.1'",
    "action": "'bucket.delete'",
    "target_type": "'buckets'",
    "target_id": "target_id || 'x'",
    "scope": "scope || 'x'",
    "path": "path || '.x'",
    "result": "'denied'",
    "correlation_id": "'req_x'",
    "client_request_id": "''",
    "before": """'{"i": 7}'""",
    "after": "jsonb_set(after, '{i}', '99')",
}


async def test_every_column_is_covered(world: LowerWorld) -> None:
    columns = await world.query(
        "select attname from pg_attribute where attrelid = 'platform_audit.record'::regclass and attnum > 0"
    )
    assert {r["attname"] for r in columns} == set(COLUMNS)


async def test_any_altered_column_of_any_record_is_found_and_named(world: LowerWorld) -> None:
    actor = await fill(world)
    async with tampering(world) as conn:
        for column, value in COLUMNS.items():
            for seq in (1, 3, RECORDS):
                (kept,) = await conn.fetch("select * from platform_audit.record where chain_seq = $1", seq)
                await conn.execute(f"update platform_audit.record set {column} = {value} where chain_seq = $1", seq)
                report = await verify(world, actor)
                assert report.bad is not None, f"{column} of record {seq}"
                assert report.bad.chain_seq == seq, f"{column} of record {seq}: {report.bad}"
                assert report.records == seq - 1
                await conn.execute("delete from platform_audit.record where uid = $1 or chain_seq = $2 or "
                                   "chain_seq = $2 + 100", kept["uid"], seq)  # fmt: skip
                await conn.execute(
                    "insert into platform_audit.record select * from jsonb_populate_record("
                    "null::platform_audit.record, $1::jsonb)",
                    await _as_json(kept),
                )
                assert (await verify(world, actor)).ok, f"putting {column} of record {seq} back"


async def _as_json(row: asyncpg.Record) -> str:
    """The row as JSON text that Postgres reads back to the same row."""
    import json

    values: dict[str, Any] = dict(row)
    for name in ("previous_hash", "hash"):
        values[name] = "\\x" + values[name].hex()
    for name in ("before", "after"):
        values[name] = None if values[name] is None else json.loads(values[name], parse_float=_Exact)
    return json.dumps(values, default=lambda v: v.isoformat() if isinstance(v, datetime) else str(v))


class _Exact(float):
    """A JSON number that keeps its digits."""

    def __new__(cls, text: str) -> _Exact:
        made = super().__new__(cls, text)
        made.text = text  # type: ignore[attr-defined]
        return made

    def __repr__(self) -> str:
        return self.text  # type: ignore[attr-defined, no-any-return]


async def test_a_removed_record_is_found(world: LowerWorld) -> None:
    for seq in (1, 3, RECORDS):
        actor = await fill(world, RECORDS)
        async with tampering(world) as conn:
            await conn.execute("delete from platform_audit.record where chain_seq = $1", seq)
            report = await verify(world, actor)
            assert report.bad is not None
            assert (report.bad.problem, report.bad.chain_seq) == ("missing", seq)
            await conn.execute("truncate platform_audit.record, platform_audit.chain_head")


async def test_a_removed_record_is_found_though_the_rest_is_renumbered(world: LowerWorld) -> None:
    actor = await fill(world)
    async with tampering(world) as conn:
        await conn.execute("delete from platform_audit.record where chain_seq = 3")
        await conn.execute("update platform_audit.record set chain_seq = chain_seq - 1 where chain_seq > 3")
    report = await verify(world, actor)
    assert report.bad is not None
    assert (report.bad.problem, report.bad.chain_seq) == ("reordered", 3)


async def test_swapped_records_are_found(world: LowerWorld) -> None:
    actor = await fill(world)
    async with tampering(world) as conn:
        await conn.execute("update platform_audit.record set chain_seq = 7 - chain_seq where chain_seq in (3, 4)")
    report = await verify(world, actor)
    assert report.bad is not None
    assert (report.bad.problem, report.bad.chain_seq) == ("reordered", 3)


async def test_an_inserted_or_doubled_record_is_found(world: LowerWorld) -> None:
    actor = await fill(world)
    async with tampering(world) as conn:
        await conn.execute("insert into platform_audit.record select * from platform_audit.record where chain_seq = 2")
        report = await verify(world, actor)
        assert report.bad is not None
        assert (report.bad.problem, report.bad.chain_seq) == ("reordered", 2)


async def test_a_cut_tail_a_changed_head_and_a_removed_head_are_found(world: LowerWorld) -> None:
    actor = await fill(world)
    async with tampering(world) as conn:
        await conn.execute("update platform_audit.chain_head set chain_seq = 4")
        assert (await verify(world, actor)).bad is not None
        await conn.execute("update platform_audit.chain_head set chain_seq = 6, hash = sha256(hash)")
        report = await verify(world, actor)
        assert report.bad is not None
        assert report.bad.problem == "head"
        await conn.execute("delete from platform_audit.chain_head")
        report = await verify(world, actor)
        assert report.bad is not None
        assert (report.bad.problem, report.bad.chain_seq) == ("head", 1)
        async with world.acting(actor) as ctx:
            assert [r.ok for r in await audit.verify_all(ctx)] == [False]


async def test_a_chain_rebuilt_or_removed_as_a_whole_is_found_with_an_anchor(world: LowerWorld) -> None:
    actor = await fill(world)
    noted = await verify(world, actor)
    anchor = audit.Anchor(noted.records, bytes.fromhex(noted.head))
    await fill(world, 2)
    assert (await verify(world, actor, anchor)).ok
    async with tampering(world) as conn:
        await conn.execute("truncate platform_audit.record, platform_audit.chain_head")
        assert (await verify(world, actor)).ok, "nothing is left that could tell"
        report = await verify(world, actor, anchor)
        assert report.bad is not None
        assert (report.bad.problem, report.bad.chain_seq) == ("missing", 1)
    await fill(world, RECORDS)  # the forger's own history, correctly sealed
    assert (await verify(world, actor)).ok
    report = await verify(world, actor, anchor)
    assert report.bad is not None
    assert report.bad.problem == "altered"


async def test_verifying_while_writers_write_and_the_sealer_seals(world: LowerWorld) -> None:
    actor = await fill(world)
    stop = asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            async with world.acting(actor) as ctx:
                await ctx.audit("bucket.create", "bucket", "b", "acme.shop")

    async def sealing() -> None:
        while not stop.is_set():
            async with world.system("worker") as ctx:
                await audit.seal_records(ctx.db, 7)

    tasks = [asyncio.create_task(make()) for make in (write, write, write, sealing, sealing)]
    try:
        for _ in range(15):
            report = await verify(world, actor)
            assert report.ok, report.bad
    finally:
        stop.set()
        await asyncio.gather(*tasks)
    async with world.system("worker") as ctx:
        await audit.seal_records(ctx.db, 100_000)
    total = (await world.query("select count(*) as n from platform_audit.record"))[0]["n"]
    assert (await verify(world, actor)).records == total > RECORDS


MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
TEXTS = st.text(st.characters(exclude_characters="\x00", codec="utf-8"), max_size=12)


@st.composite
def chains(draw: st.DrawFn) -> list[SealedRecord]:
    """A correct chain of 1 to 6 records at acme.shop."""
    made: list[SealedRecord] = []
    for number in range(1, draw(st.integers(1, 6)) + 1):
        record = SealedRecord(
            platform="acme.shop", chain_seq=number, previous_hash=made[-1].hash if made else GENESIS, hash=GENESIS,
            sealed_at=draw(MOMENTS), uid=UUID(int=number), occurred_at=draw(MOMENTS),
            actor_uid=draw(st.none() | st.uuids()), actor_kind="user", actor=draw(TEXTS), address=draw(TEXTS),
            action="a.b", target_type=draw(TEXTS), target_id=draw(TEXTS), scope="acme.shop", path="acme.shop",
            result="ok", correlation_id=draw(TEXTS), client_request_id=draw(st.none() | TEXTS),
            before=draw(st.none() | TEXTS), after=draw(st.none() | TEXTS),
        )  # fmt: skip
        made.append(replace(record, hash=record.expected_hash()))
    return made


def check(records: list[SealedRecord], head: SealedRecord) -> audit.ChainReport:
    chain = Chain("acme.shop")
    chain.feed(records)
    return chain.finish(ChainHead("acme.shop", head.chain_seq, head.hash), None)


CHANGES: dict[str, Callable[[Any], Any]] = {
    "platform": lambda v: v + "x",
    "previous_hash": lambda v: bytes([v[0] ^ 1]) + v[1:],
    "hash": lambda v: v[:-1] + bytes([v[-1] ^ 128]),
    "sealed_at": lambda v: v + timedelta(microseconds=1),
    "occurred_at": lambda v: v - timedelta(microseconds=1),
    "uid": lambda v: UUID(int=v.int + 1000),
    "actor_uid": lambda v: None if v else UUID(int=5),
    "chain_seq": lambda v: v + 1,
    **{
        name: lambda v: None if v == "" else "" if v is None else v + "0"
        for name in ("client_request_id", "before", "after")
    },
    **{
        name: lambda v: v + ";"
        for name in (
            "actor_kind", "actor", "address", "action", "target_type", "target_id", "scope", "path", "result",
            "correlation_id",
        )
    },
}  # fmt: skip


@given(chains())
def test_property_a_correct_chain_holds(records: list[SealedRecord]) -> None:
    report = check(records, records[-1])
    assert (report.ok, report.records, report.head) == (True, len(records), records[-1].hash.hex())


@given(chains(), st.data())
def test_property_one_changed_field_is_found_at_its_record(records: list[SealedRecord], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(records) - 1))
    field = data.draw(st.sampled_from(sorted(CHANGES)))
    broken = list(records)
    broken[at] = replace(broken[at], **{field: CHANGES[field](getattr(broken[at], field))})
    report = check(broken, records[-1])
    assert report.bad is not None
    assert report.bad.chain_seq == at + 1


@given(chains(), st.data())
def test_property_text_moved_between_neighbouring_fields_is_found(
    records: list[SealedRecord], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(records) - 1))
    record = records[at]
    moved = replace(record, actor=record.actor + record.address, address="")
    if moved == record:
        return
    broken = [*records[:at], moved, *records[at + 1 :]]
    assert not check(broken, records[-1]).ok


@given(chains(), st.data())
def test_property_a_removed_record_is_found(records: list[SealedRecord], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(records) - 1))
    report = check(records[:at] + records[at + 1 :], records[-1])
    assert report.bad is not None
    assert (report.bad.problem, report.bad.chain_seq) == ("missing", at + 1)


@given(chains(), st.data())
def test_property_two_exchanged_records_are_found(records: list[SealedRecord], data: st.DataObject) -> None:
    if len(records) < 2:
        return
    first, second = sorted(data.draw(st.permutations(range(len(records))))[:2])
    broken = list(records)
    broken[first] = replace(records[second], chain_seq=first + 1)
    broken[second] = replace(records[first], chain_seq=second + 1)
    report = check(broken, records[-1])
    assert report.bad is not None
    assert report.bad.chain_seq == first + 1


@pytest.mark.parametrize(
    ("path", "platform"),
    [("", "-"), ("acme", "-"), ("acme.shop", "acme.shop"), ("acme.shop.eu.x", "acme.shop")],
)
def test_which_chain_a_path_belongs_to(path: str, platform: str) -> None:
    assert chain_of(path) == platform


async def test_sql_and_python_agree_on_chains(world: LowerWorld) -> None:
    for path in ("", "acme", "acme.shop", "acme.shop.eu.x"):
        (row,) = await world.query("select platform_audit.chain_of($1::text::ltree) as chain", path)
        assert row["chain"] == chain_of(path)
