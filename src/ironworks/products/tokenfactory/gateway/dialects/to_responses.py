"""Pieces written as an OpenAI response: whole, or as the events of its stream, each with its `sequence_number`."""

from __future__ import annotations

import time
from collections.abc import Mapping
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
from ironworks.products.tokenfactory.gateway.dialects.sse import named_event
from ironworks.products.tokenfactory.gateway.dialects.thoughts import seal
from ironworks.products.tokenfactory.gateway.dialects.usage import write_responses_usage
from ironworks.products.tokenfactory.gateway.model import Usage

_ECHOED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": None,
    "safety_identifier": None,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "user": None,
}
"""Fields of the request that a response repeats, with what stands there when the caller said nothing."""
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ResponsesSink:
    """See `translate.Sink`. One output item is open at a time; a piece of another kind begins the next."""

    def __init__(self, model: str, payload: Mapping[str, Any], identifier: str, stored: bool) -> None:
        """`identifier` is the response's, by which a stored one is asked for; `payload` is the request."""
        given = {name: payload[name] for name in _ECHOED if payload.get(name) is not None}
        self._frame: dict[str, Any] = {
            "id": identifier,
            "object": "response",
            "created_at": int(time.time()),
            "background": False,
            "error": None,
            "incomplete_details": None,
            "model": model,
            "metadata": payload.get("metadata") or {},
            "store": stored,
            "truncation": "disabled",
            **_ECHOED,
            **given,
        }
        self._number = 0
        self._output: list[dict[str, Any]] = []
        self._open = False
        self._text: list[str] = []
        """Of the open content part, or of the open call's arguments."""
        self._delta = b""
        """How every delta of the open content part begins."""
        self._places: dict[int, int] = {}
        """Of each tool call, its item."""
        self._thinking: list[dict[str, Any]] = []
        """Blocks of the open reasoning item that their author wants back."""
        self._stop = Stop("stop")

    def begin(self) -> bytes:
        response = {**self._frame, "status": "in_progress", "output": [], "usage": None}
        return self._event("response.created", response=response) + self._event(
            "response.in_progress", response=response
        )

    def write(self, piece: Piece) -> bytes:
        match piece:
            case Text(text):
                return self._grow("output_text", text)
            case Refused(text):
                return self._grow("refusal", text)
            case Thought(text):
                return self._grow("reasoning_text", text)
            case Signature(signature):
                started = self._begin_part("reasoning_text")
                thought = "".join(self._text)
                self._thinking.append({"type": "thinking", "thinking": thought, "signature": signature})
                return started + self._close()
            case Redacted(data):
                started = self._begin_part("reasoning_text")
                self._thinking.append({"type": "redacted_thinking", "data": data})
                return started + self._close()
            case ToolCall(index, identifier, name):
                self._places[index] = len(self._output)
                call = {"type": "function_call", "call_id": identifier, "name": name, "arguments": ""}
                return self._start("fc_", call)
            case Arguments(index, text):
                return self._add_arguments(index, text)
            case Stop():
                self._stop = piece
        return b""

    def end(self, usage: Usage) -> bytes:
        closed = self._close()
        response = self.whole(usage)
        return closed + self._event(f"response.{response['status']}", response=response)

    def whole(self, usage: Usage) -> dict[str, Any]:
        self._close()
        reason = _INCOMPLETE.get(self._stop.why)
        if reason and self._output:
            self._output[-1]["status"] = "incomplete"
        return {
            **self._frame,
            "status": "incomplete" if reason else "completed",
            "incomplete_details": {"reason": reason} if reason else None,
            "completed_at": None if reason else int(time.time()),
            "output": self._output,
            "usage": write_responses_usage(usage),
        }

    def _event(self, kind: str, **fields: Any) -> bytes:
        event = named_event({"type": kind, "sequence_number": self._number, **fields})
        self._number += 1
        return event

    def _start(self, prefix: str, item: dict[str, Any]) -> bytes:
        closed = self._close()
        item = {"id": new_id(prefix), "status": "in_progress", **item}
        self._output.append(item)
        self._open = True
        return closed + self._event("response.output_item.added", output_index=len(self._output) - 1, item=item)

    def _begin_part(self, kind: str) -> bytes:
        """The content part that a bit of `kind` belongs to: the open one, or a new one of the right item."""
        if self._open and self._parts() and self._parts()[-1]["type"] == kind:
            return b""
        wanted = "reasoning" if kind == "reasoning_text" else "message"
        started = b""
        if self._open and self._output[-1]["type"] == wanted:
            started = self._close_part()
        elif wanted == "reasoning":
            started = self._start("rs_", {"type": "reasoning", "summary": [], "content": []})
        else:
            started = self._start("msg_", {"type": "message", "role": "assistant", "content": []})
        part = _part(kind, "")
        self._parts().append(part)
        more: dict[str, Any] = {"logprobs": []} if kind == "output_text" else {}
        frame = named_event({"type": f"response.{kind}.delta", **self._where(), **more})
        self._delta = frame.removesuffix(b"}\n\n")
        return started + self._event("response.content_part.added", **self._where(), part=part)

    def _parts(self) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = self._output[-1].get("content", [])
        return parts

    def _where(self) -> dict[str, Any]:
        item = self._output[-1]
        return {"item_id": item["id"], "output_index": len(self._output) - 1, "content_index": len(self._parts()) - 1}

    def _grow(self, kind: str, text: str) -> bytes:
        if not text:
            return b""
        started = self._begin_part(kind)
        self._text.append(text)
        self._number += 1
        return b'%b%b,"sequence_number":%d,"delta":%b}\n\n' % (
            started,
            self._delta,
            self._number - 1,
            orjson.dumps(text),
        )

    def _close_part(self) -> bytes:
        kind = self._parts()[-1]["type"]
        text = "".join(self._text)
        self._text = []
        part = self._parts()[-1] = _part(kind, text)
        told: dict[str, Any] = {"refusal": text} if kind == "refusal" else {"text": text}
        if kind == "output_text":
            told["logprobs"] = []
        return self._event(f"response.{kind}.done", **self._where(), **told) + self._event(
            "response.content_part.done", **self._where(), part=part
        )

    def _close(self) -> bytes:
        """The open item is complete."""
        if not self._open:
            return b""
        self._open = False
        item = self._output[-1]
        closed = self._close_call(item) if item["type"] == "function_call" else self._close_part()
        if self._thinking:
            item["encrypted_content"] = seal(self._thinking)
            self._thinking = []
        item["status"] = "completed"
        return closed + self._event("response.output_item.done", output_index=len(self._output) - 1, item=item)

    def _close_call(self, item: dict[str, Any]) -> bytes:
        item["arguments"] = "".join(self._text)
        self._text = []
        return self._event(
            "response.function_call_arguments.done",
            item_id=item["id"],
            output_index=len(self._output) - 1,
            name=item["name"],
            arguments=item["arguments"],
        )

    def _add_arguments(self, index: int, text: str) -> bytes:
        """Arguments of a call that is closed, from an upstream that mixes several, show in the final response alone."""
        place = self._places.get(index)
        if place is None:
            return b""
        item = self._output[place]
        if not self._open or place != len(self._output) - 1:
            item["arguments"] += text
            return b""
        self._text.append(text)
        return self._event("response.function_call_arguments.delta", item_id=item["id"], output_index=place, delta=text)


def _part(kind: str, text: str) -> dict[str, Any]:
    if kind == "output_text":
        return {"type": kind, "text": text, "annotations": [], "logprobs": []}
    return {"type": kind, ("refusal" if kind == "refusal" else "text"): text}
