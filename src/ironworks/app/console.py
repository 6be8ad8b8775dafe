"""The console's files, served by the API process: one address, so that no cookie and no call crosses an origin.

A build is read into memory once, and again when it changes. So no request names a file of the disk: what
is not in the build does not exist, wherever `..` and links may lead. The build before stays, for pages that were opened
from it load the rest of themselves later.

Whatever the API has an operation for is the API's, and everything under `/api/`. Of what remains a browser that goes
to an address gets the shell, which finds out itself what lies there.
"""

from __future__ import annotations

import hashlib
import mimetypes
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ironworks.shared import telemetry

log = telemetry.logger(__name__)
_SERVED = telemetry.counter("ironworks_console_requests_total", "Files of the console served.", ("status",))

INDEX: Final = "index.html"
ASSETS: Final = "assets"
"""The folder of files whose names hold a digest of what is in them."""
MANIFESTS: Final = "features.json"
"""Where a build says which features it holds."""
_MOST: Final = 64 << 20
"""Bytes that a build may have; more is no build of ours."""
_ENCODINGS: Final = {"br": ".br", "gzip": ".gz"}
"""What a build may hold beside a file, better ones first."""
_IMMUTABLE = "public, max-age=31536000, immutable"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
_MISSING = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Ironworks</title></head>
<body><h1>Ironworks</h1>
<p>The API runs; the console is not built. Run <code>make console</code> in the checkout and load this page again.</p>
<p>The API describes itself at <a href="/api/v1/openapi.json">/api/v1/openapi.json</a>.</p></body></html>
"""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a build: its bytes by encoding (`""` is as it is), each with its entity tag."""

    media_type: str
    bodies: Mapping[str, tuple[bytes, str]]
    immutable: bool

    def choose(self, accepted: str) -> str:
        """The encoding to send to who accepts that."""
        wanted = _accepted(accepted)
        return next((name for name in _ENCODINGS if name in self.bodies and wanted(name)), "")


@dataclass(slots=True)
class Build:
    """What `folder` held when it was last looked at.

    Args:
        files: by the path in an address, without the first slash. former: those of the build before.
    """

    folder: Path
    files: Mapping[str, File] = field(default_factory=dict)
    former: Mapping[str, File] = field(default_factory=dict)
    _seen: tuple[int, ...] | None = None

    def look(self) -> Build:
        """Read the folder again if it holds another build; one that cannot be read leaves the one before."""
        try:
            stat, assets = (self.folder / INDEX).stat(), (self.folder / ASSETS)
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino, assets.stat().st_mtime_ns if assets.exists() else 0)
        except OSError:
            return self
        if seen != self._seen:
            try:
                files = _read(self.folder)
            except (OSError, ValueError) as problem:
                log.warning("the console's build cannot be read", folder=str(self.folder), error=str(problem))
                return self
            self.files, self.former, self._seen = files, self.files, seen
            log.info("the console was read", folder=str(self.folder), files=len(files))
        return self

    def find(self, path: str) -> File | None:
        """The file at a path; one that is not there may be of a build that nobody looked at yet."""
        return self.files.get(path) or self.look().files.get(path) or self.former.get(path)

    def manifests(self) -> bytes:
        """The features that the build holds, as it says; an empty list without one."""
        found = self.look().files.get(MANIFESTS)
        return found.bodies[""][0] if found else b"[]"


def _read(folder: Path) -> dict[str, File]:
    """Every file of a build. Raises OSError; ValueError for what is too large to be one."""
    root = folder.resolve()
    contents: dict[str, bytes] = {}
    written: dict[str, int] = {}
    size = 0
    for where, folders, names in os.walk(root, followlinks=False):
        folders.sort()
        for name in sorted(names):
            file = Path(where) / name
            if name.startswith(".") or not file.resolve().is_relative_to(root) or not file.is_file():
                continue  # a link out of the folder is nobody's to follow
            stat = file.stat()
            size += stat.st_size
            if size > _MOST:
                raise ValueError(f"more than {_MOST >> 20} MiB: this is no build of the console")
            path = file.relative_to(root).as_posix()
            contents[path], written[path] = file.read_bytes(), stat.st_mtime_ns
    packed = {
        path + suffix: (path, name)
        for path in contents
        for name, suffix in _ENCODINGS.items()
        if written.get(path + suffix, -1) >= written[path]  # an older one is of another build
    }
    bodies = {path: {"": content} for path, content in contents.items()}
    for path, (plain, name) in packed.items():
        bodies[plain][name] = contents[path]
    return {path: _file(path, own) for path, own in bodies.items() if path not in packed}


def _file(path: str, bodies: Mapping[str, bytes]) -> File:
    suffix = Path(path).suffix.lower()
    kind = _TYPES.get(suffix) or mimetypes.guess_type(path)[0] or "application/octet-stream"
    return File(kind, {name: (body, _tag(body)) for name, body in bodies.items()}, path.startswith(f"{ASSETS}/"))


def _tag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def _accepted(header: str) -> Callable[[str], bool]:
    """Which encodings an `Accept-Encoding` allows (RFC 9110, section 12.5.3)."""
    weights: dict[str, bool] = {}
    for word in header.lower().split(","):
        name, _, parameters = word.partition(";")
        weights[name.strip()] = re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", parameters) is None
    return lambda name: weights.get(name, weights.get("*", False))


def security_headers(gateway_url: str) -> dict[str, str]:
    """What a page may do: run our own scripts and talk to this API and the gateway, and nothing else."""
    gateway = urlsplit(gateway_url)
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "font-src": "'self'",
        "connect-src": f"'self' {gateway.scheme}://{gateway.netloc}",
        "manifest-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return {
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
    }


class Console:
    """An ASGI application before the API's, which it asks whether an address is an operation's.

    Args:
        owns: whether the API has operations at a path. gateway_url: where pages may call models.
    """

    def __init__(self, api: ASGIApp, owns: Callable[[str], bool], build: Build, gateway_url: str) -> None:
        self._api = api
        self._owns = owns
        self._build = build
        self._security = security_headers(gateway_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD") or self._is_the_apis(scope["path"]):
            await self._api(scope, receive, send)
            return
        headers = Headers(scope=scope)
        file = self._build.find(scope["path"].removeprefix("/")) if scope["path"] != "/" else None
        if file is None and not _goes_to_a_page(headers):
            await self._api(scope, receive, send)
            return
        status, answer, body = self._answer(file or self._build.look().find(INDEX), headers)
        _SERVED.labels(str(status)).inc()
        whole = {**self._security, **answer}
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(name.encode(), value.encode("latin-1")) for name, value in whole.items()],
            }
        )
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _is_the_apis(self, path: str) -> bool:
        return path == "/api" or path.startswith("/api/") or self._owns(path)

    def _answer(self, file: File | None, headers: Headers) -> tuple[int, dict[str, str], bytes]:
        if file is None:
            about = {"cache-control": "no-store", "content-type": _TYPES[".html"], "retry-after": "10"}
            return 503, {**about, "content-length": str(len(_MISSING))}, _MISSING
        encoding = file.choose(headers.get("accept-encoding", ""))
        body, tag = file.bodies[encoding]
        about = {"cache-control": _IMMUTABLE if file.immutable else "no-cache", "etag": tag, "vary": "accept-encoding"}
        if tag in _tags(headers.get("if-none-match", "")):
            return 304, about, b""
        about |= {"content-type": file.media_type, "content-length": str(len(body))}
        if encoding:
            about["content-encoding"] = encoding
        return 200, about, body


def _tags(header: str) -> set[str]:
    return {word.strip().removeprefix("W/") for word in header.split(",")}


def _goes_to_a_page(headers: Headers) -> bool:
    """Whether somebody goes to this address, as a script or a picture that is missing does not."""
    return "text/html" in headers.get("accept", "") and headers.get("sec-fetch-dest", "document") == "document"
