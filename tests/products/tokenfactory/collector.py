"""An OpenTelemetry collector as far as traces by OTLP over HTTP in JSON go: it checks what comes as one would."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Span:
    """One span as it was understood."""

    trace: str
    id: str
    parent: str
    name: str
    kind: int
    start: int
    end: int
    state: str
    failed: bool
    attributes: dict[str, Any]


@dataclass
class Collector:
    """`status` is what it answers; below 300 it has taken the spans."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)
    resource: dict[str, Any] = field(default_factory=dict)
    headers: list[dict[str, str]] = field(default_factory=list)
    status: int = 200

    async def expect(self, count: int, within: float = 10.0) -> list[Span]:
        async with asyncio.timeout(within):
            while len(self.spans) < count:
                await asyncio.sleep(0.02)
        assert len(self.spans) == count
        return self.spans


@asynccontextmanager
async def run_collector() -> AsyncIterator[Collector]:
    collector = Collector()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *rest = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (item.partition(":") for item in rest if item)}
        body = await reader.readexactly(int(headers["content-length"]))
        assert line == "POST /v1/traces HTTP/1.1"
        assert headers["content-type"] == "application/json"
        collector.headers.append(headers)
        if collector.status < 300:
            take(collector, json.loads(body))
        writer.write(f"HTTP/1.1 {collector.status} x\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    collector.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield collector
    finally:
        server.close()


def take(collector: Collector, message: dict[str, Any]) -> None:
    """opentelemetry/proto/collector/trace/v1 in JSON: ids in hex, 64-bit numbers as text, enumerations as numbers."""
    assert set(message) == {"resourceSpans"}
    for resource in message["resourceSpans"]:
        collector.resource = read_attributes(resource["resource"]["attributes"])
        for scope in resource["scopeSpans"]:
            assert scope["scope"]["name"]
            collector.spans += [read_span(span) for span in scope["spans"]]


def read_span(span: dict[str, Any]) -> Span:
    known = {"traceId", "spanId", "parentSpanId", "traceState", "name", "kind"}
    assert set(span) <= known | {"startTimeUnixNano", "endTimeUnixNano", "attributes", "status"}
    assert re.fullmatch("[0-9a-f]{32}", span["traceId"])
    assert re.fullmatch("[0-9a-f]{16}", span["spanId"])
    assert re.fullmatch("([0-9a-f]{16})?", span.get("parentSpanId", ""))
    start, end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
    assert isinstance(span["startTimeUnixNano"], str)
    assert start <= end
    assert span["kind"] in (1, 2, 3, 4, 5)
    return Span(
        trace=span["traceId"],
        id=span["spanId"],
        parent=span.get("parentSpanId", ""),
        name=span["name"],
        kind=span["kind"],
        start=start,
        end=end,
        state=span.get("traceState", ""),
        failed=span.get("status", {}).get("code") == 2,
        attributes=read_attributes(span["attributes"]),
    )


def read_attributes(pairs: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        [(kind, value)] = pair["value"].items()
        assert isinstance(value, str)  # 64-bit numbers are text in proto3's JSON
        found[pair["key"]] = {"stringValue": str, "intValue": int}[kind](value)
    assert len(found) == len(pairs)
    return found
