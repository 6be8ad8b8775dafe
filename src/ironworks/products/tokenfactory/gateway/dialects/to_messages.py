"""Pieces written as an Anthropic message: whole, or as the events of its stream."""

from __future__ import annotations

from typing import Any

import orjson

from ironworks.products.tokenfactory.gateway.dialects.pieces import (
    Arguments,
    Piece,
    Redacted,
    Refused,
    Signature,
    Stop,
    Text,
    Thought,
    ToolCall,
    Why,
    new_id,
)
from ironworks.products.tokenfactory.gateway.dialects.sse import named_event
from ironworks.products.tokenfactory.gateway.dialects.usage import write_messages_usage
from ironworks.products.tokenfactory.gateway.model import Usage

_WHY: dict[Why, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
_NO_USAGE = {
    "input_tokens": 0,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 0,
}
"""At a stream's beginning: OpenAI's dialect tells usage at the end alone, and so does `message_delta` then."""


class MessagesSink:
    """See `translate.Sink`. One content block is open at a time; a piece of another kind begins the next."""

    def __init__(self, model: str, stop_sequences: object = None) -> None:
        """`stop_sequences` are the caller's: only one of those is told as the reason for a stop."""
        self._id = new_id("msg_")
        self._model = model
        self._sequences = stop_sequences if isinstance(stop_sequences, list) else []
        self._content: list[dict[str, Any]] = []
        self._open = False
        self._field = ""
        self._frame = b""
        self._text: list[str] = []
        """Of the open block, to go into its `_field` when it closes."""
        self._places: dict[int, int] = {}
        """Of each tool call, its block."""
        self._inputs: dict[int, list[str]] = {}
        self._stop = Stop("stop")

    def begin(self) -> bytes:
        message = {**self._message(), "content": [], "stop_reason": None, "stop_sequence": None, "usage": _NO_USAGE}
        return named_event({"type": "message_start", "message": message}) + named_event({"type": "ping"})

    def write(self, piece: Piece) -> bytes:
        match piece:
            case Text(text) | Refused(text):
                return self._grow("text", "text", text)
            case Thought(text):
                return self._grow("thinking", "thinking", text)
            case Signature(signature):
                return self._sign(signature)
            case Arguments(index, text):
                return self._add_input(index, text)
            case ToolCall(index, identifier, name):
                self._places[index] = len(self._content)
                self._inputs[index] = []
                return self._start({"type": "tool_use", "id": identifier, "name": name, "input": {}})
            case Redacted(data):
                return self._start({"type": "redacted_thinking", "data": data}) + self._close()
            case Stop():
                self._stop = piece
        return b""

    def end(self, usage: Usage) -> bytes:
        why, sequence = self._why()
        delta = {"stop_reason": why, "stop_sequence": sequence}
        return (
            self._close()
            + named_event({"type": "message_delta", "delta": delta, "usage": write_messages_usage(usage)})
            + named_event({"type": "message_stop"})
        )

    def whole(self, usage: Usage) -> dict[str, Any]:
        self._close()
        for index, place in self._places.items():
            self._content[place]["input"] = _input("".join(self._inputs[index]))
        why, sequence = self._why()
        return {
            **self._message(),
            "content": self._content,
            "stop_reason": why,
            "stop_sequence": sequence,
            "usage": write_messages_usage(usage),
        }

    def _message(self) -> dict[str, Any]:
        return {"id": self._id, "type": "message", "role": "assistant", "model": self._model}

    def _why(self) -> tuple[str, str | None]:
        if self._stop.why == "stop" and self._stop.sequence in self._sequences:
            return "stop_sequence", self._stop.sequence
        return _WHY[self._stop.why], None

    def _start(self, block: dict[str, Any]) -> bytes:
        closed = self._close()
        self._content.append(block)
        self._open = True
        shown = {**block, "signature": ""} if block["type"] == "thinking" else block
        return closed + named_event(
            {"type": "content_block_start", "index": len(self._content) - 1, "content_block": shown}
        )

    def _close(self) -> bytes:
        if not self._open:
            return b""
        self._open = False
        block = self._content[-1]
        if self._field:
            block[self._field] = "".join(self._text)
            self._field = ""
            self._text = []
        if block["type"] == "thinking":
            block.setdefault("signature", "")
        return named_event({"type": "content_block_stop", "index": len(self._content) - 1})

    def _grow(self, kind: str, field: str, text: str) -> bytes:
        """More of the open block, or the first of a new one."""
        if not text:
            return b""
        started = b""
        if not self._open or self._content[-1]["type"] != kind:
            started = self._start({"type": kind, field: ""})
            self._field = field
            # every delta of a block begins alike
            frame = self._delta(len(self._content) - 1, {"type": f"{kind}_delta", field: ""})
            self._frame = frame.removesuffix(b'""}}\n\n')
        self._text.append(text)
        return b"%b%b%b}}\n\n" % (started, self._frame, orjson.dumps(text))

    def _sign(self, signature: str) -> bytes:
        """The signature ends a stretch of thoughts, which may be all that is shown of it."""
        if not signature:
            return b""
        started = b""
        if not self._open or self._content[-1]["type"] != "thinking":
            started = self._start({"type": "thinking", "thinking": ""})
        self._content[-1]["signature"] = signature
        told = self._delta(len(self._content) - 1, {"type": "signature_delta", "signature": signature})
        return started + told + self._close()

    def _add_input(self, index: int, text: str) -> bytes:
        """Upstreams may mix the arguments of several calls; each event names its block, so that is no matter."""
        place = self._places.get(index)
        if place is None:
            return b""
        self._inputs[index].append(text)
        return self._delta(place, {"type": "input_json_delta", "partial_json": text})

    def _delta(self, place: int, delta: dict[str, Any]) -> bytes:
        return named_event({"type": "content_block_delta", "index": place, "delta": delta})


def _input(arguments: str) -> dict[str, Any]:
    """A tool call's arguments as the object that they should be; a model's broken JSON is kept as text."""
    try:
        value = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        value = None
    return value if isinstance(value, dict) else {"arguments": arguments}
