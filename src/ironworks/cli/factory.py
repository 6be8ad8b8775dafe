"""What the gateway is told: limits and routes. Short ways to what `apply` and `get` do with files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click

from ironworks.cli.output import (
    full_name,
    output_option,
    resource_table,
    show_data,
    show_resources,
    show_table,
    text_of,
)  # fmt: skip
from ironworks.cli.resources import scope_option
from ironworks.cli.session import fails_clearly, find_kind, open_client, own_scope, split_name

STRATEGIES: Final = (
    "weighted", "least_loaded", "prefix_affine", "lowest_latency", "lowest_cost", "ordered_fallback"
)  # fmt: skip
_TARGET: Final[dict[str, Callable[[str], Any]]] = {
    "endpoint": str, "external": str, "model": str, "weight": int, "served_as": str, "price_as": str,
    "timeout_seconds": float, "max_concurrency": int, "max_queue": int,
}  # fmt: skip
"""The fields of a route's target, and how each is read."""
name_argument = click.argument("name", metavar="SCOPE/NAME")
written_option = click.option(
    "-o", "--output", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True
)


def list_kind(ctx: click.Context, word: str, scope: str | None, output: str) -> None:
    """The resources of a kind, those of a scope and below or all."""
    client = open_client(ctx)
    kind = find_kind(client, word)
    show_resources(list(client.list(kind, scope)), kind, output)


def show_one(ctx: click.Context, word: str, name: str, scope: str | None, output: str) -> None:
    """One resource: what is set of its spec, and its status."""
    client = open_client(ctx)
    kind = find_kind(client, word)
    found = client.get(kind, *split_name(name, scope))
    if output != "table":
        show_data(found, output)
        return
    rows = [[field, text_of(value)] for field, value in found["spec"].items() if value not in (None, [], {})]
    status = {k: v for k, v in found["status"].items() if k not in ("conditions", "observed_generation")}
    rows += [[field, text_of(value)] for field, value in status.items() if value not in (None, [], {})]
    click.echo(full_name(kind, found))
    show_table(["FIELD", "VALUE"], rows)


def set_one(ctx: click.Context, word: str, name: str, scope: str | None, spec: dict[str, Any], output: str) -> None:
    """Make the resource what `spec` says; what it leaves out gets its default."""
    client = open_client(ctx)
    kind = find_kind(client, word)
    place, bare = split_name(name, scope)
    given = {field: value for field, value in spec.items() if value is not None}
    document = {"kind": kind.name, "metadata": {"name": bare, "scope": place}, "spec": given}
    answer = client.apply(document)
    if output != "table":
        show_data(answer, output)
        return
    click.echo(f"{full_name(kind, answer['resource'])} {answer['action']}")
    show_table(*resource_table([answer["resource"]], kind, wide=False))


# --- limits ----------------------------------------------------------------------------------------------------------


@click.group()
def limits() -> None:
    """How much may be called: rates, tokens, concurrency, models."""


@limits.command("list")
@scope_option
@output_option
@click.pass_context
@fails_clearly
def list_limits(ctx: click.Context, scope: str | None, output: str) -> None:
    """List limits, those of a scope and below or all."""
    list_kind(ctx, "limits", scope, output)


@limits.command("show")
@name_argument
@scope_option
@written_option
@click.pass_context
@fails_clearly
def show_limit(ctx: click.Context, name: str, scope: str | None, output: str) -> None:
    """Show what one limit says."""
    show_one(ctx, "limits", name, scope, output)


@limits.command("set")
@name_argument
@scope_option
@click.option("--for", "below", metavar="PATH", help="Only calls from this scope and below (default: the limit's own).")
@click.option("--key", metavar="NAME", help="Only calls with this key, by its name or path/name.")
@click.option("--route", metavar="MODEL", help="Only calls of this model, by its name or path/name.")
@click.option(
    "--per", multiple=True, type=click.Choice(["tenant", "key", "route", "end_user"]),
    help="Each has a count of its own; all together when left out.",
)  # fmt: skip
@click.option("--rps", type=click.IntRange(1), help="Requests per second.")
@click.option("--rpm", type=click.IntRange(1), help="Requests per minute.")
@click.option("--tpm", type=click.IntRange(1), help="Tokens per minute, input and output.")
@click.option("--burst", type=click.IntRange(1), help="Requests at once (default: a second's or a minute's worth).")
@click.option("--token-burst", type=click.IntRange(1), help="Tokens at once (default: a minute's worth).")
@click.option("--concurrency", type=click.IntRange(1), help="Requests in flight at once.")
@click.option("--model", "models", multiple=True, help="A model that may be called, * for any text; repeat for more.")
@click.option("--no-models", is_flag=True, help="No model may be called.")
@written_option
@click.pass_context
@fails_clearly
def set_limit(
    ctx: click.Context, name: str, scope: str | None, below: str | None, key: str | None, route: str | None,
    per: tuple[str, ...], rps: int | None, rpm: int | None, tpm: int | None, burst: int | None,
    token_burst: int | None, concurrency: int | None, models: tuple[str, ...], no_models: bool, output: str,
) -> None:  # fmt: skip
    """Make a limit, or change it to exactly this.

    For instance: ironworks limits set acme.shop.eu/app --key app --rpm 600 --tpm 100000
    """
    if models and no_models:
        raise click.UsageError("--model and --no-models contradict each other")
    spec = {
        "scope": below, "key": key, "route": route, "per": list(per) or None, "requests_per_second": rps,
        "requests_per_minute": rpm, "tokens_per_minute": tpm, "burst": burst, "token_burst": token_burst,
        "concurrency": concurrency, "allowed_models": list(models) if models or no_models else None,
    }  # fmt: skip
    set_one(ctx, "limits", name, scope, spec, output)


# --- routes ----------------------------------------------------------------------------------------------------------


@click.group()
def routes() -> None:
    """Model names that callers use, and what answers to them."""


@routes.command("list")
@scope_option
@click.option("--inherited", is_flag=True, help="With -s: also what is above that scope and can be called from it.")
@click.option(
    "-o", "--output", type=click.Choice(["table", "json", "yaml", "name"]), default="table", show_default=True
)
@click.pass_context
@fails_clearly
def list_routes(ctx: click.Context, scope: str | None, inherited: bool, output: str) -> None:
    """List routes with their targets."""
    client = open_client(ctx)
    kind = find_kind(client, "routes")
    query = {"inherited": True} if inherited and scope else {}
    found = list(client.list(kind, scope, **query))
    if output != "table" or not found:
        show_resources(found, kind, output)
        return
    rows = [
        [r["metadata"]["scope"], r["spec"].get("model") or r["metadata"]["name"], r["spec"]["strategy"],
         ", ".join(map(_target, r["spec"]["targets"])), (r.get("status") or {}).get("phase", "")]
        for r in found
    ]  # fmt: skip
    show_table(["SCOPE", "MODEL", "STRATEGY", "TARGETS", "PHASE"], rows)


@routes.command("show")
@name_argument
@scope_option
@written_option
@click.pass_context
@fails_clearly
def show_route(ctx: click.Context, name: str, scope: str | None, output: str) -> None:
    """Show one route: its targets, how one is chosen, and how each stands."""
    show_one(ctx, "routes", name, scope, output)


def _read_target(text: str) -> dict[str, Any]:
    """`external=openai,model=gpt-4o,weight=3` as the API takes it. Raises click.BadParameter."""
    target: dict[str, Any] = {}
    for pair in text.split(","):
        field, equals, value = pair.partition("=")
        read = _TARGET.get(field)
        if read is None or not equals or field in target:
            raise click.BadParameter(f"{pair!r}: write each once as name=value, of {', '.join(_TARGET)}")
        try:
            target[field] = read(value)
        except ValueError:
            raise click.BadParameter(f"{pair!r}: {field} is a number") from None
    return target


@routes.command("set")
@name_argument
@scope_option
@click.option("--model", metavar="NAME", help="What callers write as `model` (default: the route's own name).")
@click.option(
    "--target", "targets", multiple=True, required=True, metavar="NAME=VALUE,…",
    callback=lambda ctx, param, given: [_read_target(text) for text in given],
    help="endpoint=NAME, or external=NAME,model=NAME; also weight, served_as, price_as, timeout_seconds,"
    " max_concurrency, max_queue. Repeat for more.",
)  # fmt: skip
@click.option("--strategy", type=click.Choice(STRATEGIES), help="How a target is chosen (default: weighted).")
@click.option("--tries", type=click.IntRange(1, 10), help="Upstreams asked at most until one answers (default: 3).")
@click.option(
    "--cache-seconds", type=click.FloatRange(0, min_open=True), help="Give one answer to equal requests so long."
)
@written_option
@click.pass_context
@fails_clearly
def set_route(
    ctx: click.Context, name: str, scope: str | None, model: str | None, targets: list[dict[str, Any]],
    strategy: str | None, tries: int | None, cache_seconds: float | None, output: str,
) -> None:  # fmt: skip
    """Make a route, or change it to exactly this.

    For instance: ironworks routes set acme.shop/gpt --model gpt-4o --target external=openai,model=gpt-4o,weight=9
    --target endpoint=chat
    """
    cache = {"ttl_seconds": cache_seconds} if cache_seconds is not None else None
    spec = {"model": model, "targets": targets, "strategy": strategy, "tries": tries, "cache": cache}
    set_one(ctx, "routes", name, scope, spec, output)


@routes.command("models")
@scope_option
@written_option
@click.pass_context
@fails_clearly
def list_callable(ctx: click.Context, scope: str | None, output: str) -> None:
    """List what a key at a scope can call, by the names that it writes."""
    client = open_client(ctx)
    found = client.request("GET", f"/api/v1/scopes/{own_scope(client, scope)}/models")
    if output != "table":
        show_data(found, output)
        return
    rows = [
        [model["id"], model["kind"], model["scope"], model["task"] or "-", model["phase"],
         "yes" if model["allowed"] else "no"]
        for model in found["items"]
    ]  # fmt: skip
    show_table(["MODEL", "KIND", "SCOPE", "TASK", "PHASE", "ALLOWED"], rows)


@routes.command("health")
@name_argument
@scope_option
@written_option
@click.pass_context
@fails_clearly
def route_health(ctx: click.Context, name: str, scope: str | None, output: str) -> None:
    """Show how a route's targets stand, and the last hour of each.

    Exit code 1 if a gateway has set all of them aside.
    """
    client = open_client(ctx)
    place, bare = split_name(name, scope)
    found = client.request("GET", f"/api/v1/scopes/{place}/routes/{bare}/health")
    if output != "table":
        show_data(found, output)
    else:
        heads = ["TARGET", "STATE", "AT", "IN FLIGHT", "QUEUED", "REQUESTS", "ERRORS", "P50", "P99", "LAST FAILURE"]
        show_table(heads, [_health_row(target, found["processes"]) for target in found["targets"]])
    if all(target["state"] == "ejected" for target in found["targets"]):
        ctx.exit(1)


def _health_row(target: dict[str, Any], processes: int) -> list[str]:
    figures = target["figures"] or {}
    latency = figures.get("latency_ms") or {}
    state = target["state"].replace("_", " ")
    until = f" until {target['until'][11:19]}" if target["until"] else ""
    errors = figures.get("client_errors", 0) + figures.get("server_errors", 0) if figures else "-"
    told = [
        target["target"], state + until, f"{target['processes']}/{processes}", target["in_flight"], target["queued"],
        figures.get("requests", "-"), errors, *(f"{latency[q]:g} ms" if latency else "-" for q in ("p50", "p99")),
        target["reason"] or "-",
    ]  # fmt: skip
    return [str(word) for word in told]


@routes.command("check")
@click.argument("name", metavar="EXTERNAL-ENDPOINT")
@scope_option
@written_option
@click.pass_context
@fails_clearly
def check_upstreams(ctx: click.Context, name: str, scope: str | None, output: str) -> None:
    """Ask an external endpoint's upstreams for their models now.

    Exit code 1 if any of them fails.
    """
    client = open_client(ctx)
    place, bare = split_name(name, scope)
    found = client.request("POST", f"/api/v1/scopes/{place}/external-endpoints/{bare}:test")["upstream_status"]
    if output != "table":
        show_data(found, output)
    else:
        rows = [[u["name"], u["url"], u["phase"], ", ".join(u["models"]), u["error_message"]] for u in found]
        show_table(["UPSTREAM", "URL", "PHASE", "MODELS", "MESSAGE"], rows)
    if any(upstream["phase"] == "Failed" for upstream in found):
        ctx.exit(1)


def _target(target: dict[str, Any]) -> str:
    """`openai: gpt-4o x3`, `chat`, `backup: gpt-4o (reserve)`."""
    name = target.get("endpoint") or f"{target.get('external')}: {target.get('model')}"
    weight = target.get("weight", 1)
    return name + (" (reserve)" if weight == 0 else f" x{weight}" if weight > 1 else "")


COMMANDS = (limits, routes)
