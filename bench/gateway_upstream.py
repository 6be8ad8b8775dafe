"""The model server of the gateway benchmark: answers with the same bytes, as cheaply as Python can.

`python bench/gateway_upstream.py PORT`. What it does is asked for in the request's body:

- `"stream":true`: 50 events, each written apart (they may share a packet), then usage and `[DONE]`;
- and `"seed":1` with it: the events come a tenth of a second apart, so that many streams are open at once;
- `"seed":20`: the answer comes 20 ms late;
- else one JSON answer at once.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import cast

import uvloop

USAGE = {"prompt_tokens": 11, "completion_tokens": 50, "total_tokens": 61}
_ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "mock",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "Once upon a time."}, "finish_reason": "stop"}
        ],
        "usage": USAGE,
    },
    separators=(",", ":"),
).encode()
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(_ANSWER), _ANSWER)
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _event(choices: list[object], **more: object) -> bytes:
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "mock", "choices": choices}
    data = b"data: " + json.dumps({**chunk, **more}, separators=(",", ":")).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


WORD = _event([{"index": 0, "delta": {"content": " time"}, "finish_reason": None}])
STREAM_END = (
    _event([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    + _event([], usage=USAGE)
    + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
)
WORDS = 50
APART = 0.1
LATE = 0.02


class Mock(asyncio.Protocol):
    """One connection; requests come one at a time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.loop = asyncio.get_running_loop()
        self.data = bytearray()

    def data_received(self, data: bytes) -> None:
        if self.data:
            self.data += data
            data = bytes(self.data)
        head, found, body = data.partition(b"\r\n\r\n")
        if not found or not _is_whole(head, body):
            if not self.data:
                self.data = bytearray(data)
            return
        self.data.clear()
        if b'"stream":true' in body or b'"stream": true' in body:
            self._stream(apart=b'"seed":1' in body or b'"seed": 1' in body)
        elif b'"seed":20' in body or b'"seed": 20' in body:
            self.loop.call_later(LATE, self.transport.write, WHOLE)
        else:
            self.transport.write(WHOLE)

    def _stream(self, *, apart: bool) -> None:
        self.transport.write(STREAM_HEAD)
        if apart:
            self._word(0)
            return
        for _ in range(WORDS):
            self.transport.write(WORD)
        self.transport.write(STREAM_END)

    def _word(self, number: int) -> None:
        if self.transport.is_closing():
            return
        if number < WORDS:
            self.transport.write(WORD)
            self.loop.call_later(APART, self._word, number + 1)
        else:
            self.transport.write(STREAM_END)


def _is_whole(head: bytes, body: bytes) -> bool:
    """Whether the body has come; one in chunks is over at its last."""
    lower = head.lower()
    start = lower.find(b"content-length:")
    if start < 0:
        return b"transfer-encoding: chunked" not in lower or body.endswith(b"0\r\n\r\n")
    return len(body) >= int(lower[start + 15 :].split(b"\r\n", 1)[0])


async def main(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Mock, "127.0.0.1", port, backlog=16_384)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
