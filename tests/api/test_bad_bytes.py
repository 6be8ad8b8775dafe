"""Requests that no HTTP library would send, on a real connection: refused, and the server goes on."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.support.api import BootstrappedPlace, ServedApi, served_api

HOST = b"host: x\r\nconnection: close\r\n"


@pytest.fixture
def api(bootstrapped: BootstrappedPlace) -> Iterator[ServedApi]:
    with served_api(bootstrapped) as served:
        yield served


def send(api: ServedApi, request: bytes) -> bytes:
    """The whole answer to these bytes."""
    url = httpx.URL(api.url)
    with socket.create_connection((url.host, url.port or 80), timeout=20) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
    return answer


def get(target: bytes, headers: bytes = b"") -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\n" + HOST + headers + b"\r\n"


RAW = [
    b"\x00\x01\x02\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET /api/v1/kinds\r\n\r\n",
    b"BREW /api/v1/kinds HTTP/1.1\r\n" + HOST + b"\r\n",
    get(b"/api/v1/scopes/%ff/endpoints"),
    get(b"/api/v1/scopes/%00/endpoints"),
    get(b"/api/v1/scopes/a%0d%0ab/endpoints"),
    get(b"/api/v1/kinds?%ff=%fe"),
    get(b"/api/v1/kinds?a=%u0000&%"),
    get(b"//api//v1//kinds"),
    get(b"/api/v1/../../etc/passwd"),
    get(b"/api/v1/%2e%2e/%2e%2e/etc/passwd"),
    get(b"http://elsewhere.example/api/v1/kinds"),
    get(b"/api/v1/kinds", b"authorization: Bearer \xff\xfe\r\n"),
    get(b"/api/v1/kinds", b"x-request-id: a\rb\r\n"),
    get(b"/api/v1/kinds", b"x-request-id : spaced\r\n"),
    get(b"/api/v1/kinds", b"no colon\r\n"),
    get(b"/api/v1/kinds", b"x: " + b"y" * 100_000 + b"\r\n"),
    b"POST /api/v1/signup HTTP/1.1\r\n" + HOST + b"content-length: ten\r\n\r\n{}",
    b"POST /api/v1/signup HTTP/1.1\r\n" + HOST + b"content-length: -1\r\n\r\n{}",
    b"POST /api/v1/signup HTTP/1.1\r\n" + HOST + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    b"POST /api/v1/signup HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    b"POST /api/v1/signup HTTP/1.1\r\n" + HOST + b"content-length: 99999999999\r\n\r\n{}",
]


def test_bytes_that_are_no_request_are_refused(api: ServedApi) -> None:
    for request in RAW:
        answer = send(api, request)
        status = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
        assert not answer or status is not None, answer[:200]
        assert status is None or 400 <= int(status[1]) < 500, (request[:100], answer[:300])
        assert b"Traceback" not in answer
        assert answer.lower().count(b"set-cookie") == 0
        assert httpx.get(f"{api.url}/healthz").text == "ok\n"


def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(api: ServedApi) -> None:
    url = httpx.URL(api.url)
    head = b"POST /api/v1/signup HTTP/1.1\r\n" + HOST + b"content-type: application/json\r\ncontent-length: 500\r\n\r\n"
    for _ in range(20):
        with socket.create_connection((url.host, url.port or 80), timeout=20) as connection:
            connection.sendall(head + b'{"email": ')
    assert httpx.get(f"{api.url}/readyz").text == "ok\n"
