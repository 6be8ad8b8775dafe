"""A batch of spans as OTLP over HTTP carries it, in either of its encodings (opentelemetry.io/docs/specs/otlp).

Spans are made as OTLP's JSON has them: ids in hex, 64-bit numbers as text. Some receivers take Protocol Buffers alone,
so the same is written in their wire format (protobuf.dev/programming-guides/encoding) too: five rules for eight small
messages, where the library would be a dependency of native code. Field numbers are those of opentelemetry-proto 1.x.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import orjson

Encoding: TypeAlias = Literal["http/json", "http/protobuf"]
"""As the environment's standard name for it, OTEL_EXPORTER_OTLP_PROTOCOL, has it."""
Span: TypeAlias = Mapping[str, Any]

CONTENT_TYPES: Final[Mapping[Encoding, str]] = {
    "http/json": "application/json",
    "http/protobuf": "application/x-protobuf",
}
_SCOPE: Final = "ironworks.gateway"
_VARINT, _FIXED64, _LENGTH = 0, 1, 2


def encode_spans(encoding: Encoding, resource: Sequence[Mapping[str, Any]], spans: Sequence[Span]) -> bytes:
    """An ExportTraceServiceRequest; `resource` are the attributes of whoever made the spans."""
    if encoding == "http/protobuf":
        scope = _text(1, _SCOPE)
        scoped = _part(1, scope) + b"".join(_part(2, _span(span)) for span in spans)
        return _part(1, _part(1, _attributes(1, resource)) + _part(2, scoped))
    scoped_spans = {"scope": {"name": _SCOPE}, "spans": spans}
    return orjson.dumps({"resourceSpans": [{"resource": {"attributes": resource}, "scopeSpans": [scoped_spans]}]})


def _span(span: Span) -> bytes:
    status = span.get("status")
    return b"".join(
        (
            _part(1, bytes.fromhex(span["traceId"])),
            _part(2, bytes.fromhex(span["spanId"])),
            _text(3, span.get("traceState", "")),
            _part(4, bytes.fromhex(span.get("parentSpanId", ""))),
            _text(5, span["name"]),
            _number(6, span["kind"]),
            _moment(7, span["startTimeUnixNano"]),
            _moment(8, span["endTimeUnixNano"]),
            _attributes(9, span["attributes"]),
            _part(15, _number(3, status["code"])) if status else b"",
        )
    )


def _attributes(field: int, attributes: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(_part(field, _text(1, each["key"]) + _part(2, _value(each["value"]))) for each in attributes)


def _value(value: Mapping[str, Any]) -> bytes:
    """One of a choice, so it is there even where it is empty or zero."""
    if "intValue" in value:
        return _tag(3, _VARINT) + _varint(int(value["intValue"]) & (1 << 64) - 1)
    text = str(value["stringValue"]).encode()
    return _tag(1, _LENGTH) + _varint(len(text)) + text


def _text(field: int, text: str) -> bytes:
    return _part(field, text.encode())


def _part(field: int, content: bytes) -> bytes:
    """A text, bytes or a message; what is empty is left out."""
    return _tag(field, _LENGTH) + _varint(len(content)) + content if content else b""


def _number(field: int, number: int) -> bytes:
    return _tag(field, _VARINT) + _varint(number)


def _moment(field: int, nanoseconds: str) -> bytes:
    return _tag(field, _FIXED64) + int(nanoseconds).to_bytes(8, "little")


def _tag(field: int, wire: int) -> bytes:
    return _varint(field << 3 | wire)


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
