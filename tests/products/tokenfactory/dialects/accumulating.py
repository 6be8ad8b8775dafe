"""What a client makes of a stream: the whole answer put together from its events, as the official SDKs do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


def events_of(stream: bytes) -> list[Any]:
    """The data of all events; `[DONE]` stays a text."""
    found = []
    for part in stream.split(b"\n\n"):
        data = b"\n".join(line[6:] for line in part.split(b"\n") if line.startswith(b"data: "))
        if data:
            found.append("[DONE]" if data == b"[DONE]" else json.loads(data))
    return found


def chat_of(events: Sequence[Any]) -> dict[str, Any]:
    """A chat completion."""
    assert events[-1] == "[DONE]"
    message: dict[str, Any] = {"role": None, "content": "", "refusal": None}
    answer: dict[str, Any] = {}
    for chunk in events[:-1]:
        if not chunk["choices"]:
            answer["usage"] = chunk["usage"]
            continue
        answer["model"] = chunk["model"]
        choice = chunk["choices"][0]
        for name, value in choice["delta"].items():
            _add(message, name, value)
        finish = choice["finish_reason"]
    for call in message.get("tool_calls", []):
        call.pop("index")
    if not message["content"] and "tool_calls" in message:
        message["content"] = None
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    return {**answer, "choices": [choice]}


def _add(message: dict[str, Any], name: str, value: Any) -> None:
    if name == "tool_calls":
        calls = message.setdefault("tool_calls", [])
        for call in value:
            if call["index"] == len(calls):
                calls.append(call)
            else:
                calls[call["index"]]["function"]["arguments"] += call["function"]["arguments"]
    elif name == "thinking_blocks":
        blocks = message.setdefault(name, [])
        for block in value:
            assert block.pop("index") == len(blocks)
            blocks.append(block)
    elif name == "role" or message.get(name) is None:
        message[name] = value
    else:
        message[name] += value


def message_of(events: Sequence[Any]) -> dict[str, Any]:
    """An Anthropic message."""
    assert events[0]["type"] == "message_start"
    assert events[-1]["type"] == "message_stop"
    message: dict[str, Any] = events[0]["message"]
    inputs: dict[int, str] = {}
    for each in events[1:-1]:
        match each["type"]:
            case "content_block_start":
                assert each["index"] == len(message["content"])
                message["content"].append(each["content_block"])
            case "content_block_delta":
                block, delta = message["content"][each["index"]], each["delta"]
                if delta["type"] == "input_json_delta":
                    inputs[each["index"]] = inputs.get(each["index"], "") + delta["partial_json"]
                else:
                    name = delta["type"].removesuffix("_delta")
                    block[name] += delta[name]
            case "message_delta":
                message |= each["delta"]
                message["usage"] |= each["usage"]
    for index, text in inputs.items():
        message["content"][index]["input"] = json.loads(text)
    return message


def response_of(events: Sequence[Any]) -> dict[str, Any]:
    """A response: the last event holds it, and it must be what the events before it said."""
    assert [each["sequence_number"] for each in events] == list(range(len(events)))
    assert [each["type"] for each in events[:2]] == ["response.created", "response.in_progress"]
    response: dict[str, Any] = events[-1]["response"]
    assert events[-1]["type"] == f"response.{response['status']}"
    done = [each["item"] for each in events if each["type"] == "response.output_item.done"]
    assert [item["id"] for item in done] == [item["id"] for item in response["output"]]
    said = "".join(each["delta"] for each in events if each["type"] == "response.output_text.delta")
    parts = [part for item in response["output"] for part in item.get("content", ())]
    assert said == "".join(part["text"] for part in parts if part["type"] == "output_text")
    return response
