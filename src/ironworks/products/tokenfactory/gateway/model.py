"""What the gateway takes in (settings), what it hands out (usage records), and how it refuses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from ironworks.products.tokenfactory.gateway.otlp import Encoding
from ironworks.products.tokenfactory.routing import AddressPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservingSettings:
    """What a process tells of itself, and where.

    Args:
        counts: the directory in which the processes of this host count together; None: each for itself.
        access_log: `off`, `-` for standard output, or a file's path.
        otlp: base URL of an OpenTelemetry collector (OTLP over HTTP), to which `/v1/traces` is added; None exports no
            spans. otlp_headers: for it, an authorization for instance. otlp_encoding: what it takes.
        sample: of the traces that begin here, the share that is exported.
    """

    counts: Path | None = None
    access_log: str = "off"
    otlp: str | None = None
    otlp_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    otlp_encoding: Encoding = "http/json"
    sample: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """One process's limits. Times are in seconds, sizes in bytes.

    Args:
        spool: the directory in which every gateway process of this host keeps its own spool.
        run: the directory of what they share, such as the counts behind limits; `run` beside `spool` when left out.
        max_head, max_body: of a request; max_response: of an upstream's answer that is no stream.
        max_in_flight: requests at once in this process; max_in_flight_per_key: of one key, 0 for no limit.
        head_timeout, body_timeout: for a request to arrive; idle_timeout: between a connection's requests;
            send_timeout: for a caller that does not read.
        connect_timeout, first_byte_timeout, stream_timeout: to reach a replica, for its answer to begin, between
            two pieces of it.
        upstream_addresses: where guarded replicas may be.
        tls_certificate, tls_key: PEM files by which callers are spoken to over TLS; both or none.
        origins: those whose pages may call from browsers, as browsers write them; `*` for all.
        stale_after: how long keys and routes may go unconfirmed before `when_stale` applies.
        when_stale: keep serving what is known, or refuse with 503.
        sync: whether closing records are forced to disk before the answer ends (off only in benchmarks).
        ship_every, ship_batch: how often, and how many at most in one transaction, closed records are charged.
            What comes within `ship_every` is far less: a full batch is what has piled up, and large ones are cheaper.
        drain: how long a stop waits for requests in flight; then they are cut off and billed as far as they got.
        first_load: how long a start waits for the first keys and routes; callers wait in the socket's queue meanwhile,
            and are refused after that.
        queue_timeout: for a turn at an upstream that takes only so many at once.
        hold_timeout, max_held: for an endpoint that is scaled to zero to wake, and how many requests may wait for one.
        cache_bytes: of all answers that routes have kept.
        own_process: nothing else runs in this process, so that the interpreter may be set to suit a gateway.
    """

    spool: Path
    run: Path | None = None
    max_head: int = 32 * 1024
    max_body: int = 32 * 1024 * 1024
    max_response: int = 128 * 1024 * 1024
    max_in_flight: int = 16_384
    max_in_flight_per_key: int = 0
    head_timeout: float = 15.0
    body_timeout: float = 60.0
    idle_timeout: float = 90.0
    send_timeout: float = 60.0
    connect_timeout: float = 5.0
    first_byte_timeout: float = 600.0
    stream_timeout: float = 120.0
    upstream_addresses: AddressPolicy = field(default_factory=AddressPolicy)
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    origins: frozenset[str] = frozenset()
    stale_after: float = 3600.0
    when_stale: Literal["serve", "refuse"] = "serve"
    sync: bool = True
    segment: int = 4 * 1024 * 1024
    ship_every: float = 0.2
    ship_batch: int = 5_000
    drain: float = 30.0
    first_load: float = 5.0
    own_process: bool = False
    queue_timeout: float = 30.0
    hold_timeout: float = 300.0
    max_held: int = 1024
    cache_bytes: int = 256 * 1024 * 1024
    observing: ObservingSettings = field(default_factory=ObservingSettings)


class Usage(NamedTuple):
    """What one request used. All but `extra` are tokens.

    `cached_tokens` and `input_audio_tokens` are among `input_tokens`; `reasoning_tokens` and `output_audio_tokens` are
    among `output_tokens`. `counted` means our count, not upstream's. `extra` are (meter, quantity) of whatever else.
    """

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    counted: bool = False
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    extra: tuple[tuple[str, int], ...] = ()


NOTHING: Final = Usage()


class UsageRecord(NamedTuple):
    """One admitted request, finished: what is charged. The fields' order is the spool's format.

    A tuple and no dataclass: one of thirty fields is made in a tenth of the time.

    Args:
        request_id: made by us, unique for ever; what makes a charge count once.
        client_request_id: the caller's own; deduplicates nothing.
        key_uid, key_scope: who called; the tenant at `key_scope` pays.
        route_uid: the Route's, or the endpoint's where that was called by its own name; empty in records of the release
            before routes, whose content must stay what it was: they may have been charged already.
        endpoint_uid, endpoint_scope, endpoint_name: what served it.
        model: under which it is priced. route: the name the caller used. operation: the API path.
        user: the caller's name for its end user. metadata: what the caller wants to group by, scalars as texts.
        holds: (lease, nano-units) that budgets reserved for it.
        priced_at: seconds since the epoch; the prices in force then are the request's. 0: those when it finished.
        started_at, finished_at: seconds since the epoch, UTC. first_byte_ms: from start to the first byte, -1 if none.
        status: the HTTP status told, 499 when the caller left first, 502 or 504 when a stream broke off.
        input_tokens … extra: see Usage. cost_nano: what the caller was told it costs, -1 where nobody could say.
        cached_answer: it came from the response cache; nothing was asked of the endpoint.
        tries: upstreams that it was sent to.
        asked_us, sent_us, ended_us: from start to when a connection to the last of them was asked for, to when it was
            sent there, and to its answer's end, in microseconds; -1 for never.
        steps: what else took its time, one after the other: (what, from, until, whom), in microseconds from start.
            `budget`: it waited for money; `queue`: for a turn; `wake`: for a model to start; `try`: whoever it was sent
            to did not do it, and somebody else was asked.
        error: the code that the caller was told, empty where it was none.
        which: what tells its target from others of the same endpoint, `gpt-4o@eu`; empty where nothing needs to.
    """

    request_id: str
    client_request_id: str | None
    key_uid: str
    key_scope: str
    route_uid: str
    endpoint_uid: str
    endpoint_scope: str
    endpoint_name: str
    model: str
    route: str
    operation: str
    stream: bool
    user: str | None
    metadata: dict[str, str]
    holds: Sequence[tuple[str, int]]
    priced_at: float
    started_at: float
    finished_at: float
    status: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    counted: bool
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    extra: Sequence[tuple[str, int]] = ()
    cost_nano: int = -1
    first_byte_ms: int = -1
    cached_answer: bool = False
    tries: int = 1
    asked_us: int = -1
    sent_us: int = -1
    ended_us: int = -1
    steps: Sequence[tuple[str, int, int, str]] = ()
    error: str = ""
    which: str = ""

    @classmethod
    def read(cls, fields: Sequence[Any]) -> UsageRecord:
        """The record of a closing in a spool, also one that the release before routes wrote."""
        if len(fields) == _FIRST_FIELDS:
            return cls(*read_opening(fields[:_FIRST_OPENING]), *fields[_FIRST_OPENING:])
        values = [*fields, *_LATER[len(fields) :]] if len(fields) < len(_LATER) else list(fields)
        # pairs are lists in JSON, which native code does not take for them
        values[_HOLDS] = [(lease, nano) for lease, nano in values[_HOLDS]]
        if values[_STEPS]:
            values[_STEPS] = [(what, since, until, whom) for what, since, until, whom in values[_STEPS]]
        return cls._make(values)


_FIRST_OPENING: Final = 12
_FIRST_FIELDS: Final = 18
_HOLDS: Final = UsageRecord._fields.index("holds")
_STEPS: Final = UsageRecord._fields.index("steps")
_LATER: Final = tuple([UsageRecord._field_defaults.get(name) for name in UsageRecord._fields])
"""Defaults in the places of their fields, for records of releases that did not have them."""


def read_opening(fields: Sequence[Any]) -> list[Any]:
    """The first fields of a record as a spool's opening holds them, also one that the release before routes wrote."""
    if len(fields) > _FIRST_OPENING:
        return list(fields)
    *who, endpoint_uid, scope, name, model, route, operation, stream, started_at = fields
    return [*who, "", endpoint_uid, scope, name, model, route, operation, stream, None, {}, (), 0.0, started_at]


@dataclass(slots=True, init=False)
class Call:
    """A request's body, read: all that routing, limits and budgets decide by, whichever API it came through.

    Args:
        model: as the caller wrote it. stream: it asked for events; show_usage: and for its usage among them.
        payload: the JSON object; None where the body is none (multipart). body: its bytes as they came.
        content_type: of `body`. max_output: tokens per choice that the caller allows, None where it does not say.
        choices: how many answers it asked for. images: parts of the prompt whose tokens their bytes do not bound;
            inline: bytes of `body` that are such parts themselves.
        extra: (meter, quantity) that it may use at most besides tokens.
        user: the caller's name for its end user. metadata: up to 5 entries, scalars as texts.
        stored: the answer is to be kept for `previous_response_id`. response_id: the id it will have, which only the
            Responses API gives its answers. previous_id: of the stored response that this one goes on from.
        earlier: how many items of the input came from there.
    """

    model: str
    payload: dict[str, Any] | None
    body: bytes
    stream: bool
    show_usage: bool
    content_type: bytes
    max_output: int | None
    choices: int
    images: int
    inline: int
    extra: tuple[tuple[str, int], ...]
    user: str | None
    metadata: dict[str, str]
    stored: bool
    response_id: str
    previous_id: str | None
    earlier: int

    def __init__(
        self,
        model: str,
        payload: dict[str, Any] | None,
        body: bytes,
        stream: bool = False,
        show_usage: bool = False,
        *,
        content_type: bytes = b"application/json",
        max_output: int | None = None,
        choices: int = 1,
        images: int = 0,
        inline: int = 0,
        extra: tuple[tuple[str, int], ...] = (),
        user: str | None = None,
        metadata: dict[str, str] | None = None,
        stored: bool = False,
        response_id: str = "",
        previous_id: str | None = None,
        earlier: int = 0,
    ) -> None:
        """Written out, since every request makes one and a dataclass's own takes ten times as long compiled."""
        self.model = model
        self.payload = payload
        self.body = body
        self.stream = stream
        self.show_usage = show_usage
        self.content_type = content_type
        self.max_output = max_output
        self.choices = choices
        self.images = images
        self.inline = inline
        self.extra = extra
        self.user = user
        self.metadata = {} if metadata is None else metadata
        self.stored = stored
        self.response_id = response_id
        self.previous_id = previous_id
        self.earlier = earlier


Charge: TypeAlias = Callable[[Sequence[UsageRecord]], Awaitable[None]]
"""Charges a batch in one transaction, each record once however often it comes; raising means: again later, whole."""


class Refusal(Exception):
    """A request that is not served, in OpenAI's terms.

    Args:
        status: HTTP status. code: stable, snake_case. kind: OpenAI's `type`. param: the field that is wrong.
        retry_after: seconds, where waiting may help. allow: the method that a 405 asks for.
        headers: further header lines, each with its CRLF.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        retry_after: int | None = None,
        allow: bytes = b"",
        headers: bytes = b"",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.kind = kind
        self.param = param
        self.retry_after = retry_after
        self.allow = allow
        self.headers = headers


def malformed(message: str, param: str | None = None) -> Refusal:
    """400: the request itself is wrong."""
    return Refusal(400, "invalid_request", message, param=param)


def upstream_failed(message: str, status: int = 502) -> Refusal:
    """The replica did not do its part; nothing the caller could mend."""
    return Refusal(status, "upstream_timeout" if status == 504 else "upstream_error", message, kind="server_error")


def unavailable(code: str, message: str, retry_after: int = 1) -> Refusal:
    """503: not now."""
    return Refusal(503, code, message, kind="server_error", retry_after=retry_after)


def head_too_large() -> Refusal:
    """431: request line and headers are more than is read."""
    return Refusal(431, "headers_too_large", "the request's headers are too large")


def body_too_large(limit: int) -> Refusal:
    """413, where `limit` bytes may come."""
    return Refusal(413, "body_too_large", f"the body may have at most {limit} bytes")


def broken() -> Refusal:
    """500: nothing that the caller could mend."""
    return Refusal(500, "internal_error", "this is our fault; it has been logged", kind="server_error")
