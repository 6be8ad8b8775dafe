"""Requests and answers whose heads were seen before: what llhttp found in the same bytes need not be found again.

Callers and replicas repeat themselves: on a kept connection one head differs from the one before in nothing but the
digits of its Content-Length. What follows is as strict as the parser, because it only ever recognises what the parser
has just accepted: the same bytes, at the beginning of a message, in one read, around a length of digits alone, with
exactly so many bytes behind. Anything else is the parser's to judge.
"""

from __future__ import annotations

import re
from typing import Final

from ironworks.products.tokenfactory.gateway.model import Refusal

_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})(?=[ \t\r])", re.IGNORECASE)
_MOST_DIGITS: Final = 9


class Request:
    """What a caller sent. `began` is on the loop's clock; `refusal` is what is wrong with it.

    Attributes:
        headers: by lower-case name; shared with other requests of the connection, so never to be changed.
        digest: SHA-256 of the key that it presents, once somebody asked.
        echo: header lines that its answer has for what it says itself.
        model: the one it asks for, once it was read.
    """

    __slots__ = (
        "began",
        "body",
        "client_id",
        "digest",
        "echo",
        "headers",
        "http10",
        "id",
        "id_bytes",
        "keep_alive",
        "method",
        "model",
        "refusal",
        "url",
    )

    def __init__(self, request_id: str, began: float) -> None:
        self.id = request_id
        self.id_bytes = request_id.encode()
        self.began = began
        self.client_id: str | None = None
        self.echo = b""
        self.method = b""
        self.model = ""
        self.url = b""
        self.headers: dict[bytes, bytes] = {}
        self.digest: bytes | None = None
        self.body: bytes | bytearray = b""
        self.keep_alive = True
        self.http10 = False
        self.refusal: Refusal | None = None


def without_upgrade(request: Request) -> bytes:
    """Its head, written anew without the offer of another protocol."""
    lines = [request.method + b" " + request.url + b" HTTP/1.1"]
    dropped = (b"upgrade", b"connection", b"http2-settings")
    lines += [name + b": " + value for name, value in request.headers.items() if name not in dropped]
    return b"\r\n".join(lines) + b"\r\n\r\n"


class Frame:
    """A head cut around the digits of its Content-Length; the last message's is kept, often the size of the next."""

    __slots__ = ("_head", "_size", "prefix", "suffix")

    def __init__(self, prefix: bytes, suffix: bytes) -> None:
        self.prefix = prefix
        self.suffix = suffix
        self._size = -1
        self._head = b""

    def body_of(self, data: bytes) -> bytes | None:
        """The body of the one whole message that `data` is, if its head is this one; else None."""
        size = len(data)
        if size != self._size:
            self._size, self._head = size, self._head_at(size)
        head = self._head
        return data[len(head) :] if head and data.startswith(head) else None

    def _head_at(self, size: int) -> bytes:
        """The only head that a whole message of so many bytes can have; empty where there is none.

        A length with needless zeros is another head, and the parser's to judge.
        """
        rest = size - len(self.prefix) - len(self.suffix)
        for count in range(1, min(rest, _MOST_DIGITS) + 1):
            digits = b"%d" % (rest - count)
            if len(digits) == count:
                return self.prefix + digits + self.suffix
        return b""


def frame_of(data: bytes) -> Frame | None:
    """The frame of `data`, which a parser took whole; None if it is not exactly one message with a Content-Length."""
    at = data.find(b"\r\n\r\n") + 4
    found = _LENGTH.search(data, 0, at)
    if found is None or int(found[1]) != len(data) - at:
        return None
    return Frame(data[: found.start(1)], data[found.end(1) : at])


class KnownRequest:
    """A caller's head and what it said."""

    __slots__ = ("client_id", "digest", "echo", "frame", "headers", "method", "url")

    def __init__(self, frame: Frame, request: Request) -> None:
        self.frame = frame
        self.method = request.method
        self.url = request.url
        self.headers = request.headers
        self.client_id = request.client_id
        self.echo = request.echo
        self.digest = request.digest

    def again(self, request_id: str, began: float, body: bytes) -> Request:
        """Another request with this head."""
        request = Request(request_id, began)
        request.method = self.method
        request.url = self.url
        request.headers = self.headers
        request.client_id = self.client_id
        request.echo = self.echo
        request.digest = self.digest
        request.body = body
        return request


def learn_request(data: bytes, request: Request) -> KnownRequest | None:
    """What to remember of `data`, which llhttp found to be `request` and no more; None where that is not safe.

    A request that ends its connection, offers another protocol or waits for a word before its body is not repeated.
    """
    headers = request.headers
    if not request.keep_alive or request.http10 or request.refusal is not None:
        return None
    if b"transfer-encoding" in headers or b"expect" in headers or b"upgrade" in headers:
        return None
    frame = frame_of(data)
    return KnownRequest(frame, request) if frame else None


class KnownAnswer:
    """An upstream's head of a whole 200 answer, and what it said."""

    __slots__ = ("content_type", "frame")

    def __init__(self, frame: Frame, content_type: bytes) -> None:
        self.frame = frame
        self.content_type = content_type


def learn_answer(data: bytes, content_type: bytes) -> KnownAnswer | None:
    """What to remember of `data`, which llhttp found to be one whole 200 answer that leaves its connection usable."""
    frame = frame_of(data)
    return KnownAnswer(frame, content_type) if frame else None
