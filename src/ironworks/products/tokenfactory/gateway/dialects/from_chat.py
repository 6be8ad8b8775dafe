"""OpenAI chat completions, whole and streamed, read into pieces: what llama.cpp, vLLM, SGLang and providers send."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from ironworks.products.tokenfactory.gateway.answers import read_usage
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
from ironworks.products.tokenfactory.gateway.dialects.translate import Said
from ironworks.products.tokenfactory.gateway.model import Refusal, Usage, upstream_failed

_WHY: dict[str, Why] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


def read_whole(answer: dict[str, Any]) -> Said | None:
    """A chat completion; its first choice, since no other dialect has more than one. None where it is none."""
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return None
    message = choices[0].get("message")
    if not isinstance(message, dict):
        return None
    calls = _Calls()
    return Said([*calls.read(message), *calls.read_stop(choices[0])], read_usage(answer.get("usage")))


class ChatSource:
    """See `translate.Source`."""

    __slots__ = ("_calls", "_ended", "begun", "done", "fault", "usage")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.begun: Usage | None = None
        self.done = False
        self.fault: Refusal | None = None
        self._calls = _Calls()
        self._ended = False

    def read(self, data: bytes) -> Iterator[Piece]:
        if data == b"[DONE]":
            self.done = True
            return
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError:
            chunk = None
        if not isinstance(chunk, dict):
            self.fault = upstream_failed("the model server sent an event that is not JSON")
        elif chunk.get("error"):
            self.fault = upstream_failed("the model server reported an error in the middle of the stream")
        else:
            self.usage = read_usage(chunk.get("usage")) or self.usage
            choices = chunk.get("choices")
            if isinstance(choices, list) and choices and isinstance(choices[0], dict) and not choices[0].get("index"):
                yield from self._choice(choices[0])

    def _choice(self, choice: dict[str, Any]) -> Iterator[Piece]:
        delta = choice.get("delta")
        if isinstance(delta, dict):
            yield from self._calls.read(delta)
        if choice.get("finish_reason"):
            self._ended = True
            yield from self._calls.read_stop(choice)

    def finish(self) -> Iterator[Piece]:
        """Some servers end without `[DONE]`. One that did not say why it stopped either was cut off, whatever HTTP
        says."""
        if not self._ended:
            self.fault = upstream_failed("the model server's stream ended before its answer did")
        return iter(())


class _Calls:
    """Reads messages and deltas; remembers which tool calls have begun, since only their first delta names them."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: list[object] = []
        """Of each call, the upstream's own index."""

    def read(self, message: dict[str, Any]) -> Iterator[Piece]:
        """The pieces of a message, or of a delta, in the order in which models make them."""
        if len(message) == 1 and isinstance(message.get("content"), str):  # nearly every delta of nearly every stream
            yield Text(message["content"])
            return
        yield from _thoughts(message)
        if text := _text(message, "content"):
            yield Text(text)
        if text := _text(message, "refusal"):
            yield Refused(text)
        calls = message.get("tool_calls")
        for place, call in enumerate(calls if isinstance(calls, list) else ()):
            if isinstance(call, dict):
                yield from self._call(call, call.get("index", place))
        if isinstance(message.get("function_call"), dict):
            yield from self._call({"function": message["function_call"]}, "function_call")

    def read_stop(self, choice: dict[str, Any]) -> Iterator[Piece]:
        """vLLM names the stop sequence in `stop_reason`, SGLang in `matched_stop`."""
        why = choice.get("finish_reason")
        if isinstance(why, str):
            found = choice.get("stop_reason") or choice.get("matched_stop")
            told = _WHY.get(why, "stop")
            yield Stop("tool_calls" if told == "stop" and self._known else told, _word(found))

    def _call(self, call: dict[str, Any], index: object) -> Iterator[Piece]:
        function = call.get("function")
        if not isinstance(function, dict):
            return
        name, identifier = _word(function.get("name")), _word(call.get("id"))
        if index not in self._known:
            self._known.append(index)
            yield ToolCall(len(self._known) - 1, identifier or new_id("call_"), name or "")
        if text := _text(function, "arguments"):
            yield Arguments(self._known.index(index), text)


def _thoughts(message: dict[str, Any]) -> Iterator[Piece]:
    """Reasoning, which vLLM and OpenRouter call `reasoning` and most others `reasoning_content`."""
    blocks = message.get("thinking_blocks")
    if not isinstance(blocks, list):
        if text := _text(message, "reasoning_content") or _text(message, "reasoning"):
            yield Thought(text)
        return
    for block in blocks:
        if isinstance(block, dict) and block.get("type") == "redacted_thinking":
            yield Redacted(_text(block, "data"))
        elif isinstance(block, dict):
            yield Thought(_text(block, "thinking"))
            yield Signature(_text(block, "signature"))


def _text(holder: dict[str, Any], name: str) -> str:
    value = holder.get(name)
    return value if isinstance(value, str) else ""


def _word(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
