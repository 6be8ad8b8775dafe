"""Mails of thresholds: to whom, once, and what they say."""

from __future__ import annotations

import email
from email import policy
from pathlib import Path

import pytest

from ironworks.platform import iam, notification, registry
from ironworks.products.tokenfactory.budgets.declarations import THRESHOLD
from ironworks.shared.declarations import NOTIFICATION_TEMPLATE
from tests.products.tokenfactory.budgets.books import TENANT, Books

SENDER = "Ironworks <no-reply@iron.example>"


async def people(ledger: Books, **roles: tuple[str, str]) -> None:
    """Users by the name before the @, each with a role at a path."""
    await ledger.world.scope("other.shop")
    for name, (role, path) in roles.items():
        await ledger.world.user(f"{name}@acme.example")
        await ledger.world.grant(f"user:{name}@acme.example", f"-/{role}", path)


async def mailed(ledger: Books) -> list[tuple[str, str]]:
    """(recipient, percent) of every mail that waits or went out, once all events are consumed."""
    await ledger.world.consume()
    rows = await ledger.world.admin.fetch(
        "select recipient, coalesce(variables ->> 'percent', '') as percent from platform_notification.mail"
        " order by recipient, percent"
    )
    return [(row["recipient"], row["percent"]) for row in rows]


async def test_those_who_may_change_the_budget_are_mailed_once(ledger: Books) -> None:
    await people(
        ledger,
        pays=("billing-admin", "acme"), runs=("platform-admin", "acme.shop"), gone=("billing-admin", "acme"),
        works=("developer", TENANT), looks=("viewer", "acme"), below=("billing-admin", f"{TENANT}"),
        stranger=("billing-admin", "other"),
    )  # fmt: skip
    await ledger.world.grant("user:pays@acme.example", "-/billing-admin", TENANT)  # by two roles, one mail
    [gone] = await ledger.world.admin.fetch("select name from platform_iam.user where spec ->> 'email' like 'gone@%'")
    await ledger.world.change(iam.USER, "", gone["name"], {"disabled": True})
    await ledger.budget("b", "acme.shop", amount="0.000001", thresholds=[50, 80])
    await ledger.settle(ledger.spend(500))
    told = [("pays@acme.example", "50"), ("runs@acme.example", "50")]
    assert await mailed(ledger) == told, "below@ cannot raise a budget above its scope"
    await ledger.settle(ledger.spend(10))
    assert await mailed(ledger) == told
    await ledger.settle(ledger.spend(400))
    assert await mailed(ledger) == [(who, percent) for who, _ in told for percent in ("50", "80")]


async def test_where_the_account_has_nobody_the_operator_is_told(ledger: Books) -> None:
    await people(ledger, works=("developer", TENANT), stranger=("billing-admin", "other"))
    await ledger.budget("b", amount="0.000001", thresholds=[100])
    await ledger.settle(ledger.spend(1000))
    assert await mailed(ledger) == [("operator@localhost", "100")]


async def test_the_operators_own_budget_is_the_operators_business(ledger: Books) -> None:
    await people(ledger, pays=("billing-admin", "acme"))
    await ledger.budget("b", "", amount="0.000001", thresholds=[100])
    await ledger.settle(ledger.spend(1000))
    assert await mailed(ledger) == [("operator@localhost", "100")]


@pytest.mark.parametrize(("period", "since"), [("total", "in all"), ("month", "since 20")])
async def test_it_says_what_it_is_about(ledger: Books, tmp_path: Path, period: str, since: str) -> None:
    await people(ledger, pays=("billing-admin", "acme"))
    await ledger.budget("b", amount="0.000001", period=period, thresholds=[80])
    await ledger.settle(ledger.spend(900))
    assert len(await mailed(ledger)) == 1
    mailer, settings = notification.FileMailer(tmp_path, SENDER), notification.MailSettings("https://iron.example")
    assert await notification.send_due_mails(await ledger.world.database("worker"), mailer, settings) == 1
    [file] = tmp_path.glob("*.eml")
    mail = email.message_from_bytes(file.read_bytes(), policy=policy.default)
    assert mail["To"] == "pays@acme.example"
    assert mail["Subject"] == f"80 % of the budget {TENANT}/b is spent"
    text = str(mail.get_payload(decode=True), "utf-8")  # type: ignore[arg-type]
    assert f"0.0000009 of the 0.000001 USD of the budget {TENANT}/b is spent {since}" in text
    assert f"ironworks budgets show {TENANT}/b" in text


async def test_an_operator_may_switch_them_off(ledger: Books) -> None:
    await people(ledger, pays=("billing-admin", "acme"))
    async with ledger.world.acting(ledger.world.operator) as ctx:
        await registry.disable_entry(ctx, NOTIFICATION_TEMPLATE, THRESHOLD.name)
    await ledger.budget("b", amount="0.000001")
    await ledger.settle(ledger.spend(1000))
    assert await mailed(ledger) == []
    assert len(await ledger.events()) == 3, "who listens for events hears of it all the same"
