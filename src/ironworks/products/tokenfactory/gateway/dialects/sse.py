"""Server-sent events taken apart and put together (WHATWG HTML, "Server-sent events")."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from ironworks.products.tokenfactory.gateway.model import Refusal, upstream_failed

MAX_EVENT = 8 * 1024 * 1024
"""Bytes of one event, its frame included; an upstream that sends a longer one is given up."""


class Splitter:
    """Cuts a body into events, wherever its reads were cut; line ends may be LF or CRLF.

    Attributes:
        fault: an event that does not end.
    """

    __slots__ = ("_pending", "fault")

    def __init__(self) -> None:
        self._pending = b""
        self.fault: Refusal | None = None

    def feed(self, pieces: Sequence[bytes]) -> list[bytes]:
        """The events that have become whole, each without its blank line."""
        data = pieces[0] if len(pieces) == 1 and not self._pending else self._pending + b"".join(pieces)
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        end = data.rfind(b"\n\n")
        self._pending = data[end + 2 :] if end >= 0 else data
        if len(self._pending) > MAX_EVENT:
            self._pending = b""
            self.fault = upstream_failed("the model server sent an event that does not end")
        return data[:end].split(b"\n\n") if end >= 0 else []

    @property
    def whole(self) -> bool:
        """No event is half here."""
        return not self._pending

    def finish(self) -> list[bytes]:
        """The body ended: what is left counts as an event."""
        left, self._pending = self._pending.replace(b"\r", b"\n").strip(b"\n"), b""
        return [left] if left else []


def data_of(event: bytes) -> bytes | None:
    """The event's data, its lines joined; None for a comment or an event without any."""
    if event.startswith(b"data:") and b"\n" not in event:
        return event[5:].strip()
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines).strip() if lines else None


def all_data(events: Sequence[bytes]) -> Iterator[bytes]:
    """The data of those events that have any."""
    for event in events:
        if data := data_of(event):
            yield data


def named_event(body: dict[str, Any]) -> bytes:
    """An event named by the `type` in its data, as Anthropic's and the Responses API's are."""
    return b"event: %b\ndata: %b\n\n" % (body["type"].encode(), orjson.dumps(body))


def event(body: dict[str, Any]) -> bytes:
    """An event without a name."""
    return b"data: %b\n\n" % orjson.dumps(body)
