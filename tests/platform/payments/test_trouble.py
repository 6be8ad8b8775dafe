"""What one account's trouble, a careless operator and a hostile provider may do: nothing to anybody else."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import logging
import time
import traceback

import pytest

from ironworks.platform import invoices, payments
from ironworks.platform.payments import controller, reconciling, service
from ironworks.platform.payments.provider import BadSignature, ProviderSecrets
from ironworks.shared.errors import Invalid, IronworksError, NotFound
from ironworks.shared.telemetry import JsonFormatter
from tests.platform.payments.paying import ACCOUNT, DOLLARS_5, PayingWorld
from tests.platform.payments.stripe_server import KEY, SECRET
from tests.support.invoicing import close_all, only
from tests.support.money import charge, usage

STATE = payments.PaymentState


async def move(world: PayingWorld) -> None:
    """One run of the schedule, and what it told."""
    await controller.move_money(await world.world.database("worker"), world.provider)
    await world.consume()


async def add_customer(world: PayingWorld, account: str, reference: str) -> None:
    await world.world.admin(
        "insert into platform_payments.customer (account, provider, reference, default_method)"
        " values ($1, 'stripe', $2, 'pm_gone')",
        account, reference,
    )  # fmt: skip


async def rivals_payment(world: PayingWorld) -> payments.Payment:
    """Another account has left a card, and its invoice is to be paid."""
    await charge(world.world, usage("req_rival", (50 * 10**6, 0, 0), scope="rival.app"))
    customer = world.stripe.create_customer({})
    card = world.stripe.add_card(customer["id"])
    await world.world.admin(
        "insert into platform_payments.customer (account, provider, reference, default_method)"
        " values ('rival', 'stripe', $1, $2)",
        customer["id"], card,
    )  # fmt: skip
    await close_all(world.world)
    await world.consume()
    (found,) = [payment for payment in await world.all_payments() if payment.account == "rival"]
    return found


async def test_a_customer_whom_stripe_forgot_keeps_nobody_else_from_paying(world: PayingWorld) -> None:
    """Somebody deleted him in Stripe's dashboard; Stripe tells of that, and refuses every question about him."""
    await add_customer(world, "rival", "cus_999")
    gone = {"id": "evt_gone", "object": "event", "type": "customer.deleted", "created": 1,
            "data": {"object": {"id": "cus_999"}}}  # fmt: skip
    body, signature = world.stripe.signed(gone)
    await service.receive_notice(await world.call(), world.provider, body, signature)
    await world.card()
    await world.pay()
    await move(world)
    assert (await world.only_payment()).state is STATE.SUCCEEDED
    (rival,) = await world.world.query("select * from platform_payments.customer where account = 'rival'")
    assert rival["default_method"] is None
    assert not await world.world.query("select from platform_payments.notice where handled_at is null")


@pytest.mark.parametrize("account", ["nobody", "rival"])
async def test_no_customer_is_made_for_an_account_that_is_not_there(world: PayingWorld, account: str) -> None:
    """An operator who mistypes, and an account that was deleted."""
    await world.world.admin("update platform_tenancy.node_path set closed_at = now() where path = 'rival'")
    call = await world.call(await world.world.subject("operator", {"payment-method:create": [""]}))
    with pytest.raises(NotFound):
        await service.open_checkout(call, world.provider, account, "USD", "https://a.example", "https://a.example")
    assert world.stripe.calls == []
    assert not await world.world.query("select from platform_payments.customer")


async def test_notices_of_types_that_nobody_knows_are_taken_and_mean_nothing(world: PayingWorld) -> None:
    await world.card("processing")
    await world.pay()
    await world.work()
    before = await world.only_payment()
    for n, kind in enumerate(("account.updated", "x" * 200, "payment_intent", "charge", "\u202e", "")):
        about = {"id": before.reference, "customer": {"id": 7}, "payment_intent": ["pi_1"]}
        await world.deliver(
            {"id": f"evt_odd_{n}", "object": "event", "type": kind, "created": 2**33, "data": {"object": about}}
        )
    await world.work()
    assert await world.only_payment() == before
    assert not await world.world.query("select from platform_payments.notice where handled_at is null")


async def test_notices_wait_for_a_provider_in_trouble_and_payments_do_not(world: PayingWorld) -> None:
    await world.card()
    await world.pay()
    await add_customer(world, "rival", "cus_1000")
    notice = {"id": "evt_late", "object": "event", "type": "customer.updated", "created": 1,
              "data": {"object": {"id": "cus_1000"}}}  # fmt: skip
    body, signature = world.stripe.signed(notice)
    await service.receive_notice(await world.call(), world.provider, body, signature)
    world.stripe.fail_with = [500] * 3
    await move(world)
    assert (await world.only_payment()).state is STATE.SUCCEEDED
    (kept,) = await world.world.query("select handled_at from platform_payments.notice where id = 'evt_late'")
    assert kept["handled_at"] is None


async def test_a_payment_that_cannot_go_on_keeps_no_other_from_its_own(world: PayingWorld) -> None:
    await world.card("processing")
    await world.pay()
    await world.work()
    mine = await world.only_payment()
    del world.stripe.things[mine.reference or ""]
    rival = await rivals_payment(world)
    world.wait(hours=2)
    await move(world)
    assert (await world.get(rival.id)).state is STATE.SUCCEEDED
    assert (await world.get(mine.id)).state is STATE.PROCESSING
    assert (await only(world.world, "rival")).state is invoices.InvoiceState.PAID


@pytest.mark.parametrize(("field", "value"), [("amount", 1), ("amount", 50_000), ("currency", "jpy")])
async def test_what_was_paid_otherwise_than_asked_counts_for_nothing(
    world: PayingWorld, field: str, value: object
) -> None:
    """A hand in the provider's dashboard, or a hostile provider: no invoice is paid by a cent."""
    await world.card("processing")
    await world.pay()
    await world.work()
    intent = world.stripe.things[(await world.only_payment()).reference or ""]
    intent[field] = value
    world.stripe.decide(intent["id"], "succeeds")
    await world.deliver()
    await move(world)
    world.wait(days=8)
    await move(world)
    assert (await world.only_payment()).state is STATE.PROCESSING
    assert (await world.invoice()).state is invoices.InvoiceState.FINALIZED
    assert await world.balance("cash") == 0
    assert len(world.stripe.moved) == 1, "nobody charges again"
    await reconciling.reconcile(await world.world.database("worker"), world.provider, world.world.clock())
    async with world.world.acting(world.operator) as ctx:
        _, found = await service.list_differences(ctx, gone=False, before=None, limit=10)
    assert sorted(difference.kind for difference in found) == ["amount", "state"]


@pytest.mark.parametrize(
    ("amount_nano", "method", "field"),
    [
        (9 * 10**18, "bank_transfer", "amount_nano"),
        (10**7 - 1, "bank_transfer", "amount_nano"),
        (DOLLARS_5, "stripe", "method"),
        (DOLLARS_5, "refund", "method"),
    ],
)
async def test_a_receipt_that_no_invoice_could_take_is_refused_at_once(
    world: PayingWorld, amount_nano: int, method: str, field: str
) -> None:
    """Else it would be answered as recorded, and fail afterwards where nobody looks."""
    invoice = await world.invoice()
    with pytest.raises(Invalid) as refused:
        async with world.world.acting(world.operator) as ctx:
            await service.record_receipt(ctx, invoice.id, amount_nano, method, "R-1")
    assert [problem["field"] for problem in refused.value.details["fields"]] == [field]
    assert await world.all_payments() == []


async def test_a_signed_body_without_an_end_is_refused(world: PayingWorld) -> None:
    deep = b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    at = int(time.time())
    proof = hmac.new(SECRET.encode(), f"{at}.".encode() + deep, hashlib.sha256).hexdigest()
    with pytest.raises(BadSignature):
        world.provider.read_notice(deep, f"t={at},v1={proof}")


async def test_no_failure_shows_the_key(world: PayingWorld, caplog: pytest.LogCaptureFixture) -> None:
    """Wherever it goes wrong: in logs of every level, in errors with their causes, in what is kept and told."""
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(JsonFormatter("test"))
    logging.getLogger().addHandler(handler)
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []
    wrong = payments.open_provider(ProviderSecrets("sk_live_other_key", (SECRET,), world.stripe.url))
    nowhere = payments.open_provider(ProviderSecrets(KEY, (SECRET,), "http://127.0.0.1:9"))
    try:
        await world.card("declines")
        await world.pay()
        for provider, failures in ((wrong, []), (world.provider, [500, 429, 503] * 3), (nowhere, [])):
            world.stripe.fail_with = failures
            calls = (
                provider.get_charge("pi_1"),
                provider.create_customer(ACCOUNT, "k"),
                provider.list_methods("cus_9"),
            )
            for call in calls:
                try:
                    await call
                except IronworksError as problem:
                    shown.append("".join(traceback.format_exception(problem)) + repr(problem) + str(problem.details))
            world.stripe.fail_with = list(failures)
            await controller.move_money(await world.world.database("worker"), provider)
            world.wait(days=2)
        await world.consume()
    finally:
        logging.getLogger().removeHandler(handler)
    kept = await world.world.query(
        "select t::text as row from platform_payments.payment t union all select t::text from shared.change_log t"
        " union all select t::text from platform_audit.record t"
    )
    everything = json.dumps([*shown, lines.getvalue(), caplog.text, [row["row"] for row in kept]])
    assert len(shown) >= 6
    for secret in (KEY, "sk_live_other_key", SECRET):
        assert secret not in everything
