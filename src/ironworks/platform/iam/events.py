"""What iam tells the rest; payloads hold ids, never a secret."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from ironworks.shared.context import Event


class KeyRotated(Event):
    """An API key got a new secret."""

    type: ClassVar[str] = "platform.iam.key_rotated.v1"
    governed: ClassVar[bool] = True
    key: UUID


class VerificationRequested(Event):
    """Somebody signed up, or asked for the mail again: `arm_link` gives what to write."""

    type: ClassVar[str] = "platform.iam.verification_requested.v1"
    signup: UUID


class LinkRequested(Event):
    """Somebody is to get a link by mail, for an invitation or a forgotten password: `arm_link` gives what to write."""

    type: ClassVar[str] = "platform.iam.link_requested.v1"
    link: UUID


class SignupVerified(Event):
    """An address was verified: the account works and its first administrator may sign in."""

    type: ClassVar[str] = "platform.iam.signup_verified.v1"
    governed: ClassVar[bool] = True
    account: UUID
    user: UUID
