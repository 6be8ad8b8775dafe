"""Reading streams: however they are cut, the caller sees the same text, and the bill is the same."""

from __future__ import annotations

import json
from itertools import pairwise

import orjson
from hypothesis import given
from hypothesis import strategies as st

from ironworks.products.tokenfactory.gateway.answers import read_usage
from ironworks.products.tokenfactory.gateway.model import Usage
from ironworks.products.tokenfactory.gateway.stream import StreamReader
from tests.products.tokenfactory.upstream import USAGE, delta, event, usage_chunk

WORDS = st.text(max_size=6) | st.sampled_from(
    ['"', "\\", '\\"', '"usage":{', "[DONE]", "data: [DONE]\n\n", '"error"', '"content":"', "\n\n", '"model":"x"', " a"]
)


def encode(value: object, style: str) -> bytes:
    """As engines write it: compact or spaced, escaped or not."""
    if style == "orjson":
        return b"data: " + orjson.dumps(value) + b"\n\n"
    separators = (", ", ": ") if style == "spaced" else (",", ":")
    return b"data: " + json.dumps(value, separators=separators, ensure_ascii=style == "ascii").encode() + b"\n\n"


@given(
    words=st.lists(WORDS, max_size=12),
    style=st.sampled_from(["orjson", "spaced", "ascii", "compact"]),
    cuts=st.lists(st.integers(0, 4000), max_size=12),
    aligned=st.booleans(),
    renamed=st.booleans(),
    shown=st.booleans(),
    crlf=st.booleans(),
    together=st.integers(1, 12),
)
def test_any_cut_of_any_text(
    words: list[str],
    style: str,
    cuts: list[int],
    aligned: bool,
    renamed: bool,
    shown: bool,
    crlf: bool,
    together: int,
) -> None:
    model = "served" if renamed else "public"
    events = [encode(delta(model, ""), style)]
    events += [encode(delta(model, word), style) for word in words]
    events += [
        encode(delta(model, None, "stop"), style),
        encode(usage_chunk(model), style),
        event(b"[DONE]"),
        b": late\n\n",
    ]
    if crlf:
        events = [each.replace(b"\n", b"\r\n") for each in events]
    data = b"".join(events)
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = events if aligned else [data[a:b] for a, b in pairwise(places)]
    reader = StreamReader("public", shown)
    out = b""
    for first in range(0, len(pieces), together):
        if not reader.done:
            out += reader.feed(pieces[first : first + together])
    assert reader.done
    assert reader.fault is None
    assert reader.usage == read_usage(USAGE)
    assert b"[DONE]" not in out.split(b"\n\n")
    chunks = [json.loads(part.removeprefix(b"data: ")) for part in out.split(b"\n\n") if part]
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"]) == "".join(words)
    assert {chunk["model"] for chunk in chunks} == {"public"}
    assert any(chunk.get("usage") for chunk in chunks) is shown
    assert reader.tokens == sum(bool(word) for word in words)


@given(texts=st.lists(st.binary(max_size=20), max_size=6), order=st.randoms(use_true_random=False))
def test_what_is_like_the_last_event_cannot_hide_an_end(texts: list[bytes], order: object) -> None:
    """A malicious server: the frame of a text event around bytes that are no text."""
    head, _, tail = event(delta("public", "@")).partition(b"@")
    reader = StreamReader("public", False)
    reader.feed([head + b" a" + tail])
    hidden = b'"},"x":[]}]}\n\ndata: [DONE]\n\ndata: {"choices":[{"delta":{"content":"'
    out = reader.feed([head + text + tail for text in texts] + [head + hidden + tail])
    assert reader.done or reader.fault
    assert b"[DONE]" not in out.split(b"\n\n")


def test_an_event_without_an_end_is_given_up() -> None:
    reader = StreamReader("public", False)
    for _ in range(9):
        assert reader.feed([b"x" * 1_000_000]) == b""
    assert reader.fault is not None


def test_other_text_counts_too() -> None:
    reader = StreamReader("public", False)
    for choice in (
        {"text": "a"},
        {"delta": {"reasoning_content": "b"}},
        {"delta": {"tool_calls": [{"function": {"arguments": "{"}}]}},
        {"delta": {"role": "assistant", "content": None}},
        {"delta": {"content": ""}},
    ):
        reader.feed([event({"model": "public", "choices": [choice]})])
    assert reader.tokens == 3


def test_every_kind_of_token_that_is_told_is_counted() -> None:
    told = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 30, "audio_tokens": 20},
        "completion_tokens_details": {"reasoning_tokens": 10, "audio_tokens": 25, "rejected_prediction_tokens": -1},
    }
    assert read_usage(told) == Usage(100, 30, 50, False, 10, 20, 25)
    reader = StreamReader("public", False)
    shown = reader.feed([event(delta("public", "a")), event(usage_chunk("public", told))])
    assert b"usage" not in shown
    assert reader.usage == read_usage(told)
