"""A typed, synchronous client of the control API. Every method raises `ApiError` or `Unreachable`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx

from ironworks.sdk.config import Profile, load_profile, save_profile
from ironworks.sdk.errors import ApiError, Unreachable
from ironworks.sdk.kinds import KindInfo, Kinds

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """`added`, `modified`, `deleted` or `relist`; `cursor` resumes after it."""

    type: str
    object: Resource
    cursor: str | None


class Client:
    """One API and one credential. Use it as a context manager.

    Args:
        profile: where and who. timeout: seconds for one answer; streams have none.
    """

    def __init__(self, profile: Profile, *, timeout: float = 30.0) -> None:
        self.profile = profile
        self._http = httpx.Client(base_url=profile.url, timeout=timeout, trust_env=False)
        self._kinds: Kinds | None = None

    @classmethod
    def from_environment(cls) -> Client:
        """From IRONWORKS_URL and IRONWORKS_TOKEN, else the stored login."""
        return cls(load_profile())

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._http.close()

    # --- any operation --------------------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """The parsed answer of one operation; None for an empty one."""
        response = self._answered(method, path, query, body, headers)
        return response.json() if response.content else None

    def download(self, path: str, *, query: dict[str, Any] | None = None) -> bytes:
        """The file that an operation answers, as it is."""
        return self._answered("GET", path, query, None, None).content

    def _answered(
        self, method: str, path: str, query: dict[str, Any] | None, body: Any, headers: dict[str, str] | None
    ) -> httpx.Response:
        response = self._send(method, path, query, body, headers)
        if response.status_code == 401 and self._renew():
            response = self._send(method, path, query, body, headers)
        if response.status_code >= 400:
            raise error_of(response)
        return response

    def _send(
        self, method: str, path: str, query: dict[str, Any] | None, body: Any, headers: dict[str, str] | None
    ) -> httpx.Response:
        params = {k: _plain(v) for k, v in (query or {}).items() if v is not None}
        content = None if body is None else json.dumps(body)
        given = {"content-type": "application/json"} if content is not None else {}
        try:
            return self._http.request(
                method, path, params=params, content=content, headers={**self._identity(), **given, **(headers or {})}
            )
        except httpx.HTTPError as problem:
            raise Unreachable(
                f"{self.profile.url} does not answer ({problem}); is it running? `ironworks status` tells"
            ) from None

    def _identity(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.profile.token}"} if self.profile.token else {}

    def _renew(self) -> bool:
        """Turn the stored refresh token into a new session."""
        if not self.profile.refresh_token:
            return False
        response = self._send("POST", "/api/v1/auth:refresh", None, {"refresh_token": self.profile.refresh_token}, None)
        if response.status_code >= 400:
            return False
        tokens = response.json()
        self.profile = Profile(self.profile.url, tokens["access_token"], tokens["refresh_token"], self.profile.stored)
        if self.profile.stored:
            save_profile(self.profile)
        return True

    def items(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Every item of a list, page by page."""
        while True:
            page = self.request("GET", path, query=query)
            yield from page["items"]
            if not page["next_cursor"]:
                return
            query["cursor"] = page["next_cursor"]

    # --- resources ------------------------------------------------------------------------------------------------

    @property
    def kinds(self) -> Kinds:
        """All kinds, asked for once."""
        if self._kinds is None:
            self._kinds = Kinds(self.request("GET", "/api/v1/kinds")["items"])
        return self._kinds

    def get(self, kind: KindInfo, scope: str, name: str) -> Resource:
        """One resource."""
        found: Resource = self.request("GET", _one(kind, scope, name))
        return found

    def list(self, kind: KindInfo, scope: str | None = None, **query: Any) -> Iterator[Resource]:
        """Every resource of a scope and below (None: all that may be seen), page by page."""
        return self.items(_many(kind, scope), **query)

    def apply(self, document: Resource, *, dry_run: bool = False) -> dict[str, Any]:
        """Make a resource what the document says; answers `{"action", "resource", "diff"}`."""
        kind = self.kinds.find(str(document.get("kind", "")))
        metadata = document.get("metadata") or {}
        if kind is None:
            known = ", ".join(sorted(k.name for k in self.kinds.all))
            raise ApiError(
                422, "VALIDATION_ERROR", f"kind: {document.get('kind')!r} is unknown; one of {known}", {}, ""
            )
        if not isinstance(metadata, dict) or not metadata.get("name"):
            raise ApiError(422, "VALIDATION_ERROR", f"{kind.name}: metadata.name is missing", {}, "")
        path = _one(kind, metadata.get("scope") or "-", str(metadata["name"])) + ":apply"
        answer: dict[str, Any] = self.request("POST", path, query={"dry_run": dry_run or None}, body=document)
        return answer

    def delete(self, kind: KindInfo, scope: str, name: str, *, force: bool = False) -> Resource:
        """Ask for deletion; the resource is gone when its controller has cleaned up."""
        answer: Resource = self.request("DELETE", _one(kind, scope, name), query={"force": force or None})
        return answer

    def watch(self, kind: KindInfo, scope: str | None = None, cursor: str | None = None) -> Iterator[WatchEvent]:
        """Changes from `cursor` on (None: from now), until the server ends the stream."""
        query = {"watch": "true", **({"resource_cursor": cursor} if cursor else {})}
        for event, data, ident in self.stream("GET", _many(kind, scope), query=query):
            yield WatchEvent(event, json.loads(data) if data else {}, ident)

    # --- streams --------------------------------------------------------------------------------------------------

    def stream(
        self, method: str, path: str, *, query: dict[str, Any] | None = None
    ) -> Iterator[tuple[str, str, str | None]]:
        """(event, data, id) of each server-sent event."""
        with self._open(method, path, query) as response:
            event, ident = "message", None
            data: list[str] = []
            for line in response.iter_lines():
                if not line:
                    if data or event != "message":
                        yield event, "\n".join(data), ident
                    event, data = "message", []
                    continue
                field, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if field == "event":
                    event = value
                elif field == "data":
                    data.append(value)
                elif field == "id":
                    ident = value

    def lines(self, path: str, *, query: dict[str, Any] | None = None) -> Iterator[str]:
        """Lines of a plain text stream."""
        with self._open("GET", path, query) as response:
            yield from response.iter_lines()

    def _open(self, method: str, path: str, query: dict[str, Any] | None) -> _Opened:
        return _Opened(
            self._http.stream(
                method, path, params=query, headers=self._identity(), timeout=httpx.Timeout(30, read=None)
            ),
            self.profile.url,
        )


class _Opened:
    """An answered stream whose status was checked."""

    def __init__(self, stream: Any, url: str) -> None:
        self._stream = stream
        self._url = url

    def __enter__(self) -> httpx.Response:
        try:
            response: httpx.Response = self._stream.__enter__()
        except httpx.HTTPError as problem:
            raise Unreachable(f"{self._url} does not answer ({problem})") from None
        if response.status_code >= 400:
            response.read()
            self._stream.__exit__(None, None, None)
            raise error_of(response)
        return response

    def __exit__(self, *about: Any) -> None:
        self._stream.__exit__(*about)


def error_of(response: httpx.Response) -> ApiError:
    """The error envelope of an answer, or the closest to it that can be made."""
    try:
        error = response.json()["error"]
        return ApiError(
            response.status_code, error["code"], error["message"], error.get("details", {}), error.get("request_id", "")
        )
    except (ValueError, KeyError, TypeError):
        return ApiError(
            response.status_code,
            "HTTP_ERROR",
            f"HTTP {response.status_code}",
            {},
            response.headers.get("x-request-id", ""),
        )


def _many(kind: KindInfo, scope: str | None) -> str:
    return f"/api/v1/{kind.plural}" if scope is None else f"/api/v1/scopes/{_quoted(scope)}/{kind.plural}"


def _one(kind: KindInfo, scope: str, name: str) -> str:
    return f"/api/v1/scopes/{_quoted(scope)}/{kind.plural}/{_quoted(name)}"


def _quoted(text: str) -> str:
    return quote(text or "-", safe=".-")


def _plain(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value
