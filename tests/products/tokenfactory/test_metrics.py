"""What a scrape says: OpenTelemetry's names, our own, and of whatever process is asked, the whole host."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from ironworks.products.tokenfactory.gateway import ObservingSettings
from ironworks.products.tokenfactory.gateway.metrics import MOST_MODELS, Metrics, Tally
from tests.products.tokenfactory.upstream import Upstream
from tests.products.tokenfactory.world import World, chat, run_world, target, targets_for


async def scrape(http: httpx.AsyncClient) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = (await http.get("/metrics")).text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str, **labels: str) -> float:
    wanted = set(labels.items())
    return sum(count for (sample, given), count in found.items() if sample == name and wanted <= given)


async def test_conventional_names_and_labels(world: World) -> None:
    async with world.http() as http:
        await http.post("/v1/chat/completions", json=chat())
        async with http.stream("POST", "/v1/chat/completions", json=chat("trickles", stream=True)) as answer:
            await answer.aread()
        await http.post("/v1/chat/completions", json=chat("bad-gateway"))
        await world.ledger.expect(3)
        found = await scrape(http)
    about = {
        "gen_ai_operation_name": "chat",
        "gen_ai_provider_name": "ironworks",
        "gen_ai_request_model": "plain",
        "gen_ai_response_model": "catalogue/plain",
    }
    assert value(found, "gen_ai_server_request_duration_seconds_count", **about, error_type="") == 1
    assert value(found, "gen_ai_server_request_duration_seconds_count", error_type="upstream_error") == 1
    assert value(found, "gen_ai_client_token_usage_sum", **about, gen_ai_token_type="input") == 11
    assert value(found, "gen_ai_client_token_usage_sum", **about, gen_ai_token_type="output") == 5
    assert value(found, "gen_ai_server_time_to_first_token_seconds_count", gen_ai_request_model="trickles") == 1
    assert value(found, "gen_ai_server_time_per_output_token_seconds_count", gen_ai_request_model="trickles") == 1
    assert value(found, "gen_ai_server_time_per_output_token_seconds_sum", gen_ai_request_model="trickles") > 0.01


async def test_our_own_part_of_the_time(world: World) -> None:
    async with world.http() as http:
        async with http.stream("POST", "/v1/chat/completions", json=chat("trickles", stream=True)) as answer:
            await answer.aread()
        await world.ledger.expect(1)
        found = await scrape(http)
    assert value(found, "ironworks_gateway_overhead_seconds_count") == 1
    duration = value(found, "ironworks_gateway_request_duration_seconds_sum")
    assert 0 < value(found, "ironworks_gateway_overhead_seconds_sum") < duration / 2


async def test_refusals_by_code(world: World) -> None:
    async with world.http("iwk_unknown") as http:
        await http.post("/v1/chat/completions", json=chat())
    async with world.http() as http:
        await http.post("/v1/chat/completions", json=chat("nothing-of-that-name"))
        found = await scrape(http)
    assert value(found, "ironworks_gateway_refusals_total", code="invalid_api_key") == 1
    assert value(found, "ironworks_gateway_refusals_total", code="model_not_found") == 1


async def test_gauges_of_the_process(world: World) -> None:
    async with world.http() as http:
        found = await scrape(http)
    for name in ("spool_lag_seconds", "spool_backlog_bytes", "snapshot_age_seconds", "in_flight", "health"):
        assert ("ironworks_gateway_" + name, frozenset()) in found
    assert value(found, "ironworks_gateway_processes") == 1
    assert value(found, "ironworks_gateway_resident_memory_bytes") > 10_000_000
    assert value(found, "ironworks_gateway_cpu_seconds_total") > 0


async def test_models_past_the_hundredth_are_other(upstream: Upstream, tmp_path: Path) -> None:
    names = [f"model-{number}" for number in range(MOST_MODELS + 30)]
    targets = [target(name, upstream.address) for name in names]
    async with run_world(tmp_path / "spool", targets) as world, world.http() as http:
        for name in names:
            assert (await http.post("/v1/chat/completions", json=chat(name))).status_code == 200
        await world.ledger.expect(len(names))
        found = await scrape(http)
    counted = "gen_ai_server_request_duration_seconds_count"
    asked = {dict(labels)["gen_ai_request_model"] for name, labels in found if name == counted}
    assert len(asked) <= MOST_MODELS + 1
    assert value(found, counted, gen_ai_request_model="other") >= 30
    assert value(found, counted) == len(names)


async def test_any_process_tells_of_all(upstream: Upstream, tmp_path: Path) -> None:
    observing = ObservingSettings(counts=tmp_path / "counts")
    targets = targets_for(upstream.address)
    async with run_world(tmp_path / "spool", targets, observing=observing) as one:
        async with run_world(tmp_path / "spool", targets, observing=observing) as other:
            for world, times in ((one, 2), (other, 3)):
                async with world.http() as http:
                    for _ in range(times):
                        await http.post("/v1/chat/completions", json=chat())
            await asyncio.sleep(0.6)
            async with one.http() as here, other.http() as there:
                seen = [await scrape(http) for http in (here, there)]
            for found in seen:
                assert value(found, "ironworks_gateway_requests_total", operation="/v1/chat/completions") == 5
                assert value(found, "ironworks_gateway_processes") == 2
        async with one.http() as http:
            found = await scrape(http)
        assert value(found, "ironworks_gateway_requests_total", operation="/v1/chat/completions") == 5
        assert value(found, "ironworks_gateway_processes") == 1


def test_gauges_may_be_large_or_endless() -> None:
    figures = {
        "budget_reserved_nano": 5e15,
        "snapshot_age_seconds": float("inf"),
        "budget_lease_remaining_seconds": 0.25,
    }
    metrics = Metrics(lambda: {name: ("what it is", figure) for name, figure in figures.items()})
    text = metrics.render().decode()
    assert "ironworks_gateway_budget_reserved_nano 5e+15" in text
    assert "ironworks_gateway_budget_lease_remaining_seconds 0.25" in text
    [age] = [line for line in text.splitlines() if line.startswith("ironworks_gateway_snapshot_age_seconds ")]
    assert float(age.rpartition(" ")[2]) > 1e11


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 4.0, 4.5, 1e9]), max_size=30), st.integers(0, 30))
def test_values_fall_into_the_buckets_that_they_belong_to(figures: list[float], pause: int) -> None:
    tally, values = Tally(1, (1.0, 2.0, 4.0), 10), memoryview(bytearray(8 * 6)).cast("q")
    for figure in figures[:pause]:
        tally.add(figure)
    tally.put_down(values)
    for figure in figures[pause:]:
        tally.add(figure)
    tally.put_down(values)
    bounds = [(-1.0, 1.0), (1.0, 2.0), (2.0, 4.0), (4.0, 1e10)]
    counts = [sum(low < figure <= high for figure in figures) for low, high in bounds]
    assert values.tolist() == [0, *counts, sum(figures) * 10]
