"""Whatever stands where in a request: it is translated, or refused with the field's name; nothing breaks."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironworks.products.tokenfactory.gateway.dialects import APIS
from ironworks.products.tokenfactory.gateway.model import Refusal
from tests.products.tokenfactory.dialects import server

CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
PARTS = [
    {"type": "text", "text": "x"},
    {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
    {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "x"}},
]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": PARTS},
            {"role": "assistant", "content": "a", "tool_calls": [CALL], "thinking_blocks": [{"type": "thinking"}]},
            {"role": "tool", "tool_call_id": "c", "content": "r"},
            {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "functions": [{"name": "g"}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "stop": ["x"],
        "n": 1,
        "temperature": 0.5,
        "max_tokens": 9000,
        "reasoning_effort": "high",
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
        "user": "u",
        "modalities": ["text"],
        "parallel_tool_calls": False,
        "stream": True,
        "stream_options": {"include_usage": True},
    },
    "/v1/messages": {
        "max_tokens": 50,
        "system": [{"type": "text", "text": "s"}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "x"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}},
                    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "t", "signature": "s"},
                    {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": [PARTS[0]]}]},
        ],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "tool", "name": "f"},
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
        "metadata": {"user_id": "u"},
        "stop_sequences": ["x"],
        "stream": True,
    },
    "/v1/responses": {
        "instructions": "i",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "x"}]},
            {"role": "user", "content": [{"type": "input_image", "image_url": "https://x/y.png"}]},
            {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "t"}]},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "r"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]},
        ],
        "tools": [{"type": "function", "name": "f", "parameters": {}}],
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
        "text": {"format": {"type": "json_schema", "name": "x", "schema": {}}, "verbosity": "low"},
        "reasoning": {"effort": "low"},
        "include": ["reasoning.encrypted_content"],
        "metadata": {"k": "v"},
        "stream": True,
    },
    "/v1/rerank": {"query": "q", "documents": ["a", "b"]},
    "/v1/moderations": {"input": ["x"]},
    "/v1/audio/speech": {"input": "x", "voice": "v", "stream_format": "sse"},
    "/v1/embeddings": {"input": ["x"]},
    "/v1/completions": {"prompt": ["x"], "best_of": 2, "n": 2},
}
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        ["", "x", "user", "text", "function", "tool_result", "json_object", "none", "data:image/png;base64,"]
    ),
    st.sampled_from([[], {}, [[]], [{}], {"type": "text"}, [None], ["x"], {"x": 1}, [{"type": "tool_result"}]]),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in `value`."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in inner:
        yield from places(each, (*path, name))


@given(data=st.data(), path=st.sampled_from(sorted(BODIES)), count=st.integers(1, 3))
def test_an_odd_value_anywhere_is_translated_or_refused(data: st.DataObject, path: str, count: int) -> None:
    body = {"model": "m", **copy.deepcopy(BODIES[path])}
    for _ in range(count):
        *way, last = data.draw(st.sampled_from(list(places(body))))
        holder = body
        for step in way:
            holder = holder[step]
        holder[last] = copy.deepcopy(data.draw(ODD))
    api = APIS[path.encode()]
    most = data.draw(st.sampled_from([None, 5, 3000]))
    refusal: Refusal | None = None
    try:
        call = api.read(orjson.dumps(body), {})
        for adapter in api.adapters.values():
            asked, kind = adapter.request(call, "served", most)
            assert kind == b"application/json"
            assert orjson.loads(asked)["model"] == "served"
    except Refusal as raised:
        refusal = raised
    assert refusal is None or refusal.status == 400
    assert refusal is None or refusal.param


@given(
    data=st.data(),
    path=st.sampled_from(["/v1/chat/completions", "/v1/messages", "/v1/responses"]),
    dialect=st.sampled_from(["openai", "anthropic"]),
    said=st.sampled_from(["two-tools", "thinking"]),
    streamed=st.booleans(),
)
def test_an_odd_answer_is_translated_or_a_fault(
    data: st.DataObject, path: str, dialect: Any, said: str, streamed: bool
) -> None:
    """From a server that means ill, or is broken."""
    api = APIS[path.encode()]
    call = api.read(orjson.dumps({"model": "m", **BODIES[path]}), {})
    adapter = api.adapters[dialect]
    if not streamed:
        whole = copy.deepcopy(server.message(said) if dialect == "anthropic" else server.completion(said))
        _bend(data, whole)
        with suppress(Refusal):
            adapter.answer(call, b"application/json", json.dumps(whole).encode())
        adapter.guess(call, json.dumps(whole).encode())
        return
    reader = adapter.reader(call)
    for event in server.messages_events(said) if dialect == "anthropic" else server.chat_events(said):
        told = event.partition(b"data: ")[2].strip()
        if told != b"[DONE]" and data.draw(st.integers(0, 4)) == 0:
            value = json.loads(told)
            _bend(data, value)
            told = json.dumps(value).encode()
        if not reader.done and not reader.fault:
            reader.feed([b"data: " + told + b"\n\n"])
    if not reader.done and not reader.fault:
        reader.finish()
    if not reader.fault:
        reader.last()


def _bend(data: st.DataObject, value: Any) -> None:
    *way, last = data.draw(st.sampled_from(list(places(value))))
    for step in way:
        value = value[step]
    value[last] = copy.deepcopy(data.draw(ODD))


@pytest.mark.parametrize("path", sorted(BODIES))
def test_the_bodies_themselves_are_good(path: str) -> None:
    """Else the tests above would show nothing."""
    api = APIS[path.encode()]
    call = api.read(orjson.dumps({"model": "m", **BODIES[path]}), {})
    for dialect, adapter in api.adapters.items():
        if (path, dialect) != ("/v1/chat/completions", "anthropic"):
            adapter.request(call, "served", None)
