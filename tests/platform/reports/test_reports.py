"""Reports against figures worked out by hand, in every format, for those who may see them."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeAlias

import httpx
import pyarrow.parquet as pq
import pytest

from ironworks.platform import ledger, metering, registry, reports
from ironworks.platform.registry.model import UnknownEntry
from ironworks.platform.reports.declarations import DECLARATIONS
from ironworks.platform.reports.exports import to_csv, to_parquet
from ironworks.platform.reports.model import age_of, cost_of, spans
from ironworks.platform.reports.routes import router
from ironworks.shared.context import Actor
from ironworks.shared.db import Database
from ironworks.shared.errors import Forbidden, Invalid, NotFound
from ironworks.shared.http import RouteTable
from ironworks.shared.serving import Api
from tests.support.lower import LowerWorld
from tests.support.money import charge, money_world, usage
from tests.support.postgres import TestDatabase

FIRST, SECOND, AFTER = date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 3)
FEE = 49 * 10**9
Rows: TypeAlias = set[tuple[Any, ...]]
RATES = (
    ("input_tokens", "*", "0.00000002", date(2026, 1, 1)),
    ("input_tokens", "*", "0.0000001", SECOND),
    ("output_tokens", "smollm2", "0.0000005", date(2026, 1, 1)),
)


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[LowerWorld]:
    """Two days of two accounts, a fee, and a picture that has no price.

    At base price an input token costs 100 nano, a cached one 50, an output token 400.
    """
    async with money_world(database) as world:
        world.clock = lambda: datetime(2026, 3, 2, 18, tzinfo=UTC)
        async with world.system("worker") as ctx:
            await registry.sync_registry(ctx, [("platform.reports", DECLARATIONS)])
        late = datetime(2026, 3, 2, 0, 0, 1, tzinfo=UTC)
        await charge(
            world,
            usage("req_1", (100, 20, 30)),
            usage(
                "req_2", (1000, 0, 0), scope="acme.shop.us", occurred_at=datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)
            ),
            usage("req_3", (10, 0, 10), model="big", occurred_at=late),
            usage("req_4", (10, 0, 0), scope="rival.shop"),
            usage("req_5", quantities={metering.IMAGES: 2}, occurred_at=late),
        )
        await post(world, "acme", ledger.Purpose.RECEIVABLE, "", ledger.Purpose.REVENUE, FEE, ledger.TransferKind.FEE)
        yield world


async def post(
    world: LowerWorld, debit: str, owed: ledger.Purpose, credit: str, to: ledger.Purpose, nano: int,
    kind: ledger.TransferKind,
) -> None:  # fmt: skip
    async with world.system("worker") as ctx:
        await ledger.post_transfer(
            ctx,
            ledger.NewTransfer(
                debit=ledger.AccountName(debit, owed, "USD"), credit=ledger.AccountName(credit, to, "USD"),
                amount_nano=nano, kind=kind, correlation="test", day=FIRST,
            ),
        )  # fmt: skip


@pytest.fixture
async def operator(world: LowerWorld) -> Actor:
    everything = ("billing:read", "report:margin", "report:cost", "usage:read")
    return await world.subject("operator", {permission: [""] for permission in everything})


async def revenue(world: LowerWorld, actor: Actor, scope: str, *by: str, end: date = AFTER) -> Rows:
    async with world.acting(actor) as ctx:
        return set((await reports.report_revenue(ctx, scope, FIRST, end, by)).rows)


async def test_revenue_is_what_the_ledger_earned_whatever_it_is_grouped_by(world: LowerWorld, operator: Actor) -> None:
    assert await revenue(world, operator, "acme", "day", "kind") == {
        (FIRST, "fee", "USD", FEE),
        (FIRST, "usage", "USD", 23_000 + 100_000),
        (SECOND, "usage", "USD", 5_000),
    }
    assert await revenue(world, operator, "-", "account") == {
        ("acme", "USD", FEE + 128_000),
        ("rival", "USD", 1_000),
    }
    assert await revenue(world, operator, "-", "month", "platform") == {
        (FIRST, "acme", "USD", FEE),
        (FIRST, "acme.shop", "USD", 128_000),
        (FIRST, "rival.shop", "USD", 1_000),
    }
    assert await revenue(world, operator, "acme.shop.us", "tenant") == {("acme.shop.us", "USD", 100_000)}
    assert await revenue(world, operator, "acme", "kind", end=SECOND) == {
        ("fee", "USD", FEE),
        ("usage", "USD", 123_000),
    }
    for by in (["day"], ["tenant"], ["kind", "month"], ["account", "day", "kind"]):
        assert sum(row[-1] for row in await revenue(world, operator, "-", *by)) == FEE + 129_000


async def test_what_is_taken_back_is_no_revenue_and_what_is_invoiced_is_not_unbilled(
    world: LowerWorld, operator: Actor
) -> None:
    async def unbilled(*by: str) -> Rows:
        async with world.acting(operator) as ctx:
            return set((await reports.report_unbilled(ctx, "acme", by)).rows)

    assert await unbilled("tenant") == {
        ("acme", "USD", FEE), ("acme.shop.eu", "USD", 28_000), ("acme.shop.us", "USD", 100_000),
    }  # fmt: skip
    (transfer,) = await world.query("select id from platform_ledger.transfer where path = 'acme.shop.us'")
    async with world.system("worker") as ctx:
        await ledger.reverse_transfer(ctx, transfer["id"], "test")
    due, owed = ledger.Purpose.DUE, ledger.Purpose.RECEIVABLE
    await post(world, "acme", due, "acme.shop.eu", owed, 28_000, ledger.TransferKind.INVOICE)
    assert await unbilled("tenant") == {("acme", "USD", FEE)}
    assert await unbilled("account") == {("acme", "USD", FEE)}
    async with world.acting(operator) as ctx:
        table = await reports.report_revenue(ctx, "acme", FIRST, date(2026, 12, 31), ("kind",))
    assert set(table.rows) == {("fee", "USD", FEE), ("usage", "USD", 128_000), ("reversal", "USD", -100_000)}


async def test_usage_tells_quantities_costs_and_what_waits(world: LowerWorld, operator: Actor) -> None:
    async with world.acting(operator) as ctx:
        table = await reports.report_usage(ctx, "acme", FIRST, AFTER, ("meter",))
        daily = await reports.report_usage(ctx, "acme.shop.eu", SECOND, AFTER, ("day", "model"))
    assert [column.name for column in table.columns] == ["meter", "currency", "quantity", "waiting", "cost"]
    assert set(table.rows) == {
        ("cached_input_tokens", "USD", 20, 0, 1_000),
        ("images", "USD", 0, 2, 0),
        ("input_tokens", "USD", 1110, 0, 111_000),
        ("output_tokens", "USD", 40, 0, 16_000),
    }
    assert [column.name for column in daily.columns] == ["day", "model", "currency", "cost"]  # tokens and pictures
    assert set(daily.rows) == {(SECOND, "big", "USD", 5_000), (SECOND, "smollm2", "USD", 0)}


async def test_margins_take_the_rate_of_the_day_and_tell_what_has_none(world: LowerWorld, operator: Actor) -> None:
    async with world.acting(operator) as ctx:
        for meter, model, cost, start in RATES:
            await reports.create_cost_rate(ctx, meter, model, "USD", Decimal(cost), start)
        table = await reports.report_margin(ctx, "acme", FIRST, AFTER, ("tenant", "day"))
        whole = await reports.report_margin(ctx, "acme", FIRST, AFTER, ("account",))
        meters = await reports.report_margin(ctx, "acme.shop.eu", FIRST, SECOND, ("meter",))
    assert [column.name for column in table.columns][3:] == ["charged", "uncosted", "cost", "margin"]
    assert set(table.rows) == {
        # 100 × 20 + 20 cached × 20 + 30 × 500
        ("acme.shop.eu", FIRST, "USD", 23_000, 0, 17_400, 5_600),
        ("acme.shop.us", FIRST, "USD", 100_000, 0, 20_000, 80_000),
        # input at the new rate; output of another model has none
        ("acme.shop.eu", SECOND, "USD", 5_000, 4_000, 1_000, 0),
    }
    assert set(whole.rows) == {("acme", "USD", 128_000, 4_000, 38_400, 85_600)}
    assert ("output_tokens", "USD", 30, 12_000, 0, 15_000, -3_000) in meters.rows


async def test_what_things_cost_is_the_operators_business(world: LowerWorld, operator: Actor) -> None:
    deputy = await world.subject("deputy", {p: ["acme"] for p in ("billing:read", "report:margin", "report:cost")})
    async with world.acting(deputy) as ctx:
        with pytest.raises(Forbidden):
            await reports.report_margin(ctx, "acme", FIRST, AFTER, ("meter",))
        with pytest.raises(Forbidden):
            await reports.list_cost_rates(ctx)
        with pytest.raises(Forbidden):
            await reports.create_cost_rate(ctx, "input_tokens", "*", "USD", Decimal(1), FIRST)
        assert await ctx.db.fetchval("select count(*) from platform_reports.cost_rate") == 0
    assert await revenue(world, deputy, "acme", "account") == {("acme", "USD", FEE + 128_000)}
    assert await revenue(world, deputy, "rival", "account") == set()
    async with world.acting(operator) as ctx:
        await reports.create_cost_rate(ctx, "input_tokens", "*", "USD", Decimal("0.1"), FIRST)
        for day, cost, problem in (
            (FIRST, "0.1", reports.CostRateInUse),
            (SECOND, "-1", Invalid),
            (SECOND, "NaN", Invalid),
        ):
            with pytest.raises(problem):
                await reports.create_cost_rate(ctx, "input_tokens", "*", "USD", Decimal(cost), day)
        with pytest.raises(UnknownEntry):
            await reports.create_cost_rate(ctx, "unicorns", "*", "USD", Decimal(1), FIRST)


async def test_bad_input_is_named(world: LowerWorld, operator: Actor) -> None:
    async with world.acting(operator) as ctx:
        for start, end, by in (
            (AFTER, FIRST, ["day"]),
            (FIRST, FIRST, ["day"]),
            (FIRST, date(2036, 1, 1), ["day"]),
            (FIRST, AFTER, ["weather"]),
            (FIRST, AFTER, ["day", "day"]),
            (FIRST, AFTER, ["day; drop table platform_ledger.transfer"]),
        ):
            with pytest.raises(Invalid):
                await reports.report_revenue(ctx, "acme", start, end, by)
            with pytest.raises(Invalid):
                await reports.report_margin(ctx, "acme", start, end, by)
        with pytest.raises(NotFound):
            await reports.report_usage(ctx, "acme.nowhere", FIRST, AFTER, ["day"])
        with pytest.raises(Invalid):
            await reports.report_unbilled(ctx, "acme", ["day"])


# --- files and HTTP ----------------------------------------------------------------------------------------------

TABLE = reports.Table(
    (
        reports.Column("day", reports.ColumnType.DATE),
        reports.Column("model", reports.ColumnType.TEXT),
        reports.Column("quantity", reports.ColumnType.COUNT),
        reports.Column("cost", reports.ColumnType.MONEY),
    ),
    [(FIRST, 'big, "new"', 2**62, 10**18 + 1), (SECOND, "=1+1", 0, -1), (AFTER, "", None, None)],
)


def test_a_csv_opens_again_and_runs_nothing() -> None:
    rows = list(csv.reader(io.StringIO(to_csv(TABLE).decode(), newline="")))
    assert rows == [
        ["day", "model", "quantity", "cost"],
        ["2026-03-01", 'big, "new"', str(2**62), "1000000000.000000001"],
        ["2026-03-02", "'=1+1", "0", "-0.000000001"],
        ["2026-03-03", "", "", ""],
    ]


def test_a_parquet_file_opens_again_exactly() -> None:
    table = pq.read_table(io.BytesIO(to_parquet(TABLE)))
    assert [str(field.type) for field in table.schema] == ["date32[day]", "string", "int64", "decimal128(38, 9)"]
    assert table.to_pylist()[0] == {
        "day": FIRST, "model": 'big, "new"', "quantity": 2**62, "cost": Decimal("1000000000.000000001"),
    }  # fmt: skip
    assert table.to_pylist()[2] == {"day": AFTER, "model": "", "quantity": None, "cost": None}
    empty = pq.read_table(io.BytesIO(to_parquet(reports.Table(TABLE.columns, []))))
    assert (empty.num_rows, empty.column_names) == (0, ["day", "model", "quantity", "cost"])


def test_ages_and_spans_turn_on_the_day() -> None:
    ages = {day: age_of(FIRST, day) for day in (FIRST, SECOND, date(2026, 3, 31), date(2026, 4, 1), date(2026, 5, 31))}
    assert list(ages.values()) == ["not_due", "days_1_30", "days_1_30", "days_31_60", "over_90"]
    assert age_of(FIRST, date(2026, 5, 30)) == "days_61_90"
    assert spans(FIRST, AFTER, []) == [(FIRST, AFTER)]
    assert cost_of("input_tokens", "big", "USD", FIRST, []) is None


@pytest.fixture
async def client(world: LowerWorld, operator: Actor) -> AsyncIterator[httpx.AsyncClient]:
    subjects: Mapping[str, Actor] = {
        "operator": operator,
        "tenant": await world.subject("tenant", {"billing:read": ["acme.shop.eu"]}),
    }

    async def authenticate(db: Database, authorization: str | None, address: str) -> Actor:
        return subjects[(authorization or "").removeprefix("Bearer ")]

    api = Api(await world.database("api"), RouteTable(router.routes), authenticate)
    transport = httpx.ASGITransport(api)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://api/api/v1") as client:
        yield client


async def test_reports_over_http_in_every_format(client: httpx.AsyncClient) -> None:
    async def get(path: str, who: str = "operator", status: int = 200, **query: str) -> httpx.Response:
        period = {} if path.endswith(("unbilled", "rates")) else {"from": "2026-03-01", "to": "2026-03-03"}
        answer = await client.get(path, params=period | query, headers={"authorization": f"Bearer {who}"})
        assert answer.status_code == status, answer.text
        return answer

    shown = (await get("/scopes/acme/reports/revenue", by="day")).json()
    assert (shown["report"], shown["scope"], shown["from"], shown["to"]) == (
        "revenue",
        "acme",
        "2026-03-01",
        "2026-03-03",
    )
    assert shown["items"][1] == {
        "day": "2026-03-02", "currency": "USD", "revenue": "0.000005000", "revenue_nano": 5000,
    }  # fmt: skip
    drawn = (await get("/scopes/-/reports/revenue", by="account,day", format="series")).json()
    assert drawn["series"][1] == {
        "group": {"account": "rival", "currency": "USD"},
        "points": [{"at": "2026-03-01", "revenue": "0.000001000", "revenue_nano": 1000}],
    }
    assert drawn["items"] is None
    sheet = await get("/scopes/acme/reports/usage", format="csv")
    assert sheet.headers["content-type"] == "text/csv; charset=utf-8"
    assert sheet.headers["content-disposition"] == 'attachment; filename="usage-acme-2026-03-01-2026-03-03.csv"'
    assert sheet.text.splitlines()[1] == "cached_input_tokens,USD,20,0,0.000001000"
    file = await get("/scopes/-/reports/margin", format="parquet", by="account")
    assert pq.read_table(io.BytesIO(file.content)).column("charged").to_pylist() == [
        Decimal("0.000128000"),
        Decimal("0.000001000"),
    ]
    mine = (await get("/scopes/acme.shop.eu/reports/unbilled", "tenant", by="tenant")).json()
    assert [row["unbilled_nano"] for row in mine["items"]] == [28_000]
    await get("/scopes/acme/reports/revenue", "tenant", status=403)
    await get("/scopes/rival/reports/revenue", "tenant", status=404)
    await get("/scopes/acme.shop.eu/reports/margin", "tenant", status=403)
    await get("/scopes/acme/reports/revenue", status=422, by="kind", format="series")
    await get("/scopes/acme/reports/revenue", status=422, by="weather")
    await get("/scopes/acme/reports/revenue", status=422, format="xlsx")
    await get("/scopes/acme/reports/revenue", status=422, **{"from": "yesterday"})


async def test_cost_rates_are_listed_in_pages(client: httpx.AsyncClient) -> None:
    who = {"authorization": "Bearer operator"}
    for meter, model, cost, start in RATES:
        body = {"meter": meter, "model": model, "unit_cost": cost, "valid_from": start.isoformat()}
        assert (await client.post("/cost-rates", json=body, headers=who)).status_code == 201
    found: list[Any] = []
    page: dict[str, Any] = {"next_cursor": None}
    while not found or page["next_cursor"]:
        query = {"limit": 2, **({"cursor": page["next_cursor"]} if found else {})}
        page = (await client.get("/cost-rates", params=query, headers=who)).json()
        found += page["items"]
    assert [(rate["meter"], rate["model"], rate["unit_cost"]) for rate in found] == [
        ("input_tokens", "*", "0.00000002"), ("input_tokens", "*", "0.0000001"),
        ("output_tokens", "smollm2", "0.0000005"),
    ]  # fmt: skip
    assert (await client.get("/cost-rates", params={"cursor": "zzz"}, headers=who)).status_code == 422
    stale = await client.post("/cost-rates", json=body, headers=who)
    assert (stale.status_code, stale.json()["error"]["code"]) == (409, "COST_RATE_IN_USE")
