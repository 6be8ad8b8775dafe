"""What every command shares: the client, how errors end, and which exit code means what."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from ironworks.sdk import ApiError, Client, KindInfo, Unreachable, load_profile
from ironworks.sdk.config import Profile

EXIT_CODES = """\b
Exit codes:
  0  done
  1  `diff` found differences, or something failed that has no code of its own
  2  wrong usage, or the server refused the input (422, 413)
  3  not found
  4  not logged in, or not allowed
  5  conflict with the present state
  6  timed out
  7  the server does not answer, or asks to wait
"""
_BY_STATUS = {401: 4, 403: 4, 404: 3, 409: 5, 410: 5, 413: 2, 415: 2, 422: 2, 429: 7, 503: 7}
TIMED_OUT = 6

F = TypeVar("F", bound=Callable[..., Any])


def fails_clearly(command: F) -> F:
    """Turn every expected failure into one message on standard error and its exit code."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except ApiError as error:
            print_error(error)
            sys.exit(_BY_STATUS.get(error.status, 1))
        except Unreachable as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(7)
        except BrokenPipeError:
            sys.exit(0)

    return wrapped  # type: ignore[return-value]


def print_error(error: ApiError) -> None:
    """The message; each wrong field on its own line; the request id where it helps."""
    if error.problems:
        click.echo("error: the server refused this:", err=True)
        for p in error.problems:
            remedy = f" ({p['remedy']})" if p.get("remedy") else ""
            click.echo(f"  {p['field'] or 'document'}: {p['problem']}{remedy}", err=True)
    else:
        click.echo(f"error: {error.message}", err=True)
    if error.status == 401:
        click.echo('log in with `ironworks login`, or `eval "$(ironworks env)"` for a local installation', err=True)
    if error.status >= 500 and error.request_id:
        click.echo(f"request_id: {error.request_id}", err=True)


def open_client(ctx: click.Context) -> Client:
    """The command's client, from `--url`/`--token`, the environment, or the stored login."""
    root = ctx.find_root()
    url, token = root.params.get("url"), root.params.get("token")
    profile = load_profile()
    if url or token:
        profile = Profile((url or profile.url).rstrip("/"), token or profile.token)
    client = Client(profile)
    ctx.call_on_close(lambda: client.__exit__(None, None, None))
    return client


def find_kind(client: Client, word: str) -> KindInfo:
    """The kind of that name, plural or short form; usage error with all of them otherwise."""
    kind = client.kinds.find(word)
    if kind is None:
        known = ", ".join(f"{k.plural} ({k.short})" if k.short else k.plural for k in client.kinds.all)
        raise click.UsageError(f"there is no kind {word!r}; there are: {known}")
    return kind


def split_name(name: str, scope: str | None) -> tuple[str, str]:
    """(scope, name) of `path/name`, or of `name` with `-s`. Usage error where the scope is not said."""
    if "/" in name:
        path, _, bare = name.rpartition("/")
        if scope not in (None, path):
            raise click.UsageError(f"{name!r} says another scope than -s {scope}")
        return path, bare
    if scope is None:
        raise click.UsageError(f"say where {name!r} is: -s SCOPE, or SCOPE/{name} ('-' is the operator's scope)")
    return scope, name


def own_scope(client: Client, scope: str | None) -> str:
    """`scope` where it was said; else where the credential is at home: a key's scope, a person's topmost grant."""
    if scope is not None:
        return scope
    me = client.request("GET", "/api/v1/me")
    granted = [grant["scope"] for grant in me.get("grants", [])]
    return me.get("scope") or min(granted, key=lambda path: (path != "-", path.count("."), path), default="-")
