"""Talking to models, and reading what their replicas say."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import click
import httpx

from ironworks.cli.session import fails_clearly, find_kind, open_client, split_name
from ironworks.sdk import ApiError, Client, Unreachable
from ironworks.sdk.client import error_of
from ironworks.sdk.config import Profile, load_profile


@click.command()
@click.argument("target", metavar="endpoint/SCOPE/NAME")
@click.option("-s", "--scope", metavar="PATH")
@click.option("-f", "--follow", is_flag=True, help="Keep printing what comes.")
@click.option("--replica", metavar="NAME", help="Only this replica; `ironworks describe` lists them.")
@click.option("--tail", type=click.IntRange(0, 100_000), default=200, show_default=True, help="Lines from the end.")
@click.pass_context
@fails_clearly
def logs(ctx: click.Context, target: str, scope: str | None, follow: bool, replica: str | None, tail: int) -> None:
    """Print the logs of an endpoint's replicas."""
    client = open_client(ctx)
    word, _, name = target.partition("/")
    kind = find_kind(client, word)
    place, bare = split_name(name, scope)
    query = {"follow": str(follow).lower(), "tail": str(tail), **({"replica": replica} if replica else {})}
    for line in client.lines(f"/api/v1/scopes/{place}/{kind.plural}/{bare}/logs", query=query):
        click.echo(line)


@click.command()
@click.argument("prompt", required=False)
@click.option(
    "-m",
    "--model",
    default="smollm2",
    show_default=True,
    help="A model that the key may call; GET /v1/models lists them.",
)
@click.option("--system", metavar="TEXT", help="The system prompt.")
@click.option("--max-tokens", type=click.IntRange(1), default=512, show_default=True, help="Longest answer.")
@click.option("--temperature", type=float, help="0 is the most predictable; the model's own when left out.")
@click.option("--base-url", envvar="OPENAI_BASE_URL", help="The gateway (OPENAI_BASE_URL).")
@click.option("--api-key", envvar="OPENAI_API_KEY", help="A tenant's key (OPENAI_API_KEY).")
@fails_clearly
def chat(
    prompt: str | None, model: str, system: str | None, max_tokens: int, temperature: float | None,
    base_url: str | None, api_key: str | None,
) -> None:  # fmt: skip
    """Talk to a model, and see tokens and cost.

    Without PROMPT it is a conversation; an empty line ends it. Cost is shown where the key may see bills.
    """
    if not base_url or not api_key:
        raise click.UsageError('set OPENAI_BASE_URL and OPENAI_API_KEY, for instance with: eval "$(ironworks env)"')
    options = {
        "model": model,
        "max_tokens": max_tokens,
        **({"temperature": temperature} if temperature is not None else {}),
    }
    messages: list[dict[str, str]] = [{"role": "system", "content": system}] if system else []
    while True:
        text = prompt or _ask()
        if text is None:
            return
        messages.append({"role": "user", "content": text})
        answer = _one_answer(base_url, api_key, {**options, "messages": messages})
        messages.append({"role": "assistant", "content": answer})
        if prompt:
            return


def _ask() -> str | None:
    """The next line of a conversation; None at its end."""
    if not sys.stdin.isatty():
        return sys.stdin.read().strip() or None
    try:
        text = str(click.prompt("you", prompt_suffix="> ", default="", show_default=False))
    except (click.Abort, EOFError):
        return None
    return None if text.strip() in ("", "/quit", "/exit") else text


def _one_answer(base_url: str, api_key: str, body: dict[str, Any]) -> str:
    started, text = time.monotonic(), ""
    usage: dict[str, Any] = {}
    first: float | None = None
    request = {**body, "stream": True, "stream_options": {"include_usage": True}}
    headers = {"authorization": f"Bearer {api_key}"}
    url = base_url.rstrip("/") + "/chat/completions"
    try:
        with httpx.stream(
            "POST", url, json=request, headers=headers, timeout=httpx.Timeout(30, read=600), trust_env=False
        ) as response:
            if response.status_code >= 400:
                response.read()
                raise error_of(response)
            for chunk in _chunks(response):
                usage = chunk.get("usage") or usage
                piece = (chunk["choices"][0].get("delta") or {}).get("content") if chunk.get("choices") else None
                if piece:
                    first = first or time.monotonic()
                    text += piece
                    click.echo(piece, nl=False)
    except httpx.HTTPError as problem:
        raise Unreachable(f"{base_url} does not answer ({problem}); is it running? `ironworks status` tells") from None
    click.echo()
    _print_facts(api_key, response.headers.get("x-request-id", ""), usage, started, first)
    return text


def _chunks(response: httpx.Response) -> Any:
    for line in response.iter_lines():
        if line.startswith("data: ") and line != "data: [DONE]":
            chunk = json.loads(line[6:])
            if "error" in chunk:
                raise ApiError(502, str(chunk["error"].get("code")), str(chunk["error"].get("message")), {}, "")
            yield chunk


def _print_facts(key: str, request_id: str, usage: dict[str, Any], started: float, first: float | None) -> None:
    """One line below the answer: tokens, speed, cost and the id that explains it."""
    seconds = time.monotonic() - started
    out = usage.get("completion_tokens", 0)
    facts = [f"{usage.get('prompt_tokens', 0)} tokens in, {out} out"]
    if first is not None:
        facts.append(f"first after {first - started:.2f} s, {out / max(seconds, 0.001):.0f} tokens/s")
    cost = _cost(key, request_id)
    if cost:
        facts.append(cost)
    click.secho(f"[{', '.join(facts)}; {request_id}]", fg="bright_black", err=not sys.stdout.isatty())


def _cost(key: str, request_id: str, within: float = 5.0) -> str | None:
    """What the request cost, once it is booked; None where the key may not see bills."""
    deadline = time.monotonic() + within
    with Client(Profile(os.environ.get("IRONWORKS_URL") or load_profile().url, key)) as client:
        while time.monotonic() < deadline:
            try:
                chain = client.request("GET", f"/api/v1/billing/requests/{request_id}")
                return " + ".join(f"{m['amount']} {m['currency']}" for m in chain["total"]) or "free"
            except ApiError as error:
                if error.status != 404:
                    return None
            except Unreachable:
                return None
            time.sleep(0.1)
    return None


COMMANDS = (logs, chat)
