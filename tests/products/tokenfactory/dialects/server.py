"""Model servers of both dialects that say the same thing: so that what a caller gets can be compared between them.

What is said is chosen by the request's `model`; both dialects' servers are one process on one port.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.products.tokenfactory.upstream import begin, event, send, whole

TEXT = ("Once", " upon", " a", " time", ", naïve ", "🐈", ".")
THOUGHTS = ("Let me", " think", ".")
ARGUMENTS = ('{"city"', ':"Par', 'is"}')
SIGNATURE = "c2lnbmVk"
REDACTED = "b3BhcXVl"
USAGE = {
    "prompt_tokens": 23,
    "completion_tokens": 9,
    "total_tokens": 32,
    "prompt_tokens_details": {"cached_tokens": 7},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
"""The same as Anthropic tells it, where the cache's part stands beside the rest."""
MESSAGES_USAGE = {
    "input_tokens": 12,
    "cache_creation_input_tokens": 4,
    "cache_read_input_tokens": 7,
    "output_tokens": 9,
    "output_tokens_details": {"thinking_tokens": 3},
}
BILLED = (23, 7, 9, False)
"""(input, cached, output, counted) of both."""


@dataclass
class Asked:
    """A request as a model server got it; `body` is JSON where it was JSON."""

    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Models:
    """The running servers. `pace` is the time between two events."""

    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    pace: float = 0.0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def last(self) -> Any:
        """The body of the last request."""
        return self.asked[-1].body


@asynccontextmanager
async def run_models() -> AsyncIterator[Models]:
    """Serve on loopback until the block ends."""
    models = Models()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while True:
                await _answer(models, await _read(reader), writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    models.port = server.sockets[0].getsockname()[1]
    try:
        yield models
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Asked:
    line, *rest = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (item.partition(":") for item in rest if item)}
    body: Any = await reader.readexactly(int(headers.get("content-length", "0")))
    if headers.get("content-type", "").startswith("application/json"):
        body = json.loads(body)
    return Asked(line.split()[1], headers, body)


async def _answer(models: Models, asked: Asked, writer: asyncio.StreamWriter) -> None:
    models.asked.append(asked)
    body = asked.body
    said = body["model"] if isinstance(body, dict) else ""
    if asked.path in OTHERS:
        OTHERS[asked.path](asked, writer)
        return
    anthropic = asked.path == "/v1/messages"
    if said in ERRORS:
        status, error = ERRORS[said]
        shown = {"type": "error", "error": error} if anthropic else {"error": error}
        whole(writer, json.dumps(shown).encode(), status)
    elif said == "html":
        whole(writer, b"<html>hello</html>", kind="text/html")
    elif body.get("stream"):
        begin(writer)
        for piece in messages_events(said) if anthropic else chat_events(said):
            send(writer, piece)
            await writer.drain()
            await asyncio.sleep(models.pace)
        writer.write(b"0\r\n\r\n")
    else:
        whole(writer, json.dumps(message(said) if anthropic else completion(said)).encode())


ERRORS = {
    "too-long": ("400 Bad Request", {"type": "invalid_request_error", "message": "the context has 8192 tokens"}),
    "busy": ("429 Too Many Requests", {"type": "rate_limit_error", "message": "slow down"}),
    "overloaded": ("529 Overloaded", {"type": "overloaded_error", "message": "Overloaded"}),
    "broken": ("500 Internal Server Error", {"type": "api_error", "message": "at 0xdeadbeef"}),
}


def message_of(said: str) -> dict[str, Any]:
    """What a chat completion's message holds."""
    body: dict[str, Any] = {"role": "assistant", "content": "".join(TEXT) if said != "tools" else None}
    if said == "thinking":
        body["reasoning_content"] = "".join(THOUGHTS)
    if said in ("tools", "two-tools"):
        body["tool_calls"] = [tool_call(number) for number in range(1 + (said == "two-tools"))]
    return body


def tool_call(number: int) -> dict[str, Any]:
    return {
        "id": f"call_{number}",
        "type": "function",
        "function": {"name": "weather", "arguments": "".join(ARGUMENTS)},
    }


def finish_of(said: str) -> str:
    return {"tools": "tool_calls", "two-tools": "tool_calls", "cut": "length"}.get(said, "stop")


def completion(said: str) -> dict[str, Any]:
    """A chat completion; `no-usage` comes without usage."""
    choice = {"index": 0, "message": message_of(said), "finish_reason": finish_of(said)}
    usage = {} if said == "no-usage" else {"usage": USAGE}
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": said, "choices": [choice], **usage}


def chat_deltas(said: str) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if said == "thinking":
        deltas += [{"reasoning_content": bit} for bit in THOUGHTS]
    if said != "tools":
        deltas += [{"content": bit} for bit in TEXT]
    for number in range({"tools": 1, "two-tools": 2}.get(said, 0)):
        call = tool_call(number)
        call["function"] = {**call["function"], "arguments": ""}
        deltas.append({"tool_calls": [{"index": number, **call}]})
        deltas += [{"tool_calls": [{"index": number, "function": {"arguments": bit}}]} for bit in ARGUMENTS]
    return deltas


def chat_events(said: str) -> list[bytes]:
    """A chat completion's stream with its usage."""

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": said, "choices": [choice]}

    events = [event(chunk(delta)) for delta in chat_deltas(said)]
    if said == "error-in-stream":
        return [*events[:3], event({"error": {"message": "out of memory"}})]
    if said == "dies":
        return events[:3]
    events.append(event(chunk({}, finish_of(said))))
    if said != "no-usage":
        events.append(event({**chunk({}), "choices": [], "usage": USAGE}))
    return [*events, event(b"[DONE]")]


def content_of(said: str) -> list[dict[str, Any]]:
    """What an Anthropic message holds."""
    content: list[dict[str, Any]] = []
    if said == "thinking":
        content.append({"type": "thinking", "thinking": "".join(THOUGHTS), "signature": SIGNATURE})
        content.append({"type": "redacted_thinking", "data": REDACTED})
    if said != "tools":
        content.append({"type": "text", "text": "".join(TEXT)})
    for number in range({"tools": 1, "two-tools": 2}.get(said, 0)):
        given = json.loads("".join(ARGUMENTS))
        content.append({"type": "tool_use", "id": f"call_{number}", "name": "weather", "input": given})
    return content


def message(said: str) -> dict[str, Any]:
    """An Anthropic message."""
    why = {"tool_calls": "tool_use", "length": "max_tokens", "stop": "end_turn"}[finish_of(said)]
    body = {"id": "msg_1", "type": "message", "role": "assistant", "model": said, "content": content_of(said)}
    usage = {} if said == "no-usage" else {"usage": MESSAGES_USAGE}
    return {**body, "stop_reason": why, "stop_sequence": None, **usage}


def messages_events(said: str) -> list[bytes]:
    """An Anthropic message's stream."""
    whole_message = message(said)
    usage = {**MESSAGES_USAGE, "output_tokens": 1}
    started = {**whole_message, "content": [], "stop_reason": None, "usage": usage}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": started}, {"type": "ping"}]
    for index, block in enumerate(whole_message["content"]):
        events += _block_events(index, block)
    if said == "error-in-stream":
        events = [*events[:5], {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}]
    elif said == "dies":
        events = events[:5]
    else:
        delta = {"stop_reason": whole_message["stop_reason"], "stop_sequence": None}
        told = (
            {}
            if said == "no-usage"
            else {"usage": {"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 3}}}
        )
        events += [{"type": "message_delta", "delta": delta, **told}, {"type": "message_stop"}]
    if said == "no-usage":
        del started["usage"]
    return [f"event: {each['type']}\n".encode() + event(each) for each in events]


def _block_events(index: int, block: dict[str, Any]) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = []
    start = block
    match block["type"]:
        case "text":
            start = {**block, "text": ""}
            deltas = [{"type": "text_delta", "text": bit} for bit in TEXT]
        case "thinking":
            start = {**block, "thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": bit} for bit in THOUGHTS]
            deltas.append({"type": "signature_delta", "signature": SIGNATURE})
        case "tool_use":
            start = {**block, "input": {}}
            deltas = [{"type": "input_json_delta", "partial_json": bit} for bit in ("", *ARGUMENTS)]
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def _speak(asked: Asked, writer: asyncio.StreamWriter) -> None:
    if asked.body.get("stream_format") == "sse":
        begin(writer)
        send(writer, event({"type": "speech.audio.delta", "audio": "UklGRg=="}))
        usage = {"input_tokens": 5, "output_tokens": 40, "total_tokens": 45}
        send(writer, event({"type": "speech.audio.done", "usage": usage}))
        writer.write(b"0\r\n\r\n")
        return
    whole(writer, b"RIFF\x00\x01\xff sound", kind="audio/wav")


def _transcribe(asked: Asked, writer: asyncio.StreamWriter) -> None:
    form = asked.body
    if b"\r\n\r\nsrt\r\n" in form:
        whole(writer, b"1\n00:00:00,000 --> 00:00:07,300\nHello\n", kind="text/plain")
    elif b"\r\n\r\ntrue\r\n" in form:
        begin(writer)
        send(writer, event({"type": "transcript.text.delta", "delta": "Hello"}))
        usage = {"type": "tokens", "input_tokens": 14, "output_tokens": 2, "total_tokens": 16}
        send(writer, event({"type": "transcript.text.done", "text": "Hello", "usage": usage}))
        writer.write(b"0\r\n\r\n")
    elif b"\r\n\r\nverbose_json\r\n" in form:
        whole(writer, json.dumps({"text": "Hello", "language": "en", "duration": 3.2, "segments": []}).encode())
    elif b"\r\n\r\nseconds\r\n" in form:
        whole(writer, json.dumps({"text": "Hello", "usage": {"type": "duration", "seconds": 5}}).encode())
    else:
        whole(writer, json.dumps({"text": "Hello"}).encode())


def _rerank(asked: Asked, writer: asyncio.StreamWriter) -> None:
    results = [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]
    usage = {"usage": {"prompt_tokens": 31, "total_tokens": 31}} if asked.body["model"] != "no-usage" else {}
    whole(writer, json.dumps({"model": asked.body["model"], "results": results, **usage}).encode())


def _moderate(asked: Asked, writer: asyncio.StreamWriter) -> None:
    if asked.body["model"] == "elsewhere":
        whole(writer, b'{"error":{"message":"no such path"}}', "404 Not Found")
        return
    results = [{"flagged": False, "categories": {}, "category_scores": {}, "category_applied_input_types": {}}]
    whole(writer, json.dumps({"id": "m1", "model": asked.body["model"], "results": results}).encode())


def _count(asked: Asked, writer: asyncio.StreamWriter) -> None:
    if asked.body["model"] == "waits":
        return
    if asked.body["model"] == "elsewhere":
        whole(writer, b'{"error":{"message":"File Not Found"}}', "404 Not Found")
    else:
        whole(writer, b'{"input_tokens": 23}')


OTHERS = {
    "/v1/audio/speech": _speak,
    "/v1/audio/transcriptions": _transcribe,
    "/v1/rerank": _rerank,
    "/v1/moderations": _moderate,
    "/v1/messages/count_tokens": _count,
}
SAYINGS = (
    "plain",
    "tools",
    "two-tools",
    "thinking",
    "cut",
    "no-usage",
    "error-in-stream",
    "dies",
    "html",
    "elsewhere",
    "waits",
)
