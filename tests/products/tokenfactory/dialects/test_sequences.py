"""The order of events, exactly: what clients that follow the documentation to the letter rely on."""

from __future__ import annotations

from typing import Any

import anthropic.types
import openai.types.chat
import openai.types.responses
import orjson
import pytest
from pydantic import TypeAdapter

from tests.products.tokenfactory.dialects.accumulating import events_of
from tests.products.tokenfactory.dialects.server import ARGUMENTS, REDACTED, SIGNATURE, TEXT, THOUGHTS
from tests.products.tokenfactory.dialects.test_streams import PAIRS, call_for, read, stream_of, whole_of

START, STOP, DELTA = "content_block_start", "content_block_stop", "content_block_delta"
ADDED, DONE = "response.output_item.added", "response.output_item.done"
PART, PART_DONE = "response.content_part.added", "response.content_part.done"
CALL = "response.function_call_arguments"

EVENTS: dict[str, Any] = {
    "chat": openai.types.chat.ChatCompletionChunk,
    "messages": anthropic.types.RawMessageStreamEvent,
    "responses": openai.types.responses.ResponseStreamEvent,
}
ANSWERS: dict[str, Any] = {
    "chat": openai.types.chat.ChatCompletion,
    "messages": anthropic.types.Message,
    "responses": openai.types.responses.Response,
}
"""The clients' own types; the clients themselves build what they get without a check."""


def through(pair: str, said: str) -> list[Any]:
    return events_of(read(PAIRS[pair].reader(call_for(pair)), stream_of(pair, said)))


def kinds(events: list[Any]) -> list[str]:
    """Types of events, each run of one type told once."""
    found = [each["type"] for each in events]
    return [kind for at, kind in enumerate(found) if not at or kind != found[at - 1]]


def test_a_message_with_two_calls() -> None:
    events = through("messages over openai", "two-tools")
    assert kinds(events) == [
        *("message_start", "ping"),
        *(START, DELTA, STOP),
        *(START, DELTA, STOP),
        *(START, DELTA, STOP),
        *("message_delta", "message_stop"),
    ]
    assert [each["index"] for each in events if each["type"] == START] == [0, 1, 2]
    blocks = [each["content_block"] for each in events if each["type"] == START]
    call = {"type": "tool_use", "name": "weather", "input": {}}
    assert blocks == [{"type": "text", "text": ""}, {**call, "id": "call_0"}, {**call, "id": "call_1"}]
    deltas = [each["delta"] for each in events if each["type"] == DELTA]
    inputs = [{"type": "input_json_delta", "partial_json": bit} for bit in ARGUMENTS]
    assert deltas == [*({"type": "text_delta", "text": bit} for bit in TEXT), *inputs, *inputs]
    assert events[-2]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert events[-2]["usage"] == {
        "input_tokens": 16,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 7,
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 3},
    }


def test_a_message_with_thoughts() -> None:
    events = through("messages over openai", "thinking")
    assert kinds(events)[2:-2] == [START, DELTA, STOP, START, DELTA, STOP]
    assert events[2]["content_block"] == {"type": "thinking", "thinking": "", "signature": ""}
    deltas = [each["delta"]["type"] for each in events if each["type"] == DELTA]
    assert deltas == ["thinking_delta"] * len(THOUGHTS) + ["text_delta"] * len(TEXT)


def test_a_chat_completion_with_thoughts() -> None:
    events = through("chat over anthropic", "thinking")
    assert events[-1] == "[DONE]"
    chunks = events[:-1]
    thinking = {"type": "thinking", "thinking": "".join(THOUGHTS), "signature": SIGNATURE}
    assert [chunk["choices"][0]["delta"] for chunk in chunks[:-1]] == [
        {"role": "assistant", "content": ""},
        *({"reasoning_content": bit} for bit in THOUGHTS),
        {"thinking_blocks": [{"index": 0, **thinking}]},
        {"thinking_blocks": [{"index": 1, "type": "redacted_thinking", "data": REDACTED}]},
        *({"content": bit} for bit in TEXT),
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 2) + ["stop"]
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["prompt_tokens"] == 23
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_a_chat_completion_hides_usage_from_who_did_not_ask() -> None:
    call = call_for("chat over anthropic")
    call.show_usage = False
    events = events_of(read(PAIRS["chat over anthropic"].reader(call), stream_of("chat over anthropic", "plain")))
    assert all("usage" not in chunk for chunk in events[:-1])


def test_a_response_with_thoughts() -> None:
    events = through("responses over anthropic", "thinking")
    assert kinds(events) == [
        *("response.created", "response.in_progress"),
        *(ADDED, PART, "response.reasoning_text.delta", "response.reasoning_text.done", PART_DONE, DONE),
        *(ADDED, PART, "response.reasoning_text.done", PART_DONE, DONE),
        *(ADDED, PART, "response.output_text.delta", "response.output_text.done", PART_DONE, DONE),
        "response.completed",
    ]
    items = events[-1]["response"]["output"]
    assert [item["type"] for item in items] == ["reasoning", "reasoning", "message"]
    assert all(item["status"] == "completed" for item in items)
    assert items[0]["encrypted_content"] != items[1]["encrypted_content"]


@pytest.mark.parametrize("pair", ["responses over anthropic", "responses over openai"])
def test_a_response_with_two_calls(pair: str) -> None:
    events = through(pair, "two-tools")
    assert kinds(events)[2:-1] == [
        *(ADDED, PART, "response.output_text.delta", "response.output_text.done", PART_DONE, DONE),
        *(ADDED, f"{CALL}.delta", f"{CALL}.done", DONE),
        *(ADDED, f"{CALL}.delta", f"{CALL}.done", DONE),
    ]
    outputs = [each["output_index"] for each in events if each["type"] in (ADDED, DONE)]
    assert outputs == [0, 0, 1, 1, 2, 2]
    done = [each["arguments"] for each in events if each["type"] == f"{CALL}.done"]
    assert done == ["".join(ARGUMENTS)] * 2


def test_a_native_message_passes_unchanged_but_for_its_model() -> None:
    pieces = stream_of("messages over anthropic", "thinking")
    out = read(PAIRS["messages over anthropic"].reader(call_for("")), pieces)
    assert out.split(b"\n\n")[1:] == b"".join(pieces).split(b"\n\n")[1:]
    assert events_of(out)[0]["message"]["model"] == "public"


@pytest.mark.parametrize("pair", sorted(PAIRS))
@pytest.mark.parametrize("said", ["plain", "tools", "two-tools", "thinking", "cut"])
def test_every_event_and_answer_is_of_its_clients_type(pair: str, said: str) -> None:
    api = pair.split()[0]
    for event in through(pair, said):
        if event not in ("[DONE]", {"type": "ping"}):
            TypeAdapter(EVENTS[api]).validate_python(event)
    answer = PAIRS[pair].answer(call_for(pair), b"application/json", whole_of(pair, said))
    TypeAdapter(ANSWERS[api]).validate_python(orjson.loads(answer.body))
