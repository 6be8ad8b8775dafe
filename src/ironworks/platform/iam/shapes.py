"""What identity's operations take and answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ironworks.platform.iam.authentication import Session
from ironworks.platform.iam.model import ACCESS_LIFE, OwnSession, Password, PermissionName
from ironworks.platform.tenancy import Email
from ironworks.shared.listing import DEFAULT_PAGE, MAX_PAGE
from ironworks.shared.shapes import Shape


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class LoginRequest(_Body):
    email: str = Field(max_length=254)
    password: str = Field(max_length=256)


class RefreshRequest(_Body):
    refresh_token: str = Field(max_length=100, pattern=r"^[\x21-\x7e]+$")


class ChangePasswordRequest(_Body):
    current_password: str = Field(max_length=256)
    new_password: Password


class SetPasswordRequest(_Body):
    password: Password


class SetupRequest(_Body):
    operator_key: str = Field(max_length=200, description="What `credentials/operator-token` holds.")
    email: Email
    password: Password


class SignupRequest(_Body):
    email: Email
    password: Password
    account: str = Field(max_length=63, description="The name of the account; it never changes.")
    display_name: str | None = Field(None, max_length=128)


class AddressRequest(_Body):
    email: Email


class AddressView(BaseModel):
    email: str


class TokenRequest(_Body):
    token: str = Field(max_length=100, pattern=r"^[\x21-\x7e]+$", description="From the mail.")


class ResetRequest(TokenRequest):
    password: Password


class PasswordLinkView(BaseModel):
    """Whoever opens it sets the password: it works once."""

    uid: str
    link: str
    expires_at: datetime


class InvitationRequest(_Body):
    email: Email
    role: str = Field(max_length=700, description="`-/viewer`, or `path/name` of a role of one's own.")


class InvitationView(Shape):
    """A role that waits for somebody."""

    uid: UUID
    email: str
    scope: str
    role: str
    inviter: str = Field(description="In whose name it is: he must be able to give the role when it is accepted.")
    created_at: datetime
    sent_at: datetime | None = Field(description="When its last mail was written.")
    expires_at: datetime | None
    state: Literal["waiting", "expired", "lapsed"] = Field(
        description="`lapsed`: its inviter could not give the role himself any more; who can may send it again."
    )


class InvitationsQuery(_Body):
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    cursor: str | None = Field(None, max_length=1024)


class InvitationList(BaseModel):
    items: list[InvitationView]
    next_cursor: str | None


class InvitedView(Shape):
    """What an invitation is to."""

    scope: str
    role: str
    email: str
    inviter: str
    expires_at: datetime
    known: bool = Field(description="The address has a user: sign in and accept; else join with a password.")


class JoinRequest(ResetRequest):
    display_name: str | None = Field(None, max_length=128)


class AcceptedRoleView(BaseModel):
    scope: str
    role: str
    email: str


class RotateRequest(_Body):
    grace_seconds: int = Field(0, ge=0, le=604_800, description="How long the former secret goes on working.")


class SessionView(BaseModel):
    """As RFC 6749, section 5.1."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - the name of a scheme
    expires_in: int
    expires_at: datetime
    refresh_token: str

    @classmethod
    def of(cls, session: Session) -> SessionView:
        return cls(
            access_token=session.access_token,
            expires_in=int(ACCESS_LIFE.total_seconds()),
            expires_at=session.expires_at,
            refresh_token=session.refresh_token,
        )


class BrowserSessionView(BaseModel):
    """What a page keeps in memory; the refresh token is in a cookie that it cannot read."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - the name of a scheme
    expires_in: int
    expires_at: datetime


class OwnSessionView(Shape):
    id: UUID
    created_at: datetime
    last_used_at: datetime = Field(description="Its last refresh; while it is used there is one every ten minutes.")
    expires_at: datetime
    address: str = Field(description="Where it was signed in from.")
    user_agent: str | None
    current: bool = Field(description="The one that asks.")

    @classmethod
    def of(cls, session: OwnSession, current: UUID | None) -> OwnSessionView:
        return cls.show(session, current=session.id == current)


class OwnSessionList(BaseModel):
    items: list[OwnSessionView]


class EndedView(BaseModel):
    ended: int = Field(description="How many sessions ended.")


class AcceptedView(BaseModel):
    message: str


class VerifiedView(BaseModel):
    account: str
    email: str


class KeyView(BaseModel):
    """The key's text, shown this once."""

    uid: str
    name: str
    key: str


class JwksView(BaseModel):
    keys: list[dict[str, str]]


class GrantView(BaseModel):
    scope: str
    role: str
    permissions: list[str]


class CallerView(BaseModel):
    """`display_name` is a user's; `scope`, `owner`, `expires_at` and `permissions` are an API key's."""

    uid: str
    kind: str
    name: str
    display_name: str | None
    scope: str | None
    owner: str | None
    expires_at: datetime | None
    permissions: list[str] | None
    grants: list[GrantView]


class SubjectQuery(_Body):
    subject: str = Field(
        max_length=720, description="`user:alice@example.com`, `service-account:path/name` or `api-key:path/name`."
    )


class AccessQuery(SubjectQuery):
    permission: PermissionName = Field(description="For instance `endpoint:create`.")


class GivingAssignment(BaseModel):
    """An assignment of a role that holds the permission; without names where the caller may not read it."""

    assignment: str | None
    scope: str | None
    role: str | None
    reaches: bool = Field(description="It is given at the asked scope or above; else it counts further down only.")


Obstacle = Literal[
    "permission-unknown-or-disabled", "no-role", "subject-disabled", "owner-disabled", "key-disabled", "key-expired",
    "key-leaves-it-out", "outside-of-the-key", "key-halted",
]  # fmt: skip


class AccessView(BaseModel):
    allowed: bool
    subject: str
    owner: str | None = Field(description="Of a key: it holds no more than its owner.")
    assignments: list[GivingAssignment]
    obstacles: list[Obstacle] = Field(description="Everything that stands against it; none where it is allowed.")


class HeldView(BaseModel):
    """What a subject may do in a scope now, by whatever ways."""

    subject: str
    owner: str | None = Field(description="Of a key: it holds no more than its owner.")
    permissions: list[str]


class MembersQuery(_Body):
    below: bool = Field(False, description="Those with a role further down, instead of there or above.")
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    cursor: str | None = Field(None, max_length=1024)


class MemberAssignment(BaseModel):
    assignment: str = Field(description="As `path/name`.")
    scope: str = Field(description="Where it is given; it reaches all below.")
    role: str


class MemberView(BaseModel):
    """A user or a service account that has a role."""

    subject: str
    kind: Literal["user", "service-account"]
    display_name: str | None
    active: bool = Field(description="False for one that is disabled: it may do nothing.")
    assignments: list[MemberAssignment]


class MemberList(BaseModel):
    items: list[MemberView]
    next_cursor: str | None
    above: bool = Field(description="Others have a role above, which the caller may not read.")


class ProfileRequest(_Body):
    display_name: str | None = Field(max_length=128, description="How people read it; null for none.")


class PreferenceDocument(_Body):
    """What a person set for himself; what is left out is as the console has it."""

    theme: Literal["system", "dark", "light"] | None = None
    density: Literal["compact", "comfortable"] | None = None
    utc: bool | None = Field(None, description="Exact times in UTC, instead of the browser's zone.")
    scope: str | None = Field(None, max_length=600, description="Where the person was last.")
    pages: dict[str, Any] | None = Field(None, description="What features remember, each under its id.")

    @classmethod
    def of(cls, kept: dict[str, Any]) -> PreferenceDocument:
        """What is kept, as far as it still means something: it may be older than these words."""
        try:
            return cls.model_validate({name: value for name, value in kept.items() if name in cls.model_fields})
        except ValidationError:
            return cls()


class Preferences(_Body):
    preferences: PreferenceDocument = Field(description="At most 16 KiB of JSON.")


class SignOnQuery(_Body):
    return_to: str | None = Field(None, max_length=500, description="The page of ours to go to afterwards.")


class CallbackQuery(BaseModel):
    """What the provider sends back (RFC 6749, section 4.1.2; RFC 9207); it may add words of its own."""

    model_config = ConfigDict(extra="ignore")
    state: str | None = Field(None, max_length=200)
    code: str | None = Field(None, max_length=4000)
    iss: str | None = Field(None, max_length=500)
    error: str | None = Field(None, max_length=200)
