"""What iam registers."""

from __future__ import annotations

from ironworks.platform.iam.events import KeyRotated, LinkRequested, SignupVerified, VerificationRequested
from ironworks.shared.declarations import OWN, AuditAction, Declarations, EventClass, Permission, Topic

DECLARATIONS = Declarations(
    permissions=(
        Permission("api-key:rotate", "Issue or replace the secret of an API key"),
        Permission("api-key:manage", "Change, rotate and delete API keys that belong to others"),
        Permission("user:set-password", "Set another user's password"),
    ),
    audit_actions=(
        AuditAction("iam.key.rotate", "An API key got a new secret"),
        AuditAction("iam.key.refuse", "An API key was tried that is disabled, expired, halted or replaced"),
        AuditAction("iam.login.success", "A user signed in"),
        AuditAction("iam.login.failure", "A sign-in was refused: wrong address or password"),
        AuditAction("iam.login.blocked", "A sign-in was refused unread: too many attempts"),
        AuditAction("iam.session.end", "A user signed out"),
        AuditAction("iam.session.reuse", "A used refresh token came again: its session was ended"),
        AuditAction("iam.profile.change", "A user changed how he is called"),
        AuditAction("iam.password.change", "A password was changed"),
        AuditAction("iam.password.link", "A link that sets a password was made"),
        AuditAction("iam.password.reset", "A password was set anew by a link"),
        AuditAction("iam.invitation.send", "Somebody was invited to a role, or again"),
        AuditAction("iam.invitation.revoke", "An invitation was taken back"),
        AuditAction("iam.invitation.accept", "Somebody came to a role by an invitation"),
        AuditAction("iam.signup.begin", "Somebody signed up"),
        AuditAction("iam.signup.verify", "A sign-up's address was verified"),
        AuditAction("iam.operator.create", "The first operator was made"),
    ),
    events=(
        EventClass("platform.iam.key_rotated.v1", KeyRotated),
        EventClass("platform.iam.verification_requested.v1", VerificationRequested),
        EventClass("platform.iam.link_requested.v1", LinkRequested),
        EventClass("platform.iam.signup_verified.v1", SignupVerified),
    ),
    topics=(
        Topic("invitations", "role-assignment:read", "Invitations that wait"),
        Topic("me", OWN, "One's own name and sign-ins"),
    ),
)
