"""Counting with the model's own tokenizer what an upstream never gave a figure for.

Engines of ours offer their tokenizer over HTTP (llama.cpp: `/apply-template` and `/tokenize`); asking takes a
millisecond and no slot of the model. Providers do not, and neither does an engine that has just died: then the estimate
by size stands. Either way the usage is marked as counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from ironworks.products.tokenfactory.gateway import wire
from ironworks.products.tokenfactory.gateway.answers import parse_answer
from ironworks.products.tokenfactory.gateway.model import Usage
from ironworks.shared import telemetry

if TYPE_CHECKING:
    from ironworks.products.tokenfactory.gateway.upstream import UpstreamConnection, UpstreamPool
    from ironworks.products.tokenfactory.routing import ReplicaState

log = telemetry.logger(__name__)

PATIENCE = 2.0
"""Seconds that a tokenizer may take before the estimate stands."""
MAX_ANSWER = 64 * 1024 * 1024
_MISSING = frozenset({404, 405, 501})
_MOST_UNWILLING = 1000


class Tokenizers:
    """The tokenizers of this process's upstreams. Remembers which addresses have none."""

    def __init__(self, upstreams: UpstreamPool) -> None:
        self._upstreams = upstreams
        self._without: set[str] = set()
        self._counting: set[asyncio.Task[None]] = set()

    def offers(self, state: ReplicaState) -> bool:
        """Whether it is worth asking: a provider on the internet is not told of texts that it need not see."""
        replica = state.replica
        return not (replica.guarded or replica.tls or replica.address in self._without)

    def recount(
        self, state: ReplicaState, request: bytes, made: str | None, estimate: Usage, then: Callable[[Usage], None]
    ) -> None:
        """Call `then` with `estimate`, its input counted from `request` and its output from `made`.

        `request` is the body that the upstream got; `made` None keeps the estimated output. What cannot be counted
        stays estimated, and `then` is called in any case.
        """
        task = asyncio.get_running_loop().create_task(self._recount(state, request, made, estimate, then))
        self._counting.add(task)
        task.add_done_callback(self._counting.discard)

    async def _recount(
        self, state: ReplicaState, request: bytes, made: str | None, estimate: Usage, then: Callable[[Usage], None]
    ) -> None:
        usage = estimate
        try:
            usage = await self._count(state, request, made, estimate)
        except Exception as problem:
            log.warning("a tokenizer's answer cannot be used", problem=repr(problem))
        finally:
            then(usage)

    async def _count(self, state: ReplicaState, request: bytes, made: str | None, estimate: Usage) -> Usage:
        try:
            async with asyncio.timeout(PATIENCE):
                given = await self._count_request(state, request)
                told = await self._count_text(state, made) if made is not None and given is not None else None
        except (OSError, TimeoutError):
            return estimate
        return estimate._replace(
            input_tokens=estimate.input_tokens if given is None else given,
            output_tokens=estimate.output_tokens if told is None else told,
        )

    async def _count_request(self, state: ReplicaState, request: bytes) -> int | None:
        payload = parse_answer(request)
        if payload is None:
            return None
        if not isinstance(payload.get("messages"), list):
            return await self._count_text(state, _plain(payload))
        answer = await self._ask(state, "/apply-template", request)
        prompt = answer.get("prompt") if answer else None
        return await self._count_text(state, prompt) if isinstance(prompt, str) else None

    async def _count_text(self, state: ReplicaState, text: str | None) -> int | None:
        if text is None:
            return None
        answer = await self._ask(
            state, "/tokenize", orjson.dumps({"content": text, "add_special": True, "parse_special": True})
        )
        tokens = answer.get("tokens") if answer else None
        return len(tokens) if isinstance(tokens, list) else None

    async def _ask(self, state: ReplicaState, path: str, body: bytes) -> dict[str, Any] | None:
        """The JSON object that `path`, beside the API's own, answers; None where there is none. Raises OSError."""
        asked = _Question(_head(state, path, body) + body)
        self._upstreams.connect(state, asked)
        try:
            status, answer = await asked.answer
        finally:
            asked.leave()
        if status in _MISSING and len(self._without) < _MOST_UNWILLING:
            self._without.add(state.replica.address)
        return parse_answer(answer) if status == 200 else None


def generated_text(body: bytes) -> str | None:
    """All text of a whole chat or text completion; None where it holds more than text."""
    choices = (parse_answer(body) or {}).get("choices")
    if not isinstance(choices, list) or not choices:
        return None
    texts = [_text_of(choice) for choice in choices]
    return "".join(text for text in texts if text is not None) if None not in texts else None


def _text_of(choice: object) -> str | None:
    if not isinstance(choice, dict):
        return None
    message = choice.get("message", choice)
    if not isinstance(message, dict) or message.get("tool_calls"):
        return None
    text = message.get("content", message.get("text"))
    return text if isinstance(text, str) else None


def _plain(payload: Mapping[str, Any]) -> str | None:
    """The text of a completion's prompt or of an embedding's input."""
    text = payload.get("prompt", payload.get("input"))
    if isinstance(text, list) and all(isinstance(part, str) for part in text):
        return "\n".join(text)
    return text if isinstance(text, str) else None


def _head(state: ReplicaState, path: str, body: bytes) -> bytes:
    replica = state.replica
    lines = [f"POST {replica.prefix.removesuffix('/v1')}{path} HTTP/1.1", f"host: {wire.host_header(replica)}"]
    if replica.bearer:
        lines.append(f"authorization: Bearer {replica.bearer}")
    lines += ["content-type: application/json", f"content-length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode()


class _Question:
    """A small request of our own to an upstream: an AnswerSink whose answer is awaited."""

    def __init__(self, request: bytes) -> None:
        self.answer: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._request = request
        self._connection: UpstreamConnection | None = None
        self._status = 0
        self._body: list[bytes] = []
        self._size = 0

    def leave(self) -> None:
        """Nobody waits any more."""
        if self._connection is not None:
            self._connection.abort()
            self._connection = None

    def on_connected(self, connection: UpstreamConnection) -> None:
        if self.answer.done():
            connection.abort()
            return
        self._connection = connection
        connection.write(self._request)

    def on_unreachable(self, problem: str) -> None:
        self._fail(problem)

    def on_head(self, status: int, content_type: bytes) -> None:
        self._status = status

    def on_answer(self, content_type: bytes, body: bytes) -> None:
        self._status = 200
        self._body.append(body)
        self.on_end()

    def on_data(self, pieces: list[bytes]) -> None:
        self._body += pieces
        self._size += sum(map(len, pieces))
        if self._size > MAX_ANSWER:
            self.leave()
            self._fail("the tokenizer's answer is too large")

    def on_end(self) -> None:
        self._connection = None
        if not self.answer.done():
            self.answer.set_result((self._status, b"".join(self._body)))

    def on_lost(self, problem: str, *, answered: bool, reused: bool) -> None:
        self._connection = None
        self._fail(problem)

    def _fail(self, problem: str) -> None:
        if not self.answer.done():
            self.answer.set_exception(OSError(problem))
