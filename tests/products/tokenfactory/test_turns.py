"""What is put together for a turn of the loop, or recognised from the turn before, and must be exact all the same."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from ironworks.products.tokenfactory.gateway import GatewaySettings
from ironworks.products.tokenfactory.gateway.heads import Frame
from ironworks.products.tokenfactory.gateway.upstream import UpstreamConnection, UpstreamPool
from ironworks.products.tokenfactory.routing import Replica, ReplicaState

FRAME = Frame(b"POST / HTTP/1.1\r\ncontent-length: ", b"\r\nhost: h\r\n\r\n")


@pytest.mark.parametrize("body", [b"", b"x", b"x" * 9, b"x" * 10, b"x" * 99, b"x" * 100, b"x" * 123_456])
def test_a_known_head_is_recognised_around_any_length(body: bytes) -> None:
    assert FRAME.body_of(FRAME.prefix + b"%d" % len(body) + FRAME.suffix + body) == body


@pytest.mark.parametrize("digits", [b"07", b"+7", b" 7", b"7 ", b"6", b"8", b"", b"-7", b"7_0", b"0x7"])
def test_any_other_length_is_left_to_the_parser(digits: bytes) -> None:
    assert FRAME.body_of(FRAME.prefix + digits + FRAME.suffix + b"x" * 7) is None


def test_a_message_that_is_cut_or_goes_on_is_left_to_the_parser() -> None:
    whole = FRAME.prefix + b"7" + FRAME.suffix + b"x" * 7
    assert FRAME.body_of(whole) == b"x" * 7
    assert FRAME.body_of(whole[:-1]) is None
    assert FRAME.body_of(whole + whole) is None
    assert FRAME.body_of(whole.upper()) is None
    assert FRAME.body_of(whole) == b"x" * 7


class Sink:
    """Sends `data` on each connection that it gets; leaves the first at once."""

    def __init__(self) -> None:
        self.sent: list[bool] = []

    def on_connected(self, connection: UpstreamConnection) -> None:
        connection.write(b"hello")
        self.sent.append(connection.sent)
        self.connection = connection
        if len(self.sent) == 1:
            connection.abort()

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **named: None


async def test_a_request_goes_out_at_the_end_of_the_turn_unless_its_caller_left(tmp_path: Path) -> None:
    heard: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(100))
        writer.close()

    server = await asyncio.start_server(hear, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pool = UpstreamPool(asyncio.get_running_loop(), GatewaySettings(spool=tmp_path))
    sink = Sink()
    async with asyncio.timeout(60):
        for count in (1, 2):
            pool.connect(ReplicaState(Replica(f"127.0.0.1:{port}")), sink)  # type: ignore[arg-type]
            while len(heard) < count:
                await asyncio.sleep(0.01)
    assert sink.sent == [False, False], "not within the turn in which it was asked for"
    assert sink.connection.sent
    assert [each for each in heard if each] == [b"hello"], "who left in that turn was never heard"
    pool.close()
    server.close()
