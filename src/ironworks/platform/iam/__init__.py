"""Who is there, what each may do, and how each proves who it is.

Owns: the kinds User, ServiceAccount, Role, RoleAssignment and ApiKey; `platform_iam.granted` and `visible`, which every
policy asks; passwords, sessions, keys' secrets, sign-up, invitations. Named besides the usual files: `tokens.py`
(signed tokens), `passwords.py` (hashing), `authentication.py` (the use cases of proving who one is), `setup.py` (the
first start), `signon.py` and `federated.py` (OpenID providers), `links.py` with `signup.py`, `invitations.py` and
`recovery.py` (what waits for a mailed link), `headers.py` (browsers' cookies), `shapes.py` (what its operations take
and answer).
Never: stores a secret other than hashed, or a private signing key at all; mails anybody (notification does).
Invariants:
  - nobody gives, takes or learns the credentials of what he does not hold himself, whichever way in he takes;
  - a key holds no more than its owner holds now, inside its scope; it dies with the owner and with its scope;
  - what the registry does not know, or an operator disabled, grants nothing;
  - a refresh token works until what replaced it is used; whoever shows it then ends the session;
  - a wrong password, an unknown address and a disabled user are answered alike, after the same time; so are addresses
    with and without a user where a password was forgotten;
  - a mailed token is stored hashed, works once and for a time, and is in no event, log or address that a server sees.
"""

from ironworks.platform.iam.adapters.oidc import HttpOpenIdProvider
from ironworks.platform.iam.authentication import (
    BearerAuthenticator,
    Identity,
    Session,
    issue_service_token,
    verify_service_token,
)
from ironworks.platform.iam.events import KeyRotated, LinkRequested, SignupVerified, VerificationRequested
from ironworks.platform.iam.links import LinkMail
from ironworks.platform.iam.model import (
    API_KEY,
    KEY_HOLDERS,
    KEY_PREFIX,
    KEY_SOURCES,
    PRESETS,
    ROLE,
    ROLE_ASSIGNMENT,
    SERVICE_ACCOUNT,
    USER,
    GatewayKey,
    SessionEnded,
    TooManyAttempts,
    WrongCredentials,
    key_owner,
    preset_permissions,
    token_hash,
)
from ironworks.platform.iam.passwords import PasswordHashing
from ironworks.platform.iam.service import (
    IssuedKey,
    arm_link,
    describe_caller,
    ensure_operator,
    list_gateway_keys,
    list_people_with,
    read_preferences,
    rotate_key,
    set_password,
    sync_presets,
    touch_keys,
)
from ironworks.platform.iam.setup import is_setup_needed
from ironworks.platform.iam.signon import SingleSignOn

__all__ = [
    "API_KEY",
    "KEY_HOLDERS",
    "KEY_PREFIX",
    "KEY_SOURCES",
    "PRESETS",
    "ROLE",
    "ROLE_ASSIGNMENT",
    "SERVICE_ACCOUNT",
    "USER",
    "BearerAuthenticator",
    "GatewayKey",
    "HttpOpenIdProvider",
    "Identity",
    "IssuedKey",
    "KeyRotated",
    "LinkMail",
    "LinkRequested",
    "PasswordHashing",
    "Session",
    "SessionEnded",
    "SignupVerified",
    "SingleSignOn",
    "TooManyAttempts",
    "VerificationRequested",
    "WrongCredentials",
    "arm_link",
    "describe_caller",
    "ensure_operator",
    "is_setup_needed",
    "issue_service_token",
    "key_owner",
    "list_gateway_keys",
    "list_people_with",
    "preset_permissions",
    "read_preferences",
    "rotate_key",
    "set_password",
    "sync_presets",
    "token_hash",
    "touch_keys",
    "verify_service_token",
]
