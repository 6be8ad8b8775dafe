"""`ironworks credit` against a served API: given, listed, shown, and run out of."""

from __future__ import annotations

import json

import pytest

from ironworks.sdk import ApiError, Client
from tests.cli.conftest import KeyOf, Run


@pytest.fixture(scope="module", autouse=True)
def accounts(operator: Client) -> None:
    for name in ("later", "paged", "broke"):
        operator.apply({"kind": "Account", "metadata": {"name": name, "scope": "-"}})


@pytest.fixture(scope="module")
def customer(key_of: KeyOf) -> str:
    """The key of the customer's bookkeeper."""
    return key_of("acme", "billing-admin")


def test_credit_from_the_gift_to_the_customers_view(run: Run, customer: str) -> None:
    given = run("credit", "grant", "acme", "0.000000001", "--reference", "a")
    assert given == "acme was given 0.000000001 USD, of which 0.000000001 is left\n"
    for _ in range(2):  # a reference gives once
        given = run("credit", "grant", "acme", "25.50", "--reference", "b", "--gift")
        assert given == "acme was given 25.50 USD, of which 25.50 is left\n"
    run("credit", "grant", "acme", "26", "--reference", "b", "--gift", code=5)
    run("credit", "grant", "rival", "7", "--reference", "b", "--expires", "30d", "--priority", "10")
    rows = [line.split()[:6] for line in run("credit", "list", token=customer).splitlines()]
    assert rows[1:] == [
        ["acme", "0.000000001", "0.000000001", "USD", "paid", "50"],
        ["acme", "25.50", "25.50", "USD", "promotion", "50"],
    ]
    shown = run("credit", "show", token=customer).splitlines()[1].split()
    assert shown[:5] == ["25.500000001", "25.500000001", "0.00", "0.00", "USD"]
    assert "pays afterwards" in run("credit", "show", "-s", "acme")
    everyone = json.loads(run("credit", "list", "-s", "-", "-o", "json"))["items"]
    ours = [(g["account"], g["priority"]) for g in everyone if g["account"] in ("acme", "rival")]
    assert ours == [("acme", 50), ("acme", 50), ("rival", 10)]


def test_the_ledger_behind_it_is_listed(run: Run, customer: str) -> None:
    run("credit", "grant", "acme", "0.50", "--reference", "listed")
    (account,) = json.loads(run("ledger", "accounts", "--purpose", "credit", "-o", "json", token=customer))["items"]
    assert account["balance"]["nano"] < 0, "the operator owes it"
    listed = run("ledger", "transfers", "--account", account["id"], "--kind", "credit_grant", token=customer)
    newest = listed.splitlines()[1]
    assert "cash of -" in newest
    assert "credit of acme" in newest
    assert "0.50" in newest
    assert len(run("ledger", "transfers", "--since", "1h", "--limit", "1", token=customer).splitlines()) == 2
    assert "No such" not in run("ledger", "transfers", "--kind", "wishes", token=customer, code=2)
    run("ledger", "accounts", "-s", "rival", token=customer, code=3)


def test_an_account_pays_beforehand_and_afterwards(run: Run) -> None:
    run("credit", "grant", "later", "7", "--reference", "b")
    assert run("credit", "prepaid", "later", "--low", "100") == "account/later pays beforehand: low_balance\n"
    kept = json.loads(run("credit", "show", "-s", "later", "-o", "json"))["balances"][0]["prepaid"]
    assert (kept["low"]["nano"], kept["grace_hours"], kept["state"]) == (100 * 10**9, 24, "low_balance")
    run("credit", "grant", "later", "500", "--reference", "c")
    assert "healthy" in run("credit", "show", "-s", "later")
    assert run("credit", "prepaid", "later", "--off") == "account/later pays afterwards\n"


def test_who_has_nothing_left_creates_nothing(run: Run, operator: Client) -> None:
    assert run("credit", "prepaid", "broke") == "account/broke pays beforehand: auto_release_pending\n"
    platform = {"kind": "Platform", "metadata": {"name": "shop", "scope": "broke"}}
    with pytest.raises(ApiError) as refused:
        operator.apply(platform)
    assert (refused.value.status, refused.value.code) == (409, "CREDIT_USED_UP")
    assert refused.value.details["state"] == "auto_release_pending"
    run("credit", "grant", "broke", "1", "--reference", "a")
    operator.apply(platform)


def test_who_may_not_is_refused_and_strangers_see_nothing(run: Run, customer: str) -> None:
    run("credit", "grant", "acme", "1", "--reference", "mine", token=customer, code=4)
    run("credit", "prepaid", "acme", "--off", token=customer, code=4)
    run("credit", "show", "-s", "rival", token=customer, code=3)
    run("credit", "list", "-s", "rival", token=customer, code=3)


def test_bad_words_are_named(run: Run) -> None:
    for amount in ("0", "much", "1.0000000001", "NaN", "1e30"):
        assert "amount" in run("credit", "grant", "acme", amount, "--reference", "x", code=2)
    assert "account" in run("credit", "grant", "acme.shop", "1", "--reference", "x", code=2)
    assert "currency" in run("credit", "grant", "acme", "1", "--reference", "x", "--currency", "usd", code=2)
    assert "currency" in run("credit", "prepaid", "acme", "--currency", "usd", code=2)
    run("credit", "grant", "nobody", "1", "--reference", "x", code=3)
    run("credit", "show", "-s", "-", code=2)


@pytest.mark.parametrize("amount", ["-5", "-5.00", "-.5"])
@pytest.mark.parametrize(
    "words",
    [
        ("credit", "grant", "acme", "{}", "--reference", "x"),
        ("credit", "grant", "acme", "--reference", "x", "{}"),
        ("payments", "record", "ACME-000001", "{}", "--reference", "x"),
        ("payments", "refund", "4711", "{}"),
        ("invoices", "credit", "ACME-000001", "{}", "--reason", "x", "--reference", "x"),
        ("prices", "set", "input_tokens", "{}"),
        ("quota", "set", "acme", "tenants", "{}"),
    ],
)
def test_a_negative_amount_is_told_as_one(run: Run, words: tuple[str, ...], amount: str) -> None:
    said = run(*(word.format(amount) for word in words), code=2)
    assert amount in said, said
    assert "No such option" not in said


def test_an_option_that_is_none_is_still_told_as_one(run: Run) -> None:
    assert "No such option '-z'" in run("credit", "grant", "acme", "5", "--reference", "x", "-z", code=2)


def test_pages_of_grants_follow_each_other(run: Run, operator: Client) -> None:
    for reference in ("a", "b"):
        run("credit", "grant", "paged", "1", "--reference", reference)
    seen, query = [], {"limit": 1}
    while True:
        page = operator.request("GET", "/api/v1/scopes/paged/credits", query=query)
        seen += [grant["reference"] for grant in page["items"]]
        if page["next_cursor"] is None:
            break
        query = {"limit": 1, "cursor": page["next_cursor"]}
    assert seen == ["a", "b"]
