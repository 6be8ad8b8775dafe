"""Bytes of HTTP/1.1 answers (RFC 9112) and of OpenAI's error body."""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import orjson

from ironworks.products.tokenfactory.gateway.model import Refusal
from ironworks.products.tokenfactory.routing import Replica

if TYPE_CHECKING:
    from ironworks.products.tokenfactory.gateway.heads import Request

JSON: Final = b"application/json"
EVENTS: Final = b"text/event-stream; charset=utf-8"
LAST_CHUNK: Final = b"0\r\n\r\n"
ANTHROPIC_VERSION: Final = "2023-06-01"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus if status >= 200
}


def status_line(status: int) -> bytes:
    """`HTTP/1.1 200 OK` and its line end, also for statuses without a name."""
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d Status\r\n" % status


def answer_head(
    request: Request, status: int, content_type: bytes, date: bytes, elapsed: int, *, closing: bool
) -> bytes:
    """Status line and the header lines that every answer has; `elapsed` in milliseconds."""
    plain = not request.echo and request.keep_alive and not request.http10 and not closing
    return b"%b%bcontent-type: %b\r\nx-request-id: %b\r\nopenai-processing-ms: %d\r\n%b" % (
        _STATUS_LINES.get(status) or status_line(status),
        date,
        content_type,
        request.id_bytes,
        elapsed,
        b"" if plain else _unusual(request, closing),
    )


def _unusual(request: Request, closing: bool) -> bytes:
    """Header lines that few answers have."""
    if not request.keep_alive or closing:
        return request.echo + b"connection: close\r\n"
    return request.echo + b"connection: keep-alive\r\n" if request.http10 else request.echo


def refusal_lines(refusal: Refusal) -> bytes:
    """The header lines that a refusal's answer has besides."""
    lines = b"" if refusal.retry_after is None else b"retry-after: %d\r\n" % refusal.retry_after
    if refusal.status == 401:
        lines += b"www-authenticate: Bearer\r\n"
    if refusal.allow:
        lines += b"allow: %b\r\n" % refusal.allow
    return lines + refusal.headers


def date_header() -> bytes:
    """The `date` header line for now; good for a second, so the caller keeps it."""
    return b"date: " + formatdate(usegmt=True).encode() + b"\r\n"


def request_head(replica: Replica, path: str, stream: bool, content_type: bytes) -> bytes:
    """A request to an upstream up to the value of `x-request-id`; `path` begins with `/v1`."""
    lines = _upstream_lines("POST", replica, replica.prefix + path.removeprefix("/v1"))
    lines += ["accept-encoding: identity", f"accept: {'text/event-stream' if stream else 'application/json'}"]
    return "\r\n".join(lines).encode() + b"\r\ncontent-type: " + content_type + b"\r\nx-request-id: "


def look_head(replica: Replica, path: str) -> bytes:
    """A whole request that asks an upstream how it is; `path` begins at its host."""
    lines = _upstream_lines("GET", replica, path)
    return "\r\n".join((*lines, "accept: */*", "connection: close", "", "")).encode()


def _upstream_lines(method: str, replica: Replica, path: str) -> list[str]:
    lines = [f"{method} {path} HTTP/1.1", f"host: {host_header(replica)}", "user-agent: ironworks-gateway"]
    if replica.bearer and replica.auth == "bearer":
        lines.append(f"authorization: Bearer {replica.bearer}")
    elif replica.bearer:
        lines += [f"x-api-key: {replica.bearer}", f"anthropic-version: {ANTHROPIC_VERSION}"]
    return lines


def host_header(replica: Replica) -> str:
    """Its `host`, without the port where that is the scheme's own (RFC 9110, 7.2)."""
    return replica.address.removesuffix(":443" if replica.tls else ":80")


def chunk(data: bytes) -> bytes:
    """`data` framed as one chunk of a chunked body; `data` is not empty."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunks(data: bytes) -> bytes:
    """`data`, which may be empty, and the end of a chunked body."""
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if data else LAST_CHUNK


def error_body(refusal: Refusal) -> bytes:
    """OpenAI's error object."""
    return orjson.dumps({"error": error_object(refusal)})


def error_object(refusal: Refusal) -> dict[str, Any]:
    """The inside of `{"error": …}`."""
    return {"message": refusal.message, "type": refusal.kind, "param": refusal.param, "code": refusal.code}


def error_event(refusal: Refusal) -> bytes:
    """The same as an SSE event, for a stream that breaks off."""
    return b"data: " + error_body(refusal) + b"\n\n"
