"""Bytes of HTTP/1.1 answers (RFC 9112) and of OpenAI's error body."""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus
from typing import Any

import orjson

from ironworks.products.tokenfactory.gateway.model import Refusal

JSON = b"application/json"
LAST_CHUNK = b"0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus if status >= 200
}


def status_line(status: int) -> bytes:
    """`HTTP/1.1 200 OK` and its line end, also for statuses without a name."""
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d Status\r\n" % status


def date_header() -> bytes:
    """The `date` header line for now; good for a second, so the caller keeps it."""
    return b"date: " + formatdate(usegmt=True).encode() + b"\r\n"


def chunk(data: bytes) -> bytes:
    """`data` framed as one chunk of a chunked body; `data` is not empty."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def error_body(refusal: Refusal) -> bytes:
    """OpenAI's error object."""
    return orjson.dumps({"error": error_object(refusal)})


def error_object(refusal: Refusal) -> dict[str, Any]:
    """The inside of `{"error": …}`."""
    return {"message": refusal.message, "type": refusal.kind, "param": refusal.param, "code": refusal.code}


def error_event(refusal: Refusal) -> bytes:
    """The same as an SSE event, for a stream that breaks off."""
    return b"data: " + error_body(refusal) + b"\n\n"
