"""What notification registers: the texts of the mails that its own consumers send."""

from __future__ import annotations

from ironworks.platform import iam
from ironworks.shared.declarations import Declarations, NotificationTemplate, Permission

VERIFY_ADDRESS = NotificationTemplate(
    "iam.verify_address",
    subject="Verify your address to open {account}",
    body="""Hello {name},

somebody, hopefully you, signed up for the account "{account}" with this address.
To open it, verify the address within {life}:

    {public_url}/link#{token}

or, without a browser:

    curl -X POST {public_url}/api/v1/signup:verify -H 'content-type: application/json' -d '{{"token": "{token}"}}'

Then sign in with the password you chose. If it was not you, do nothing: without this token the account stays closed.
""",
    variables=("name", "account", "token", "life"),
)
VERIFY_KNOWN_ADDRESS = NotificationTemplate(
    "iam.verify_known_address",
    subject="Confirm that you want to open {account}",
    body="""Hello {name},

somebody, hopefully you, asked for the account "{account}" with this address, which has a user here already.
To open it, and to become its administrator under your present password, confirm within {life}:

    {public_url}/link#{token}

or, without a browser:

    curl -X POST {public_url}/api/v1/signup:verify -H 'content-type: application/json' -d '{{"token": "{token}"}}'

If it was not you, do nothing: your user and its password stay as they are.
""",
    variables=("name", "account", "token", "life"),
)
INVITATION = NotificationTemplate(
    "iam.invitation",
    subject="{inviter} invites you to {scope}",
    body="""Hello,

{inviter} invites you to {scope}, with the role "{role}". To accept within {life}:

    {public_url}/link#{token}

You choose a password there, or sign in where you have a user already. If you do not know {inviter}, do nothing:
nothing was made in your name.
""",
    variables=("inviter", "scope", "role", "token", "life"),
)
NEW_PASSWORD = NotificationTemplate(
    "iam.new_password",
    subject="Set a new password",
    body="""Hello,

somebody, hopefully you, forgot the password of the user with this address. To set a new one within {life}:

    {public_url}/link#{token}

It ends all sessions of this user. If it was not you, do nothing: the password stays as it is.
""",
    variables=("token", "life"),
)


def template_of(mail: iam.LinkMail) -> NotificationTemplate:
    """The text that brings a link."""
    if mail.purpose == "signup":
        return VERIFY_KNOWN_ADDRESS if mail.known else VERIFY_ADDRESS
    return INVITATION if mail.purpose == "invitation" else NEW_PASSWORD


DECLARATIONS = Declarations(
    permissions=(Permission("mail:read", "See the mails that went out or wait"),),
    notification_templates=(VERIFY_ADDRESS, VERIFY_KNOWN_ADDRESS, INVITATION, NEW_PASSWORD),
)
