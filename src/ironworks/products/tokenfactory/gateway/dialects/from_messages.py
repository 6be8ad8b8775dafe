"""Anthropic messages, whole and streamed, read into pieces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from ironworks.products.tokenfactory.gateway.dialects.pieces import (
    Arguments,
    Piece,
    Redacted,
    Signature,
    Stop,
    Text,
    Thought,
    ToolCall,
    Why,
)
from ironworks.products.tokenfactory.gateway.dialects.translate import Said
from ironworks.products.tokenfactory.gateway.dialects.usage import merge_messages_usage, read_messages_usage
from ironworks.products.tokenfactory.gateway.model import Refusal, Usage, upstream_failed

_WHY: dict[str, Why] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def read_whole(answer: dict[str, Any]) -> Said | None:
    """A message; None where it is none."""
    content = answer.get("content")
    if answer.get("type") != "message" or not isinstance(content, list):
        return None
    blocks = _Blocks()
    pieces: list[Piece] = []
    for index, block in enumerate(content):
        if isinstance(block, dict):
            pieces += [*blocks.start(index, block), *blocks.stop(index)]
    return Said([*pieces, _stop(answer)], read_messages_usage(answer.get("usage")))


class MessagesSource:
    """See `translate.Source`."""

    __slots__ = ("_blocks", "_first", "begun", "done", "fault", "usage")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.begun: Usage | None = None
        self.done = False
        self.fault: Refusal | None = None
        self._blocks = _Blocks()
        self._first: dict[str, Any] = {}

    def read(self, data: bytes) -> Iterator[Piece]:
        try:
            event = orjson.loads(data)
        except orjson.JSONDecodeError:
            event = None
        if not isinstance(event, dict):
            self.fault = upstream_failed("the model server sent an event that is not JSON")
            return
        match event.get("type"):
            case "content_block_delta":
                yield from self._blocks.delta(event.get("index"), _part(event, "delta"))
            case "content_block_start":
                yield from self._blocks.start(event.get("index"), _part(event, "content_block"))
            case "content_block_stop":
                yield from self._blocks.stop(event.get("index"))
            case "message_start":
                self._first = _part(_part(event, "message"), "usage")
                self.begun = read_messages_usage(self._first)
            case "message_delta":
                self.usage = read_messages_usage(merge_messages_usage(self._first, event.get("usage"))) or self.usage
                if _part(event, "delta").get("stop_reason"):
                    yield _stop(_part(event, "delta"))
            case "message_stop":
                self.done = True
            case "error":
                self.fault = upstream_failed("the model server reported an error in the middle of the stream")

    def finish(self) -> Iterator[Piece]:
        """A message without its `message_stop` is cut off, whatever HTTP says."""
        self.fault = upstream_failed("the model server's stream ended before its message did")
        return iter(())


class _Blocks:
    """Reads content blocks; knows which of them are tool calls, and which of those have no arguments yet."""

    __slots__ = ("_calls", "_silent")

    def __init__(self) -> None:
        self._calls: list[object] = []
        self._silent: list[object] = []

    def start(self, index: object, block: dict[str, Any]) -> Iterator[Piece]:
        match block.get("type"):
            case "text":
                yield Text(_text(block, "text"))
            case "thinking":
                yield Thought(_text(block, "thinking"))
                if signature := _text(block, "signature"):
                    yield Signature(signature)
            case "redacted_thinking":
                yield Redacted(_text(block, "data"))
            case "tool_use":
                self._calls.append(index)
                yield ToolCall(len(self._calls) - 1, _text(block, "id"), _text(block, "name"))
                self._silent.append(index)
                if block.get("input"):
                    yield from self._arguments(index, orjson.dumps(block["input"]).decode())

    def delta(self, index: object, delta: dict[str, Any]) -> Iterator[Piece]:
        match delta.get("type"):
            case "text_delta":
                yield Text(_text(delta, "text"))
            case "input_json_delta":
                yield from self._arguments(index, _text(delta, "partial_json"))
            case "thinking_delta":
                yield Thought(_text(delta, "thinking"))
            case "signature_delta":
                yield Signature(_text(delta, "signature"))

    def stop(self, index: object) -> Iterator[Piece]:
        """A tool without arguments gets an empty object: other dialects' clients parse what they get."""
        if index in self._silent:
            yield from self._arguments(index, "{}")

    def _arguments(self, index: object, text: str) -> Iterator[Piece]:
        if text and index in self._calls:
            if index in self._silent:
                self._silent.remove(index)
            yield Arguments(self._calls.index(index), text)


def _stop(holder: dict[str, Any]) -> Stop:
    sequence = holder.get("stop_sequence")
    return Stop(_WHY.get(_text(holder, "stop_reason"), "stop"), sequence if isinstance(sequence, str) else None)


def _part(event: dict[str, Any], name: str) -> dict[str, Any]:
    value = event.get(name)
    return value if isinstance(value, dict) else {}


def _text(holder: dict[str, Any], name: str) -> str:
    value = holder.get(name)
    return value if isinstance(value, str) else ""
