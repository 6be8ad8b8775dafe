"""A gateway and its budgets: what is held before a request starts, what it is cut to, and what callers are told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from ironworks.platform import metering
from ironworks.products.tokenfactory.budgets import BudgetView
from ironworks.products.tokenfactory.gateway.dialects.native import NativeAdapter
from tests.products.tokenfactory.budgets.lender import FakeLender
from tests.products.tokenfactory.budgets.test_costs import WHOLE, price
from tests.products.tokenfactory.budgets.test_desk import budget
from tests.products.tokenfactory.upstream import Upstream
from tests.products.tokenfactory.world import SCOPE, World, chat, key_view, run_world, target, targets_for
from tests.products.tokenfactory.world import post as raw_post

CHATS = "/v1/chat/completions"
TEMPLATE = 256
"""What the targets of these tests say that their template adds; each byte is at most one token."""


def view(amount: int, **changes: Any) -> BudgetView:
    return budget(amount, **{"name": "team", "scope": "demo.app", "period": "day", **changes})


def worst(body: dict[str, Any], output: int) -> int:
    return (len(json.dumps(body, separators=(",", ":")).encode()) + TEMPLATE) * 100 + output * 400


def paying(folder: Path, upstream: Upstream, *views: BudgetView, **more: Any) -> Any:
    lender = more.pop("lender", None) or FakeLender()
    lender.amounts |= {each.uid: each.amount_nano for each in views}
    more = {"prices": WHOLE, **more}
    return run_world(folder, targets_for(upstream.address), budgets=views, lender=lender, **more)


async def post(world: World, body: dict[str, Any], **headers: str) -> Any:
    async with world.http() as http:
        return await http.post(CHATS, json=body, headers=headers)


def lender_of(world: World) -> FakeLender:
    found = world.gateway._lender
    assert isinstance(found, FakeLender)
    return found


async def test_a_request_costs_what_its_header_says_and_what_it_is_charged(tmp_path: Path, upstream: Upstream) -> None:
    async with paying(tmp_path, upstream, view(10**9)) as world:
        answer = await post(world, chat(max_tokens=5))
        assert answer.status_code == 200
        (record,) = await world.ledger.expect(1)
        assert record.cost_nano == 7 * 100 + 4 * 100 + 5 * 400
        assert answer.headers["x-ironworks-cost"] == "0.000003100"
        assert [nano for _, nano in record.holds] == [worst(chat(max_tokens=5), 5)]
        assert sum(lender_of(world).spent.values()) == record.cost_nano
        assert record.started_at - record.priced_at == pytest.approx(2.0, abs=1.0)


async def test_a_stream_ends_with_its_cost(tmp_path: Path, upstream: Upstream) -> None:
    async with paying(tmp_path, upstream, view(10**9)) as world:
        answer = await post(world, chat(stream=True, max_tokens=5))
        assert ": cost=0.000003100 " in answer.text


async def test_without_a_budget_nothing_is_held(tmp_path: Path, upstream: Upstream) -> None:
    elsewhere = view(1, scope="other")
    async with paying(tmp_path, upstream, elsewhere) as world:
        assert (await post(world, chat())).status_code == 200
        (record,) = await world.ledger.expect(1)
        assert not record.holds
        assert "max_tokens" not in upstream.received[0].body


async def test_one_who_names_no_limit_is_given_the_models(tmp_path: Path, upstream: Upstream) -> None:
    async with paying(tmp_path, upstream, view(10**12)) as world:
        await post(world, chat())
        assert upstream.received[0].body["max_tokens"] == 4096


async def test_it_is_clamped_to_what_is_left(tmp_path: Path, upstream: Upstream) -> None:
    body = chat(max_tokens=1000)
    async with paying(tmp_path, upstream, view(worst(body, 100) + 399)) as world:
        assert (await post(world, body)).status_code == 200
        assert upstream.received[0].body["max_tokens"] == 100
        (record,) = await world.ledger.expect(1)
        assert record.holds[0][1] == worst(body, 100) + 399


@pytest.mark.parametrize(
    "limits",
    [
        {"max_tokens": 5, "n_predict": 1000},
        {"max_tokens": 5, "max_completion_tokens": 1000},
        {"max_tokens": 1000, "max_completion_tokens": 5},
    ],
)
async def test_the_largest_limit_that_is_named_is_held_to(
    tmp_path: Path, upstream: Upstream, limits: dict[str, int]
) -> None:
    """Which of several names a server goes by is not known: llama.cpp's own `n_predict` beats `max_tokens` there."""
    body = chat(**limits)
    async with paying(tmp_path, upstream, view(10**9), view(worst(body, 100), name="small")) as world:
        assert (await post(world, body)).status_code == 200
        assert {name: upstream.received[0].body[name] for name in limits} == {
            name: min(limit, 100) for name, limit in limits.items()
        }
        (record,) = await world.ledger.expect(1)
        assert [nano for _, nano in record.holds] == [worst(body, 100)] * 2
        refused = await post(world, chat(n_predict=-1))
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "n_predict")


@pytest.mark.parametrize("served_as", ["gpt-5-mini", "openai/o3"])
async def test_models_that_refuse_the_older_name_are_told_the_newer(
    tmp_path: Path, upstream: Upstream, served_as: str
) -> None:
    newer = target("newer", upstream.address, served_as=served_as)
    lender = FakeLender()
    team = view(10**12)
    lender.amounts[team.uid] = team.amount_nano
    async with run_world(tmp_path, [newer], budgets=[team], prices=WHOLE, lender=lender) as world:
        assert (await post(world, chat("newer"))).status_code == 200
    sent = upstream.received[0].body
    assert (sent["max_completion_tokens"], "max_tokens" in sent) == (4096, False)


@pytest.mark.parametrize("other", ["best_of", "n_cmpl"])
async def test_choices_have_other_names_too(tmp_path: Path, upstream: Upstream, other: str) -> None:
    body = chat(max_tokens=100, **{other: 3})
    async with paying(tmp_path, upstream, view(10**9)) as world:
        assert (await post(world, body)).status_code == 200
        (record,) = await world.ledger.expect(1)
        assert record.holds[0][1] == worst(body, 300)


async def test_choices_are_held_for_all(tmp_path: Path, upstream: Upstream) -> None:
    body = chat(max_tokens=100, n=3)
    async with paying(tmp_path, upstream, view(worst(body, 300) - 1)) as world:
        assert (await post(world, body)).status_code == 200
        assert upstream.received[0].body["max_tokens"] == 99, "a third each of what is held"


async def test_a_spent_budget_refuses_and_says_which_and_until_when(tmp_path: Path, upstream: Upstream) -> None:
    async with paying(tmp_path, upstream, view(1000)) as world:
        answer = await post(world, chat(max_tokens=5))
        assert answer.status_code == 429
        error = answer.json()["error"]
        assert error["code"] == "budget_exhausted"
        assert error["type"] == "insufficient_quota"
        assert "the budget demo.app/team" in error["message"]
        assert 0 < int(answer.headers["retry-after"]) <= 86_400
        assert not upstream.received
        await asyncio.sleep(0.1)
        assert not world.ledger.records, "what was not admitted is not billed"


async def test_a_budget_above_the_platform_is_not_named(tmp_path: Path, upstream: Upstream) -> None:
    async with paying(tmp_path, upstream, view(1000, scope="demo", name="secret-name")) as world:
        error = (await post(world, chat(max_tokens=5))).json()["error"]
        assert "a budget above your scope" in error["message"]
        assert "secret-name" not in error["message"]


@pytest.mark.parametrize("stream", [False, True])
async def test_an_upstream_that_reports_more_than_it_was_held_to_is_cut(
    tmp_path: Path, upstream: Upstream, stream: bool
) -> None:
    body = chat("exaggerates", max_tokens=5, stream=stream)
    async with paying(tmp_path, upstream, view(10**9)) as world:
        assert (await post(world, body)).status_code == 200
        (record,) = await world.ledger.expect(1)
        held = record.holds[0][1]
        assert record.output_tokens == record.reasoning_tokens == 5
        assert record.cost_nano == held, "everything that was held, and nothing more"


async def test_a_stream_is_cut_at_its_hold(tmp_path: Path, upstream: Upstream) -> None:
    body = chat("prattles", max_tokens=10, stream=True)
    async with paying(tmp_path, upstream, view(10**9)) as world:
        text = (await world.raw(raw_post(CHATS, body, "connection: close"))).decode()
        assert "went on past the limit" in text
        assert 10 <= text.count(" more") < 1000
        (record,) = await world.ledger.expect(1)
        assert record.output_tokens == 10
        assert record.cost_nano <= record.holds[0][1]


async def test_what_has_no_price_cannot_be_held_to_a_budget(tmp_path: Path, upstream: Upstream) -> None:
    prices = [price(metering.INPUT_TOKENS, "0.0000001")]
    async with paying(tmp_path / "closed", upstream, view(10**9), prices=prices) as world:
        answer = await post(world, chat())
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "price_missing")
        assert answer.headers["retry-after"] == "60"
    async with paying(tmp_path / "open", upstream, view(10**9, closed=False), prices=prices) as world:
        assert (await post(world, chat())).status_code == 200
        (record,) = await world.ledger.expect(1)
        assert record.cost_nano == -1
        assert not record.holds


async def test_while_the_ledger_is_away_closed_refuses_and_open_serves(tmp_path: Path, upstream: Upstream) -> None:
    for closed in (True, False):
        lender = FakeLender(down=True)
        async with paying(tmp_path / str(closed), upstream, view(10**9, closed=closed), lender=lender) as world:
            answer = await post(world, chat(max_tokens=5))
            if closed:
                assert (answer.status_code, answer.json()["error"]["code"]) == (503, "budget_unavailable")
                assert answer.headers["retry-after"] == "1"
            else:
                assert answer.status_code == 200
                (record,) = await world.ledger.expect(1)
                assert not record.holds
                async with world.http() as http:
                    shown = (await http.get("/metrics")).text
                assert "ironworks_gateway_budget_outside" in shown


async def test_one_who_leaves_while_he_waits_asks_no_upstream(tmp_path: Path, upstream: Upstream) -> None:
    first = chat("waits", max_tokens=5)
    async with paying(tmp_path, upstream, view(worst(first, 5) + 1000)) as world, world.http() as http:
        held = asyncio.create_task(http.post(CHATS, json=first))
        while not upstream.received:
            await asyncio.sleep(0.01)
        waiting = asyncio.create_task(http.post(CHATS, json=chat(max_tokens=5)))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        waiting.cancel()
        await asyncio.sleep(0.2)
        upstream.release.set()
        assert (await held).status_code == 200
        await asyncio.sleep(0.2)
        assert len(upstream.received) == 1
        await world.ledger.expect(1)
        assert world.gateway._core is not None
        assert not world.gateway._core.exchanges
        assert world.gateway._core.admission.in_flight == 0


async def test_a_request_that_breaks_holds_nothing(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*given: object) -> None:
        raise KeyError("what nobody thought of")

    async with paying(tmp_path, upstream, view(10**9)) as world:
        core = world.gateway._core
        assert core is not None
        for place in ((NativeAdapter, "request"), (core.observers, "begin")):  # before and after it is opened
            for _ in range(2):  # the first request waits for the ledger, the next does not
                monkeypatch.setattr(*place, breaks)
                assert (await post(world, chat(max_tokens=5))).status_code == 500
                monkeypatch.undo()
                async with asyncio.timeout(20):
                    while core.admission.in_flight or core.exchanges:
                        await asyncio.sleep(0.01)
                assert core.payments.gauges()["budget_reserved_nano"][1] == 0
        assert (await post(world, chat(max_tokens=5))).status_code == 200
        assert {record.output_tokens for record in await world.ledger.expect(3)} == {0, 5}


async def test_one_who_waits_is_served_when_another_has_cost_less(tmp_path: Path, upstream: Upstream) -> None:
    first = chat("waits", max_tokens=5)
    async with paying(tmp_path, upstream, view(worst(first, 5) + 4000)) as world, world.http() as http:
        held = asyncio.create_task(http.post(CHATS, json=first))
        while not upstream.received:
            await asyncio.sleep(0.01)
        waiting = asyncio.create_task(http.post(CHATS, json=chat(max_tokens=5)))
        await asyncio.sleep(0.2)
        upstream.release.set()
        assert (await held).status_code == 200
        assert (await waiting).status_code == 200
        await world.ledger.expect(2)


async def test_a_stop_gives_every_lease_back(tmp_path: Path, upstream: Upstream) -> None:
    lender = FakeLender()
    async with paying(tmp_path, upstream, view(10**9), lender=lender) as world:
        await post(world, chat(max_tokens=5))
        assert lender.outstanding() > 0
    assert lender.outstanding() == 0
    assert not list(tmp_path.iterdir()) or not [each for each in tmp_path.iterdir() if "-" in each.name]
    assert world.ledger.records


async def test_a_stop_without_the_ledger_leaves_the_spool_for_who_can_close_its_leases(
    tmp_path: Path, upstream: Upstream
) -> None:
    lender = FakeLender()
    async with paying(tmp_path / "spool", upstream, view(10**9), lender=lender) as world:
        await post(world, chat(max_tokens=5))
        await world.ledger.expect(1)
        lender.down = True
    assert lender.outstanding() > 0
    lender.down = False
    async with paying(tmp_path / "spool", upstream, view(10**9), lender=lender):
        async with asyncio.timeout(60):
            while lender.outstanding():
                await asyncio.sleep(0.05)


async def test_a_route_is_paid_by_every_budget_on_the_way(tmp_path: Path, upstream: Upstream) -> None:
    views = [view(10**9, scope=scope) for scope in ("", "demo", "demo.app", SCOPE)] + [
        view(10**9, key=key_view().uid), view(1, scope="demo.other"), view(1, hard=False),
    ]  # fmt: skip
    async with paying(tmp_path, upstream, *views) as world:
        assert (await post(world, chat(max_tokens=5))).status_code == 200
        (record,) = await world.ledger.expect(1)
        assert len(record.holds) == 5


async def test_what_is_not_counted_in_tokens_is_held_too(tmp_path: Path, upstream: Upstream) -> None:
    speech = {"model": "plain", "input": "x" * 100, "voice": "alloy"}
    prices = [*WHOLE, price(metering.SPEECH_CHARACTERS, "0.000015")]
    for amount, status in ((100 * 15_000 + 100_000, 200), (100 * 15_000, 429)):
        async with paying(tmp_path / str(status), upstream, view(amount), prices=prices) as world:
            async with world.http() as http:
                answer = await http.post("/v1/audio/speech", json=speech)
            assert (answer.status_code == 429) == (status == 429)
    unpriced = paying(tmp_path / "unpriced", upstream, view(10**9))
    async with unpriced as world, world.http() as http:
        answer = await http.post("/v1/audio/speech", json=speech)
        assert answer.json()["error"]["code"] == "price_missing"
