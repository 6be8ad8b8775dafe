"""The load of the gateway benchmark: closed-loop or paced requests over kept connections, timed one by one.

`python bench/gateway_load.py '{"port":…,"connections":…,"seconds":…,"request":"…","rate":0}'` prints a JSON object:
requests, errors, seconds, p50 and p99 in milliseconds. `"count"` ends it after so many answers and not by time.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any, cast

import uvloop


class Caller(asyncio.Protocol):
    """One connection that keeps one request in flight; an answer is over when it ends as answers of its type do."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.sent = 0.0
        self.tail = b""
        self.bad = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.load.callers.append(self)

    def send(self) -> None:
        self.sent = time.perf_counter()
        self.tail = b""
        self.bad = False
        self.transport.write(self.load.request)

    def data_received(self, data: bytes) -> None:
        if not self.tail and not data.startswith(b"HTTP/1.1 200"):
            self.bad = True
        self.tail = data if len(data) >= 64 else (self.tail + data)[-64:]
        if self.load.is_end(self.tail):
            self.load.answered(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.load.errors += not self.load.over


class Load:
    def __init__(self, config: dict[str, Any]) -> None:
        self.request: bytes = config["request"].encode()
        self.count: int = config.get("count", 0)
        self.answers = 0
        self.counted = asyncio.Event()
        self.stream: bool = '"stream":true' in config["request"]
        self.connections: int = config["connections"]
        self.interval = self.connections / config["rate"] if config["rate"] else 0.0
        self.seconds: float = config["seconds"]
        self.port: int = config["port"]
        self.callers: list[Caller] = []
        self.times: list[float] = []
        self.errors = 0
        self.over = False

    def is_end(self, tail: bytes) -> bool:
        """Chunked answers end in the last chunk, others in the JSON object's brace."""
        return tail.endswith(b"0\r\n\r\n") if self.stream else tail.endswith((b"}", b"0\r\n\r\n"))

    def answered(self, caller: Caller) -> None:
        now = time.perf_counter()
        self.errors += caller.bad
        self.answers += 1
        if self.count:
            if self.answers >= self.count:
                self.counted.set()
                return
        else:
            self.times.append(now - caller.sent)
        if self.over:
            return
        if self.interval:
            asyncio.get_running_loop().call_later(max(0.0, caller.sent + self.interval - now), caller.send)
        else:
            caller.send()

    async def run(self) -> dict[str, float]:
        loop = asyncio.get_running_loop()
        for number in range(self.connections):
            local = (f"127.0.0.{2 + number // 10_000}", 0)
            await loop.create_connection(lambda: Caller(self), "127.0.0.1", self.port, local_addr=local)
        began = time.perf_counter()
        for number, caller in enumerate(self.callers):
            loop.call_later(self.interval * number / self.connections, caller.send)
        if self.count:
            await asyncio.wait_for(self.counted.wait(), self.seconds)
        else:
            await asyncio.sleep(self.seconds)
        self.over = True
        seconds = time.perf_counter() - began
        times = sorted(self.times)
        if not times:
            return {"requests": self.answers, "errors": self.errors, "seconds": seconds, "p50": 0.0, "p99": 0.0}
        return {
            "requests": len(times),
            "errors": self.errors,
            "seconds": seconds,
            "p50": times[len(times) // 2] * 1000,
            "p99": times[int(len(times) * 0.99)] * 1000,
        }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(Load(json.loads(sys.argv[1])).run())))
