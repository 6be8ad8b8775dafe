"""What Stripe tells: signed or refused, repeated, out of order, lost; and what the comparison of the books finds."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator

import httpx
import pytest

from ironworks.platform import payments
from ironworks.platform.payments import reconciling, service, store
from ironworks.platform.payments.provider import BadSignature, PaymentProvider, PaymentsOff
from ironworks.platform.payments.routes import router
from ironworks.shared.context import Actor
from ironworks.shared.db import Database
from ironworks.shared.errors import Unauthenticated
from ironworks.shared.http import RouteTable
from ironworks.shared.serving import Api
from tests.platform.payments.paying import PayingWorld
from tests.platform.payments.stripe_server import SECRET

STATE = payments.PaymentState
HOOK = "/api/v1/webhooks/stripe"


@pytest.fixture
async def client(world: PayingWorld) -> AsyncIterator[httpx.AsyncClient]:
    subjects = {"operator": world.operator, "customer": world.customer}

    async def authenticate(db: Database, authorization: str | None, address: str) -> Actor:
        if authorization is None:
            raise Unauthenticated("say who you are")
        return subjects[authorization.removeprefix("Bearer ")]

    injected = {PaymentProvider: world.provider}
    api = Api(await world.world.database("api"), RouteTable(router.routes), authenticate, injected=injected)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://api") as made:  # type: ignore[arg-type]
        yield made


async def test_the_way_of_an_invoice_over_http(world: PayingWorld, client: httpx.AsyncClient) -> None:
    """Checkout, the card, the webhook with its raw body, the payment, a refund, and who may not."""
    customer, operator = ({"authorization": f"Bearer {who}"} for who in ("customer", "operator"))
    urls = {"success_url": "https://iron.example/ok", "cancel_url": "https://iron.example/no"}
    page = await client.post("/api/v1/scopes/acme/payment-methods:checkout", json=urls, headers=customer)
    assert page.status_code == 201, page.text
    world.stripe.complete_checkout(page.json()["url"].rpartition("/")[2])
    for event in world.stripe.events:
        body, signature = world.stripe.signed(event)
        told = await client.post(HOOK, content=body, headers={"stripe-signature": signature})
        assert (told.status_code, told.content) == (200, b"{}")
    await reconciling.take_notices(await world.world.database("worker"), world.provider)
    cards = await client.get("/api/v1/scopes/acme/payment-methods", headers=customer)
    assert [(c["label"], c["default"], c["expires_on"]) for c in cards.json()["items"]] == [
        ("visa •••• 4242", True, "2028-02-29")
    ]
    assert cards.json()["provider"] == "stripe"
    planned = await client.post("/api/v1/payments", json={"invoice": "ACME-000001"}, headers=customer)
    assert (planned.status_code, planned.json()["state"]) == (202, "planned"), planned.text
    await world.work()
    name = planned.json()["id"]
    back = {"amount_nano": 10**9, "reason": "one dollar"}
    refused = await client.post(f"/api/v1/payments/{name}:refund", json=back, headers=customer)
    assert refused.status_code in (403, 404)
    assert (await client.post(f"/api/v1/payments/{name}:refund", json=back, headers=operator)).status_code == 202
    await world.work()
    shown = (await client.get(f"/api/v1/payments/{name}", headers=customer)).json()
    assert (shown["payment"]["state"], shown["refunds"][0]["state"]) == ("succeeded", "succeeded")
    listed = (await client.get("/api/v1/payments?limit=1&account=acme", headers=customer)).json()
    assert [p["id"] for p in listed["items"]] == [name]


async def test_only_what_stripe_signed_lately_is_taken(world: PayingWorld, client: httpx.AsyncClient) -> None:
    event = {"id": "evt_1", "object": "event", "type": "payment_intent.succeeded", "created": 1,
             "data": {"object": {"id": "pi_1"}}}  # fmt: skip
    body, signature = world.stripe.signed(event)
    wrong = [
        (body, None),
        (body, "t=1,v1=00"),
        (body + b" ", signature),
        world.stripe.signed(event, age=301),
        world.stripe.signed(event, secret="whsec_other"),
        (b"\xff\xfe", signature),
        world.stripe.signed({"id": "evt_2", "object": "event"}),
        world.stripe.signed({**event, "data": {"object": "text"}}),
    ]
    for content, proof in wrong:
        headers = {"stripe-signature": proof} if proof else {}
        answer = await client.post(HOOK, content=content, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BAD_SIGNATURE"), (content, proof)
    assert not await world.world.query("select from platform_payments.notice")
    both = payments.open_provider(payments.ProviderSecrets("sk", ("whsec_new", SECRET)))
    assert both.read_notice(body, signature).object_id == "pi_1"


async def test_notices_in_any_order_and_number_end_the_same(world: PayingWorld) -> None:
    await world.card("processing")
    await world.pay()
    await world.work()
    payment = await world.only_payment()
    world.stripe.decide(payment.reference or "", "succeeds")
    events = list(world.stripe.events)
    random.Random(7).shuffle(events)
    for event in [*events, *events[::-1], *events]:
        await world.deliver(event)
        await world.work()
    assert (await world.only_payment()).state is STATE.SUCCEEDED
    assert len(world.stripe.moved) == 1
    assert await world.balance("due") == 0
    (kept,) = await world.world.query("select count(*) as n from platform_payments.notice where id like 'evt_%'")
    assert kept["n"] >= len({e["id"] for e in events})


async def test_a_notice_that_lies_about_a_payment_is_not_believed(world: PayingWorld) -> None:
    await world.card("processing")
    await world.pay()
    await world.work()
    payment = await world.only_payment()
    lie = {"id": "evt_lie", "object": "event", "type": "payment_intent.succeeded", "created": 1,
           "data": {"object": {"id": payment.reference, "status": "succeeded"}}}  # fmt: skip
    await world.deliver(lie)
    await world.work()
    assert (await world.only_payment()).state is STATE.PROCESSING


async def test_what_differs_is_told_once_and_ends_when_it_is_gone(world: PayingWorld) -> None:
    await world.card()
    await world.pay()
    await world.work()
    payment = await world.only_payment()
    db = await world.world.database("worker")

    async def compare() -> list[str]:
        world.wait(hours=2)
        await reconciling.reconcile(db, world.provider, world.world.clock())
        async with world.world.acting(world.operator) as ctx:
            _, found = await service.list_differences(ctx, gone=False, before=None, limit=10)
        return sorted(difference.kind for difference in found)

    assert await compare() == []
    intent = world.stripe.things[payment.reference or ""]
    world.stripe.create_refund({"payment_intent": intent["id"], "amount": "100", "metadata": {}})
    theirs = {"amount": "700", "currency": "usd", "customer": intent["customer"], "metadata": {
        "ironworks_payment": "00000000-0000-4000-8000-000000000009"}}  # fmt: skip
    stray = world.stripe.create_intent(theirs)
    world.stripe._end(stray, "succeeds")
    world.stripe.dispute(intent["id"])
    await world.deliver()
    assert await compare() == ["dispute", "refunds", "unknown"]
    assert await compare() == ["dispute", "refunds", "unknown"]
    told = [name for name in await world.consume() if name == "platform.payments.difference_found.v1"]
    assert len(told) == 3
    intent["latest_charge"]["amount_refunded"] = 0
    assert await compare() == ["dispute", "unknown"]
    intent["amount"] = 400
    assert await compare() == ["amount", "dispute", "unknown"]


async def test_without_stripe_everything_else_works(world: PayingWorld) -> None:
    off = payments.open_provider(None)
    with pytest.raises(PaymentsOff):
        await service.open_checkout(await world.call(), off, "acme", "USD", "https://a.example", "https://a.example")
    with pytest.raises(BadSignature):
        off.read_notice(b"{}", None)
    async with world.world.acting(world.operator) as ctx:
        paid = await service.record_receipt(ctx, (await world.invoice()).id, 5 * 10**9, "cash_desk", "R-1")
    await world.consume()
    async with world.world.acting(world.operator) as ctx:
        await service.refund_payment(ctx, paid.id, 10**9, "too much")
    world.provider = off
    await world.work()
    assert await world.balance("cash") == 4 * 10**9
    async with world.world.system("worker") as ctx:
        (refund,) = await store.list_refunds(ctx, [paid.id])
    assert refund.recorded_at is not None


def test_no_secret_is_ever_shown() -> None:
    secrets = payments.ProviderSecrets("sk_live_secret", ("whsec_secret",))
    assert "secret" not in repr(secrets).replace("ProviderSecrets", "").replace("webhook_secrets", "")
    assert json.dumps(repr(payments.open_provider(secrets))).find("sk_live") == -1
