"""Calls that pages make from browsers: whose pages may read our answers, as browsers ask it (CORS, the Fetch standard).

A page shows a key as every caller does. No cookie and nothing else that a browser adds by itself means anything here,
so `access-control-allow-credentials` is never sent, and a page that is not let in could do no more than a program
without a key. Callers who send no `Origin` are not concerned: their answers are what they were.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from ironworks.products.tokenfactory.gateway.model import Refusal, malformed

ALL: Final = "*"
KEPT_SECONDS: Final = 7200
"""How long a browser may remember what it was told; Chromium keeps nothing for longer."""
_SHOWN: Final = b"access-control-expose-headers: %b\r\n" % b", ".join(
    (
        b"openai-processing-ms",
        b"ratelimit",
        b"ratelimit-policy",
        b"retry-after",
        b"x-client-request-id",
        b"x-ironworks-cache",
        b"x-ironworks-cost",
        b"x-ironworks-model",
        b"x-ironworks-overhead-ms",
        b"x-ratelimit-limit-requests",
        b"x-ratelimit-limit-tokens",
        b"x-ratelimit-remaining-requests",
        b"x-ratelimit-remaining-tokens",
        b"x-ratelimit-reset-requests",
        b"x-ratelimit-reset-tokens",
        b"x-request-id",
    )
)
"""Headers of answers that a page may read; browsers hide all others but a few."""
_PERMIT: Final = b"access-control-allow-methods: GET, POST, DELETE\r\naccess-control-max-age: %d\r\n" % KEPT_SECONDS
_NAMES: Final = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, \t-]{0,4096}")


class Origins:
    """The origins whose pages may call: `scheme://host` with the port where it is not the scheme's own; `*` for all."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._lines = {
            origin.encode(): b"access-control-allow-origin: %b\r\nvary: origin\r\n%b" % (origin.encode(), _SHOWN)
            for origin in origins
        }
        self._all = b"access-control-allow-origin: *\r\n" + _SHOWN if ALL.encode() in self._lines else b""

    def lines(self, origin: bytes) -> bytes:
        """The header lines by which a browser lets a page of `origin` read an answer; none where it may not."""
        return self._all or self._lines.get(origin, b"")

    def permit(self, headers: Mapping[bytes, bytes]) -> bytes:
        """The header lines that answer a browser's question before a call, besides those of `lines`.

        Whatever headers it asks for may be sent: none of them is believed before the key is. Raises Refusal for an
        origin that is not let in.
        """
        origin = headers.get(b"origin", b"")
        if not self.lines(origin):
            shown = origin[:200].decode("latin-1")
            message = f"pages of {shown} may not call this gateway; IRONWORKS_GATEWAY_CORS_ORIGINS names those that may"
            raise Refusal(403, "origin_not_allowed", message, kind="permission_error")
        asked = headers.get(b"access-control-request-headers", b"")
        if not _NAMES.fullmatch(asked):
            raise malformed("access-control-request-headers is no list of names", "access-control-request-headers")
        return _PERMIT + (b"access-control-allow-headers: %b\r\n" % asked if asked else b"")
