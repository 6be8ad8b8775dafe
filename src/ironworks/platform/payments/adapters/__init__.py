"""What takes payments, one file per provider."""

from __future__ import annotations

from ironworks.platform.payments.adapters.off import NoProvider
from ironworks.platform.payments.provider import PaymentProvider, ProviderSecrets


def open_provider(secrets: ProviderSecrets | None) -> PaymentProvider:
    """Stripe where there is a key, else none; its SDK (35 MB, and a second to import) is loaded only then."""
    if secrets is None:
        return NoProvider()
    from ironworks.platform.payments.adapters.stripe import StripeProvider

    return StripeProvider(secrets)
