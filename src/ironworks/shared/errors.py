"""The eight ways a use case can fail, and the one envelope every failure is told in.

A domain's own errors subclass one of these in its `model.py` and set a stable `code`; `shared.http` turns any of
them into `{"error": {"code", "message", "details", "request_id"}}` with the status given here. A message says what to
do about it and is safe to show to the caller.
"""

from __future__ import annotations

from typing import Any, ClassVar


class IronworksError(Exception):
    """Base of every expected failure.

    Args:
        message: what happened and what would be right; shown to the caller.
        details: structured facts (field, limit, referrers); must hold no secret.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "INTERNAL_ERROR"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def envelope(self, request_id: str) -> dict[str, Any]:
        """The body of the answer, the same shape for every error."""
        return {
            "error": {"code": self.code, "message": self.message, "details": self.details, "request_id": request_id}
        }


class Invalid(IronworksError):
    """The request is malformed or breaks a rule; `details["fields"]` lists every problem at once.

    Each entry is `{"field": "spec.replicas.num", "problem": "...", "remedy": "..."}`.
    """

    status, code = 422, "VALIDATION_ERROR"


class Unauthenticated(IronworksError):
    """No credential, or one that is unknown, expired or disabled."""

    status, code = 401, "UNAUTHORIZED"


class Forbidden(IronworksError):
    """The caller may see the target and may not do this to it."""

    status, code = 403, "FORBIDDEN"


class NotFound(IronworksError):
    """The target does not exist for this caller."""

    status, code = 404, "NOT_FOUND"


class Conflict(IronworksError):
    """The state of the world forbids it now: a stale version, a duplicate, something still referenced."""

    status, code = 409, "CONFLICT"


class RateLimited(IronworksError):
    """Too many requests; `details["retry_after"]` is in seconds."""

    status, code = 429, "RATE_LIMITED"


class Unavailable(IronworksError):
    """Something this depends on does not answer; trying again may help."""

    status, code = 503, "UNAVAILABLE"


class Internal(IronworksError):
    """A bug. The message shown is always the same; the cause is in the log under the request id."""


class TooLarge(Invalid):
    """The body is over the limit."""

    status, code = 413, "BODY_TOO_LARGE"


class Gone(Conflict):
    """A cursor expired: list again and go on from there."""

    status, code = 410, "EXPIRED"


class QuotaExceeded(Conflict):
    """A limit of the plan is reached; `details` names limit, used and plan."""

    code = "QUOTA_EXCEEDED"


def field_problem(field: str, problem: str, remedy: str = "") -> dict[str, str]:
    """One entry of `Invalid.details["fields"]`."""
    return {"field": field, "problem": problem, "remedy": remedy}


def invalid(field: str, problem: str, remedy: str = "") -> Invalid:
    """An `Invalid` about one field."""
    text = f"{field}: {problem}" + (f"; {remedy}" if remedy else "")
    return Invalid(text, fields=[field_problem(field, problem, remedy)])
