"""The model server of the gateway benchmark: answers at once with the same bytes, as cheaply as Python can.

`python bench/gateway_upstream.py PORT`. A request with `"stream":true` gets 50 events, each written apart (they may
share a packet), then usage and `[DONE]`; any other gets one JSON answer.
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


class Mock(asyncio.Protocol):
    """One connection; requests come one at a time and end in `}`."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.data = b""

    def data_received(self, data: bytes) -> None:
        if self.data:
            data = self.data + data
        head, found, body = data.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            self.data = data
            return
        self.data = b""
        if b'"stream":true' in body or b'"stream": true' in body:
            self._stream()
        else:
            self.transport.write(WHOLE)

    def _stream(self) -> None:
        write = self.transport.write
        write(STREAM_HEAD)
        for _ in range(WORDS):
            write(WORD)
        write(STREAM_END)


def _length(head: bytes) -> int:
    lower = head.lower()
    start = lower.find(b"content-length:")
    return int(lower[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0


async def main(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Mock, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
