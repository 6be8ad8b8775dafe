"""OpenAI's `/v1/audio/speech`: a text in, sound out, as it comes or as events. Metered by the text's characters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import orjson

from ironworks.products.tokenfactory.gateway import wire
from ironworks.products.tokenfactory.gateway.dialects.base import Answer, Api, Reader, not_offered
from ironworks.products.tokenfactory.gateway.dialects.passing import PassingReader
from ironworks.products.tokenfactory.gateway.dialects.reading import (
    read_json,
    read_metadata,
    read_model,
    read_text,
    read_user,
)
from ironworks.products.tokenfactory.gateway.model import Call, Refusal, Usage, malformed, upstream_failed

SPEECH = "/v1/audio/speech"
CHARACTERS = "speech_characters"
_SOUND = re.compile(rb"(?:audio/[a-z0-9.+-]+|application/octet-stream)(?: *;[ -~]*)?", re.I)
_MOST_CHARACTERS = 1_000_000


def read_speech(body: bytes, headers: Mapping[bytes, bytes]) -> Call:
    """A text to be spoken. Raises Refusal."""
    payload = read_json(body, headers)
    model = read_model(payload)
    text = read_text(payload.get("input"), "input")
    if not 0 < len(text) <= _MOST_CHARACTERS:
        raise malformed(f"'input' must have 1 to {_MOST_CHARACTERS} characters", "input")
    shape = payload.get("stream_format")
    if shape not in (None, "audio", "sse"):
        raise malformed("'stream_format' must be 'audio' or 'sse'", "stream_format")
    return Call(
        model,
        payload,
        body,
        stream=shape == "sse",
        max_output=0,
        extra=((CHARACTERS, len(text)),),
        user=read_user(payload, "user"),
        metadata=read_metadata(headers),
    )


class SoundReader:
    """See `base.Reader`. All of it is shown; what it costs is owed once it has ended."""

    __slots__ = ("_owed", "done", "fault", "tokens", "usage")

    def __init__(self, owed: Usage) -> None:
        self.tokens = 0
        self.usage: Usage | None = None
        self.done = False
        self.fault: Refusal | None = None
        self._owed = owed

    def feed(self, pieces: Sequence[bytes]) -> bytes:
        return b"".join(pieces)

    def finish(self) -> bytes:
        self.usage = self._owed
        return b""

    def last(self) -> bytes:
        return b""


class SpeechAdapter:
    """OpenAI to OpenAI."""

    path = SPEECH

    def request(self, call: Call, served_as: str, max_output: int | None) -> tuple[bytes, bytes]:
        return orjson.dumps({**(call.payload or {}), "model": served_as}), wire.JSON

    def reader(self, call: Call) -> Reader:
        usage = self.guess(call, b"")
        return PassingReader("speech.audio.done", lambda _: usage) if call.stream else SoundReader(usage)

    def answer(self, call: Call, content_type: bytes, body: bytes) -> Answer:
        if not body or not _SOUND.fullmatch(content_type):
            raise upstream_failed("the model server's answer is no sound")
        return Answer(body, self.guess(call, body), content_type)

    def guess(self, call: Call, body: bytes) -> Usage:
        """No guess: what is metered came with the request."""
        return Usage(extra=call.extra)


SPEECH_API = Api(
    SPEECH,
    "openai",
    "text-to-speech",
    read_speech,
    {"openai": SpeechAdapter()},
    lambda refusal, _: wire.error_body(refusal),
    lambda refusal, _: wire.error_event(refusal),
    otherwise=not_offered,
    passes=_SOUND,
)
