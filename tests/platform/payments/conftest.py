"""Stripe's stand-in, and a world with an invoice to pay."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from ironworks.platform import payments
from tests.platform.payments.paying import PayingWorld, paying_world
from tests.platform.payments.stripe_server import KEY, SECRET, FakeStripe, serve_stripe
from tests.support.postgres import TestDatabase


@pytest.fixture(scope="session")
def stripe_server() -> Iterator[FakeStripe]:
    with serve_stripe() as served:
        yield served


@pytest.fixture
def stripe(stripe_server: FakeStripe) -> FakeStripe:
    stripe_server.reset()
    return stripe_server


@pytest.fixture
def provider(stripe: FakeStripe) -> payments.PaymentProvider:
    return payments.open_provider(payments.ProviderSecrets(KEY, (SECRET,), stripe.url))


@pytest.fixture
async def world(
    database: TestDatabase, stripe: FakeStripe, provider: payments.PaymentProvider
) -> AsyncIterator[PayingWorld]:
    async with paying_world(database, stripe, provider) as made:
        yield made
