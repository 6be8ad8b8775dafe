"""Any caller's dialect over any upstream's: an `Adapter` made of a request's translation, a source and a sink.

A source reads the upstream's dialect into pieces, a sink writes the caller's from them; neither knows the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import orjson

from ironworks.products.tokenfactory.gateway import wire
from ironworks.products.tokenfactory.gateway.answers import estimate_input, guess_tokens, parse_answer
from ironworks.products.tokenfactory.gateway.dialects.base import Answer
from ironworks.products.tokenfactory.gateway.dialects.pieces import (
    Arguments,
    Piece,
    Refused,
    Text,
    Thought,
    ToolCall,
    is_token,
)
from ironworks.products.tokenfactory.gateway.dialects.sse import Splitter, all_data
from ironworks.products.tokenfactory.gateway.model import Call, Refusal, Usage, upstream_failed


class Said(NamedTuple):
    """A whole answer as it was read; `usage` is None where the upstream's figure did not come."""

    pieces: list[Piece]
    usage: Usage | None


class Source(Protocol):
    """One upstream's stream, its events read one by one.

    Attributes:
        usage: the upstream's last figure. begun: what it told of the input before it ended, if anything.
        done: the terminator came. fault: an error came instead of an event.
    """

    usage: Usage | None
    begun: Usage | None
    done: bool
    fault: Refusal | None

    def read(self, data: bytes) -> Iterable[Piece]:
        """The pieces in one event's data."""

    def finish(self) -> Iterable[Piece]:
        """The body ended; sets `fault` where it should not have."""


class Sink(Protocol):
    """One answer to a caller, written as it grows. A new one for each answer, whole or not."""

    def begin(self) -> bytes:
        """The events before any piece."""

    def write(self, piece: Piece) -> bytes:
        """The events of one piece; those of a whole answer may be thrown away."""

    def end(self, usage: Usage) -> bytes:
        """The closing events and the terminator."""

    def whole(self, usage: Usage) -> dict[str, Any]:
        """The answer of all the pieces written, as one object."""


class TranslatingReader:
    """A stream from source to sink. See `base.Reader` for its attributes."""

    __slots__ = ("_begun", "_sink", "_size", "_source", "_splitter", "_usage", "done", "fault", "tokens")

    def __init__(self, source: Source, sink: Sink, request_size: int) -> None:
        self.tokens = 0
        self._usage: Usage | None = None
        self.done = False
        self.fault: Refusal | None = None
        self._source = source
        self._sink = sink
        self._size = request_size
        self._splitter = Splitter()
        self._begun = False

    @property
    def usage(self) -> Usage | None:
        """The upstream's last figure; until that comes, its word on the input with our count."""
        if self._usage is None and self._source.usage is None and self._source.begun is not None and self.tokens:
            return self._source.begun._replace(output_tokens=self.tokens, counted=True)
        return self._usage or self._source.usage

    @usage.setter
    def usage(self, usage: Usage | None) -> None:
        self._usage = usage

    def feed(self, pieces: Sequence[bytes]) -> bytes:
        return self._take(self._splitter.feed(pieces))

    def finish(self) -> bytes:
        shown = self._take(self._splitter.finish())
        if not self.done and self.fault is None:
            shown += self._write(self._source.finish())
            self.fault = self._source.fault
        return shown

    def last(self) -> bytes:
        """The closing events tell the usage, so they wait for it."""
        begin = b"" if self._begun else self._sink.begin()
        return begin + self._sink.end(self.usage or Usage(guess_tokens(self._size), 0, self.tokens, counted=True))

    def _take(self, events: Sequence[bytes]) -> bytes:
        source, out = self._source, []
        for data in all_data(events):
            out.append(self._write(source.read(data)))
            if source.done or source.fault:
                break
        self.done = source.done
        self.fault = source.fault or self._splitter.fault
        return b"".join(out)

    def _write(self, pieces: Iterable[Piece]) -> bytes:
        out = []
        for piece in pieces:
            if not self._begun:
                self._begun = True
                out.append(self._sink.begin())
            self.tokens += is_token(piece)
            out.append(self._sink.write(piece))
        return b"".join(out)


class TranslatingAdapter:
    """`base.Adapter` of a pair of dialects.

    Args:
        path: at the upstream.
        request: (call, served_as, max_output) → the upstream's JSON body, `call.payload` left as it is.
        source: makes one for each stream. read_whole: an upstream's whole answer, None where it is none.
        sink: makes one for each answer.
    """

    def __init__(
        self,
        path: str,
        request: Callable[[Call, str, int | None], dict[str, Any]],
        source: Callable[[], Source],
        read_whole: Callable[[dict[str, Any]], Said | None],
        sink: Callable[[Call], Sink],
    ) -> None:
        self.path = path
        self._request = request
        self._source = source
        self._read_whole = read_whole
        self._sink = sink

    def request(self, call: Call, served_as: str, max_output: int | None) -> tuple[bytes, bytes]:
        return orjson.dumps(self._request(call, served_as, max_output)), wire.JSON

    def reader(self, call: Call) -> TranslatingReader:
        return TranslatingReader(self._source(), self._sink(call), len(call.body))

    def answer(self, call: Call, content_type: bytes, body: bytes) -> Answer:
        said = self._read(body)
        sink = self._sink(call)
        for piece in said.pieces:
            sink.write(piece)
        return Answer(orjson.dumps(sink.whole(said.usage or _count(call, said.pieces))), said.usage)

    def guess(self, call: Call, body: bytes) -> Usage:
        answer = parse_answer(body)
        said = None if answer is None else self._read_whole(answer)
        return _count(call, said.pieces if said else ())

    def _read(self, body: bytes) -> Said:
        answer = parse_answer(body)
        said = None if answer is None or answer.get("error") else self._read_whole(answer)
        if said is None:
            raise upstream_failed("the model server's answer is not what was asked for")
        return said


def _count(call: Call, pieces: Iterable[Piece]) -> Usage:
    """Our own count: by the size of the request and of what was generated."""
    made = 0
    for piece in pieces:
        if isinstance(piece, ToolCall):
            made += len(piece.name)
        elif isinstance(piece, Text | Thought | Arguments | Refused):
            made += len(piece.text.encode("utf-8", "replace"))
    return Usage(estimate_input(call), 0, guess_tokens(made), counted=True)
