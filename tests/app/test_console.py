"""The console's files as browsers meet them, over a real server where the wire matters."""

from __future__ import annotations

import asyncio
import gzip
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import uvicorn

from ironworks.app.api import build_app
from ironworks.app.console import Build, security_headers
from ironworks.app.wiring import open_process
from tests.support.api import BootstrappedPlace, bootstrapped_database, envelope
from tests.support.postgres import Server

PAGE = {"accept": "text/html,application/xhtml+xml", "sec-fetch-dest": "document"}
INDEX = b"<!doctype html><script type=module src=/assets/app-1a2b.js></script>"
SCRIPT = b"console.log('hello');" * 50
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self';"
    " connect-src 'self' https://models.example:8443; manifest-src 'self'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A build."""
    dist = tmp_path / "dist"
    (dist / "assets").mkdir(parents=True)
    (dist / "index.html").write_bytes(INDEX)
    (dist / "index.html.gz").write_bytes(gzip.compress(INDEX))
    (dist / "assets" / "app-1a2b.js").write_bytes(SCRIPT)
    (dist / "assets" / "app-1a2b.js.gz").write_bytes(gzip.compress(SCRIPT))
    (dist / "assets" / "app-1a2b.js.br").write_bytes(b"as brotli")
    (dist / "favicon.svg").write_bytes(b"<svg/>")
    (dist / ".env").write_text("SECRET=1")
    (tmp_path / "secret.txt").write_text("outside")
    (dist / "link.txt").symlink_to(tmp_path / "secret.txt")
    (dist / "up").symlink_to(tmp_path)
    (dist / "own.svg").symlink_to(dist / "favicon.svg")
    return dist


@pytest.fixture(scope="module")
def place(postgres: Server, run_folder: Path) -> Iterator[BootstrappedPlace]:
    made = bootstrapped_database(postgres, run_folder)
    yield made
    postgres.drop_database(made)


@asynccontextmanager
async def serving(place: BootstrappedPlace, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """What an API process serves, on a port."""
    settings = replace(place.settings, console=folder, gateway_address="https://models.example:8443/v1")
    async with open_process(settings, "api", connections=2) as process:
        config = uvicorn.Config(
            await build_app(process), host="127.0.0.1", port=0, http="httptools", lifespan="off", log_config=None,
            access_log=False, server_header=False,
        )  # fmt: skip
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve())
        try:
            while not server.started:
                await asyncio.sleep(0.005)
            port = server.servers[0].sockets[0].getsockname()[1]
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
                yield client
        finally:
            server.should_exit = True
            await task


@pytest.fixture
async def http(place: BootstrappedPlace, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(place, folder) as client:
        yield client


async def raw(client: httpx.AsyncClient, target: str, method: str = "GET") -> tuple[int, bytes]:
    """The status and the rest of an answer to a target that no client would send as it is."""
    port = client.base_url.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} {target} HTTP/1.1\r\nhost: x\r\naccept: text/plain\r\nconnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


async def test_every_address_that_a_person_goes_to_is_the_shell(http: httpx.AsyncClient) -> None:
    for path in ("/", "/acme.shop/endpoints/chat?tab=logs", "/sign-in", "/console", "/apiary", "/assets/gone.js"):
        answer = await http.get(path, headers=PAGE)
        assert (answer.status_code, answer.content) == (200, INDEX), path
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["content-security-policy"] == POLICY
    told = {name: answer.headers[name] for name in security_headers("http://x") if name in answer.headers}
    assert told["x-content-type-options"] == "nosniff"
    assert told["referrer-policy"] == "no-referrer"
    assert told["cross-origin-opener-policy"] == told["cross-origin-resource-policy"] == "same-origin"
    assert told["x-frame-options"] == "DENY"
    assert "'unsafe" not in POLICY


async def test_what_is_the_apis_stays_the_apis(http: httpx.AsyncClient) -> None:
    for path in ("/api", "/api/", "/api/v1/nothing", "/api/v2", "/console/features/00/index.js"):
        answer = await http.get(path, headers=PAGE)
        assert answer.status_code == 404, path
        assert envelope(answer)["code"] == "NOT_FOUND"
    assert (await http.get("/healthz", headers=PAGE)).text == "ok\n"
    assert (await http.get("/api/v1/me", headers=PAGE)).status_code == 401
    assert (await http.post("/sign-in", headers=PAGE)).status_code == 404
    told = (await http.get("/api/v1/console", headers=PAGE)).json()
    assert (told["sign_in"], told["setup_needed"]) == ({"password": True, "oidc": []}, True)


async def test_what_is_missing_is_no_page_for_who_wants_a_script(http: httpx.AsyncClient) -> None:
    for headers in ({"accept": "*/*"}, {**PAGE, "sec-fetch-dest": "script"}, {"accept": "image/png"}):
        assert (await http.get("/assets/gone-0.js", headers=headers)).status_code == 404


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("br, gzip", "br"),
        ("gzip, br", "br"),
        ("gzip", "gzip"),
        ("br;q=0, gzip;q=0.5", "gzip"),
        ("br;q=0.0, gzip; q=0", ""),
        ("*", "br"),
        ("identity", ""),
        ("", ""),
        ("zstd, *;q=0", ""),
    ],
)
async def test_a_file_comes_as_the_browser_accepts_it(http: httpx.AsyncClient, accepted: str, encoding: str) -> None:
    request = http.build_request("GET", "/assets/app-1a2b.js", headers={"accept-encoding": accepted})
    answer = await http.send(request, stream=True)
    content = b"".join([chunk async for chunk in answer.aiter_raw()])
    await answer.aclose()
    assert answer.headers.get("content-encoding", "") == encoding
    plain = gzip.decompress(content) if encoding == "gzip" else content
    assert plain == (b"as brotli" if encoding == "br" else SCRIPT)
    assert answer.headers["content-length"] == str(len(content))
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["vary"] == "accept-encoding"


async def test_a_file_that_is_known_is_not_sent_again(http: httpx.AsyncClient) -> None:
    plain = {"accept-encoding": "identity"}
    first = await http.get("/assets/app-1a2b.js", headers=plain)
    packed = await http.get("/assets/app-1a2b.js", headers={"accept-encoding": "gzip"})
    assert first.content == packed.content == SCRIPT
    assert first.headers["etag"] != packed.headers["etag"]
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}'):
        again = await http.get("/assets/app-1a2b.js", headers={**plain, "if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    other = await http.get("/assets/app-1a2b.js", headers={**plain, "if-none-match": '"other"'})
    assert other.status_code == 200
    head = await http.head("/assets/app-1a2b.js", headers=plain)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(SCRIPT)))
    assert (await http.head("/", headers=PAGE)).headers["content-type"].startswith("text/html")


TARGETS = (
    "/../secret.txt", "/assets/../../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "//etc/passwd",
    "/link.txt", "/up/secret.txt", "/.env", "/assets/", "/assets", "/index.html%00.txt", "/%5c..%5csecret.txt",
    "/assets/app-1a2b.js/", "/assets//app-1a2b.js",
)  # fmt: skip


async def test_no_request_reaches_what_is_not_in_the_build(http: httpx.AsyncClient) -> None:
    for target in TARGETS:
        status, body = await raw(http, target)
        assert status in (400, 404), (target, body)
        assert b"outside" not in body
        assert b"SECRET" not in body
    assert (await raw(http, "/own.svg"))[0] == 200


async def test_without_a_build_a_page_says_how_to_make_one(place: BootstrappedPlace, tmp_path: Path) -> None:
    async with serving(place, tmp_path / "none") as http:
        answer = await http.get("/", headers=PAGE)
        assert (answer.status_code, answer.headers["cache-control"]) == (503, "no-store")
        assert "make console" in answer.text
        assert answer.headers["content-security-policy"] == POLICY
        assert not re.search("<script|<style|style=", answer.text)
        assert (await http.get("/api/v1/openapi.json")).status_code == 200


def test_another_build_is_served_at_once_and_the_one_before_goes_on(folder: Path) -> None:
    build = Build(folder).look()
    assert build.find("assets/app-1a2b.js")
    (folder / "assets" / "app-1a2b.js").unlink()
    (folder / "assets" / "app-3c4d.js").write_bytes(b"new")
    fresh = folder / "index.new"
    fresh.write_bytes(b"<!doctype html>new")
    os.utime(folder / "index.html.gz", ns=(1, 1))
    os.replace(fresh, folder / "index.html")
    found = build.look().find("index.html")
    assert found is not None
    assert found.bodies[""][0] == b"<!doctype html>new"
    assert "gzip" not in found.bodies  # that beside it is of the build before
    assert build.find("assets/app-3c4d.js")
    assert build.find("assets/app-1a2b.js")
    (folder / "index.html").unlink()
    assert build.look().find("index.html") == found


def test_what_is_too_large_to_be_a_build_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ironworks.app.console._MOST", 100)
    assert Build(folder).look().find("index.html") is None


def test_the_gateways_origin_alone_is_let_in() -> None:
    policy = security_headers("http://127.0.0.1:7080/v1?x=1")["content-security-policy"]
    assert "connect-src 'self' http://127.0.0.1:7080;" in policy
