"""Signing in and up, issuing keys, and who the caller is."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, Field

from ironworks.platform.iam import authentication, service
from ironworks.platform.iam.authentication import Identity, Session
from ironworks.platform.iam.model import ACCESS_LIFE, Password
from ironworks.platform.tenancy import Email
from ironworks.shared.context import Context
from ironworks.shared.http import AUTHENTICATED, PUBLIC, Call, Router, ShownOnce


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


_SENT = AcceptedView(message="if the address can be written to, a mail with a link is on its way")

router = Router("platform.iam")


@router.get("/api/v1/me", permission=AUTHENTICATED)
async def whoami(ctx: Context) -> CallerView:
    """Who the caller is, and what it may do where."""
    return CallerView.model_validate(await service.describe_caller(ctx))


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
