"""What things cost: the price book, the terms of periods, and what another book would have come to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final, TextIO

import click
import yaml

from ironworks.cli.documents import PlainLoader
from ironworks.cli.money import billing, data_option, day, scope_option
from ironworks.cli.output import at_second, decimal, show_data, show_table
from ironworks.cli.session import fails_clearly, open_client, own_scope

PRICES: Final = "/api/v1/prices"
TERMS: Final = "/api/v1/price-terms"

model_option = click.option("--model", default="*", show_default=True, help="The model; `*` is each without its own.")
currency_option = click.option("--currency", default="USD", show_default=True, help="Of three letters.")
place_option = click.option(
    "-s", "--scope", default="-", show_default=True, metavar="PATH", help="Where it holds, and below."
)


@click.group()
def prices() -> None:
    """The price book: list, set and withdraw prices, simulate others."""


@prices.command("list")
@click.option("-s", "--scope", metavar="PATH", help="Only what counts there: its own prices, and those above it.")
@click.option("--at", metavar="MOMENT", help="Only what was in force then, in ISO 8601.")
@data_option
@click.pass_context
@fails_clearly
def list_prices(ctx: click.Context, scope: str | None = None, at: str | None = None, output: str = "table") -> None:
    """List prices with their versions."""
    items = list(open_client(ctx).items(PRICES, scope=scope, at=at))
    if output != "table":
        show_data({"items": items}, output)
        return
    heads = ["METER", "MODEL", "SCOPE", "PER MILLION", "CURRENCY", "FROM", "TO", "ID"]
    rows = [
        [
            p["meter"],
            p["model"],
            p["scope"],
            "withdrawn" if p["withdrawn"] else p["per_million"],
            p["currency"],
            at_second(p["valid_from"]),
            at_second(p["valid_to"]),
            p["id"],
        ]
        for p in items
    ]
    show_table(heads, rows)


@prices.command("set")
@click.argument("meter")
@click.argument("unit_price")
@model_option
@place_option
@currency_option
@click.option("--from", "valid_from", metavar="MOMENT", help="In ISO 8601 (default: now).")
@data_option
@click.pass_context
@fails_clearly
def set_price(
    ctx: click.Context, meter: str, unit_price: str, model: str, scope: str, currency: str, valid_from: str | None,
    output: str,
) -> None:  # fmt: skip
    """Let one unit of METER cost UNIT_PRICE, an exact decimal.

    What is rated already stays as it is: `ironworks prices set output_tokens 0.0000006 --model smollm2`
    """
    body = _key(meter, model, scope, currency) | {"unit_price": unit_price, "valid_from": valid_from}
    _tell(open_client(ctx).request("POST", PRICES, body=body), output)


@prices.command()
@click.argument("meter")
@model_option
@place_option
@currency_option
@click.option("--from", "valid_from", metavar="MOMENT", help="In ISO 8601 (default: now).")
@data_option
@click.pass_context
@fails_clearly
def withdraw(
    ctx: click.Context, meter: str, model: str, scope: str, currency: str, valid_from: str | None, output: str
) -> None:
    """Let a price end; the next one above counts then. What is rated already stays as it is."""
    body = _key(meter, model, scope, currency) | {"withdrawn": True, "valid_from": valid_from}
    _tell(open_client(ctx).request("POST", PRICES, body=body), output)


def _key(meter: str, model: str, scope: str, currency: str) -> dict[str, Any]:
    return {"meter": meter, "model": model, "scope": scope, "currency": currency}


def _tell(made: dict[str, Any], output: str) -> None:
    if output != "table":
        show_data(made, output)
        return
    what = "is withdrawn" if made["withdrawn"] else f"costs {made['unit_price']} {made['currency']}"
    click.echo(f"{made['meter']} of {made['model']} at {made['scope']} {what} from {at_second(made['valid_from'])} on")


@prices.command()
@click.option("-s", "--scope", metavar="PATH", help="Only what counts there: its own terms, and those above it.")
@click.option("-f", "--file", "file", type=click.File(), help="Add what it holds under `terms`, in YAML or JSON.")
@currency_option
@data_option
@click.pass_context
@fails_clearly
def terms(ctx: click.Context, scope: str | None, file: TextIO | None, currency: str, output: str) -> None:
    """List the terms of periods, or add some.

    Tiers, packages, included quantities, discounts and minimums, which a period's close applies.
    """
    client = open_client(ctx)
    if file is not None:
        added = [{"currency": currency} | each for each in read_book(file)["terms"]]
        items = [client.request("POST", TERMS, body=each) for each in added]
    else:
        items = list(client.items(TERMS, scope=scope))
    if output != "table":
        show_data({"items": items}, output)
        return
    rows = [[t["meter"], t["model"], t["scope"], _words(t), t["currency"], t["valid_from"], t["id"]] for t in items]
    show_table(["METER", "MODEL", "SCOPE", "TERMS", "CURRENCY", "FROM", "ID"], rows)


def _words(version: dict[str, Any]) -> str:
    """Terms in a few words."""
    if version["withdrawn"]:
        return "withdrawn"
    said = version["terms"]
    words = [f"{said['included']} included"] if said["included"] else []
    if said["tiers"]:
        words.append(f"{len(said['tiers'])} {said['mode']} tiers")
    if said["package"]:
        words.append(f"{said['package']['price']} per {said['package']['size']}")
    words += [f"{said['discount']} % off"] if float(said["discount"]) else []
    words += [f"at least {said['minimum']}"] if float(said["minimum"]) else []
    return ", ".join(words) or "none"


@prices.command()
@click.option("-f", "--file", "file", type=click.File(), required=True, help="The other book: `prices` and `terms`.")
@click.option("--from", "start", callback=day, metavar="DAY", help="The first day, in UTC (default: 30 days ago).")
@click.option("--to", "end", callback=day, metavar="DAY", help="The day after the last one (default: today).")
@scope_option
@currency_option
@click.option("--by", type=click.Choice(["meter", "account", "tenant"]), default="meter", show_default=True,
              help="What the groups are.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="So many groups at most.")
@data_option
@click.pass_context
@fails_clearly
def simulate(
    ctx: click.Context, file: TextIO, start: str | None, end: str | None, scope: str | None, currency: str, by: str,
    limit: int, output: str,
) -> None:  # fmt: skip
    """Compare a past period with what another book would make of it.

    The file's prices hold for the whole period; what it does not name is as it was. Nothing is changed.
    """
    client = open_client(ctx)
    today = datetime.now(UTC).date()
    body = read_book(file) | {
        "from": start or str(today - timedelta(days=30)),
        "to": end or str(today),
        "currency": currency,
        "group_by": by,
        "limit": limit,
    }
    found = client.request("POST", f"/api/v1/scopes/{own_scope(client, scope)}/prices:simulate", body=body)
    if output != "table":
        show_data(found, output)
        return
    click.echo(f"{body['from']} up to {body['to']}, that day not included (UTC)", err=True)
    print_simulation(found, by)


@prices.command()
@click.argument("account")
@click.argument("code", required=False)
@click.option("--from", "valid_from", metavar="MOMENT", help="In ISO 8601 (default: now).")
@data_option
@click.pass_context
@fails_clearly
def currency(ctx: click.Context, account: str, code: str | None, valid_from: str | None, output: str) -> None:
    """Show, or set, the currency that an account pays in.

    Nothing is converted: what is rated keeps its currency, and what has no price in the new one waits for it.
    """
    path = f"/api/v1/scopes/{account}/currency"
    body = {"currency": code, "valid_from": valid_from}
    client = open_client(ctx)
    found = client.request("GET", path) if code is None else client.request("PUT", path, body=body)
    if output != "table":
        show_data(found, output)
        return
    rows = [[account, version["currency"], at_second(version["valid_from"])] for version in found["versions"]]
    show_table(["ACCOUNT", "CURRENCY", "FROM"], rows or [[account, found["currency"], "-"]])


def print_simulation(found: dict[str, Any], by: str) -> None:
    """The groups, the largest difference first, and their sum."""
    parts = ("was", "would_be", "adjusted_was", "adjusted_would_be", "difference")
    rows = [
        [group["name"] or "total", str(group["quantity"]), *(decimal(group[part]["amount"]) for part in parts)]
        for group in [*found["groups"], found["total"]]
    ]
    show_table([by.upper(), "QUANTITY", "WAS", "WOULD BE", "TERMS WERE", "TERMS WOULD BE", "DIFFERENCE"], rows)
    for name, words in (("waiting", "had"), ("would_wait", "would have")):
        if found[name]:
            click.echo(f"{found[name]} units {words} no price")


def read_book(file: TextIO) -> dict[str, list[dict[str, Any]]]:
    """`prices` and `terms` of a file in YAML or JSON; numbers stay the decimals that were written.

    Usage error for what is no such file.
    """
    try:
        book = yaml.load(file, Decimals)  # noqa: S506 - a SafeLoader's child
    except yaml.YAMLError as problem:
        raise click.UsageError(f"{file.name}: {problem}") from None
    if not isinstance(book, dict) or not set(book) <= {"prices", "terms"}:
        raise click.UsageError(f"{file.name}: a book holds `prices` and `terms`, and nothing else")
    return {part: book.get(part) or [] for part in ("prices", "terms")}


class Decimals(PlainLoader):
    """Leaves a decimal the text that was written: as a binary fraction it would be another price."""


Decimals.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in resolvers if tag != "tag:yaml.org,2002:float"]
    for first, resolvers in PlainLoader.yaml_implicit_resolvers.items()
}


billing.add_command(list_prices, "prices")
COMMANDS = (prices,)
