"""Anthropic's Messages API at an upstream that speaks the same: events pass as the bytes they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from ironworks.products.tokenfactory.gateway import wire
from ironworks.products.tokenfactory.gateway.answers import (
    BYTES_PER_TOKEN,
    estimate_input,
    guess_tokens,
    parse_answer,
)
from ironworks.products.tokenfactory.gateway.dialects.base import Answer
from ironworks.products.tokenfactory.gateway.dialects.openai_to_anthropic import LEAST_THINKING, MESSAGES
from ironworks.products.tokenfactory.gateway.dialects.sse import Splitter, data_of, named_event
from ironworks.products.tokenfactory.gateway.dialects.usage import merge_messages_usage, read_messages_usage
from ironworks.products.tokenfactory.gateway.model import Call, Refusal, Usage, upstream_failed

_STOP = named_event({"type": "message_stop"})
_DELTA = b'"content_block_delta"'
_SIGNATURE = b'"signature_delta"'
_TEXT = b'"type":"text_delta","text":"'
_TAIL = b'"}}\n\n'
_FRAME = len(
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta"}}'
)


class MessagesAdapter:
    """Anthropic to Anthropic."""

    path = MESSAGES

    def request(self, call: Call, served_as: str, max_output: int | None) -> tuple[bytes, bytes]:
        payload = {**(call.payload or {}), "model": served_as}
        if max_output is not None:
            payload["max_tokens"] = max_output
            _fit_thinking(payload, max_output)
        return orjson.dumps(payload), wire.JSON

    def reader(self, call: Call) -> MessagesReader:
        return MessagesReader(call.model)

    def answer(self, call: Call, content_type: bytes, body: bytes) -> Answer:
        answer = parse_answer(body)
        if answer is None or answer.get("type") != "message" or not isinstance(answer.get("content"), list):
            raise upstream_failed("the model server's answer is not what was asked for")
        if answer.get("model") != call.model:
            # not by its bytes: a tool's input may have a "model" too
            body = orjson.dumps({**answer, "model": call.model})
        return Answer(body, read_messages_usage(answer.get("usage")))

    def guess(self, call: Call, body: bytes) -> Usage:
        answer = parse_answer(body) or {}
        content = orjson.dumps(answer.get("content") or [])
        return Usage(estimate_input(call), 0, guess_tokens(len(content) - 2), counted=True)


class MessagesReader:
    """One stream. Forwards whole events but the last; see `base.Reader` for its attributes.

    An event may hold several tokens, so they are counted by events or by size, whichever is more, and an upstream's
    word on the input counts from the beginning.
    """

    __slots__ = ("_begun", "_first", "_head", "_model", "_splitter", "_usage", "_whole", "done", "fault", "tokens")

    def __init__(self, model: str) -> None:
        self.tokens = 0
        self.done = False
        self.fault: Refusal | None = None
        self._model = model
        self._splitter = Splitter()
        self._whole = True
        """No event is half here."""
        self._first: dict[str, Any] = {}
        self._begun: Usage | None = None
        self._usage: Usage | None = None
        self._head = b"\0"
        """How the last event of text began, up to the text: what begins and ends like it holds nothing but text."""

    @property
    def usage(self) -> Usage | None:
        """The upstream's last figure; until that comes, its word on the input with our count."""
        if self._usage is None and self._begun is not None and self.tokens:
            return self._begun._replace(output_tokens=self.tokens, counted=True)
        return self._usage

    @usage.setter
    def usage(self, usage: Usage | None) -> None:
        self._usage = usage

    def feed(self, pieces: Sequence[bytes]) -> bytes:
        out: list[bytes] = []
        for piece in pieces:
            # the hot loop: nearly every piece of nearly every stream ends at the first `continue`
            if self._whole and piece.startswith(self._head) and piece.endswith(_TAIL):
                text = piece[len(self._head) : -len(_TAIL)]
                if b'"' not in text and b"\\" not in text and b"\n" not in text:
                    self.tokens += len(text) // BYTES_PER_TOKEN or 1
                    out.append(piece)
                    continue
            out.append(self._feed_any(piece))
            if self.done or self.fault:
                break
        return b"".join(out) if len(out) != 1 else out[0]

    def _feed_any(self, piece: bytes) -> bytes:
        if self._whole and piece.endswith(b"\n\n") and not _is_special(piece):
            self._count(piece)
            self._learn(piece)
            return piece
        events = self._splitter.feed([piece])
        self._whole = self._splitter.whole
        self.fault = self._splitter.fault
        return b"".join([self._event(event) for event in events if not (self.done or self.fault)])

    def _learn(self, piece: bytes) -> None:
        """Remember how `piece` begins, if it is one event of text."""
        at = piece.find(_TEXT)
        if at >= 0 and piece.count(b"\n\n") == 1 and piece.endswith(_TAIL):
            self._head = piece[: at + len(_TEXT)]

    def finish(self) -> bytes:
        """A message without its `message_stop` is cut off, whatever HTTP says."""
        shown = b"".join([self._event(event) for event in self._splitter.finish()])
        if not self.done and self.fault is None:
            self.fault = upstream_failed("the model server's stream ended before its message did")
        return shown

    def last(self) -> bytes:
        return _STOP

    def _count(self, data: bytes) -> None:
        made = data.count(_DELTA)
        if made and _SIGNATURE not in data:
            self.tokens += max(made, (len(data) - made * _FRAME) // BYTES_PER_TOKEN)

    def _event(self, event: bytes) -> bytes:
        """The event as the caller is to see it; empty where it is not to."""
        if not _is_special(event):
            self._count(event)
            return event + b"\n\n"
        data = data_of(event)
        if data is None:
            return event + b"\n\n"
        try:
            told = orjson.loads(data)
        except orjson.JSONDecodeError:
            told = None
        if not isinstance(told, dict):
            self.fault = upstream_failed("the model server sent an event that is not JSON")
            return b""
        return self._look(event, told)

    def _look(self, event: bytes, told: dict[str, Any]) -> bytes:
        match told.get("type"):
            case "message_start":
                return self._start(told)
            case "message_delta":
                usage = read_messages_usage(merge_messages_usage(self._first, told.get("usage")))
                if usage is not None:
                    self.usage = usage
            case "message_stop":
                self.done = True
                return b""
            case "error":
                self.fault = upstream_failed("the model server reported an error in the middle of the stream")
                return b""
            case _:
                self._count(event)
        return event + b"\n\n"

    def _start(self, told: dict[str, Any]) -> bytes:
        message = told.get("message")
        if not isinstance(message, dict):
            self.fault = upstream_failed("the model server sent a message that is none")
            return b""
        usage = message.get("usage")
        if isinstance(usage, dict):
            self._first = usage
            self._begun = read_messages_usage(usage)
        return named_event({**told, "message": {**message, "model": self._model}})


def _fit_thinking(payload: dict[str, Any], max_output: int) -> None:
    """Anthropic refuses to think for longer than it may answer; where a budget leaves no room, it answers at once."""
    thinking = payload.get("thinking")
    budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    if not isinstance(budget, int) or budget < max_output:
        return
    if max_output // 2 >= LEAST_THINKING:
        payload["thinking"] = {**payload["thinking"], "budget_tokens": max_output // 2}
    else:
        del payload["thinking"]


def _is_special(data: bytes) -> bool:
    """Whether there may be something in it that must be looked at; in a text that costs a look, no more."""
    return b"message_" in data or b'"error"' in data or b"\r" in data


ADAPTER = MessagesAdapter()
