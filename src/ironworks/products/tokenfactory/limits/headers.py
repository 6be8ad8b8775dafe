"""What a caller is told of its limits: OpenAI's `x-ratelimit-*` and the IETF's `RateLimit` and `RateLimit-Policy`.

OpenAI writes times as Go does (`1s`, `6m0s`, `120ms`); the IETF's are whole seconds
(draft-ietf-httpapi-ratelimit-headers, structured fields of RFC 9651).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ironworks.products.tokenfactory.limits.plans import Gate, Gates, Plan, Rule

_MS: Final = 1_000_000
_SECOND: Final = 1_000_000_000


def policy_line(rules: Iterable[Rule]) -> bytes:
    """The header `RateLimit-Policy` with every quota and the seconds that it is for; nothing without one."""
    items = []
    for rule in rules:
        window = f";w={rule.seconds}" if rule.seconds else ""
        unit = ';qu="tokens"' if rule.tokens else ""
        items.append(f'"{rule.name}";q={rule.asked}{window}{unit}')
    return f"ratelimit-policy: {', '.join(dict.fromkeys(items))}\r\n".encode() if items else b""


def limit_lines(plan: Plan, gates: Gates, times: list[int], now: int) -> bytes:
    """All headers, each line with its CRLF, for cells that stand at `times`: of each unit, its tightest limit's."""
    requests: Gate | None = None
    tokens: Gate | None = None
    least = least_tokens = 0.0
    until = tokens_until = now
    for n, gate in enumerate(gates.rates):
        after = times[n]
        room = (gate.span + now - after) * gate.pace
        if gate.tokens:
            if tokens is None or room < least_tokens:
                tokens, least_tokens, tokens_until = gate, room, after
        elif requests is None or room < least:
            requests, least, until = gate, room, after
    lines = b"" if requests is None else _lines(requests, until, now)
    if tokens is not None:
        lines += _lines(tokens, tokens_until, now)
    return lines + plan.policy


def _lines(gate: Gate, until: int, now: int) -> bytes:
    """What remains of a unit and when it is whole, in OpenAI's form and in the IETF's."""
    reset = until - now
    left = str(max((gate.span - reset) * gate.units // gate.price, 0)).encode()
    words = gate.words
    seconds = str(-(-reset // _SECOND)).encode()
    return b"%b%b%b%b%b%b;t=%b\r\n" % (words[0], left, words[1], duration(reset), words[2], left, seconds)


def duration(nanoseconds: int) -> bytes:
    """As OpenAI writes it: milliseconds below a second, else rounded up to whole seconds."""
    if nanoseconds < _SECOND:
        return str(-(-nanoseconds // _MS)).encode() + b"ms"
    seconds = -(-nanoseconds // _SECOND)
    if seconds < 60:
        return b"%ds" % seconds
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return b"%dh%dm%ds" % (hours, minutes, seconds) if hours else b"%dm%ds" % (minutes, seconds)
