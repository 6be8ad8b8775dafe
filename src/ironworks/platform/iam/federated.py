"""Signing in by an OpenID provider: the user is the one whose address the provider verified; none is made, unless he
was invited.
"""

from __future__ import annotations

from ironworks.platform.iam import store
from ironworks.platform.iam.authentication import Identity, Session, begin_session
from ironworks.platform.iam.invitations import admit_invited
from ironworks.platform.iam.model import USER
from ironworks.platform.iam.signon import OpenIdProvider, Pending, SignOnFailed, SingleSignOn
from ironworks.shared.errors import NotFound
from ironworks.shared.http import Call

CALLBACK = "/api/v1/session/oidc/callback"


def require_provider(single: SingleSignOn) -> OpenIdProvider:
    """Raises NotFound where none is configured."""
    if single.provider is None:
        raise NotFound("nobody signs in by an OpenID provider here: IRONWORKS_OIDC_ISSUER is not set")
    return single.provider


async def begin_sign_on(provider: OpenIdProvider, identity: Identity, pending: Pending) -> str:
    """Where to send the browser. Raises SignOnFailed."""
    return await provider.begin(pending, identity.url + CALLBACK)


async def finish_sign_on(
    call: Call, provider: OpenIdProvider, identity: Identity, pending: Pending, code: str
) -> Session:
    """Sign in whom the provider proved; whoever was invited accepts by it.

    Raises SignOnFailed, also for an address that has no user here and was not invited.
    """
    proven = await provider.prove(code, pending, identity.url + CALLBACK)
    key = await identity.signer.key(call.database)
    async with call.transaction() as ctx:
        found = await store.fetch_login(ctx, proven.email)
        user = await admit_invited(ctx, proven.email) if found is None else found.user_uid if found.active else None
        if user is not None:
            return await begin_session(
                ctx, key, user, proven.email.lower(), call.headers.get("user-agent"), proven.issuer
            )
        told = proven.email.lower() if found else proven.subject[:120]
        await ctx.audit("iam.login.failure", USER.name, told, result="denied", after={"issuer": proven.issuer})
    raise SignOnFailed("unknown-user", "the address that the provider verified has no user here that may sign in")
