"""Users, service accounts, roles, assignments and API keys; what keys look like; who gets which preset."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, TypeAlias
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, Field

from ironworks.platform.tenancy import Email
from ironworks.shared.errors import Conflict, Forbidden, RateLimited, Unauthenticated
from ironworks.shared.kind import ACCOUNT, EVERYWHERE, OPERATOR, Kind, Ref, Resource, Spec, Status

# --- kinds -------------------------------------------------------------------------------------------------------

SubjectName: TypeAlias = Annotated[
    str,
    Field(
        max_length=700,
        pattern=r"^(user:[^@\s]+@[^@\s]+|service-account:(-|[a-z0-9][-.a-z0-9]*)/[a-z0-9][-a-z0-9]*)$",
        description="`user:alice@example.com` or `service-account:path/name`.",
    ),
]
PermissionName: TypeAlias = Annotated[str, Field(max_length=128, pattern=r"^[a-z][-a-z0-9]*:[a-z][-a-z0-9]*$")]


def _sorted_once(permissions: list[str]) -> list[str]:
    return sorted(set(permissions))


PermissionList: TypeAlias = Annotated[list[PermissionName], Field(max_length=1000), AfterValidator(_sorted_once)]


def _in_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


# Bounds within which any offset converts to UTC; in UTC, for Postgres takes fewer offsets than RFC 3339 knows.
Moment: TypeAlias = Annotated[
    AwareDatetime,
    Field(ge=datetime(1970, 1, 1, tzinfo=UTC), le=datetime(9000, 1, 1, tzinfo=UTC)),
    AfterValidator(_in_utc),
]


class UserSpec(Spec):
    """A person who signs in with an e-mail address and a password."""

    email: Email = Field(description="Unique, whatever its case.")
    disabled: bool = Field(False, description="Ends every session and stops every key of this user.")


class ServiceAccountSpec(Spec):
    """A subject for programs; it acts through its API keys."""

    description: str = Field("", max_length=500)
    disabled: bool = Field(False, description="Stops every key of this service account.")


class RoleSpec(Spec):
    """A named set of permissions."""

    permissions: PermissionList = Field(description="Each one `<resource>:<action>`.")
    description: str = Field("", max_length=500)


class RoleStatus(Status):
    preset: bool = Field(False, description="Kept by the installation; cannot be changed.")


class RoleAssignmentSpec(Spec):
    """Gives a subject a role here and everywhere below."""

    subject: SubjectName
    role: Annotated[str, Ref("Role")] = Field(max_length=700, description="`name` (same scope) or `-/viewer`.")


class ApiKeySpec(Spec):
    """A key holds what its owner holds now, inside the scope where the key lives."""

    owner: SubjectName | None = Field(None, description="Whoever creates it, when left out.")
    permissions: PermissionList | None = Field(
        None, description="All it may use of its owner's; everything if left out."
    )
    expires_at: Moment | None = Field(None, description="From then on it is refused.")
    disabled: bool = False


class ApiKeyStatus(Status):
    owner: str | None = None
    issued_at: datetime | None = Field(None, description="When its secret was last issued.")
    last_used_at: datetime | None = Field(None, description="To within some minutes.")
    previous_until: datetime | None = Field(None, description="Until when the secret before the last still works.")


_SCHEMA: Final = "platform_iam"
USER = Kind(
    "User", plural="users", short="usr", schema=_SCHEMA, levels=(OPERATOR,), spec=UserSpec, reconciled=False,
    columns=("spec.email", "spec.disabled"), phases=("Ready",), description="A person.",
)  # fmt: skip
SERVICE_ACCOUNT = Kind(
    "ServiceAccount", plural="service-accounts", short="sa", schema=_SCHEMA, levels=EVERYWHERE,
    spec=ServiceAccountSpec, reconciled=False, columns=("spec.disabled",), phases=("Ready",),
    description="A subject for programs.",
)  # fmt: skip
ROLE = Kind(
    "Role", plural="roles", short="role", schema=_SCHEMA, levels=(OPERATOR, ACCOUNT), spec=RoleSpec, status=RoleStatus,
    inherited=True, reconciled=False, columns=("status.preset", "spec.description"), phases=("Ready",),
    description="A named set of permissions.",
)  # fmt: skip
ROLE_ASSIGNMENT = Kind(
    "RoleAssignment", plural="role-assignments", short="ra", schema=_SCHEMA, levels=EVERYWHERE,
    spec=RoleAssignmentSpec, reconciled=False, columns=("spec.subject", "spec.role"), phases=("Ready",),
    description="Gives a subject a role at a scope and below.",
)  # fmt: skip
API_KEY = Kind(
    "ApiKey", plural="api-keys", short="key", schema=_SCHEMA, levels=EVERYWHERE, spec=ApiKeySpec, status=ApiKeyStatus,
    immutable=("owner",), columns=("status.owner", "spec.expires_at", "status.last_used_at"),
    phases=("Pending", "Ready", "Disabled", "Expired", "Deleting"),
    description="A key for the API and the gateway; `:rotate` issues its secret.",
)  # fmt: skip
User: TypeAlias = Resource[UserSpec, Status]
Role: TypeAlias = Resource[RoleSpec, RoleStatus]
ApiKey: TypeAlias = Resource[ApiKeySpec, ApiKeyStatus]

KEY_SOURCES: Final = ("ApiKey", "RoleAssignment", "Role", "User", "ServiceAccount", "Account", "Platform", "Tenant")
"""Kinds whose changes may change what `list_gateway_keys` answers; so do the events `platform.iam.*`,
`platform.tenancy.*` and `platform.registry.*`."""
KEY_HOLDERS: Final = ("ApiKey", "User", "ServiceAccount")
"""Those of them whose uid `list_gateway_keys` takes: a change concerns that key, or that owner's keys, alone."""

# --- keys --------------------------------------------------------------------------------------------------------

KEY_PREFIX: Final = "iwk_"
REFRESH_PREFIX: Final = "iwr_"
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KEY: Final = re.compile(r"iwk_([0-9A-Za-z]{22})_[0-9A-Za-z]{43}")
MAX_GRACE: Final = timedelta(days=7)


def _base62(number: int, width: int) -> str:
    text = ""
    for _ in range(width):
        number, digit = divmod(number, 62)
        text = _DIGITS[digit] + text
    return text


def new_secret() -> str:
    """256 random bits in 43 letters and digits."""
    return _base62(secrets.randbits(256), 43)


def new_key(uid: UUID) -> str:
    """A fresh API key for the ApiKey `uid`, which it names: `iwk_<22>_<43>`."""
    return f"{KEY_PREFIX}{_base62(uid.int, 22)}_{new_secret()}"


def key_owner(key: str) -> UUID | None:
    """The uid of the ApiKey that a key names; None for what is no key."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    number = 0
    for letter in match[1]:
        number = number * 62 + _DIGITS.index(letter)
    return UUID(int=number) if number < 1 << 128 else None


def token_hash(token: str) -> bytes:
    """What is stored of a token: SHA-256, which suffices for 256 random bits."""
    return hashlib.sha256(token.encode()).digest()


@dataclass(frozen=True, slots=True)
class GatewayKey:
    """What the gateway must know of a key.

    Args:
        hash: SHA-256 of the whole key text. previous_hash: of the one before, good until `previous_until`.
        scope: where it lives. name: `path/name`.
        paths: topmost scopes where it may call models (`endpoint:invoke`).
        suspended: its scope lies in something suspended, cancelled or unverified.
    """

    uid: UUID
    hash: bytes
    previous_hash: bytes | None
    previous_until: datetime | None
    scope: str
    name: str
    owner: UUID
    disabled: bool
    expires_at: datetime | None
    paths: tuple[str, ...]
    suspended: bool


# --- passwords and sign-in ---------------------------------------------------------------------------------------

ACCESS_LIFE: Final = timedelta(minutes=10)
SESSION_LIFE: Final = timedelta(days=30)
ACCOUNT_TRIES: Final = 5
ADDRESS_TRIES: Final = 30
SIGNUP_TRIES: Final = 20
INVITATION_TRIES: Final = 50
FORGOTTEN_TRIES: Final = 5
LINK_TRIES: Final = 20

MAX_PREFERENCES: Final = 16 * 1024
"""Bytes of JSON that a person's pages may remember."""

Password: TypeAlias = Annotated[str, Field(min_length=8, max_length=256, description="8 to 256 characters.")]


@dataclass(frozen=True, slots=True)
class OwnSession:
    """A sign-in of the caller that lasts.

    `last_used_at`: its last refresh; `address` and `user_agent` are those of the sign-in.
    """

    id: UUID
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    address: str
    user_agent: str | None


class WrongCredentials(Unauthenticated):
    """The same words for a wrong password, an unknown address and a disabled user."""

    code = "WRONG_CREDENTIALS"

    def __init__(self) -> None:
        super().__init__("wrong e-mail address or password")


class SessionEnded(Unauthenticated):
    """The refresh token is unknown, used up, or its session is over: sign in again."""

    code = "SESSION_ENDED"

    def __init__(self) -> None:
        super().__init__("this session is over: sign in again")


class CrossSite(Forbidden):
    """A page of another origin had the browser send this."""

    code = "CROSS_SITE"

    def __init__(self) -> None:
        super().__init__("sessions of browsers are for the console's own pages")


class WrongOperatorKey(Unauthenticated):
    """Not a key of this installation that works."""

    code = "WRONG_OPERATOR_KEY"

    def __init__(self) -> None:
        super().__init__("this is not the operator's key: it is in IRONWORKS_HOME/credentials/operator-token")


class SetUpAlready(Conflict):
    """Somebody set this installation up: sign in, or have an operator make a user."""

    code = "SET_UP_ALREADY"

    def __init__(self) -> None:
        super().__init__("this installation has an operator: sign in, or ask him for a user of your own")


class TooManyAttempts(RateLimited):
    """Guessing is slowed down, whoever guesses."""

    code = "TOO_MANY_ATTEMPTS"


def too_many_attempts(now: datetime, until: datetime) -> TooManyAttempts:
    """The refusal that lasts until `until`."""
    seconds = max(1, int((until - now).total_seconds() + 0.999))
    return TooManyAttempts(f"too many attempts: try again in {seconds} s", retry_after=seconds)


def account_guard(email: str) -> str:
    """The name under which attempts at an account are counted; the address itself is not kept."""
    return "account:" + hashlib.sha256(email.lower().encode()).hexdigest()


def user_name(email: str) -> str:
    """A resource name for who signed up as `email`: readable, and unique by chance."""
    stem = re.sub(r"[^a-z0-9]+", "-", email.partition("@")[0].lower()).strip("-")[:40].strip("-") or "user"
    return f"{stem}-{_base62(secrets.randbits(64), 11).lower()}"


# --- presets -----------------------------------------------------------------------------------------------------

_OPERATORS: Final = frozenset(
    {"user", "registry", "secrets", "mail", "dead-letter", "price", "price-list", "plan", "worker", "gateway"}
    | {"receipt", "refund", "reconciliation", "console-feature", "system"}
)
_TREE: Final = frozenset({"account", "platform", "tenant"})
_IDENTITY: Final = frozenset({"role", "role-assignment", "service-account"})
_MONEY: Final = frozenset(
    {
        "billing", "ledger", "usage", "invoice", "payment", "payment-method", "budget", "subscription", "transfer",
        "quota", "report",
    }
)  # fmt: skip
_PAYING: Final = frozenset({"payment", "payment-method", "budget", "subscription"})
_GUARDS: Final = frozenset({"limit", "trace-policy"})
"""What keeps those in check who develop: they see it and do not change it."""
_OTHERS: Final = frozenset({("api-key", "manage")})
"""What belongs to other people."""
_PROMPTS: Final = frozenset({"trace-read", "trace-delete"})
"""What people wrote to a model is not for everybody who develops."""

PRESETS: Final = {
    "operator": "Everything.",
    "platform-admin": "Everything a customer may do in an account or platform: tenants, people, keys, products.",
    "tenant-admin": "Everything inside a tenant: its tenants, people, keys and products.",
    "developer": "Deploy and use products, with keys of one's own.",
    "viewer": "See everything, change nothing.",
    "billing-admin": "See usage and bills, and pay.",
}


def preset_permissions(declared: Iterable[str]) -> dict[str, list[str]]:
    """Which of the declared permissions each preset role holds.

    The rule errs on the side of the operator: a permission of an operator's resource, one that skips a cleanup, and
    money that moves are in no customer's role.
    """
    held: dict[str, list[str]] = {name: [] for name in PRESETS}
    for permission in sorted(set(declared)):
        for name in _presets_of(*permission.split(":", 1)):
            held[name].append(permission)
    return held


def _presets_of(resource: str, action: str) -> set[str]:
    found = {"operator"}
    if resource in _OPERATORS or action == "force-delete":
        return found
    if resource in _MONEY:
        if action == "read":
            found |= {"platform-admin", "tenant-admin", "viewer", "billing-admin"}
            found |= {"developer"} if resource == "quota" else set()
        elif resource in _PAYING:
            found |= {"platform-admin", "billing-admin"}
        return found
    if resource in _TREE:
        return found | _tree_presets(resource, action)
    found |= {"platform-admin", "tenant-admin"}
    kept_from_developers = resource in _IDENTITY | _GUARDS or action in _PROMPTS or (resource, action) in _OTHERS
    if not kept_from_developers and (resource != "audit" or action == "read"):
        found.add("developer")
    if action == "read":
        found |= {"developer", "viewer"}
    return found


def _tree_presets(resource: str, action: str) -> set[str]:
    if action == "read":
        return set(PRESETS)
    if resource == "account":
        return {"platform-admin"} if action == "update" else set()
    if resource == "platform":
        return {"platform-admin"} if action in ("create", "update", "delete", "cancel") else set()
    return {"platform-admin", "tenant-admin"}
