"""Refusals that the database itself makes: a domain's trigger or function that says no in the project's words.

SQL raises `errcode = 'IW499'` with the message for the caller and, in `detail`, JSON that holds the HTTP `status` (403,
404, 409 or 422) and the structured facts. What guards a rule there guards it against every way in.
"""

from __future__ import annotations

import json
from typing import Final

import asyncpg

from ironworks.shared.errors import Conflict, Forbidden, Invalid, IronworksError, NotFound

SQLSTATE: Final = "IW499"
_BY_STATUS: Final[dict[int, type[IronworksError]]] = {e.status: e for e in (Invalid, Forbidden, NotFound, Conflict)}


def refusal(problem: asyncpg.PostgresError) -> IronworksError | None:
    """The error that SQL meant, or None when it is not one of ours."""
    if problem.sqlstate != SQLSTATE:
        return None
    facts = json.loads(getattr(problem, "detail", None) or "{}")
    return _BY_STATUS.get(facts.pop("status", 409), Conflict)(str(getattr(problem, "message", problem)), **facts)
