"""OpenTelemetry traces: one span for a caller's request, one for each model server that it was sent to.

A caller's W3C context (`traceparent`, `tracestate`; www.w3.org/TR/trace-context) is checked, and passed on with our
span's id in it; a malformed one begins a new trace. Whether a trace is recorded is decided where it begins: a caller's
flag is honoured. Recorded spans go out as OTLP over HTTP (`otlp.py`), in batches, from a thread; where they cannot go
they are dropped and counted. Spans hold models, tokens and times, never a prompt.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import random
import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from ironworks.products.tokenfactory.gateway.metrics import operation_name, provider_of
from ironworks.products.tokenfactory.gateway.model import ObservingSettings, Refusal, Usage
from ironworks.products.tokenfactory.gateway.otlp import CONTENT_TYPES, encode_spans
from ironworks.shared import telemetry

if TYPE_CHECKING:
    from ironworks.products.tokenfactory.gateway.ending import Ending
    from ironworks.products.tokenfactory.routing import Pick

log = telemetry.logger(__name__)

MOST_WAITING: Final = 8192
BATCH: Final = 512
EVERY: Final = 1.0
TIMEOUT: Final = 10.0
PAUSE: Final = (1.0, 5.0, 30.0)
"""Seconds between tries after the first failure, the second, and further ones."""
_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_MEMBER = re.compile(
    rb"[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_MOST_MEMBERS: Final = 32
_MOST_STATE: Final = 512
_WORTH_RETRYING: Final = frozenset({429, 502, 503, 504})
_SERVER, _CLIENT = 2, 3
_ERROR = 2


class Try:
    """One sending to a model server. Times are nanoseconds since the span of the request began."""

    __slots__ = ("address", "began", "ended", "provider", "span")

    def __init__(self, span: str, address: str, provider: str, began: int) -> None:
        self.span = span
        self.address = address
        self.provider = provider
        self.began = began
        self.ended = 0


class Context:
    """Where a request stands in a trace.

    Attributes:
        trace, span: hex ids. parent: the caller's span, empty at a trace's root. sampled: its flag.
        recorded: whether our spans are exported. state: the caller's `tracestate`, passed on as it is.
    """

    __slots__ = ("began_at", "began_clock", "parent", "recorded", "sampled", "span", "state", "trace", "tries")

    def __init__(self, trace: str, parent: str, span: str, sampled: bool, recorded: bool, state: bytes) -> None:
        self.trace = trace
        self.parent = parent
        self.span = span
        self.sampled = sampled
        self.recorded = recorded
        self.state = state
        self.tries: list[Try] = []
        self.began_at = time.time_ns() if recorded else 0
        self.began_clock = time.perf_counter_ns()

    @property
    def age(self) -> int:
        """Nanoseconds since it began; the wall clock may jump meanwhile."""
        return time.perf_counter_ns() - self.began_clock


def read_context(headers: Mapping[bytes, bytes]) -> tuple[str, str, bool, bytes] | None:
    """(trace, caller's span, sampled, tracestate) of a caller's headers; None for none and for what is malformed."""
    given = headers.get(b"traceparent")
    if given is None:
        return None
    found = _PARENT.fullmatch(given)
    if found is None or found[1] == b"ff" or (found[1] == b"00" and found[5]):
        return None
    trace, parent = found[2].decode(), found[3].decode()
    if not int(trace, 16) or not int(parent, 16):
        return None
    return trace, parent, bool(int(found[4], 16) & 1), _read_state(headers.get(b"tracestate", b""))


def _read_state(given: bytes) -> bytes:
    """`tracestate` if it is well-formed, else nothing: it is only ever passed on."""
    members = [member.strip(b" \t") for member in given.split(b",") if member.strip(b" \t")]
    names = {member.partition(b"=")[0] for member in members}
    if len(given) > _MOST_STATE or len(members) > _MOST_MEMBERS or len(names) < len(members):
        return b""
    return b",".join(members) if all(map(_MEMBER.fullmatch, members)) else b""


class Spans:
    """Begins contexts and exports what is recorded, as `settings.otlp` and its siblings say.

    Attributes:
        on: whether there is a collector. lost: spans that it never got. failing: why it got none just now, or empty.
    """

    def __init__(self, settings: ObservingSettings) -> None:
        self.on = settings.otlp is not None
        self.lost = 0
        self.failing = ""
        self._url = f"{settings.otlp.rstrip('/')}/v1/traces" if settings.otlp else ""
        self._encoding = settings.otlp_encoding
        named = {"content-type": CONTENT_TYPES[self._encoding], "user-agent": "ironworks-gateway"}
        self._headers = {**named, **settings.otlp_headers}
        self._open = urllib.request.build_opener(_Unmoved).open
        self._ratio = settings.sample
        self._waiting: list[dict[str, Any]] = []
        chance = random.Random(os.urandom(32))  # noqa: S311 - ids are to be unique, not secret
        self._bits, self._random = chance.getrandbits, chance.random
        self._resource = _attributes(
            {
                "service.name": "ironworks-gateway",
                "service.instance.id": f"{socket.gethostname()}/{os.getpid()}",
                "host.name": socket.gethostname(),
            }
        )

    def begin(self, headers: Mapping[bytes, bytes]) -> Context | None:
        """The context of a request with these headers; None where there is nothing to pass on and nothing to record."""
        given = read_context(headers)
        if given is not None:
            trace, parent, sampled, state = given
            return Context(trace, parent, self._new_span(), sampled, self.on and sampled, state)
        if not self.on:
            return None
        sampled = self._random() < self._ratio
        return Context(f"{self._bits(128) or 1:032x}", "", self._new_span(), sampled, sampled, b"")

    def _new_span(self) -> str:
        return f"{self._bits(64) or 1:016x}"

    def send(self, context: Context, pick: Pick) -> bytes:
        """Header lines for the model server that the request goes to now; its span begins."""
        if context.recorded:
            sent = Try(self._new_span(), pick.state.replica.address, provider_of(pick.leg.target), context.age)
            if context.tries and not context.tries[-1].ended:
                context.tries[-1].ended = sent.began
            context.tries.append(sent)
            span = sent.span
        else:
            span = context.span if self.on else context.parent
        line = b"traceparent: 00-%b-%b-0%d\r\n" % (context.trace.encode(), span.encode(), context.sampled)
        return line + b"tracestate: %b\r\n" % context.state if context.state else line

    def finish(self, context: Context, exchange: Ending, status: int, usage: Usage, refusal: Refusal | None) -> None:
        """The request is over: its spans wait for the next batch."""
        if not context.recorded:
            return
        if len(self._waiting) >= MOST_WAITING:
            self.lost += 1 + len(context.tries)
            return
        age = context.age
        about = _about(exchange, usage)
        if refusal is not None:
            about["error.type"] = refusal.code
        self._waiting.append(_server_span(context, exchange, status, age, about))
        for number, sent in enumerate(context.tries, 1):
            last = number == len(context.tries)
            self._waiting.append(_client_span(context, exchange, sent, age, status if last else 0, about))

    async def run(self) -> None:
        """Export for ever; cancel to stop."""
        failures = 0
        while self.on:
            await asyncio.sleep(PAUSE[min(failures, len(PAUSE)) - 1] if failures else EVERY)
            failures = 0 if await self.flush() else failures + 1

    async def flush(self) -> bool:
        """Send what waits; False where the collector did not take it. It is then tried again while there is room."""
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            try:
                await asyncio.to_thread(self._post, batch)
            except (OSError, http.client.HTTPException) as problem:
                self._keep(batch, problem)
                return False
        self.failing = ""
        return True

    def _keep(self, batch: list[dict[str, Any]], problem: Exception) -> None:
        """For the next time, as far as there is room; not what the collector will never take (OTLP 1.x, "Failures")."""
        if not self.failing:
            log.warning("spans cannot be exported", problem=repr(problem))
        self.failing = type(problem).__name__
        refused = isinstance(problem, urllib.error.HTTPError) and problem.code not in _WORTH_RETRYING
        room = 0 if refused else max(0, MOST_WAITING - len(self._waiting))
        self.lost += max(0, len(batch) - room)
        self._waiting[:0] = batch[:room]

    def _post(self, batch: list[dict[str, Any]]) -> None:
        """Raises OSError. The URL is the operator's own setting, http or https."""
        body = encode_spans(self._encoding, self._resource, batch)
        request = urllib.request.Request(self._url, body, self._headers)  # noqa: S310
        with contextlib.closing(self._open(request, timeout=TIMEOUT)) as answer:
            answer.read()


class _Unmoved(urllib.request.HTTPRedirectHandler):
    """A redirect would take the collector's credential elsewhere, and the spans nowhere: it is an error."""

    def redirect_request(self, *_: object) -> None:
        return None


def _about(exchange: Ending, usage: Usage) -> dict[str, Any]:
    """The attributes that both spans share."""
    pick = exchange.pick
    return {
        "gen_ai.operation.name": operation_name(exchange.api.path),
        "gen_ai.provider.name": provider_of(pick.leg.target) if pick else "ironworks",
        "gen_ai.request.model": exchange.call.model,
        "gen_ai.response.model": pick.leg.model if pick else "",
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "ironworks.request_id": exchange.request.id,
    }


def _server_span(context: Context, exchange: Ending, status: int, age: int, about: dict[str, Any]) -> dict[str, Any]:
    key = exchange.hold.key
    facts = about | {
        "http.request.method": "POST",
        "url.path": exchange.api.path,
        "http.response.status_code": status,
        "ironworks.scope": key.scope,
        "ironworks.key": str(key.uid),
    }
    span = _span(context, context.span, context.parent, _SERVER, 0, age, facts)
    return span | {"name": f"POST {exchange.api.path}"} | ({"status": {"code": _ERROR}} if status >= 500 else {})


def _client_span(
    context: Context, exchange: Ending, sent: Try, age: int, status: int, about: dict[str, Any]
) -> dict[str, Any]:
    """`status` is 0 for a try that came to nothing, so that another was made."""
    parts = urlsplit(f"//{sent.address}")
    facts = about | {
        "gen_ai.provider.name": sent.provider,
        "server.address": parts.hostname or "",
        "server.port": parts.port or 0,
    }
    if not status:
        facts |= {"error.type": "upstream_error", "gen_ai.usage.input_tokens": 0, "gen_ai.usage.output_tokens": 0}
    span = _span(context, sent.span, context.span, _CLIENT, sent.began, sent.ended or age, facts)
    failed = status == 0 or status >= 500
    name = f"{operation_name(exchange.api.path)} {exchange.call.model}"
    return span | {"name": name} | ({"status": {"code": _ERROR}} if failed else {})


def _span(
    context: Context, span: str, parent: str, kind: int, began: int, ended: int, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """A span in OTLP's JSON: ids in hex, 64-bit numbers as text."""
    made: dict[str, Any] = {
        "traceId": context.trace,
        "spanId": span,
        "kind": kind,
        "startTimeUnixNano": str(context.began_at + began),
        "endTimeUnixNano": str(context.began_at + ended),
        "attributes": _attributes(facts),
    }
    if parent:
        made["parentSpanId"] = parent
    if context.state:
        made["traceState"] = context.state.decode("ascii")
    return made


def _attributes(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"key": name, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
        for name, value in facts.items()
    ]
