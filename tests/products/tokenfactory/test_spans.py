"""OpenTelemetry: the caller's context goes on to the model server, and spans go to a collector that checks them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ironworks.products.tokenfactory.gateway import ObservingSettings
from ironworks.products.tokenfactory.gateway.otlp import encode_spans
from ironworks.products.tokenfactory.gateway.spans import MOST_WAITING, read_context
from tests.products.tokenfactory.collector import Collector, read_message, run_collector
from tests.products.tokenfactory.upstream import Upstream
from tests.products.tokenfactory.world import World, chat, run_world, target, targets_for

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CHAT = "/v1/chat/completions"
WRITTEN = (
    "0afd010a220a0a0a047a65726f120218000a140a056d696e7573120b18ffffffffffffffffff0112d6010a130a1169726f6e"
    "776f726b732e6761746577617912680a104bf92f3577b34da6a3ce929d0e0e4736120800f067aa0ba902b71a03613d312208"
    "01020304050607082a0c63686174206772c3b6c39f653003390c651bdc300eea184170651bdc300eea184a080a016e120318"
    "ac024a0b0a05656d70747912020a007a02180212550a104bf92f3577b34da6a3ce929d0e0e4736120800f067aa0ba902b72a"
    "0c63686174206772c3b6c39f653003390c651bdc300eea184170651bdc300eea184a080a016e120318ac024a0b0a05656d70"
    "747912020a00"
)


@asynccontextmanager
async def traced(
    upstream: Upstream, path: Path, sample: float = 1.0, **observing: Any
) -> AsyncIterator[tuple[World, Collector]]:
    async with run_collector() as collector:
        settings = ObservingSettings(otlp=collector.url, sample=sample, **observing)
        async with run_world(path / "spool", targets_for(upstream.address), observing=settings) as world:
            yield world, collector


def passed_on(upstream: Upstream) -> tuple[str, str, str]:
    version, trace, span, flags = upstream.received[-1].headers["traceparent"].split("-")
    assert version == "00"
    return trace, span, flags


@pytest.mark.parametrize("encoding", ["http/json", "http/protobuf"])
async def test_the_callers_trace_goes_on_under_our_span(upstream: Upstream, tmp_path: Path, encoding: str) -> None:
    async with traced(upstream, tmp_path, otlp_encoding=encoding) as (world, collector), world.http() as http:
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1,other@x=a b"}
        await http.post(CHAT, json=chat(), headers=headers)
        server, client = await collector.expect(2)
    assert (server.trace, server.parent, server.kind, server.state) == (TRACE, PARENT, 2, "vendor=1,other@x=a b")
    assert (client.trace, client.parent, client.kind) == (TRACE, server.id, 3)
    assert passed_on(upstream) == (TRACE, client.id, "01")
    assert upstream.received[-1].headers["tracestate"] == "vendor=1,other@x=a b"
    assert server.start <= client.start <= client.end <= server.end


@pytest.mark.parametrize("encoding", ["http/json", "http/protobuf"])
async def test_what_spans_say(upstream: Upstream, tmp_path: Path, encoding: str) -> None:
    settings = {"otlp_headers": {"x-key": "abc"}, "otlp_encoding": encoding}
    async with traced(upstream, tmp_path, **settings) as (world, collector), world.http() as http:
        answer = await http.post(CHAT, json=chat())
        server, client = await collector.expect(2)
    assert collector.headers[0]["x-key"] == "abc"
    assert collector.resource["service.name"] == "ironworks-gateway"
    shared = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "ironworks",
        "gen_ai.request.model": "plain",
        "gen_ai.response.model": "catalogue/plain",
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 5,
        "ironworks.request_id": answer.headers["x-request-id"],
    }
    assert shared.items() <= server.attributes.items()
    assert shared.items() <= client.attributes.items()
    assert (server.name, server.attributes["http.response.status_code"]) == ("POST /v1/chat/completions", 200)
    assert (client.name, client.attributes["server.port"]) == ("chat plain", upstream.port)
    assert "story" not in repr(collector)


async def test_a_failure_is_an_error_in_both(upstream: Upstream, tmp_path: Path) -> None:
    async with traced(upstream, tmp_path) as (world, collector), world.http() as http:
        await http.post(CHAT, json=chat("bad-gateway"))
        spans = await collector.expect(2)
    assert all(span.failed and span.attributes["error.type"] == "upstream_error" for span in spans)


def test_the_same_spans_in_both_encodings() -> None:
    """Bytes as opentelemetry-proto's own library writes them, so that reader and writer here are not wrong alike."""
    span = {
        "traceId": TRACE, "spanId": PARENT, "kind": 3, "name": "chat größe", "traceState": "a=1",
        "startTimeUnixNano": "1795263004474565900", "endTimeUnixNano": "1795263004474566000",
        "parentSpanId": "0102030405060708", "status": {"code": 2},
        "attributes": [{"key": "n", "value": {"intValue": "300"}}, {"key": "empty", "value": {"stringValue": ""}}],
    }  # fmt: skip
    bare = {name: value for name, value in span.items() if name not in ("status", "traceState", "parentSpanId")}
    resource = [{"key": "zero", "value": {"intValue": "0"}}, {"key": "minus", "value": {"intValue": "-1"}}]
    encoded = encode_spans("http/protobuf", resource, [span, bare])
    assert encoded.hex() == WRITTEN
    assert read_message(encoded) == json.loads(encode_spans("http/json", resource, [span, bare]))


async def test_a_collector_cannot_send_us_elsewhere(upstream: Upstream, tmp_path: Path) -> None:
    """With the credential that is for it alone."""
    async with run_collector() as other, traced(upstream, tmp_path, otlp_headers={"x-key": "abc"}) as (world, moved):
        moved.status, moved.elsewhere = 307, f"{other.url}/v1/traces"
        async with world.http() as http:
            await http.post(CHAT, json=chat())
        async with asyncio.timeout(60):
            while not moved.headers:
                await asyncio.sleep(0.05)
        core = world.gateway._core
        assert core is not None
        async with asyncio.timeout(60):
            while not core.observers.spans.lost:
                await asyncio.sleep(0.02)
    assert not other.headers


async def test_each_try_has_a_span(upstream: Upstream, tmp_path: Path) -> None:
    async with run_collector() as collector:
        settings = ObservingSettings(otlp=collector.url, sample=1.0)
        dies = target("dies-at-once", upstream.address, f"localhost:{upstream.port}")
        async with run_world(tmp_path / "spool", [dies], observing=settings) as world, world.http() as http:
            await http.post(CHAT, json=chat("dies-at-once"))
            server, *tries = await collector.expect(3)
    assert {span.parent for span in tries} == {server.id}
    assert len({span.id for span in tries}) == 2
    assert all(span.failed for span in tries)
    assert tries[0].end <= tries[1].start


@pytest.mark.parametrize("flags", ["00", "01"])
async def test_the_callers_flag_is_honoured(upstream: Upstream, tmp_path: Path, flags: str) -> None:
    async with traced(upstream, tmp_path) as (world, collector), world.http() as http:
        await http.post(CHAT, json=chat(), headers={"traceparent": f"00-{TRACE}-{PARENT}-{flags}"})
        if flags == "01":
            await collector.expect(2)
        else:
            await asyncio.sleep(1.5)
    assert passed_on(upstream)[::2] == (TRACE, flags)
    assert len(collector.spans) == 2 * int(flags)


async def test_traces_that_begin_here_are_sampled(upstream: Upstream, tmp_path: Path) -> None:
    async with traced(upstream, tmp_path, sample=0.0) as (world, collector), world.http() as http:
        await http.post(CHAT, json=chat())
        await world.ledger.expect(1)
        assert passed_on(upstream)[2] == "00"
    assert not collector.spans


async def test_without_a_collector_the_context_passes_unchanged(world: World, upstream: Upstream) -> None:
    async with world.http() as http:
        await http.post(CHAT, json=chat(), headers={"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "a=1"})
        assert passed_on(upstream) == (TRACE, PARENT, "01")
        await http.post(CHAT, json=chat())
        assert "traceparent" not in upstream.received[-1].headers


BAD = [
    "",
    "00",
    f"00-{TRACE}-{PARENT}",
    f"00-{TRACE}-{PARENT}-01-more",
    f"ff-{TRACE}-{PARENT}-01",
    f"00-{'0' * 32}-{PARENT}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    f"00-{TRACE.upper()}-{PARENT}-01",
    f"00-{TRACE}-{PARENT}-0g",
    f"00-{TRACE}-{PARENT}-01, 00-{TRACE}-{PARENT}-01",
]


@pytest.mark.parametrize("given", BAD)
def test_malformed_contexts_are_none(given: str) -> None:
    assert read_context({b"traceparent": given.encode(), b"tracestate": b"a=1"}) is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert read_context({b"traceparent": f"cc-{TRACE}-{PARENT}-03-more".encode()}) == (TRACE, PARENT, True, b"")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (b"a=1", b"a=1"),
        (b" a=1 ,, b@c=x ", b"a=1,b@c=x"),
        (b"a=1,a=2", b""),
        (b"A=1", b""),
        (b"a=\xff", b""),
        (b"a=1\r\nx: y", b""),
        (b"a", b""),
        (b",".join(b"k%d=1" % n for n in range(33)), b""),
        (b"a=" + b"x" * 600, b""),
    ],
)
def test_tracestate_is_passed_on_only_if_well_formed(given: bytes, kept: bytes) -> None:
    found = read_context({b"traceparent": f"00-{TRACE}-{PARENT}-01".encode(), b"tracestate": given})
    assert found is not None
    assert found[3] == kept


async def test_a_malformed_context_begins_a_new_trace(upstream: Upstream, tmp_path: Path) -> None:
    async with traced(upstream, tmp_path) as (world, collector), world.http() as http:
        await http.post(CHAT, json=chat(), headers={"traceparent": BAD[5], "tracestate": "a=1"})
        server, _ = await collector.expect(2)
    assert server.parent == ""
    assert int(server.trace, 16)
    assert "tracestate" not in upstream.received[-1].headers


async def test_a_collector_that_is_away_costs_spans_and_nothing_else(upstream: Upstream, tmp_path: Path) -> None:
    async with traced(upstream, tmp_path) as (world, collector), world.http() as http:
        collector.status = 503
        await http.post(CHAT, json=chat())
        async with asyncio.timeout(60):
            while not collector.headers:
                await asyncio.sleep(0.05)
        health = (await http.get("/health")).json()
        assert [check["reason"] for check in health["checks"]] == ["ExportFails"]
        assert health["status"] == "degraded"
        collector.status = 200
        await collector.expect(2)
        core = world.gateway._core
        assert core is not None
        collector.status = 503
        core.observers.spans._waiting = [{}] * MOST_WAITING
        await http.post(CHAT, json=chat())
        await world.ledger.expect(2)
        await asyncio.sleep(0.6)
        assert 'dropped_total{what="spans"} 2.0' in (await http.get("/metrics")).text
        core.observers.spans._waiting.clear()
