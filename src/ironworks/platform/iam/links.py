"""Links that are mailed: whoever opens one has shown that he reads an address's mail.

A sign-up, an invitation and a forgotten password each wait for that. The token is made when the mail is written, so no
event and no log has it, and only its hash is stored; the mail after makes another. It stands behind the `#` of the
link's address, which browsers keep to themselves, and is sent in the body of one POST.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias
from uuid import UUID

from ironworks.platform.iam.model import new_secret

Purpose: TypeAlias = Literal["signup", "invitation", "password"]
PREFIXES: Final[Mapping[Purpose, str]] = {"signup": "iws_", "invitation": "iwi_", "password": "iwp_"}
LIVES: Final[Mapping[Purpose, timedelta]] = {
    "signup": timedelta(hours=24),
    "invitation": timedelta(days=7),
    "password": timedelta(hours=1),
}
HANDED_LIFE: Final = timedelta(hours=24)
"""Of a link for a password that an operator hands over himself."""
RESEND_AFTER: Final = timedelta(minutes=1)
"""Between two mails of one link."""


def new_token(purpose: Purpose) -> str:
    """A fresh token, whose beginning says what it is for."""
    return PREFIXES[purpose] + new_secret()


def link_address(url: str, token: str) -> str:
    """The console's page that uses a token; `url` is how browsers reach the API."""
    return f"{url}/link#{token}"


@dataclass(frozen=True, slots=True)
class LinkMail:
    """What to write to somebody who is to open a link.

    Args:
        known: the address has a user already. name: how whoever signed up is called, where he said so.
        account: of a sign-up. scope, role, inviter: of an invitation; whose address, or a service account's name.
    """

    purpose: Purpose
    email: str
    token: str = field(repr=False)
    valid_for: timedelta
    known: bool
    name: str = ""
    account: str = ""
    scope: str = ""
    role: str = ""
    inviter: str = ""


@dataclass(frozen=True, slots=True)
class Invitation:
    """A role that waits for somebody. `sent_at` and `expires_at` are None until its first mail is written.

    `state`: `waiting`; `expired`: send it again; `lapsed`: its inviter could not give the role himself any more.
    """

    uid: UUID
    email: str
    scope: str
    role: str
    inviter: str
    created_at: datetime
    sent_at: datetime | None
    expires_at: datetime | None
    state: Literal["waiting", "expired", "lapsed"]


@dataclass(frozen=True, slots=True)
class Invited:
    """What whoever holds an invitation's token may know. `known`: the address has a user, who accepts by signing in."""

    scope: str
    role: str
    email: str
    inviter: str
    expires_at: datetime
    known: bool


@dataclass(frozen=True, slots=True)
class Accepted:
    """A role that somebody came to; `inviter` is None where he had accepted before."""

    scope: str
    role: str
    email: str
    inviter: str | None
