"""What a dialect is to the gateway: an `Api` reads a caller's request, an `Adapter` takes it to an upstream and
back."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ironworks.products.tokenfactory.gateway.model import Call, Refusal, Usage
from ironworks.products.tokenfactory.routing import Dialect


class Answer:
    """A whole answer as the caller gets it. `usage` is None where the upstream's figure did not come.

    `headers` are further header lines, each with its line end.
    """

    __slots__ = ("body", "content_type", "headers", "usage")

    def __init__(
        self, body: bytes, usage: Usage | None, content_type: bytes = b"application/json", headers: bytes = b""
    ) -> None:
        self.body = body
        self.usage = usage
        self.content_type = content_type
        self.headers = headers


class Reader(Protocol):
    """One upstream stream, read as it passes.

    Attributes:
        tokens: generated so far, counted by events.
        usage: the upstream's last figure, if any came.
        done: its terminator came; nothing after it is read.
        fault: why the stream cannot go on.
    """

    tokens: int
    usage: Usage | None
    done: bool
    fault: Refusal | None

    def feed(self, pieces: Sequence[bytes]) -> bytes:
        """What the caller is to see of `pieces`: whole events, never the terminator; may be empty."""

    def finish(self) -> bytes:
        """The upstream's body ended: what the caller is to see of what was still incomplete."""

    def last(self) -> bytes:
        """The terminator, sent once the usage is on disk: `data: [DONE]`, or the caller's dialect's closing events."""


class Adapter(Protocol):
    """From one API to an upstream of one dialect. Holds no state; one object serves all requests."""

    path: str
    """At the upstream, from `/v1` on."""

    def request(self, call: Call, served_as: str, max_output: int | None) -> tuple[bytes, bytes]:
        """(body, content type) for the upstream, under the name by which it knows the model.

        `max_output`, where it is not None, replaces the caller's limit: a budget holds no more. Streams always ask for
        usage. Raises Refusal for what this upstream's dialect cannot say.
        """

    def reader(self, call: Call) -> Reader:
        """For an answer that is an event stream, or is passed on as it comes (`Api.passes`)."""

    def answer(self, call: Call, content_type: bytes, body: bytes) -> Answer:
        """A whole 200 answer in the caller's terms, under the model's public name.

        Raises Refusal (502) where it is none: HTML, an error under a 200, JSON of another shape.
        """

    def guess(self, call: Call, body: bytes) -> Usage:
        """Our own count for a whole answer that came without usage (`counted`); `body` is empty where none came."""


@dataclass(frozen=True, slots=True)
class Api:
    """One path that callers use.

    Args:
        dialect: in whose shape its errors are. task: what a target must be for, None where any may do.
        read: (body, headers with lower-case names) → Call; raises Refusal for a body that cannot be.
        adapters: by the upstream's dialect; a target whose dialect is missing cannot serve this API.
        error_body, error_event: a Refusal as an answer's body, and as a stream's last event.
        free: it is answered with no model's work; nothing is reserved for it.
        otherwise: the answer where the upstream knows no such path; may raise Refusal.
        passes: content types of whole answers that are passed on as they come, by the adapter's reader: what is metered
            came with the request, and nothing in them need be read.
    """

    path: str
    dialect: Dialect
    task: str | None
    read: Callable[[bytes, Mapping[bytes, bytes]], Call]
    adapters: Mapping[Dialect, Adapter] = field(repr=False)
    error_body: Callable[[Refusal, str], bytes] = field(repr=False)
    """(refusal, request id)."""
    error_event: Callable[[Refusal, str], bytes] = field(repr=False)
    free: bool = False
    otherwise: Callable[[Call], Answer] | None = field(default=None, repr=False)
    passes: re.Pattern[bytes] | None = field(default=None, repr=False)


def not_offered(call: Call) -> Answer:
    """An `Api.otherwise` for what only some upstreams offer."""
    raise Refusal(400, "unsupported_operation", "what serves this model does not offer this operation", param="model")
