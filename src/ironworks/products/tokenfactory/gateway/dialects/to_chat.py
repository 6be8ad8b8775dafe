"""Pieces written as an OpenAI chat completion: whole, or as the chunks of its stream."""

from __future__ import annotations

import time
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
    new_id,
)
from ironworks.products.tokenfactory.gateway.dialects.usage import write_chat_usage
from ironworks.products.tokenfactory.gateway.model import Usage
from ironworks.products.tokenfactory.gateway.stream import DONE


class ChatSink:
    """See `translate.Sink`.

    Reasoning goes out as `reasoning_content`; what its author wants back goes out as `thinking_blocks` besides, which
    a caller returns with the assistant's message.
    """

    def __init__(self, model: str, show_usage: bool) -> None:
        self._id = new_id("chatcmpl-")
        self._created = int(time.time())
        self._model = model
        self._show_usage = show_usage
        # every chunk begins and ends alike
        frame = orjson.dumps({**self._frame("chat.completion.chunk"), "choices": []})
        self._head = b"data: " + frame[:-2] + b'{"index":0,"delta":'
        self._tail = b',"logprobs":null,"finish_reason":null}]%b}\n\n' % (b',"usage":null' if show_usage else b"")
        self._texts: list[str] = []
        self._refusals: list[str] = []
        self._thoughts: list[str] = []
        self._thinking: list[dict[str, Any]] = []
        self._stretch = 0
        """Where in `_thoughts` the stretch begins that has no signature yet."""
        self._calls: dict[int, tuple[str, str, list[str]]] = {}
        self._stop = Stop("stop")

    def begin(self) -> bytes:
        return self._chunk({"role": "assistant", "content": ""})

    def write(self, piece: Piece) -> bytes:
        match piece:
            case Text(text):
                return self._grow(self._texts, "content", text)
            case Refused(text):
                return self._grow(self._refusals, "refusal", text)
            case Thought(text):
                return self._grow(self._thoughts, "reasoning_content", text)
            case Signature(signature):
                thought = "".join(self._thoughts[self._stretch :])
                self._stretch = len(self._thoughts)
                return self._think({"type": "thinking", "thinking": thought, "signature": signature})
            case Redacted(data):
                return self._think({"type": "redacted_thinking", "data": data})
            case ToolCall(index, identifier, name):
                self._calls[index] = (identifier, name, [])
                return self._chunk({"tool_calls": [{"index": index, **_call(identifier, name, "")}]})
            case Arguments(index, text):
                return self._add_arguments(index, text)
            case Stop():
                self._stop = piece
        return b""

    def end(self, usage: Usage) -> bytes:
        last = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": self._stop.why}
        frame = self._frame("chat.completion.chunk")
        told: dict[str, Any] = {"usage": None} if self._show_usage else {}
        out = b"data: %b\n\n" % orjson.dumps({**frame, "choices": [last], **told})
        if self._show_usage:
            out += b"data: %b\n\n" % orjson.dumps({**frame, "choices": [], "usage": write_chat_usage(usage)})
        return out + DONE

    def whole(self, usage: Usage) -> dict[str, Any]:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": "".join(self._texts) or (None if self._calls or self._refusals else ""),
            "refusal": "".join(self._refusals) or None,
        }
        if self._thoughts:
            message["reasoning_content"] = "".join(self._thoughts)
        if self._thinking:
            message["thinking_blocks"] = self._thinking
        if self._calls:
            message["tool_calls"] = [_call(one, name, "".join(bits)) for one, name, bits in self._calls.values()]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._stop.why}
        return {**self._frame("chat.completion"), "choices": [choice], "usage": write_chat_usage(usage)}

    def _frame(self, kind: str) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._model}

    def _chunk(self, delta: dict[str, Any]) -> bytes:
        return self._head + orjson.dumps(delta) + self._tail

    def _grow(self, kept: list[str], field: str, text: str) -> bytes:
        if not text:
            return b""
        kept.append(text)
        return self._chunk({field: text})

    def _think(self, block: dict[str, Any]) -> bytes:
        self._thinking.append(block)
        # OpenAI's client puts lists together by an index
        return self._chunk({"thinking_blocks": [{"index": len(self._thinking) - 1, **block}]})

    def _add_arguments(self, index: int, text: str) -> bytes:
        if index not in self._calls:
            return b""
        self._calls[index][2].append(text)
        return self._chunk({"tool_calls": [{"index": index, "function": {"arguments": text}}]})


def _call(identifier: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}}
