"""Speech, transcriptions, reranking and moderations: what passes, what is refused, and what is metered."""

from __future__ import annotations

import io
import json
import wave
from typing import Any

import httpx
import openai
import pytest

from ironworks.products.tokenfactory.gateway.dialects.messages import read_messages
from ironworks.products.tokenfactory.gateway.dialects.native import read_chat
from ironworks.products.tokenfactory.gateway.dialects.responses import read_response
from ironworks.products.tokenfactory.gateway.dialects.transcriptions import (
    TranscriptionAdapter,
    read_transcription,
    read_usage,
)
from ironworks.products.tokenfactory.gateway.model import Call, Usage
from tests.products.tokenfactory.dialects.server import Models
from tests.products.tokenfactory.world import World

IMAGE = "data:image/png;base64," + "A" * 400_000
BLOCK = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 400_000}}
RESULT = {"type": "tool_result", "tool_use_id": "t", "content": [BLOCK]}
LIKE_ONE = {"type": "text", "text": IMAGE}
STRANGE = {"role": "user", "content": [{"type": "x"}]}
HEARD = {"input_token_details": {"audio_tokens": 8}}


def recording(seconds: float) -> bytes:
    """Silence as a WAV file of 8 kHz, 16 bit, one channel."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(int(seconds * 16_000)))
    return file.getvalue()


async def extra(world: World) -> dict[str, int]:
    """What was billed besides tokens, of which there are none."""
    record = (await world.ledger.expect(1))[0]
    assert (record.input_tokens, record.output_tokens) == (0, 0)
    return dict(map(tuple, record.extra))  # type: ignore[arg-type]


async def test_speech_is_metered_by_characters(world: World, models: Models) -> None:
    spoken = await world.openai().audio.speech.create(model="openai-plain", input="Grüße", voice="alloy")
    assert spoken.response.headers["content-type"] == "audio/wav"
    assert spoken.content == b"RIFF\x00\x01\xff sound"
    assert models.last == {"model": "plain", "input": "Grüße", "voice": "alloy"}
    assert await extra(world) == {"speech_characters": 5}


async def test_speech_streams_events(world: World) -> None:
    async with world.http() as http:
        body = {"model": "openai-plain", "input": "Hello", "voice": "alloy", "stream_format": "sse"}
        answer = await http.post("/v1/audio/speech", json=body)
    events = [part for part in answer.text.split("\n\n") if part.startswith("data: ")]
    assert "speech.audio.delta" in events[0]
    assert "speech.audio.done" in events[-1]
    assert await extra(world) == {"speech_characters": 5}


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ({"response_format": "verbose_json"}, 4),  # 3.2 by the answer
        ({"prompt": "seconds"}, 5),  # by its usage
        ({"response_format": "srt"}, 8),  # 7.3 by its last time stamp
        ({}, 2),  # 1.5 by the recording's own header
    ],
)
async def test_transcriptions_are_metered_by_seconds(
    world: World, models: Models, asked: dict[str, Any], seconds: int
) -> None:
    file = ("a.wav", recording(1.5), "audio/wav")
    said = await world.openai().audio.transcriptions.create(model="openai-plain", file=file, **asked)
    assert "Hello" in (said if isinstance(said, str) else said.text)
    assert b'name="model"\r\n\r\nplain\r\n' in models.last
    assert recording(1.5) in models.last
    assert await extra(world) == {"audio_seconds": seconds}


async def test_a_transcription_may_stream_and_be_metered_by_tokens(world: World) -> None:
    file = ("a.wav", recording(1), "audio/wav")
    stream = await world.openai().audio.transcriptions.create(model="openai-plain", file=file, stream=True)
    kinds = [event.type async for event in stream]
    assert kinds == ["transcript.text.delta", "transcript.text.done"]
    record = (await world.ledger.expect(1))[0]
    assert (record.input_tokens, record.output_tokens, record.counted) == (14, 2, False)
    assert list(record.extra) == []


def form(*fields: tuple[str, str], head: str = "") -> bytes:
    parts = [f'--b\r\ncontent-disposition: form-data; name="{name}"{head}\r\n\r\n{value}' for name, value in fields]
    return "\r\n".join((*parts, "--b--", "")).encode()


WHOLE = (("model", "openai-plain"), ("file", "x"))


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (form(*WHOLE, ("model", "openai-tools")), "multipart/form-data; boundary=b"),
        (form(("model", "openai-plain")), "multipart/form-data; boundary=b"),
        (form(("file", "x")), "multipart/form-data; boundary=b"),
        (form(*WHOLE, ("response_format", "xml")), "multipart/form-data; boundary=b"),
        (form(*WHOLE, ("stream", "perhaps")), "multipart/form-data; boundary=b"),
        (form(*WHOLE, head='; name="y"'), "multipart/form-data; boundary=b"),
        (form(*WHOLE), "multipart/form-data"),
        (form(*WHOLE), "multipart/form-data; boundary=c"),
        (b"preamble\r\n" + form(*WHOLE), "multipart/form-data; boundary=b"),
        (form(*WHOLE) + b"epilogue", "multipart/form-data; boundary=b"),
        (form(*WHOLE)[:-4], "multipart/form-data; boundary=b"),
        (form(*WHOLE).replace(b"\r\n", b"\n"), "multipart/form-data; boundary=b"),
        (form(*((f"f{number}", "x") for number in range(70))), "multipart/form-data; boundary=b"),
    ],
)
async def test_a_form_that_two_readers_could_take_differently_is_refused(
    world: World, models: Models, body: bytes, content_type: str
) -> None:
    async with world.http() as http:
        answer = await http.post("/v1/audio/transcriptions", content=body, headers={"content-type": content_type})
    assert answer.status_code == 400
    assert models.asked == []


async def test_a_form_must_be_one(world: World) -> None:
    async with world.http() as http:
        answer = await http.post("/v1/audio/transcriptions", json={"model": "openai-plain"})
    assert answer.status_code == 415


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"type": "duration", "seconds": 4.01}, Usage(extra=(("audio_seconds", 5),))),
        ({"type": "duration", "seconds": 0}, Usage(extra=(("audio_seconds", 0),))),
        ({"type": "duration", "seconds": -1}, None),
        ({"type": "duration", "seconds": 1e99}, None),
        ({"type": "duration", "seconds": "many"}, None),
        (
            {"input_tokens": 9, "output_tokens": 2, "input_token_details": {"audio_tokens": 8}},
            Usage(9, 0, 2, False, 0, 8),
        ),
        ({"input_tokens": -9, "output_tokens": 2}, None),
        (None, None),
    ],
)
def test_the_usage_of_a_transcription(told: Any, usage: Usage | None) -> None:
    assert read_usage(told) == usage


def test_a_recording_of_unknown_format_is_measured_by_its_size() -> None:
    call = Call(
        "m", None, form(("model", "m"), ("file", "x" * 40_000)), content_type=b"multipart/form-data; boundary=b"
    )
    assert TranscriptionAdapter().guess(call, b"") == Usage(counted=True, extra=(("audio_seconds", 3),))


@pytest.mark.parametrize(("said", "tokens", "documents"), [("plain", 31, {}), ("no-usage", 0, {"rerank_documents": 2})])
async def test_reranking(world: World, said: str, tokens: int, documents: dict[str, int]) -> None:
    body = {"model": f"openai-{said}", "query": "a?", "documents": ["b", "c"], "top_n": 2}
    async with world.http() as http:
        answer = (await http.post("/v1/rerank", json=body)).json()
    assert [result["index"] for result in answer["results"]] == [1, 0]
    assert answer["model"] == f"openai-{said}"
    record = (await world.ledger.expect(1))[0]
    assert (record.input_tokens, record.counted, dict(map(tuple, record.extra))) == (tokens, False, documents)


async def test_moderations_pass_where_they_are_offered(world: World) -> None:
    answer = await world.openai().moderations.create(model="openai-plain", input="Hi")
    assert answer.results[0].flagged is False
    assert answer.model == "openai-plain"
    with pytest.raises(openai.BadRequestError) as caught:
        await world.openai().moderations.create(model="openai-elsewhere", input="Hi")
    assert caught.value.code == "unsupported_operation"
    with pytest.raises(openai.BadRequestError) as caught:
        await world.openai().moderations.create(model="anthropic-plain", input="Hi")
    assert caught.value.code == "model_not_supported"


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/audio/speech", {"voice": "alloy"}, "input"),
        ("/v1/audio/speech", {"input": ""}, "input"),
        ("/v1/audio/speech", {"input": "x", "stream_format": "ogg"}, "stream_format"),
        ("/v1/rerank", {"documents": ["a"]}, "query"),
        ("/v1/rerank", {"query": "a", "documents": []}, "documents"),
        ("/v1/rerank", {"query": "a", "documents": ["a"], "stream": True}, "stream"),
        ("/v1/moderations", {}, "input"),
        ("/v1/responses", {}, "input"),
        ("/v1/responses", {"input": 5}, "input"),
        ("/v1/responses", {"input": "x", "stream": "yes"}, "stream"),
        ("/v1/responses", {"input": "x", "max_output_tokens": "9"}, "max_output_tokens"),
        ("/v1/responses", {"input": "x", "store": 1}, "store"),
        ("/v1/responses", {"input": "x", "metadata": {str(n): "x" for n in range(6)}}, "metadata"),
        ("/v1/responses", {"input": "x", "metadata": {"k": "v" * 513}}, "metadata"),
        ("/v1/responses", {"input": "x", "metadata": {"k": {}}}, "metadata"),
        ("/v1/responses", {"input": "x", "text": {"format": {"type": "xml"}}}, "text.format.type"),
        ("/v1/responses", {"input": [{"role": "king", "content": "x"}]}, "input.0.role"),
        ("/v1/messages", {"messages": [{"role": "user", "content": "x"}]}, "max_tokens"),
        ("/v1/messages", {"max_tokens": 0, "messages": [{"role": "user", "content": "x"}]}, "max_tokens"),
        ("/v1/messages", {"max_tokens": 5}, "messages"),
        ("/v1/messages", {"max_tokens": 5, "messages": "x"}, "messages"),
        ("/v1/messages", {"max_tokens": 5, "messages": [{"role": "king", "content": "x"}]}, "messages.0.role"),
        (
            "/v1/messages",
            {"max_tokens": 5, "messages": [{"role": "user", "content": [{"type": "x"}]}]},
            "messages.0.content.0.type",
        ),
        ("/v1/messages/count_tokens", {"messages": []}, "messages"),
    ],
)
async def test_a_wrong_field_is_named(world: World, path: str, body: dict[str, Any], param: str) -> None:
    async with world.http() as http:
        answer = await http.post(path, json={"model": "openai-plain", **body})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


async def test_metadata_may_come_in_a_header(world: World) -> None:
    body = {"model": "openai-plain", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
    async with world.http() as http:
        headers = {"x-ironworks-metadata": '{"team":"a","n":5,"on":true}'}
        assert (await http.post("/v1/messages", json=body, headers=headers)).status_code == 200
        headers = {"x-ironworks-metadata": "team=a"}
        refused = await http.post("/v1/messages", json=body, headers=headers)
    assert refused.json()["error"]["param"] == "x-ironworks-metadata"
    assert (await world.ledger.expect(1))[0].metadata == {"team": "a", "n": "5", "on": "true"}


async def test_a_caller_who_leaves_a_count_is_billed_nothing(world: World) -> None:
    async with world.http() as http:
        body = {"model": "openai-waits", "messages": [{"role": "user", "content": "Hi"}]}
        with pytest.raises(httpx.ReadTimeout):
            await http.post("/v1/messages/count_tokens", json=body, timeout=0.3)
    record = (await world.ledger.expect(1))[0]
    assert (record.status, record.input_tokens, record.counted) == (499, 0, False)


@pytest.mark.parametrize(
    ("read", "body"),
    [
        (read_chat, {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": IMAGE}}]}]}),
        (read_response, {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": IMAGE}]}]}),
        (read_messages, {"max_tokens": 5, "messages": [{"role": "user", "content": [BLOCK]}]}),
        (read_messages, {"max_tokens": 5, "messages": [{"role": "user", "content": [RESULT]}]}),
    ],
)
def test_an_image_counts_as_one_and_not_by_its_bytes(read: Any, body: dict[str, Any]) -> None:
    call = read(json.dumps({"model": "m", **body}).encode(), {})
    assert call.images == 1
    assert 0 < len(call.body) - call.inline < 300


@pytest.mark.parametrize(
    ("read", "body"),
    [
        (read_chat, {"messages": [{"role": "user", "content": [{"type": "text", "text": IMAGE}]}]}),
        (read_chat, {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_data": IMAGE}}]}]}),
        (read_response, {"input": [{"role": "user", "content": [{"type": "input_text", "text": IMAGE}]}]}),
        (
            read_messages,
            {"max_tokens": 5, "messages": [{"role": "user", "content": [{"type": "text", "text": IMAGE}]}]},
        ),
    ],
)
def test_text_that_looks_like_an_image_is_text(read: Any, body: dict[str, Any]) -> None:
    """Else a budget would hold nothing for it."""
    call = read(json.dumps({"model": "m", **body}).encode(), {})
    assert call.inline == 0


def test_what_is_metered_besides_tokens_is_bounded_before_it_starts() -> None:
    body = form(("model", "m"), ("file", "x" * 16_000))
    call = read_transcription(body, {b"content-type": b"multipart/form-data; boundary=b"})
    assert call.extra == (("audio_seconds", 32),)
    assert len(call.body) - call.inline < 200
    guess = dict(TranscriptionAdapter().guess(call, b"").extra)
    assert guess["audio_seconds"] <= 32


def test_a_recording_that_lies_about_its_length_has_at_least_what_its_bytes_say() -> None:
    lie = bytearray(recording(60))
    lie[28:32] = (2**31).to_bytes(4, "little")
    body = form(("model", "m"), ("file", lie.decode("latin-1"))).decode().encode("latin-1")
    call = Call("m", None, body, content_type=b"multipart/form-data; boundary=b")
    assert dict(TranscriptionAdapter().guess(call, b"").extra)["audio_seconds"] == 3
