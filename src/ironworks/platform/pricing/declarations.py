"""What pricing registers."""

from ironworks.platform.pricing.events import CurrencySet, PriceCreated, TermsCreated
from ironworks.shared.declarations import AuditAction, Declarations, EventClass, Permission, Topic

DECLARATIONS = Declarations(
    permissions=(Permission("price:create", "Add a version to the price book, or terms"),),
    audit_actions=(
        AuditAction("pricing.price.create", "A price version was added"),
        AuditAction("pricing.terms.create", "A version of terms was added"),
        AuditAction("pricing.currency.set", "An account's currency was set"),
    ),
    events=(
        EventClass("platform.pricing.price_created.v1", PriceCreated),
        EventClass("platform.pricing.terms_created.v1", TermsCreated),
        EventClass("platform.pricing.currency_set.v1", CurrencySet),
    ),
    topics=(Topic("prices", "billing:read", "The price book, terms, and the currencies of accounts", inherited=True),),
)
