"""What notification registers: the texts of the mails that its own consumers send."""

from __future__ import annotations

from ironworks.shared.declarations import Declarations, NotificationTemplate, Permission

VERIFY_ADDRESS = NotificationTemplate(
    "iam.verify_address",
    subject="Verify your address to open {account}",
    body="""Hello {name},

somebody, hopefully you, signed up for the account "{account}" with this address.
To open it, verify the address within {hours} hours:

    curl -X POST {public_url}/api/v1/signup:verify -H 'content-type: application/json' -d '{{"token": "{token}"}}'

Then sign in with the password you chose. If it was not you, do nothing: without this token the account stays closed.
""",
    variables=("name", "account", "token", "hours"),
)
VERIFY_KNOWN_ADDRESS = NotificationTemplate(
    "iam.verify_known_address",
    subject="Confirm that you want to open {account}",
    body="""Hello {name},

somebody, hopefully you, asked for the account "{account}" with this address, which has a user here already.
To open it, and to become its administrator under your present password, confirm within {hours} hours:

    curl -X POST {public_url}/api/v1/signup:verify -H 'content-type: application/json' -d '{{"token": "{token}"}}'

If it was not you, do nothing: your user and its password stay as they are.
""",
    variables=("name", "account", "token", "hours"),
)

DECLARATIONS = Declarations(
    permissions=(Permission("mail:read", "See the mails that went out or wait"),),
    notification_templates=(VERIFY_ADDRESS, VERIFY_KNOWN_ADDRESS),
)
