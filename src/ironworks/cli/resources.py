"""kubectl's verbs, over every kind there is: get, describe, apply, diff, delete, wait, watch."""

from __future__ import annotations

import json
import re
import sys
import time
from typing import Any

import click

from ironworks.cli.documents import in_order, read_documents
from ironworks.cli.output import age, full_name, output_option, resource_table, show_data, show_resources, show_table
from ironworks.cli.session import TIMED_OUT, fails_clearly, find_kind, open_client, split_name
from ironworks.sdk import ApiError, Client, KindInfo, WatchEvent

scope_option = click.option("-s", "--scope", metavar="PATH", help="Scope: acme.shop.eu, or - for the operator's.")
file_option = click.option(
    "-f", "--file", "files", multiple=True, metavar="FILE", help="YAML or JSON, or a folder of such; - is stdin."
)


def _split_target(client: Client, words: tuple[str, ...]) -> tuple[KindInfo, str | None]:
    """`KIND`, `KIND NAME`, `KIND/NAME` or `KIND/SCOPE/NAME`."""
    first, *rest = words
    kind, slash, name = first.partition("/")
    if len(rest) > 1 or (slash and rest):
        raise click.UsageError("give KIND, KIND NAME or KIND/NAME")
    return find_kind(client, kind), name if slash else (rest[0] if rest else None)


def _named(client: Client, words: tuple[str, ...], scope: str | None) -> tuple[KindInfo, str, str]:
    kind, name = _split_target(client, words)
    if name is None:
        raise click.UsageError("which one? give its name")
    return kind, *split_name(name, scope)


@click.command()
@click.pass_context
@fails_clearly
def kinds(ctx: click.Context) -> None:
    """List the kinds of resources there are."""
    found = open_client(ctx).kinds.all
    rows = [[k.plural, k.short or "-", ", ".join(k.levels), k.description.partition("\n")[0]] for k in found]
    show_table(["KIND", "SHORT", "LIVES AT", "WHAT IT IS"], rows)


@click.command()
@click.argument("target", nargs=-1, required=True, metavar="KIND [NAME]")
@scope_option
@click.option("-l", "--labels", help="Only with these labels: key=value,key2=value2.")
@click.option("--phase", help="Only in this phase.")
@click.option("--inherited", is_flag=True, help="With -s: also what is above that scope and inherited from there.")
@click.option("-w", "--watch", "keep_watching", is_flag=True, help="Then print changes as they come.")
@output_option
@click.pass_context
@fails_clearly
def get(
    ctx: click.Context, target: tuple[str, ...], scope: str | None, labels: str | None, phase: str | None,
    inherited: bool, keep_watching: bool, output: str,
) -> None:  # fmt: skip
    """Print one resource, or all of a kind.

    Several kinds with commas: ironworks get platforms,tenants -s acme
    """
    client = open_client(ctx)
    words = target[0].split(",") if len(target) == 1 and "/" not in target[0] else [target[0]]
    if keep_watching and len(words) > 1:
        raise click.UsageError("watch one kind at a time")
    for word in words:
        kind, name = _split_target(client, (word, *target[1:]))
        if name is not None:
            found = [client.get(kind, *split_name(name, scope))]
        else:
            asked = {"labels": labels, "phase": phase, "inherited": True if inherited and scope else None}
            found = list(client.list(kind, scope, **{k: v for k, v in asked.items() if v is not None}))
        show_resources(found, kind, output, one=name is not None)
        if not found and scope and kind.inherited and not inherited:
            click.echo("--inherited also shows what is above and can be used here", err=True)
    if keep_watching:
        _print_changes(client, kind, scope, output)


@click.command()
@click.argument("target", nargs=-1, required=True, metavar="KIND")
@scope_option
@output_option
@click.pass_context
@fails_clearly
def watch(ctx: click.Context, target: tuple[str, ...], scope: str | None, output: str) -> None:
    """Print changes of a kind as they come, until interrupted."""
    client = open_client(ctx)
    kind, _ = _split_target(client, target)
    _print_changes(client, kind, scope, output)


def _print_changes(client: Client, kind: KindInfo, scope: str | None, output: str) -> None:
    """Until interrupted; a stream that ended is taken up where it was, or anew from a list where that is too old."""
    cursor: str | None = None
    while True:
        try:
            for event in client.watch(kind, scope, cursor):
                cursor = event.cursor or cursor
                if event.type == "relist":
                    cursor = None
                    break
                _print_change(event, kind, output)
        except ApiError as error:
            if error.status != 410:
                raise
            cursor = None
        if cursor is None:
            show_resources(list(client.list(kind, scope)), kind, output)
        time.sleep(0.2)


def _print_change(event: WatchEvent, kind: KindInfo, output: str) -> None:
    if output == "json":
        click.echo(json.dumps({"type": event.type, "object": event.object}))
    elif event.object.get("metadata"):
        rows = [[full_name(kind, event.object)]]
        if "spec" in event.object:
            _, rows = resource_table([event.object], kind, wide=output == "wide")
        click.echo("  ".join([f"{event.type:<8}", *rows[0]]))


@click.command()
@click.argument("target", nargs=-1, required=True, metavar="KIND NAME")
@scope_option
@click.pass_context
@fails_clearly
def describe(ctx: click.Context, target: tuple[str, ...], scope: str | None) -> None:
    """Show everything about one resource."""
    client = open_client(ctx)
    kind, place, name = _named(client, target, scope)
    resource = client.get(kind, place, name)
    meta, status = resource["metadata"], dict(resource.get("status") or {})
    conditions = status.pop("conditions", [])
    old = age(meta["creation_timestamp"])
    click.echo(f"{kind.name} {meta['scope']}/{meta['name']}  {status.get('phase', '')}  ({old} old)")
    show_data({"metadata": {k: v for k, v in meta.items() if v not in (None, {}, [])}}, "yaml")
    show_data({"spec": resource["spec"], "status": status}, "yaml")
    if conditions:
        click.echo("conditions:")
        rows = [
            [
                c["type"],
                c["status"],
                c.get("reason", ""),
                age(c["last_transition_time"]) if c.get("last_transition_time") else "",
                c.get("message", ""),
            ]
            for c in conditions
        ]
        show_table(["TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"], rows)


@click.command()
@file_option
@click.option("--dry-run", is_flag=True, help="Say what would happen, and change nothing.")
@output_option
@click.pass_context
@fails_clearly
def apply(ctx: click.Context, files: tuple[str, ...], dry_run: bool, output: str) -> None:
    """Make resources what the files say, whether they exist or not.

    Documents are applied in an order that fits: what others live in or refer to comes first.
    """
    client = open_client(ctx)
    if not files:
        raise click.UsageError("give -f FILE")
    results = []
    made: set[str] = set()
    for document in in_order(read_documents(files), client.kinds):
        answer = _try_one(client, document, made) if dry_run else _apply_one(client, document)
        results.append(answer)
        if output in ("table", "wide", "name"):
            kind = find_kind(client, document["kind"])
            suffix = " (dry run)" if dry_run else ""
            click.echo(
                full_name(kind, answer["resource"]) + ("" if output == "name" else f" {answer['action']}{suffix}")
            )
    if output in ("json", "yaml"):
        show_data(results, output)


def _apply_one(client: Client, document: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
    try:
        return client.apply(document, dry_run=dry_run)
    except ApiError:
        meta = document.get("metadata") or {}
        click.echo(f"{document['kind']} {meta.get('scope', '-')}/{meta.get('name')}:", err=True)
        raise


def _try_one(client: Client, document: dict[str, Any], made: set[str]) -> dict[str, Any]:
    """What applying would do. `made`: paths that earlier documents would make; in those nothing can be asked yet."""
    kind, meta = client.kinds.find(str(document["kind"])), document["metadata"]
    scope = str(meta.get("scope") or "-")
    if scope in made:
        resource = {"metadata": {"scope": scope, "name": meta["name"]}, "spec": document.get("spec") or {}}
        answer = {"action": "created", "resource": resource, "diff": _whole(resource["spec"])}
    else:
        answer = _apply_one(client, document, dry_run=True)
    if kind is not None and kind.node and answer["action"] == "created":
        made.add(meta["name"] if scope == "-" else f"{scope}.{meta['name']}")
    return answer


def _whole(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"field": f"spec.{name}", "from": None, "to": value} for name, value in spec.items()]


@click.command()
@file_option
@click.pass_context
@fails_clearly
def diff(ctx: click.Context, files: tuple[str, ...]) -> None:
    """Show what `apply` would change; exit code 1 if anything."""
    client = open_client(ctx)
    if not files:
        raise click.UsageError("give -f FILE")
    differs = False
    made: set[str] = set()
    for document in in_order(read_documents(files), client.kinds):
        answer = _try_one(client, document, made)
        if answer["action"] == "unchanged":
            continue
        differs = True
        click.echo(f"{full_name(find_kind(client, document['kind']), answer['resource'])} would be {answer['action']}")
        for change in answer["diff"]:
            if change["from"] is not None:
                click.secho(f"  - {change['field']}: {json.dumps(change['from'])}", fg="red")
            if change["to"] is not None:
                click.secho(f"  + {change['field']}: {json.dumps(change['to'])}", fg="green")
    sys.exit(1 if differs else 0)


@click.command()
@click.argument("target", nargs=-1, metavar="KIND NAME")
@scope_option
@file_option
@click.option("--force", is_flag=True, help="Skip a cleanup that fails (needs <kind>:force-delete).")
@click.option("--ignore-not-found", is_flag=True, help="What is not there is no error.")
@click.option("--wait/--no-wait", "wait_gone", default=True, show_default=True, help="Until it is gone.")
@click.option("--timeout", metavar="TIME", default="5m", show_default=True, help="30s, 5m or 1h.")
@click.pass_context
@fails_clearly
def delete(
    ctx: click.Context, target: tuple[str, ...], scope: str | None, files: tuple[str, ...], force: bool,
    ignore_not_found: bool, wait_gone: bool, timeout: str,
) -> None:  # fmt: skip
    """Delete a resource, or all that files name.

    With files, in reverse order: what others live in or refer to goes last.
    """
    client = open_client(ctx)
    if bool(target) == bool(files):
        raise click.UsageError("give either KIND NAME or -f FILE")
    if target:
        doomed = [_named(client, target, scope)]
    else:
        documents = in_order(read_documents(files), client.kinds)
        doomed = [
            (find_kind(client, d["kind"]), d["metadata"].get("scope") or "-", d["metadata"]["name"])
            for d in reversed(documents)
        ]
    deadline = time.monotonic() + seconds_of(timeout)
    for kind, place, name in doomed:
        try:
            client.delete(kind, place, name, force=force)
        except ApiError as error:
            if error.status == 404 and ignore_not_found:
                continue
            raise
        if wait_gone and not _wait_gone(client, kind, place, name, deadline):
            click.echo(f"error: {kind.name} {place}/{name} is still being deleted; see `ironworks describe`", err=True)
            sys.exit(TIMED_OUT)
        click.echo(f"{kind.name.lower()}/{place}/{name} {'deleted' if wait_gone else 'deleting'}")


def _wait_gone(client: Client, kind: KindInfo, scope: str, name: str, deadline: float) -> bool:
    while time.monotonic() < deadline:
        try:
            client.get(kind, scope, name)
        except ApiError as error:
            if error.status == 404:
                return True
            raise
        time.sleep(0.2)
    return False


@click.command()
@click.argument("target", nargs=-1, required=True, metavar="KIND NAME")
@scope_option
@click.option(
    "--for", "wanted", required=True, metavar="WHAT", help="delete | phase=X | condition=T[=S] | jsonpath=.a.b=v"
)
@click.option("--timeout", metavar="TIME", default="5m", show_default=True, help="30s, 5m or 1h.")
@click.pass_context
@fails_clearly
def wait(ctx: click.Context, target: tuple[str, ...], scope: str | None, wanted: str, timeout: str) -> None:
    """Wait until a resource is as asked.

    For instance: ironworks wait endpoint acme.shop.eu/chat --for phase=Running
    """
    client = open_client(ctx)
    kind, place, name = _named(client, target, scope)
    deadline = time.monotonic() + seconds_of(timeout)
    if wanted == "delete":
        met = _wait_gone(client, kind, place, name, deadline)
    else:
        met = _wait_for(client, kind, place, name, wanted, deadline)
    if not met:
        click.echo(f"error: timed out: {kind.name} {place}/{name} is not {wanted}", err=True)
        sys.exit(TIMED_OUT)
    click.echo(f"{kind.name.lower()}/{place}/{name} {wanted}")


def _wait_for(client: Client, kind: KindInfo, scope: str, name: str, wanted: str, deadline: float) -> bool:
    test = condition_of(wanted)
    while time.monotonic() < deadline:
        if test(client.get(kind, scope, name)):
            return True
        time.sleep(0.2)
    return False


def condition_of(wanted: str) -> Any:
    """The test that `--for` describes. Usage error for anything else."""
    what, _, rest = wanted.partition("=")
    if what == "phase" and rest:
        return lambda r: (r.get("status") or {}).get("phase", "").lower() == rest.lower()
    if what == "condition" and rest:
        name, _, status = rest.partition("=")
        return lambda r: any(
            c["type"].lower() == name.lower() and c["status"].lower() == (status or "true").lower()
            for c in (r.get("status") or {}).get("conditions", [])
        )
    if what == "jsonpath" and "=" in rest:
        path, _, value = rest.strip("'\"").partition("=")
        keys = [k for k in path.strip("{}").split(".") if k]
        return lambda r: _value_at(r, keys) == value
    raise click.UsageError("--for takes delete, phase=X, condition=TYPE[=STATUS] or jsonpath=.a.b=value")


def _value_at(node: Any, keys: list[str]) -> str:
    for key in keys:
        if isinstance(node, list):
            node = node[int(key)] if key.isdigit() and int(key) < len(node) else None
        else:
            node = node.get(key) if isinstance(node, dict) else None
    return str(node).lower() if isinstance(node, bool) else str(node)


def seconds_of(text: str) -> float:
    """Seconds of `30s`, `5m`, `1h` or a bare number. Usage error otherwise."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", text)
    if not match:
        raise click.UsageError(f"{text!r} is not a time: write 30s, 5m or 1h")
    return float(match[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, None: 1}[match[2]]


COMMANDS = (kinds, get, describe, apply, diff, delete, wait, watch)
