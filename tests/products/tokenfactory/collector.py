"""An OpenTelemetry collector as far as traces by OTLP over HTTP go: it checks what comes as one would.

What comes in Protocol Buffers is read by the field numbers of opentelemetry-proto into what JSON would have said.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias


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
    """`status` is what it answers, with `elsewhere` for its location; below 300 it has taken the spans."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)
    resource: dict[str, Any] = field(default_factory=dict)
    headers: list[dict[str, str]] = field(default_factory=list)
    status: int = 200
    elsewhere: str = ""

    async def expect(self, count: int, within: float = 60.0) -> list[Span]:
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
        collector.headers.append(headers)
        read = {"application/json": json.loads, "application/x-protobuf": read_message}[headers["content-type"]]
        if collector.status < 300:
            take(collector, read(body))
        writer.write(
            f"HTTP/1.1 {collector.status} x\r\nlocation: {collector.elsewhere}\r\ncontent-length: 2\r\n"
            "connection: close\r\n\r\n{}".encode()
        )
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


Fields: TypeAlias = dict[int, list[Any]]


def fields_of(data: bytes) -> Fields:
    """A message's values by field number: numbers, or bytes. Anything that is not wire format breaks it."""
    found: Fields = {}
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        value: Any
        match tag & 7:
            case 0:
                value, at = _varint(data, at)
            case 1:
                value, at = int.from_bytes(data[at : at + 8], "little"), at + 8
            case 2:
                size, at = _varint(data, at)
                value, at = data[at : at + size], at + size
        assert at <= len(data)
        found.setdefault(tag >> 3, []).append(value)
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        number |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return number, at


def read_message(data: bytes) -> dict[str, Any]:
    [request] = [fields_of(data)]
    assert set(request) == {1}
    return {"resourceSpans": [_resource_spans(fields_of(each)) for each in request[1]]}


def _resource_spans(fields: Fields) -> dict[str, Any]:
    assert set(fields) == {1, 2}
    [resource], scoped = fields[1], map(fields_of, fields[2])
    return {
        "resource": {"attributes": _pairs(fields_of(resource)[1])},
        "scopeSpans": [
            {"scope": {"name": fields_of(scope[1][0])[1][0].decode()}, "spans": [_span(span) for span in scope[2]]}
            for scope in scoped
        ],
    }


def _span(data: bytes) -> dict[str, Any]:
    fields = fields_of(data)
    span: dict[str, Any] = {"attributes": _pairs(fields.pop(9))}
    for number, name in {1: "traceId", 2: "spanId", 4: "parentSpanId"}.items():
        if number in fields:
            span[name] = fields.pop(number)[0].hex()
    for number, name in {3: "traceState", 5: "name"}.items():
        if number in fields:
            span[name] = fields.pop(number)[0].decode()
    span["kind"] = fields.pop(6)[0]
    span["startTimeUnixNano"], span["endTimeUnixNano"] = (str(fields.pop(number)[0]) for number in (7, 8))
    if 15 in fields:
        span["status"] = {"code": fields_of(fields.pop(15)[0])[3][0]}
    assert not fields
    return span


def _pairs(found: list[bytes]) -> list[dict[str, Any]]:
    pairs = []
    for fields in map(fields_of, found):
        [(kind, [value])] = fields_of(fields[2][0]).items()
        shown = {"stringValue": value.decode()} if kind == 1 else {"intValue": str(value - (value >> 63 << 64))}
        assert kind in (1, 3)
        pairs.append({"key": fields[1][0].decode(), "value": shown})
    return pairs
