"""Signing in and up, browsers' sessions, issuing keys, and who the caller is."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from ironworks.platform.iam import authentication, federated, invitations, recovery, service, setup, signup
from ironworks.platform.iam.authentication import Identity, Session
from ironworks.platform.iam.headers import SESSION, SIGN_ON, Cookie, refuse_cross_site
from ironworks.platform.iam.model import ACCESS_LIFE, SessionEnded
from ironworks.platform.iam.shapes import (
    AcceptedRoleView,
    AcceptedView,
    AccessQuery,
    AccessView,
    AddressRequest,
    AddressView,
    BrowserSessionView,
    CallbackQuery,
    CallerView,
    ChangePasswordRequest,
    EndedView,
    HeldView,
    InvitationList,
    InvitationRequest,
    InvitationsQuery,
    InvitationView,
    InvitedView,
    JoinRequest,
    JwksView,
    KeyView,
    LoginRequest,
    MemberList,
    MembersQuery,
    OwnSessionList,
    OwnSessionView,
    PasswordLinkView,
    PreferenceDocument,
    Preferences,
    ProfileRequest,
    RefreshRequest,
    ResetRequest,
    RotateRequest,
    SessionView,
    SetPasswordRequest,
    SetupRequest,
    SignOnQuery,
    SignupRequest,
    SubjectQuery,
    TokenRequest,
    VerifiedView,
)
from ironworks.platform.iam.signon import Pending, SignOnFailed, SingleSignOn
from ironworks.shared import telemetry
from ironworks.shared.context import Context
from ironworks.shared.errors import NotFound
from ironworks.shared.http import AUTHENTICATED, PUBLIC, Call, Raw, Router, ShownOnce
from ironworks.shared.listing import decode_cursor, encode_cursor

_SENT = AcceptedView(message="if the address can be written to, a mail with a link is on its way")

router = Router("platform.iam")
log = telemetry.logger(__name__)


@router.get("/api/v1/me", permission=AUTHENTICATED)
async def whoami(ctx: Context) -> CallerView:
    """Who the caller is, and what it may do where."""
    return CallerView.model_validate(await service.describe_caller(ctx))


@router.patch("/api/v1/me", permission=AUTHENTICATED)
async def change_profile(ctx: Context, body: ProfileRequest) -> CallerView:
    """Change how one is called."""
    await service.rename_self(ctx, body.display_name)
    return CallerView.model_validate(await service.describe_caller(ctx))


@router.get("/api/v1/me/preferences", permission=AUTHENTICATED)
async def read_preferences(ctx: Context) -> Preferences:
    """Read what one's pages remember."""
    return Preferences(preferences=PreferenceDocument.of(await service.read_preferences(ctx)))


@router.put("/api/v1/me/preferences", permission=AUTHENTICATED)
async def save_preferences(ctx: Context, body: Preferences) -> Preferences:
    """Replace what one's pages remember."""
    await service.save_preferences(ctx, body.preferences.model_dump(exclude_none=True))
    return body


@router.get("/api/v1/scopes/{path}/access", permission="role-assignment:read")
async def explain_access(ctx: Context, path: str, query: AccessQuery) -> AccessView:
    """Explain why a subject may do something in a scope, or why it may not."""
    found = await service.explain_access(ctx, query.subject, query.permission, path)
    return AccessView.model_validate(found)


@router.get("/api/v1/scopes/{path}/access/permissions", permission="role-assignment:read")
async def list_held_permissions(ctx: Context, path: str, query: SubjectQuery) -> HeldView:
    """List all that a subject may do in a scope."""
    return HeldView.model_validate(await service.list_held_permissions(ctx, query.subject, path))


@router.get("/api/v1/scopes/{path}/members", permission="role-assignment:read")
async def list_members(ctx: Context, path: str, query: MembersQuery) -> MemberList:
    """List who has a role in a scope, there or from above, with the assignments that give it."""
    after = decode_cursor(query.cursor)[1] if query.cursor else ""
    found = await service.list_members(ctx, path, below=query.below, after=after, limit=query.limit + 1)
    page = found["items"][: query.limit]
    more = encode_cursor("", page[-1]["subject"]) if len(found["items"]) > query.limit else None
    return MemberList(items=page, next_cursor=more, above=found["above"])


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
async def resend_verification(ctx: Context, body: AddressRequest) -> AcceptedView:
    """Have the verification mail sent again."""
    await signup.resend_verification(ctx, body.email)
    return _SENT


@router.post("/api/v1/signup:verify", permission=PUBLIC)
async def verify_signup(ctx: Context, body: TokenRequest) -> VerifiedView:
    """Verify the e-mail address of a sign-up; the account becomes active."""
    done = await signup.verify_signup(ctx, body.token)
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
    await signup.sign_up(call, identity, body.email, body.password, body.account, body.display_name)
    return _SENT


# --- invitations and forgotten passwords --------------------------------------------------------------------------


@router.post("/api/v1/scopes/{path}/invitations", permission="role-assignment:create", calls_out=True, status=202)
async def invite(call: Call, path: str, body: InvitationRequest) -> InvitationView:
    """Invite an address to a role by mail; the invitation that waits already is sent again."""
    return InvitationView.show(await invitations.invite(call, path, body.email, body.role))


@router.get("/api/v1/scopes/{path}/invitations", permission="role-assignment:read")
async def list_invitations(ctx: Context, path: str, query: InvitationsQuery) -> InvitationList:
    """List the invitations to a scope that nobody has accepted."""
    after = decode_cursor(query.cursor) if query.cursor else ("", "")
    found = await invitations.list_invitations(ctx, path, after, query.limit + 1)
    page = found[: query.limit]
    more = encode_cursor(page[-1].email, str(page[-1].uid)) if len(found) > query.limit else None
    return InvitationList(items=[InvitationView.show(one) for one in page], next_cursor=more)


@router.delete("/api/v1/scopes/{path}/invitations/{invitation}", permission="role-assignment:delete")
async def revoke_invitation(ctx: Context, path: str, invitation: str) -> None:
    """Take an invitation back."""
    await invitations.revoke_invitation(ctx, path, _uid(invitation, "there is no invitation of that id"))


@router.post("/api/v1/invitations:read", permission=PUBLIC)
async def read_invitation(ctx: Context, body: TokenRequest) -> InvitedView:
    """Tell whoever got an invitation what it is to."""
    return InvitedView.show(await invitations.read_invitation(ctx, body.token))


@router.post("/api/v1/invitations:accept", permission=AUTHENTICATED)
async def accept_invitation(ctx: Context, body: TokenRequest) -> AcceptedRoleView:
    """Accept an invitation as the user whose address it was sent to."""
    found = await invitations.accept_invitation(ctx, body.token)
    return AcceptedRoleView(scope=found.scope, role=found.role, email=found.email)


@router.post("/api/v1/invitations:join", permission=PUBLIC, calls_out=True)
async def join_by_invitation(call: Call, body: JoinRequest, identity: Identity) -> AcceptedRoleView:
    """Accept an invitation as a new user, who may sign in with this password from then on."""
    found = await invitations.join_by_invitation(call, identity, body.token, body.password, body.display_name)
    return AcceptedRoleView(scope=found.scope, role=found.role, email=found.email)


@router.post("/api/v1/password:forgot", permission=PUBLIC, calls_out=True, status=202)
async def ask_password(call: Call, body: AddressRequest) -> AcceptedView:
    """Have a link mailed that sets one's password anew; answers alike for every address."""
    await recovery.ask_password(call, body.email)
    return _SENT


@router.post("/api/v1/password:reset", permission=PUBLIC, calls_out=True)
async def reset_password(call: Call, body: ResetRequest, identity: Identity) -> AddressView:
    """Set one's password by a link; all sessions end."""
    return AddressView(email=await recovery.reset_password(call, identity, body.token, body.password))


@router.post("/api/v1/users/{name}:make-password-link", permission="user:set-password")
async def make_password_link(ctx: Context, name: str, identity: Identity) -> PasswordLinkView:
    """Make a link by which another user sets his password, to be handed to him; it is shown this once."""
    made = await recovery.make_password_link(ctx, identity, name)
    view = PasswordLinkView(uid=made.uid, link=made.address, expires_at=made.expires_at)
    return ShownOnce(view, view.uid)  # type: ignore[return-value] # the router unwraps it


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
    token = SESSION.read(call.headers, secure=_secure(call, identity))
    if token is None:
        raise SessionEnded
    return _in_browser(call, identity, await authentication.refresh_session(call, identity, token))


@router.delete("/api/v1/session", permission=PUBLIC, calls_out=True, status=204, returns=type(None))
async def end_browser_session(call: Call, identity: Identity) -> Raw:
    """Sign out: ends the cookie's session and the cookie."""
    refuse_cross_site(call.headers, identity.url)
    secure = _secure(call, identity)
    token = SESSION.read(call.headers, secure=secure)
    if token is not None:
        async with call.transaction() as ctx:
            await authentication.log_out(ctx, token)
    return Raw(b"", status=204, headers={"set-cookie": SESSION.write("", secure=secure)})


@router.post("/api/v1/setup", permission=PUBLIC, calls_out=True, status=201, returns=BrowserSessionView)
async def set_up(call: Call, body: SetupRequest, identity: Identity) -> Raw:
    """Make the first operator who is a person, with the key that the first start wrote, and sign him in."""
    refuse_cross_site(call.headers, identity.url)
    return _in_browser(call, identity, await setup.set_up(call, identity, body.operator_key, body.email, body.password))


@router.get("/api/v1/session/oidc", permission=PUBLIC, calls_out=True, status=303)
async def begin_sign_on(call: Call, query: SignOnQuery, identity: Identity, single: SingleSignOn) -> Raw:
    """Send a browser to the OpenID provider to sign in there."""
    provider, pending = federated.require_provider(single), Pending.new(query.return_to)
    try:
        address = await federated.begin_sign_on(provider, identity, pending)
    except SignOnFailed as problem:
        return _without_session(call, problem)
    return _to(address, SIGN_ON, pending.encode(), secure=_secure(call, identity))


@router.get("/api/v1/session/oidc/callback", permission=PUBLIC, calls_out=True, status=303)
async def finish_sign_on(call: Call, query: CallbackQuery, identity: Identity, single: SingleSignOn) -> Raw:
    """Take a browser back from the OpenID provider: to the page it came from with a session, else to the sign-in."""
    provider, secure = federated.require_provider(single), _secure(call, identity)
    pending = Pending.decode(SIGN_ON.read(call.headers, secure=secure))
    try:
        if pending is None or query.state is None or not pending.began(query.state):
            raise SignOnFailed("expired", "this browser began no such sign-in, or too long ago")
        if query.error is not None or query.code is None or query.iss not in (None, provider.issuer):
            raise SignOnFailed("cancelled", f"the provider signed nobody in: {query.error}")
        session = await federated.finish_sign_on(call, provider, identity, pending, query.code)
    except SignOnFailed as problem:
        return _without_session(call, problem)
    return _to(pending.return_to, SESSION, session.refresh_token, secure=secure)


def _to(address: str, cookie: Cookie, value: str, *, secure: bool) -> Raw:
    return Raw(b"", "text/plain", headers={"location": address, "set-cookie": cookie.write(value, secure=secure)})


def _without_session(call: Call, problem: SignOnFailed) -> Raw:
    """Back to the sign-in, which says why in the person's words; the log says it in ours."""
    log.warning("nobody was signed in", request_id=call.request_id, reason=problem.reason, problem=problem.message)
    return Raw(b"", "text/plain", headers={"location": f"/sign-in?problem={problem.reason}"})


@router.get("/api/v1/me/sessions", permission=AUTHENTICATED)
async def list_own_sessions(ctx: Context) -> OwnSessionList:
    """List one's own sign-ins that last, those used last first."""
    found = await service.list_own_sessions(ctx)
    return OwnSessionList(items=[OwnSessionView.of(session, ctx.actor.session) for session in found])


@router.delete("/api/v1/me/sessions/{session}", permission=AUTHENTICATED)
async def end_own_session(ctx: Context, session: str) -> None:
    """End one of one's own sign-ins; its access token runs out within ten minutes."""
    await service.end_own_session(ctx, _uid(session, "you have no session of that id"))


@router.post("/api/v1/me/sessions:end-others", permission=AUTHENTICATED)
async def end_other_sessions(ctx: Context) -> EndedView:
    """End all of one's own sign-ins but the one that asks."""
    return EndedView(ended=await service.end_own_sessions(ctx, but_this=True))


@router.post("/api/v1/me/sessions:end-all", permission=AUTHENTICATED)
async def end_all_sessions(ctx: Context) -> EndedView:
    """Sign out everywhere."""
    return EndedView(ended=await service.end_own_sessions(ctx, but_this=False))


def _uid(text: str, otherwise: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(otherwise) from None


def _secure(call: Call, identity: Identity) -> bool:
    return call.scheme == "https" or identity.url.startswith("https:")


def _in_browser(call: Call, identity: Identity, session: Session) -> Raw:
    view = BrowserSessionView(
        access_token=session.access_token,
        expires_in=int(ACCESS_LIFE.total_seconds()),
        expires_at=session.expires_at,
    )
    cookie = SESSION.write(session.refresh_token, secure=_secure(call, identity))
    return Raw(view.model_dump_json().encode(), headers={"set-cookie": cookie})
