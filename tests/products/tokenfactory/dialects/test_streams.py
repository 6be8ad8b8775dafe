"""However a stream is cut, and whichever dialects lie between: its translation is that of the whole answer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironworks.products.tokenfactory.gateway.dialects import (
    messages_native,
    messages_to_openai,
    openai_to_anthropic,
    responses_to_anthropic,
    responses_to_openai,
)
from ironworks.products.tokenfactory.gateway.dialects.base import Adapter, Reader
from ironworks.products.tokenfactory.gateway.model import Call, Usage
from tests.products.tokenfactory.dialects import server
from tests.products.tokenfactory.dialects.accumulating import chat_of, events_of, message_of, response_of
from tests.products.tokenfactory.upstream import event

PAIRS: dict[str, Adapter] = {
    "chat over anthropic": openai_to_anthropic.ADAPTER,
    "messages over anthropic": messages_native.ADAPTER,
    "messages over openai": messages_to_openai.ADAPTER,
    "responses over anthropic": responses_to_anthropic.ADAPTER,
    "responses over openai": responses_to_openai.ADAPTER,
}
ACCUMULATE = {"chat": chat_of, "messages": message_of, "responses": response_of}
USAGE = Usage(23, 7, 9, False, 3)


def call_for(pair: str, **more: Any) -> Call:
    return Call("public", {"model": "public", "messages": [], "input": "x"}, b"x" * 40, True, show_usage=True, **more)


def stream_of(pair: str, said: str) -> list[bytes]:
    return server.messages_events(said) if pair.endswith("anthropic") else server.chat_events(said)


def whole_of(pair: str, said: str) -> bytes:
    return json.dumps(server.message(said) if pair.endswith("anthropic") else server.completion(said)).encode()


def read(reader: Reader, pieces: Iterable[bytes]) -> bytes:
    """The caller's whole stream."""
    out = b""
    for piece in pieces:
        if not reader.done and not reader.fault:
            out += reader.feed([piece])
    if not reader.done and not reader.fault:
        out += reader.finish()
    return out + (b"" if reader.fault else reader.last())


@given(
    pair=st.sampled_from(sorted(PAIRS)),
    said=st.sampled_from(["plain", "tools", "two-tools", "thinking", "cut"]),
    cuts=st.lists(st.integers(0, 6000), max_size=20),
    crlf=st.booleans(),
    comments=st.booleans(),
)
def test_a_stream_says_what_the_whole_answer_says(
    pair: str, said: str, cuts: list[int], crlf: bool, comments: bool
) -> None:
    call = call_for(pair)
    data = (b": ping\n\n" if comments else b"").join(stream_of(pair, said))
    if crlf:
        data = data.replace(b"\n", b"\r\n")
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    reader = PAIRS[pair].reader(call)
    out = read(reader, [data[a:b] for a, b in pairwise(places)])
    assert reader.done
    assert reader.fault is None
    assert reader.usage == USAGE
    answer = PAIRS[pair].answer(call, b"application/json", whole_of(pair, said))
    assert answer.usage == USAGE
    accumulate = ACCUMULATE[pair.split()[0]]
    assert _without_ids(accumulate(events_of(out))) == _without_ids(orjson.loads(answer.body))


def _without_ids(value: Any) -> Any:
    """Ids and times differ between two answers."""
    if isinstance(value, dict):
        left = ("id", "created", "created_at", "completed_at", "item_id", "object")
        return {name: _without_ids(inner) for name, inner in value.items() if name not in left}
    return [_without_ids(inner) for inner in value] if isinstance(value, list) else value


@given(
    words=st.lists(
        st.text(max_size=8) | st.sampled_from(['"', "\\", "message_stop", '"message_', "data: [DONE]\n\n", '"error"']),
        min_size=1,
        max_size=10,
    ),
    ascii_only=st.booleans(),
    cuts=st.lists(st.integers(0, 4000), max_size=10),
)
def test_any_text_passes(words: list[str], ascii_only: bool, cuts: list[int]) -> None:
    """Text that looks like the dialect's own words stays text, in each of the five ways through."""
    text = "".join(words)
    for pair, adapter in PAIRS.items():
        frames = [chunk for word in words for chunk in _text_frames(pair, word)]
        head, tail = _around(pair)
        data = b"".join(_encode(each, ascii_only, pair) for each in (*head, *frames, *tail))
        if pair.endswith("openai"):
            data += b"data: [DONE]\n\n"
        places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
        reader = adapter.reader(call_for(pair))
        out = read(reader, [data[a:b] for a, b in pairwise(places)])
        assert reader.fault is None, pair
        assert _text_of(pair, out) == text, pair


def _text_frames(pair: str, word: str) -> list[dict[str, Any]]:
    if pair.endswith("openai"):
        return [{"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]}]
    return [{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}]


def _around(pair: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    if pair.endswith("openai"):
        return [], [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
    begun = {**server.message("plain"), "content": []}
    return (
        [
            {"type": "message_start", "message": begun},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        ],
        [
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
            {"type": "message_stop"},
        ],
    )


def _encode(value: dict[str, Any], ascii_only: bool, pair: str) -> bytes:
    name = f"event: {value['type']}\n".encode() if pair.endswith("anthropic") else b""
    return name + b"data: " + json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_only).encode() + b"\n\n"


def _text_of(pair: str, out: bytes) -> str:
    made = ACCUMULATE[pair.split()[0]](events_of(out))
    if "choices" in made:
        return str(made["choices"][0]["message"]["content"])
    blocks = made["content"] if "content" in made else [p for item in made["output"] for p in item["content"]]
    return "".join(block["text"] for block in blocks)


@pytest.mark.parametrize("pair", sorted(PAIRS))
def test_a_stream_that_ends_before_its_answer_is_a_fault(pair: str) -> None:
    reader = PAIRS[pair].reader(call_for(pair))
    read(reader, stream_of(pair, "dies"))
    assert reader.fault is not None
    assert reader.tokens > 0
    if pair.endswith("anthropic"):
        assert reader.usage is not None
        assert (reader.usage.input_tokens, reader.usage.counted) == (23, True)
        assert reader.usage.output_tokens == reader.tokens


@pytest.mark.parametrize("pair", [pair for pair in sorted(PAIRS) if pair.endswith("openai")])
def test_a_stream_may_end_without_done_once_its_answer_has(pair: str) -> None:
    reader = PAIRS[pair].reader(call_for(pair))
    read(reader, stream_of(pair, "plain")[:-1])
    assert reader.fault is None


@pytest.mark.parametrize("pair", sorted(PAIRS))
def test_an_error_in_a_stream_is_a_fault(pair: str) -> None:
    reader = PAIRS[pair].reader(call_for(pair))
    out = read(reader, stream_of(pair, "error-in-stream"))
    assert reader.fault is not None
    assert reader.fault.status == 502
    assert b"out of memory" not in out
    assert b"Overloaded" not in out


@pytest.mark.parametrize("pair", sorted(PAIRS))
@pytest.mark.parametrize("rubbish", [b"data: <html>\n\n", b"data: [1]\n\n", b'event: error\ndata: {"error"\n\n'])
def test_rubbish_in_a_stream_is_a_fault(pair: str, rubbish: bytes) -> None:
    reader = PAIRS[pair].reader(call_for(pair))
    reader.feed([rubbish])
    if pair != "messages over anthropic":  # passes what it need not look at
        assert reader.fault is not None


@pytest.mark.parametrize("pair", sorted(PAIRS))
def test_an_event_without_an_end_is_given_up(pair: str) -> None:
    reader = PAIRS[pair].reader(call_for(pair))
    for _ in range(9):
        reader.feed([b"x" * 1_000_000])
    assert reader.fault is not None


@pytest.mark.parametrize("pair", sorted(PAIRS))
def test_a_stream_without_usage_is_counted(pair: str) -> None:
    reader = PAIRS[pair].reader(call_for(pair))
    read(reader, stream_of(pair, "no-usage"))
    assert reader.done
    assert reader.usage is None
    assert reader.tokens >= len(server.TEXT)


def test_usage_with_choices_and_running_totals_keep_the_last() -> None:
    reader = messages_to_openai.ADAPTER.reader(call_for("messages over openai"))
    for made in range(1, 4):
        choice = {"index": 0, "delta": {"content": "a"}, "finish_reason": None}
        reader.feed([event({"choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": made}})])
    reader.feed([event(b"[DONE]")])
    assert reader.usage == Usage(5, 0, 3)


def test_calls_whose_arguments_come_mixed_keep_their_own() -> None:
    def call(number: int, **more: Any) -> bytes:
        return event({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": number, **more}]}}]})

    pieces = [
        call(0, id="a", function={"name": "one", "arguments": ""}),
        call(1, id="b", function={"name": "two", "arguments": '{"x"'}),
        call(0, function={"arguments": '{"y":1}'}),
        call(1, function={"arguments": ":2}"}),
        event(b"[DONE]"),
    ]
    for pair in ("messages over openai", "responses over openai"):
        made = ACCUMULATE[pair.split()[0]](events_of(read(PAIRS[pair].reader(call_for(pair)), pieces)))
        if "content" in made:
            assert [block["input"] for block in made["content"]] == [{"y": 1}, {"x": 2}]
        else:
            assert [json.loads(item["arguments"]) for item in made["output"]] == [{"y": 1}, {"x": 2}]


def test_a_tool_without_arguments_gets_an_empty_object() -> None:
    block = {"type": "tool_use", "id": "t", "name": "now", "input": {}}
    begun = {**server.message("plain"), "content": []}
    pieces = [
        event({"type": "message_start", "message": begun}),
        event({"type": "content_block_start", "index": 0, "content_block": block}),
        event({"type": "content_block_stop", "index": 0}),
        event({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 3}}),
        event({"type": "message_stop"}),
    ]
    out = read(openai_to_anthropic.ADAPTER.reader(call_for("chat over anthropic")), pieces)
    message = chat_of(events_of(out))["choices"][0]["message"]
    assert message["tool_calls"][0]["function"]["arguments"] == "{}"


def test_the_model_is_renamed_only_where_it_is_the_models_name() -> None:
    told = {
        **server.message("plain"),
        "content": [{"type": "tool_use", "id": "t", "name": "n", "input": {"model": "T"}}],
    }
    answer = messages_native.ADAPTER.answer(call_for(""), b"application/json", json.dumps(told).encode())
    assert orjson.loads(answer.body)["model"] == "public"
    assert orjson.loads(answer.body)["content"][0]["input"] == {"model": "T"}


def test_what_was_cached_is_input() -> None:
    answer = messages_native.ADAPTER.answer(
        call_for(""), b"application/json", json.dumps(server.message("plain")).encode()
    )
    assert answer.usage == USAGE


@pytest.mark.parametrize(
    ("most", "thinking"),
    [
        (None, {"type": "enabled", "budget_tokens": 5000}),
        (6000, {"type": "enabled", "budget_tokens": 5000}),
        (4000, {"type": "enabled", "budget_tokens": 2000}),
        (1500, None),
    ],
)
def test_thinking_fits_into_what_a_budget_still_pays_for(most: int | None, thinking: object) -> None:
    payload = {"max_tokens": 9000, "messages": [], "thinking": {"type": "enabled", "budget_tokens": 5000}}
    call = Call("m", payload, b"")
    asked = orjson.loads(messages_native.ADAPTER.request(call, "served", most)[0])
    assert (asked["max_tokens"], asked.get("thinking")) == (most or 9000, thinking)
    assert payload["thinking"] == {"type": "enabled", "budget_tokens": 5000}
