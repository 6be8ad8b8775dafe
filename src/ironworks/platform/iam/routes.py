"""Signing in and up, browsers' sessions, issuing keys, and who the caller is."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from ironworks.platform.iam import authentication, service, setup
from ironworks.platform.iam.authentication import Identity, Session
from ironworks.platform.iam.headers import read_cookie, refuse_cross_site, write_cookie
from ironworks.platform.iam.model import ACCESS_LIFE, OwnSession, Password, PermissionName, SessionEnded
from ironworks.platform.tenancy import Email
from ironworks.shared.context import Context
from ironworks.shared.errors import NotFound
from ironworks.shared.http import AUTHENTICATED, PUBLIC, Call, Raw, Router, ShownOnce


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


class ResendRequest(_Body):
    email: Email


class VerifyRequest(_Body):
    token: str = Field(max_length=100, pattern=r"^[\x21-\x7e]+$", description="From the mail.")


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


class OwnSessionView(BaseModel):
    id: UUID
    created_at: datetime
    last_used_at: datetime = Field(description="Its last refresh; while it is used there is one every ten minutes.")
    expires_at: datetime
    address: str = Field(description="Where it was signed in from.")
    user_agent: str | None
    current: bool = Field(description="The one that asks.")

    @classmethod
    def of(cls, session: OwnSession, current: UUID | None) -> OwnSessionView:
        return cls(
            id=session.id,
            created_at=session.created_at,
            last_used_at=session.last_used_at,
            expires_at=session.expires_at,
            address=session.address,
            user_agent=session.user_agent,
            current=session.id == current,
        )


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
    """`scope`, `owner`, `expires_at` and `permissions` are an API key's."""

    uid: str
    kind: str
    name: str
    scope: str | None
    owner: str | None
    expires_at: datetime | None
    permissions: list[str] | None
    grants: list[GrantView]


class AccessQuery(_Body):
    subject: str = Field(
        max_length=720, description="`user:alice@example.com`, `service-account:path/name` or `api-key:path/name`."
    )
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


_SENT = AcceptedView(message="if the address can be written to, a mail with a link is on its way")

router = Router("platform.iam")


@router.get("/api/v1/me", permission=AUTHENTICATED)
async def whoami(ctx: Context) -> CallerView:
    """Who the caller is, and what it may do where."""
    return CallerView.model_validate(await service.describe_caller(ctx))


@router.get("/api/v1/scopes/{path}/access", permission="role-assignment:read")
async def explain_access(ctx: Context, path: str, query: AccessQuery) -> AccessView:
    """Explain why a subject may do something in a scope, or why it may not."""
    found = await service.explain_access(ctx, query.subject, query.permission, path)
    return AccessView.model_validate(found)


@router.post("/api/v1/scopes/{path}/api-keys/{name}:rotate", permission="api-key:rotate")
async def rotate_key(ctx: Context, path: str, name: str, body: RotateRequest) -> KeyView:
    """Issue an API key's secret, or replace it; it is shown this once."""
    issued = await service.rotate_key(ctx, path, name, timedelta(seconds=body.grace_seconds))
    view = KeyView(uid=str(issued.uid), name=issued.name, key=issued.text)
    return ShownOnce(view, view.uid)  # type: ignore[return-value] # the router unwraps it


@router.get("/api/v1/auth/jwks", permission=PUBLIC)
async def jwks(ctx: Context) -> JwksView:
    """The public keys that session tokens are signed with (RFC 7517)."""
    return JwksView(keys=await authentication.list_public_keys(ctx))


@router.get("/.well-known/jwks.json", permission=PUBLIC)
async def well_known_jwks(ctx: Context) -> JwksView:
    """The public keys that session tokens are signed with, where standard clients look."""
    return JwksView(keys=await authentication.list_public_keys(ctx))


@router.post("/api/v1/auth:logout", permission=PUBLIC, status=204)
async def log_out(ctx: Context, body: RefreshRequest) -> None:
    """End a session; its access token runs out within ten minutes."""
    await authentication.log_out(ctx, body.refresh_token)


@router.post("/api/v1/signup:resend", permission=PUBLIC, status=202)
async def resend_verification(ctx: Context, body: ResendRequest) -> AcceptedView:
    """Have the verification mail sent again."""
    await authentication.resend_verification(ctx, body.email)
    return _SENT


@router.post("/api/v1/signup:verify", permission=PUBLIC)
async def verify_signup(ctx: Context, body: VerifyRequest) -> VerifiedView:
    """Verify the e-mail address of a sign-up; the account becomes active."""
    done = await authentication.verify_signup(ctx, body.token)
    return VerifiedView(account=done.account, email=done.email)


@router.post("/api/v1/auth:login", permission=PUBLIC, calls_out=True)
async def log_in(call: Call, body: LoginRequest, identity: Identity) -> SessionView:
    """Sign in: an access token for ten minutes, and a refresh token for the next one."""
    return SessionView.of(await authentication.log_in(call, identity, body.email, body.password))


@router.post("/api/v1/auth:refresh", permission=PUBLIC, calls_out=True)
async def refresh(call: Call, body: RefreshRequest, identity: Identity) -> SessionView:
    """Exchange a refresh token, once, for fresh tokens."""
    return SessionView.of(await authentication.refresh_session(call, identity, body.refresh_token))


@router.post("/api/v1/auth:change-password", permission=AUTHENTICATED, calls_out=True, status=204)
async def change_password(call: Call, body: ChangePasswordRequest, identity: Identity) -> None:
    """Change one's own password; all sessions end."""
    await authentication.change_password(call, identity, body.current_password, body.new_password)


@router.post("/api/v1/users/{name}:set-password", permission="user:set-password", calls_out=True, status=204)
async def set_password(call: Call, name: str, body: SetPasswordRequest, identity: Identity) -> None:
    """Set another user's password; his sessions end."""
    hashed = await identity.hashing.hash(body.password)
    async with call.transaction() as ctx:
        await service.set_password(ctx, name, hashed)


@router.post("/api/v1/signup", permission=PUBLIC, calls_out=True, status=202)
async def sign_up(call: Call, body: SignupRequest, identity: Identity) -> AcceptedView:
    """Open an account; it waits until the mailed link is opened."""
    await authentication.sign_up(call, identity, body.email, body.password, body.account, body.display_name)
    return _SENT


# --- browsers ----------------------------------------------------------------------------------------------------


@router.post("/api/v1/session", permission=PUBLIC, calls_out=True, returns=BrowserSessionView)
async def open_browser_session(call: Call, body: LoginRequest, identity: Identity) -> Raw:
    """Sign in from a browser: the refresh token comes in a cookie that no script can read."""
    refuse_cross_site(call.headers, identity.url)
    return _in_browser(call, identity, await authentication.log_in(call, identity, body.email, body.password))


@router.post("/api/v1/session/token", permission=PUBLIC, calls_out=True, returns=BrowserSessionView)
async def refresh_browser_session(call: Call, identity: Identity) -> Raw:
    """Exchange the cookie for an access token, and for the next cookie."""
    refuse_cross_site(call.headers, identity.url)
    token = read_cookie(call.headers, secure=_secure(call, identity))
    if token is None:
        raise SessionEnded
    return _in_browser(call, identity, await authentication.refresh_session(call, identity, token))


@router.delete("/api/v1/session", permission=PUBLIC, calls_out=True, status=204, returns=type(None))
async def end_browser_session(call: Call, identity: Identity) -> Raw:
    """Sign out: ends the cookie's session and the cookie."""
    refuse_cross_site(call.headers, identity.url)
    secure = _secure(call, identity)
    token = read_cookie(call.headers, secure=secure)
    if token is not None:
        async with call.transaction() as ctx:
            await authentication.log_out(ctx, token)
    return Raw(b"", status=204, headers={"set-cookie": write_cookie("", secure=secure)})


@router.post("/api/v1/setup", permission=PUBLIC, calls_out=True, status=201, returns=BrowserSessionView)
async def set_up(call: Call, body: SetupRequest, identity: Identity) -> Raw:
    """Make the first operator who is a person, with the key that the first start wrote, and sign him in."""
    refuse_cross_site(call.headers, identity.url)
    return _in_browser(call, identity, await setup.set_up(call, identity, body.operator_key, body.email, body.password))


@router.get("/api/v1/me/sessions", permission=AUTHENTICATED)
async def list_own_sessions(ctx: Context) -> OwnSessionList:
    """List one's own sign-ins that last, those used last first."""
    found = await service.list_own_sessions(ctx)
    return OwnSessionList(items=[OwnSessionView.of(session, ctx.actor.session) for session in found])


@router.delete("/api/v1/me/sessions/{session}", permission=AUTHENTICATED)
async def end_own_session(ctx: Context, session: str) -> None:
    """End one of one's own sign-ins; its access token runs out within ten minutes."""
    try:
        wanted = UUID(session)
    except ValueError:
        raise NotFound("you have no session of that id") from None
    await service.end_own_session(ctx, wanted)


@router.post("/api/v1/me/sessions:end-others", permission=AUTHENTICATED)
async def end_other_sessions(ctx: Context) -> EndedView:
    """End all of one's own sign-ins but the one that asks."""
    return EndedView(ended=await service.end_own_sessions(ctx, but_this=True))


@router.post("/api/v1/me/sessions:end-all", permission=AUTHENTICATED)
async def end_all_sessions(ctx: Context) -> EndedView:
    """Sign out everywhere."""
    return EndedView(ended=await service.end_own_sessions(ctx, but_this=False))


def _secure(call: Call, identity: Identity) -> bool:
    return call.scheme == "https" or identity.url.startswith("https:")


def _in_browser(call: Call, identity: Identity, session: Session) -> Raw:
    view = BrowserSessionView(
        access_token=session.access_token,
        expires_in=int(ACCESS_LIFE.total_seconds()),
        expires_at=session.expires_at,
    )
    cookie = write_cookie(session.refresh_token, secure=_secure(call, identity))
    return Raw(view.model_dump_json().encode(), headers={"set-cookie": cookie})
