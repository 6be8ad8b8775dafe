"""Streams that pass as they are: events of speech and of transcriptions, at whose end a usage may stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import orjson

from ironworks.products.tokenfactory.gateway.dialects.sse import Splitter, data_of
from ironworks.products.tokenfactory.gateway.model import Refusal, Usage, upstream_failed
from ironworks.products.tokenfactory.gateway.stream import DONE


class PassingReader:
    """See `base.Reader`. The closing event, or `[DONE]`, is kept back until the usage is on disk."""

    __slots__ = ("_closing", "_last", "_read_usage", "_splitter", "done", "fault", "tokens", "usage")

    def __init__(self, closing: str, read_usage: Callable[[object], Usage | None]) -> None:
        """`closing` is the `type` of the last event, `read_usage` reads what it holds under `usage`."""
        self.tokens = 0
        self.usage: Usage | None = None
        self.done = False
        self.fault: Refusal | None = None
        self._closing = closing
        self._read_usage = read_usage
        self._splitter = Splitter()
        self._last = b""

    def feed(self, pieces: Sequence[bytes]) -> bytes:
        return self._take(self._splitter.feed(pieces))

    def finish(self) -> bytes:
        shown = self._take(self._splitter.finish())
        if not self.done and self.fault is None:
            self.fault = upstream_failed("the model server's stream ended before its last event")
        return shown

    def last(self) -> bytes:
        return self._last

    def _take(self, events: Sequence[bytes]) -> bytes:
        out = []
        for event in events:
            if self.done or self.fault:
                break
            self._look(event)
            if not self.done and not self.fault:
                out.append(event + b"\n\n")
        self.fault = self.fault or self._splitter.fault
        return b"".join(out)

    def _look(self, event: bytes) -> None:
        data = data_of(event)
        if data is None:
            return
        if data == b"[DONE]":
            self.done, self._last = True, DONE
            return
        try:
            told = orjson.loads(data)
        except orjson.JSONDecodeError:
            told = None
        if not isinstance(told, dict):
            self.fault = upstream_failed("the model server sent an event that is not JSON")
        elif told.get("error") or told.get("type") == "error":
            self.fault = upstream_failed("the model server reported an error in the middle of the stream")
        else:
            self.usage = self._read_usage(told.get("usage")) or self.usage
            if told.get("type") == self._closing:
                self.done, self._last = True, event + b"\n\n"
