"""What payments registers."""

from ironworks.platform.payments.events import DifferenceFound, PaymentFailed, PaymentSucceeded, RefundSucceeded
from ironworks.shared.declarations import AuditAction, Declarations, EventClass, Permission, Topic

DECLARATIONS = Declarations(
    permissions=(
        Permission("payment:read", "See payments and refunds"),
        Permission("payment:create", "Pay an invoice now, by the account's payment method"),
        Permission("payment-method:read", "See what an account can be charged by"),
        Permission("payment-method:create", "Add a payment method, and choose which one is charged"),
        Permission("payment-method:delete", "Remove a payment method"),
        Permission("receipt:create", "Record money that came in without a payment provider"),
        Permission("refund:create", "Give back what was paid"),
        Permission("reconciliation:read", "See where our books and the payment provider's differ"),
    ),
    audit_actions=(
        AuditAction("payment.create", "A payment of an invoice was asked for"),
        AuditAction("payment.record", "Money that came in without a payment provider was recorded"),
        AuditAction("payment.retry", "A failed payment is tried again"),
        AuditAction("payment.refund", "A refund was asked for"),
        AuditAction("payment-method.default", "Another payment method is charged from now on"),
        AuditAction("payment-method.delete", "A payment method was removed"),
    ),
    events=(
        EventClass("platform.payments.payment_succeeded.v1", PaymentSucceeded),
        EventClass("platform.payments.payment_failed.v1", PaymentFailed),
        EventClass("platform.payments.refund_succeeded.v1", RefundSucceeded),
        EventClass("platform.payments.difference_found.v1", DifferenceFound),
    ),
    topics=(
        Topic("payments", "payment:read", "Payments and refunds"),
        Topic("payment-methods", "payment-method:read", "What accounts can be charged by"),
        Topic("payment-differences", "reconciliation:read", "Where our books and the payment provider's differ"),
    ),
)
