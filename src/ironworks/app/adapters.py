"""Which adapter stands behind which Protocol: what controllers, schedules and routes are given, by type."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from ironworks.app.gateway_routes import EndpointPhases, GatewaySights
from ironworks.app.settings import Settings
from ironworks.platform import iam, invoices, notification, payments, secrets
from ironworks.products.inference import clusters, endpoints, models
from ironworks.products.tokenfactory import routing
from ironworks.shared.supervision import SupervisorClient


def adapters_of(settings: Settings, keyring: secrets.Keyring) -> Mapping[type, object]:
    """Everything that is injected, of one process."""
    supervisor = SupervisorClient(settings.control_socket)
    local = clusters.LocalCluster(
        supervisor,
        models.CachedModels(settings.models),
        settings.logs / "replicas",
        settings.ports["replicas"],
    )
    provider = _provider(settings)
    policy = routing.AddressPolicy.parse(settings.private_upstreams)
    return {
        clusters.Drivers: clusters.Drivers({"local": local.driver}),
        endpoints.GatewayAddress: endpoints.GatewayAddress(settings.gateway_url),
        iam.SingleSignOn: _single_sign_on(settings),
        iam.Identity: iam.Identity(url=settings.api_url),
        notification.MailSettings: notification.MailSettings(settings.api_url),
        notification.Mailer: _mailer(settings),
        payments.PaymentProvider: provider,
        invoices.Charger: provider,
        routing.AddressPolicy: policy,
        routing.EndpointHealth: EndpointPhases(),
        routing.TargetSights: GatewaySights(),
        routing.Prober: routing.HttpProber(policy),
        secrets.Keyring: keyring,
        SupervisorClient: supervisor,
    }


def _single_sign_on(settings: Settings) -> iam.SingleSignOn:
    """The OpenID provider that the settings name, or nobody."""
    if settings.oidc is None:
        return iam.SingleSignOn()
    issuer, client = settings.oidc
    secret = settings.oidc_secret_file.read_text().strip() if settings.oidc_secret_file else None
    label = settings.oidc_label or urlsplit(issuer).hostname or issuer
    return iam.SingleSignOn(iam.HttpOpenIdProvider(issuer, client, secret), label)


def _mailer(settings: Settings) -> notification.Mailer:
    """SMTP where the settings name a server, else files that the command line can show."""
    if settings.smtp_url:
        return notification.SmtpMailer.at(settings.smtp_url, settings.mail_from)
    return notification.FileMailer(settings.mail, settings.mail_from)


def _provider(settings: Settings) -> payments.PaymentProvider:
    """Stripe where the settings hold its key, else nobody."""
    if settings.stripe_key is None:
        return payments.open_provider(None)
    return payments.open_provider(
        payments.ProviderSecrets(settings.stripe_key, settings.stripe_webhook_secrets, settings.stripe_url)
    )
