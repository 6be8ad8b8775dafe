"""What a caller is told of its limits: OpenAI's `x-ratelimit-*` and the IETF's `RateLimit` and `RateLimit-Policy`.

OpenAI writes times as Go does (`1s`, `6m0s`, `120ms`); the IETF's are whole seconds
(draft-ietf-httpapi-ratelimit-headers, structured fields of RFC 9651).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ironworks.products.tokenfactory.limits.plans import Gate, Gates, Plan, Rule

_MS = 1_000_000
_SECOND = 1_000_000_000


def policy_line(rules: Iterable[Rule]) -> bytes:
    """The header `RateLimit-Policy` with every quota and the seconds that it is for; nothing without one."""
    items = []
    for rule in rules:
        window = f";w={rule.seconds}" if rule.seconds else ""
        unit = ';qu="tokens"' if rule.tokens else ""
        items.append(f'"{rule.name}";q={rule.asked}{window}{unit}')
    return f"ratelimit-policy: {', '.join(dict.fromkeys(items))}\r\n".encode() if items else b""


def limit_lines(plan: Plan, gates: Gates, times: Sequence[int], now: int) -> bytes:
    """All headers, each line with its CRLF, for cells that stand at `times`: of each unit, its tightest limit's."""
    requests: Gate | None = None
    tokens: Gate | None = None
    left = tokens_left = reset = tokens_reset = 0
    for gate, after in zip(gates.rates, times, strict=True):
        room = (gate.span + now - after) * gate.limit // gate.window
        if gate.tokens:
            if tokens is None or room < tokens_left:
                tokens, tokens_left, tokens_reset = gate, room, after - now
        elif requests is None or room < left:
            requests, left, reset = gate, room, after - now
    form = plan.forms.get((requests, tokens))
    if form is None:
        form = plan.forms[requests, tokens] = _form(requests, tokens, plan.policy)
    values: tuple[object, ...] = ()
    if requests is not None:
        values = (max(left, 0), duration(reset), max(left, 0), -(-reset // _SECOND))
    if tokens is not None:
        values += (max(tokens_left, 0), duration(tokens_reset), max(tokens_left, 0), -(-tokens_reset // _SECOND))
    return form % values


def _form(requests: Gate | None, tokens: Gate | None, policy: bytes) -> bytes:
    """The lines with blanks: for each unit what remains and when it is whole, in OpenAI's form and in the IETF's."""
    lines = b""
    for unit, gate in (("requests", requests), ("tokens", tokens)):
        if gate is not None:
            lines += (
                f"x-ratelimit-limit-{unit}: {gate.rule.asked}\r\nx-ratelimit-remaining-{unit}: %d\r\n"
                f'x-ratelimit-reset-{unit}: %b\r\nratelimit: "{gate.rule.name}";r=%d;t=%d\r\n'
            ).encode()
    return lines + policy


def duration(nanoseconds: int) -> bytes:
    """As OpenAI writes it: milliseconds below a second, else rounded up to whole seconds."""
    if nanoseconds < _SECOND:
        return b"%dms" % -(-nanoseconds // _MS)
    seconds = -(-nanoseconds // _SECOND)
    if seconds < 60:
        return b"%ds" % seconds
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return b"%dh%dm%ds" % (hours, minutes, seconds) if hours else b"%dm%ds" % (minutes, seconds)
