"""Signing in by an OpenID provider: a real one, and what a wrong one says."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from ironworks.platform import iam
from ironworks.platform.iam.adapters.oidc import HttpOpenIdProvider
from ironworks.platform.iam.headers import SESSION, SIGN_ON
from ironworks.platform.iam.signon import Pending, SignOnFailed, own_page
from ironworks.shared.http import RouteTable
from ironworks.shared.serving import Api
from tests.support.world import World

CLIENT, CALLBACK = "ironworks-test", "http://api.test/api/v1/session/oidc/callback"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """A provider that knows three people."""
    import oidc_provider_mock as mock

    people = [
        mock.User(sub="ann", claims={"email": "Ann@example.com", "email_verified": True}),
        mock.User(sub="bob", claims={"email": "bob@example.com", "email_verified": False}),
        mock.User(sub="carl", claims={"email": "carl@example.com", "email_verified": True}),
    ]
    with mock.run_server_in_thread(user_claims=people, require_nonce=True) as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture
async def http(world: World, issuer: str) -> AsyncIterator[httpx.AsyncClient]:
    """A browser at an installation that people sign in to by that provider."""
    identity = iam.Identity(world.identity.hashing, world.identity.signer, world.identity.verifier, "http://api.test")
    provider = HttpOpenIdProvider(issuer, CLIENT, "a secret")
    api = Api(
        database=await world.database(),
        table=RouteTable([route for router in world.catalogue.routers for route in router.routes]),
        authenticate=iam.BearerAuthenticator(world.identity, remember=0),
        injected={iam.Identity: identity, iam.SingleSignOn: iam.SingleSignOn(provider, "Example")},
    )
    transport = httpx.ASGITransport(app=api, client=("192.0.2.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        yield client


async def begin(http: httpx.AsyncClient, **query: str) -> str:
    """Where the browser is sent."""
    answer = await http.get("/api/v1/session/oidc", params=query)
    assert (answer.status_code, answer.content) == (303, b""), answer.text
    return answer.headers["location"]


async def at_the_provider(address: str, sub: str) -> dict[str, str]:
    """What the provider sends back with the browser once `sub` signed in there."""
    async with httpx.AsyncClient() as elsewhere:
        answer = await elsewhere.post(address, data={"sub": sub})
    assert answer.status_code == 302, answer.text
    back = urlsplit(answer.headers["location"])
    assert f"{back.scheme}://{back.netloc}{back.path}" == CALLBACK
    return {name: values[0] for name, values in parse_qs(back.query).items()}


async def come_back(http: httpx.AsyncClient, query: dict[str, str]) -> str:
    """Where the browser ends."""
    answer = await http.get("/api/v1/session/oidc/callback", params=query)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def test_who_the_provider_proves_has_a_session(http: httpx.AsyncClient, world: World, issuer: str) -> None:
    ann = await world.user("ann@example.com")
    address = await begin(http, return_to="/acme.shop/endpoints?tab=logs")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    assert address.startswith(f"{issuer}/oauth2/authorize?")
    assert (asked["response_type"], asked["scope"], asked["client_id"]) == ("code", "openid email", CLIENT)
    assert (asked["redirect_uri"], asked["code_challenge_method"]) == (CALLBACK, "S256")
    pending = Pending.decode(http.cookies[SIGN_ON.plain_name])
    assert pending is not None
    digest = hashlib.sha256(pending.verifier.encode()).digest()
    assert asked["code_challenge"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert pending.verifier not in address

    assert await come_back(http, await at_the_provider(address, "ann")) == "/acme.shop/endpoints?tab=logs"
    assert SESSION.plain_name in http.cookies
    token = await http.post("/api/v1/session/token", headers={"sec-fetch-site": "same-origin"})
    bearer = {"authorization": f"Bearer {token.json()['access_token']}"}
    assert (await http.get("/api/v1/me", headers=bearer)).json()["uid"] == str(ann.uid)
    record = await world.admin.fetchrow(
        "select after::text as after from platform_audit.pending where action = 'iam.login.success'"
    )
    assert record is not None
    assert issuer in record["after"]


@pytest.mark.parametrize(("sub", "reason"), [("bob", "unverified"), ("carl", "unknown-user"), ("ann", "unknown-user")])
async def test_who_has_no_user_or_no_verified_address_has_no_session(
    http: httpx.AsyncClient, world: World, sub: str, reason: str
) -> None:
    await world.user("bob@example.com")
    ann = await world.user("ann@example.com")
    name = await world.admin.fetchval("select name from platform_iam.user where uid = $1", ann.uid)
    await world.change(iam.USER, "", name, {"disabled": True})
    back = await at_the_provider(await begin(http), sub)
    assert await come_back(http, back) == f"/sign-in?problem={reason}"
    assert SESSION.plain_name not in http.cookies
    assert await world.admin.fetchval("select count(*) from platform_iam.session") == 0


async def test_who_was_invited_accepts_by_what_the_provider_proves(http: httpx.AsyncClient, world: World) -> None:
    await world.scope("acme.shop")
    bearer = {"authorization": f"Bearer {world.operator_key}"}
    for scope, role in (("acme.shop", "-/developer"), ("acme", "-/viewer")):
        body = {"email": "Carl@example.com", "role": role}
        assert (await http.post(f"/api/v1/scopes/{scope}/invitations", json=body, headers=bearer)).status_code == 202
    back = await at_the_provider(await begin(http, return_to="/link"), "carl")
    assert await come_back(http, back) == "/link"
    token = (await http.post("/api/v1/session/token", headers={"sec-fetch-site": "same-origin"})).json()
    mine = {"authorization": f"Bearer {token['access_token']}"}
    grants = (await http.get("/api/v1/me", headers=mine)).json()["grants"]
    assert [(grant["scope"], grant["role"]) for grant in grants] == [("acme", "-/viewer"), ("acme.shop", "-/developer")]
    assert await world.admin.fetchval("select count(*) from platform_iam.password") == 0
    told = await world.admin.fetch("select scopes[1]::text as scope from shared.touched where topic = 'invitations'")
    assert [row["scope"] for row in told] == ["acme.shop", "acme", "acme.shop", "acme"], "made, then accepted"
    waiting = await http.get("/api/v1/scopes/acme/invitations", headers=bearer)
    assert waiting.json()["items"] == []


async def test_only_the_browser_that_began_comes_in_and_once(http: httpx.AsyncClient, world: World) -> None:
    await world.user("ann@example.com")
    back = await at_the_provider(await begin(http), "ann")
    kept = http.cookies[SIGN_ON.plain_name]
    http.cookies.clear()
    assert await come_back(http, back) == "/sign-in?problem=expired"
    http.cookies.set(SIGN_ON.plain_name, Pending.new("/").encode())
    assert await come_back(http, back) == "/sign-in?problem=expired"
    http.cookies.clear()
    http.cookies.set(SIGN_ON.plain_name, kept)
    assert await come_back(http, {**back, "iss": "https://other.example"}) == "/sign-in?problem=cancelled"
    assert await come_back(http, {**back, "error": "access_denied"}) == "/sign-in?problem=cancelled"
    assert await come_back(http, {"state": back["state"]}) == "/sign-in?problem=cancelled"
    assert await come_back(http, back) == "/"
    assert await come_back(http, back) == "/sign-in?problem=provider"  # the code was used


async def test_a_code_of_another_sign_in_is_refused_by_its_nonce(http: httpx.AsyncClient, world: World) -> None:
    await world.user("ann@example.com")
    stolen = await at_the_provider(await begin(http), "ann")
    http.cookies.clear()
    address = await begin(http)
    state = parse_qs(urlsplit(address).query)["state"][0]
    assert await come_back(http, {**stolen, "state": state}) == "/sign-in?problem=provider"


async def test_a_provider_that_does_not_answer_leads_back_to_the_sign_in(http: httpx.AsyncClient) -> None:
    provider = HttpOpenIdProvider("http://127.0.0.1:1", CLIENT)
    with pytest.raises(SignOnFailed, match="cannot be reached"):
        await provider.begin(Pending.new("/"), CALLBACK)


async def test_a_provider_by_another_name_is_not_trusted(issuer: str) -> None:
    with pytest.raises(SignOnFailed, match="calls itself"):
        await HttpOpenIdProvider(f"{issuer}/", CLIENT).begin(Pending.new("/"), CALLBACK)


# --- what is not believed --------------------------------------------------------------------------------------------

KEY = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
KEYS = {"keys": [{**jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": "k1", "use": "sig"}]}
ISSUER = "https://idp.example"


def said(pending: Pending, **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    claims = {
        "iss": ISSUER, "sub": "ann", "aud": CLIENT, "iat": now, "exp": now + 60, "nonce": pending.nonce,
        "email": "ann@example.com", "email_verified": True,
    }  # fmt: skip
    return {name: value for name, value in {**claims, **changes}.items() if value is not None}


def read(pending: Pending, token: str) -> str:
    provider = HttpOpenIdProvider(ISSUER, CLIENT)
    return provider._proven(provider._verified(token, KEYS), pending).email


def test_a_good_token_is_believed() -> None:
    pending = Pending.new("/")
    for headers in ({"kid": "k1"}, {}):
        assert read(pending, jwt.encode(said(pending), KEY, "RS256", headers)) == "ann@example.com"
    several = said(pending, aud=[CLIENT, "other"], azp=CLIENT)
    assert read(pending, jwt.encode(several, KEY, "RS256")) == "ann@example.com"


WRONG: list[dict[str, Any]] = [
    {"iss": "https://other.example"}, {"aud": "other"}, {"aud": None}, {"azp": "other"}, {"nonce": "x"},
    {"nonce": None}, {"exp": 1}, {"exp": None}, {"iat": None}, {"sub": None}, {"email": None},
    {"email_verified": False}, {"email_verified": None}, {"email": ["ann@example.com"]}, {"nbf": 2**33},
]  # fmt: skip


@pytest.mark.parametrize("changes", WRONG, ids=str)
def test_a_token_that_says_something_else_is_not(changes: dict[str, Any]) -> None:
    pending = Pending.new("/")
    with pytest.raises(SignOnFailed):
        read(pending, jwt.encode(said(pending, **changes), KEY, "RS256", {"kid": "k1"}))


def test_a_token_that_the_provider_did_not_sign_is_not() -> None:
    pending = Pending.new("/")
    public = KEYS["keys"][0]["n"]
    for token in (
        jwt.encode(said(pending), OTHER, "RS256", {"kid": "k1"}),
        jwt.encode(said(pending), KEY, "RS256", {"kid": "k2"}),
        jwt.encode(said(pending), public, "HS256", {"kid": "k1"}),
        jwt.encode(said(pending), None, "none", {"kid": "k1"}),
        "no token",
        "",
    ):
        with pytest.raises(SignOnFailed):
            read(pending, token)


@pytest.mark.parametrize(
    "address", [None, "", "x", "//evil.example", "/\\evil.example", "https://evil.example", "/a b", "/a\r\nb", "/" * 2]
)
def test_nobody_is_led_away_afterwards(address: str | None) -> None:
    assert own_page(address) == "/"
    pending = Pending.new(address)
    assert Pending.decode(pending.encode()) == pending
    forged = pending.encode().rpartition(".")[0] + "." + base64.urlsafe_b64encode((address or "").encode()).decode()
    kept = Pending.decode(forged.rstrip("="))
    assert kept is None or kept.return_to == "/"


def test_pages_of_ours_are_gone_back_to() -> None:
    for address in ("/", "/acme.shop?x=1#y", "/a/b%20c"):
        assert own_page(address) == address
    for text in (None, "", "a.b.c.d", "x" * 300):
        assert Pending.decode(text) is None
