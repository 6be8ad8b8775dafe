"""Why a request is not let past a limit, in words and headers that a client understands."""

from __future__ import annotations

from ironworks.products.tokenfactory.limits.model import Exceeded
from ironworks.products.tokenfactory.limits.plans import SECOND, Gate


def exceeded(gate: Gate, wait: int, headers: bytes) -> Exceeded:
    """The limit behind `gate` is reached; `wait` nanoseconds from now it would not be."""
    rule = gate.rule
    if not rule.seconds:
        message = f"{gate.subject} may have {rule.asked} requests in flight; try again when one has ended"
        return Exceeded("too_many_requests_in_flight", message, 1, 429, headers)
    if gate.step > gate.span:
        message = f"the request alone has more tokens than {gate.subject} may use at once ({rule.burst})"
        return Exceeded("request_too_large_for_limit", message, None, 413, headers)
    retry_after = max(1, -(-wait // SECOND))
    unit, per = "tokens" if rule.tokens else "requests", "second" if rule.seconds == 1 else "minute"
    message = f"{gate.subject} may use {rule.asked} {unit} per {per}; try again in {retry_after} s"
    return Exceeded("rate_limit_exceeded", message, retry_after, 429, headers)


def not_permitted(model: str) -> Exceeded:
    """`model` is not among those that a limit allows."""
    shown = model if len(model) <= 128 else model[:125] + "..."
    message = f"a limit does not permit the model {shown!r} here; /v1/models lists those it does"
    return Exceeded("model_not_permitted", message, None, 403)


def uncountable() -> Exceeded:
    """The counts cannot be reached, so nobody knows."""
    return Exceeded("limits_unavailable", "limits cannot be counted now; try again in a moment", 1, 503)
