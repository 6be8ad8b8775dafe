"""What a browser's session looks like on the wire: the cookie that keeps its refresh token, and who may send it.

The cookie is sent to the session's own operations alone, never to a script and never from another site, so every other
call needs the access token, which lives in the page's memory. `__Secure-` is what keeps a page on plain HTTP from
planting a cookie beside ours (RFC 6265bis, section 4.1.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from ironworks.platform.iam.model import SESSION_LIFE, CrossSite

COOKIE: Final = "ironworks_session"
COOKIE_PATH: Final = "/api/v1/session"
_MOST: Final = 100


def cookie_name(*, secure: bool) -> str:
    """Its name over TLS and without."""
    return f"__Secure-{COOKIE}" if secure else COOKIE


def read_cookie(headers: Mapping[str, str], *, secure: bool) -> str | None:
    """The refresh token that a browser sent; None where there is none, or nothing that could be one."""
    for pair in headers.get("cookie", "").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == cookie_name(secure=secure) and 0 < len(value) <= _MOST and value.isascii():
            return value
    return None


def write_cookie(refresh_token: str, *, secure: bool) -> str:
    """The `Set-Cookie` that keeps a refresh token; an empty one ends the cookie."""
    life = int(SESSION_LIFE.total_seconds()) if refresh_token else 0
    words = [f"{cookie_name(secure=secure)}={refresh_token}", f"Path={COOKIE_PATH}", f"Max-Age={life}"]
    return "; ".join([*words, "HttpOnly", "SameSite=Strict", *(["Secure"] if secure else [])])


def refuse_cross_site(headers: Mapping[str, str], own_url: str) -> None:
    """Refuse what a page of another origin had a browser send. Programs send neither header and have no cookie of ours.

    `own_url`: how browsers reach us, where a proxy changes the Host. Raises CrossSite.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        foreign = site != "same-origin"
    else:
        own = {headers.get("host", ""), urlsplit(own_url).netloc}
        foreign = origin is not None and urlsplit(origin).netloc not in own
    if foreign:
        raise CrossSite
