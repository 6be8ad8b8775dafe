"""What a browser's session looks like on the wire: its cookies, and who may send them.

The refresh token's is sent to the session's own operations alone, never to a script and never from another site, so
every other call needs the access token, which lives in the page's memory. `__Secure-` keeps a page on plain HTTP from
planting a cookie beside ours (RFC 6265bis, section 4.1.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal
from urllib.parse import urlsplit

from ironworks.platform.iam.model import SESSION_LIFE, CrossSite
from ironworks.platform.iam.signon import PENDING_LIFE


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie of ours: its name on plain HTTP, where it is sent to, for how long, and from where."""

    plain_name: str
    path: str
    life: timedelta
    same_site: Literal["Strict", "Lax"]
    most: int

    def name(self, *, secure: bool) -> str:
        """Its name over TLS and without."""
        return f"__Secure-{self.plain_name}" if secure else self.plain_name

    def read(self, headers: Mapping[str, str], *, secure: bool) -> str | None:
        """What a browser sent; None where there is none, or nothing that could be one."""
        for pair in headers.get("cookie", "").split(";"):
            name, _, value = pair.strip().partition("=")
            if name == self.name(secure=secure) and 0 < len(value) <= self.most and value.isascii():
                return value
        return None

    def write(self, value: str, *, secure: bool) -> str:
        """The `Set-Cookie` that keeps a value; an empty one ends the cookie."""
        life = int(self.life.total_seconds()) if value else 0
        words = [f"{self.name(secure=secure)}={value}", f"Path={self.path}", f"Max-Age={life}", "HttpOnly"]
        return "; ".join([*words, f"SameSite={self.same_site}", *(["Secure"] if secure else [])])


SESSION: Final = Cookie("ironworks_session", "/api/v1/session", SESSION_LIFE, "Strict", 100)
"""A refresh token."""
SIGN_ON: Final = Cookie("ironworks_sign_on", "/api/v1/session/oidc", PENDING_LIFE, "Lax", 1000)
"""A sign-in that waits for the OpenID provider, which sends the browser back to us from its own site."""


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
