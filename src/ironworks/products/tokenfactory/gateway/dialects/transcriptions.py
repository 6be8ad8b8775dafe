"""OpenAI's `/v1/audio/transcriptions`: a recording in, its words out.

Metered by seconds of sound, rounded up, as the answer tells them, or by tokens where it tells those. An answer without
either is measured by its last time stamp, by the recording's own header, or by its size.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from ironworks.products.tokenfactory.gateway import wire
from ironworks.products.tokenfactory.gateway.answers import parse_answer
from ironworks.products.tokenfactory.gateway.dialects.base import Answer, Api, not_offered
from ironworks.products.tokenfactory.gateway.dialects.multipart import (
    Part,
    form_type,
    one_text,
    read_parts,
    replace_field,
)
from ironworks.products.tokenfactory.gateway.dialects.passing import PassingReader
from ironworks.products.tokenfactory.gateway.dialects.reading import read_metadata, read_model
from ironworks.products.tokenfactory.gateway.dialects.usage import whole_number
from ironworks.products.tokenfactory.gateway.model import Call, Refusal, Usage, malformed, upstream_failed

TRANSCRIPTIONS = "/v1/audio/transcriptions"
SECONDS = "audio_seconds"
_TEXTS = frozenset({"text", "srt", "vtt"})
_FORMATS = frozenset({"json", "verbose_json", "diarized_json", *_TEXTS})
_TIME = re.compile(r"--> *(?:(\d+):)?(\d{2}):(\d{2}[.,]\d{3})")
_BYTES_PER_SECOND = 16_000
"""Of common speech recordings (128 kbit/s), for one of unknown format whose length nobody tells."""
_SLOWEST, _FASTEST = 500, 384_000
"""Bytes per second between which every recording lies: speech codecs at 4 kbit/s, two channels of 48 kHz as floats."""
_SECONDS_OF_AN_IMAGE = 160
"""So long a recording has no more tokens than an image is held for: models make at most 50 of a second."""
_MOST_SECONDS = 7 * 24 * 3600


def read_transcription(body: bytes, headers: Mapping[bytes, bytes]) -> Call:
    """A recording to be transcribed. Raises Refusal."""
    if b"content-encoding" in headers:
        raise Refusal(415, "unsupported_encoding", "send the body uncompressed")
    content_type = headers.get(b"content-type", b"")
    if not content_type.lower().startswith(b"multipart/form-data"):
        raise Refusal(415, "unsupported_media_type", "send the body as multipart/form-data")
    parts = read_parts(body, content_type)
    files = [part for part in parts if part.name == "file"]
    if len(files) != 1:
        raise malformed("'file' must be one file", "file")
    size = files[0].end - files[0].start
    longest = -(-size // _SLOWEST)
    shape = one_text(body, parts, "response_format")
    if shape not in (None, *_FORMATS):
        raise malformed(f"'response_format' must be one of {', '.join(sorted(_FORMATS))}", "response_format")
    stream = one_text(body, parts, "stream")
    if stream not in (None, "true", "false", "True", "False"):
        raise malformed("'stream' must be true or false", "stream")
    return Call(
        read_model({"model": one_text(body, parts, "model")}),
        None,
        body,
        stream=stream in ("true", "True"),
        content_type=form_type(content_type),
        max_output=0,
        images=1 + longest // _SECONDS_OF_AN_IMAGE,
        inline=size,
        extra=((SECONDS, longest),),
        metadata=read_metadata(headers),
    )


class TranscriptionAdapter:
    """OpenAI to OpenAI: the form passes with another model in it."""

    path = TRANSCRIPTIONS

    def request(self, call: Call, served_as: str, max_output: int | None) -> tuple[bytes, bytes]:
        return replace_field(call.body, _parts(call), "model", served_as), call.content_type

    def reader(self, call: Call) -> PassingReader:
        return PassingReader("transcript.text.done", read_usage)

    def answer(self, call: Call, content_type: bytes, body: bytes) -> Answer:
        answer = parse_answer(body)
        if content_type.lower().startswith(b"text/html") or (answer is not None and answer.get("error")):
            raise upstream_failed("the model server's answer is not what was asked for")
        if answer is not None and isinstance(answer.get("text"), str):
            return Answer(body, read_usage(answer.get("usage")) or _seconds(answer.get("duration")))
        if one_text(call.body, _parts(call), "response_format") not in _TEXTS or answer is not None:
            raise upstream_failed("the model server's answer is not what was asked for")
        return Answer(body, _seconds(_last_time(body)), b"text/plain; charset=utf-8")

    def guess(self, call: Call, body: bytes) -> Usage:
        file = next(part for part in _parts(call) if part.name == "file")
        sound = memoryview(call.body)[file.start : file.end]
        length = _wave_seconds(bytes(sound[:4096]), len(sound)) or len(sound) / _BYTES_PER_SECOND
        return Usage(counted=True, extra=((SECONDS, math.ceil(length)),))


def read_usage(usage: object) -> Usage | None:
    """A transcription's `usage`: seconds or tokens; None for none and for nonsense."""
    if not isinstance(usage, dict):
        return None
    if "seconds" in usage:
        return _seconds(usage["seconds"])
    given = whole_number(usage.get("input_tokens", usage.get("prompt_tokens")))
    made = whole_number(usage.get("output_tokens", usage.get("completion_tokens")))
    if given is None or made is None:
        return None
    return Usage(given, 0, made, input_audio_tokens=min(_audio(usage), given))


def _audio(usage: dict[str, Any]) -> int:
    details = usage.get("input_token_details")
    return (whole_number(details.get("audio_tokens")) or 0) if isinstance(details, dict) else 0


def _seconds(length: object) -> Usage | None:
    if isinstance(length, str):  # Whisper's own server tells its duration as a text
        length = float(length) if re.fullmatch(r"\d{1,7}(\.\d+)?", length) else None
    if not isinstance(length, int | float) or isinstance(length, bool) or not 0 <= length <= _MOST_SECONDS:
        return None
    return Usage(extra=((SECONDS, math.ceil(length)),))


def _last_time(body: bytes) -> float | None:
    """Where subtitles end, in seconds."""
    times = _TIME.findall(body.decode("utf-8", "replace"))
    if not times:
        return None
    hours, minutes, seconds = times[-1]
    return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))


def _wave_seconds(head: bytes, size: int) -> float | None:
    """Length of a WAV file (RIFF, "fmt " chunk): its size over its bytes per second. None for another format."""
    at = head.find(b"fmt ", 12)
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE" or at < 0:
        return None
    rate = int.from_bytes(head[at + 16 : at + 20], "little")
    return size / min(rate, _FASTEST) if rate else None


def _parts(call: Call) -> list[Part]:
    return read_parts(call.body, call.content_type)


TRANSCRIPTIONS_API = Api(
    TRANSCRIPTIONS,
    "openai",
    "speech-to-text",
    read_transcription,
    {"openai": TranscriptionAdapter()},
    lambda refusal, _: wire.error_body(refusal),
    lambda refusal, _: wire.error_event(refusal),
    otherwise=not_offered,
)
