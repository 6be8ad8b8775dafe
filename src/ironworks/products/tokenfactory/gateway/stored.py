"""Stored responses as callers meet them: kept at an answer's end, gone on from, read and deleted.

The answer comes first: one that cannot be kept is given all the same, and says `store: false` where it would have said
`true`. A stream's first events are gone by then; its last one, with the whole response, tells how it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import orjson

from ironworks.products.tokenfactory.gateway.dialects.pieces import new_id
from ironworks.products.tokenfactory.gateway.dialects.responses import measure_images
from ironworks.products.tokenfactory.gateway.dialects.sse import data_of, named_event
from ironworks.products.tokenfactory.gateway.model import Call, Refusal, malformed, unavailable
from ironworks.products.tokenfactory.gateway.sources import KeyView
from ironworks.products.tokenfactory.responses import (
    Item,
    KeepResponses,
    NewResponse,
    ResponseNotFound,
    ResponseTooLarge,
    StoredResponse,
)
from ironworks.shared import telemetry

if TYPE_CHECKING:
    from ironworks.products.tokenfactory.gateway.client import ClientConnection
    from ironworks.products.tokenfactory.gateway.core import Core
    from ironworks.products.tokenfactory.gateway.exchange import Exchange
    from ironworks.products.tokenfactory.gateway.heads import Request

log = telemetry.logger(__name__)

RESPONSE = "/v1/responses/{id}"
BELOW = b"/v1/responses/"
INPUT_ITEMS = "input_items"
PATIENCE = 5.0
"""Seconds that keeping or finding a response may take."""
MOST_ITEMS = 100
_CLOSING = ("response.completed", "response.incomplete")


class Shelf:
    """This process's way to stored responses; without `keep` there are none."""

    def __init__(self, core: Core, keep: KeepResponses | None) -> None:
        self._core = core
        self._keep = keep
        self._tasks: set[asyncio.Task[None]] = set()

    # at an answer's end

    def keep_answer(self, call: Call, key: KeyView, body: bytes, then: Callable[[bytes], None]) -> None:
        """Keep a whole answer; `then` gets what to tell the caller."""
        self._run(self._save(call, key, orjson.loads(body), lambda told: then(body if told is None else told)))

    def keep_stream(self, call: Call, key: KeyView, events: bytes, then: Callable[[bytes], None]) -> None:
        """Keep the response that a stream's closing `events` hold; `then` gets what to tell the caller."""
        pieces = events.split(b"\n\n")
        closing = [(at, event) for at, piece in enumerate(pieces) if (event := _closing_event(piece)) is not None]
        if not closing:  # it failed: there is nothing to keep
            then(events)
            return
        at, event = closing[0]

        def tell(response: bytes | None) -> None:
            if response is not None:
                pieces[at] = named_event({**event, "response": orjson.Fragment(response)}).removesuffix(b"\n\n")
            then(b"\n\n".join(pieces))

        self._run(self._save(call, key, event["response"], tell))

    async def _save(
        self, call: Call, key: KeyView, response: dict[str, Any], then: Callable[[bytes | None], None]
    ) -> None:
        """`then` gets the response as it is to be told, None where that is as it was."""
        told = None
        try:
            assert self._keep is not None
            items = own_items(call)
            new = NewResponse(key.scope, key.uid, call.response_id, call.model, items, response, call.previous_id)
            async with asyncio.timeout(PATIENCE):
                await self._keep.save(new)
        except Exception as problem:
            log.warning("a response cannot be kept", response=call.response_id, problem=repr(problem))
            self._core.metrics.count("ironworks_gateway_dropped", "response")
            told = orjson.dumps({**response, "store": False})
        then(told)

    def permits(self, call: Call) -> Call:
        """The call as it can be met: nothing is stored where nobody keeps anything."""
        return call if self._keep is not None or not call.stored else replace(call, stored=False)

    # going on from one

    def go_on(
        self, client: ClientConnection, request: Request, key: KeyView, call: Call, serve: Callable[[Call], Exchange]
    ) -> None:
        """Find what `call` goes on from, and `serve` it with that before its own input."""
        previous = call.previous_id
        assert previous is not None

        async def load(keep: KeepResponses) -> None:
            try:
                chain = await keep.load_chain(key.scope, previous)
            except ResponseNotFound as problem:
                raise Refusal(
                    404, "previous_response_not_found", problem.message, param="previous_response_id"
                ) from None
            except ResponseTooLarge as problem:
                raise Refusal(400, "conversation_too_long", problem.message, param="previous_response_id") from None
            whole = continued(call, chain)
            client.go_on(request, lambda: serve(whole))

        self._answer(client, request, load)

    # over HTTP

    def show(self, client: ClientConnection, request: Request, key: KeyView, response_id: str) -> None:
        """GET: the response as it was answered."""

        async def load(keep: KeepResponses) -> None:
            stored = await keep.fetch(key.scope, response_id)
            self._respond(client, request, dict(stored.response))

        self._answer(client, request, load)

    def show_items(
        self, client: ClientConnection, request: Request, key: KeyView, response_id: str, query: str
    ) -> None:
        """GET: all that it answered, what came before it included."""
        page = _read_page(query)

        async def load(keep: KeepResponses) -> None:
            chain = await keep.load_chain(key.scope, response_id)
            items = [*(item for stored in chain[:-1] for item in stored.turn), *chain[-1].items]
            self._respond(client, request, _list_of(items, *page))

        self._answer(client, request, load)

    def delete(self, client: ClientConnection, request: Request, key: KeyView, response_id: str) -> None:
        """DELETE: it is gone at once."""

        async def remove(keep: KeepResponses) -> None:
            await keep.delete(key.scope, response_id)
            self._respond(client, request, {"id": response_id, "object": "response", "deleted": True})

        self._answer(client, request, remove)

    def _respond(self, client: ClientConnection, request: Request, document: dict[str, Any]) -> None:
        self._core.metrics.refused(RESPONSE, 200)
        client.respond(request, 200, orjson.dumps(document))

    def _answer(
        self,
        client: ClientConnection,
        request: Request,
        work: Callable[[KeepResponses], Coroutine[Any, Any, None]],
    ) -> None:
        self._run(self._try(client, request, work))

    async def _try(
        self,
        client: ClientConnection,
        request: Request,
        work: Callable[[KeepResponses], Coroutine[Any, Any, None]],
    ) -> None:
        """`work` answers the request, or this says why it cannot."""
        try:
            if self._keep is None:
                raise ResponseNotFound("no responses are stored here")
            async with asyncio.timeout(PATIENCE):
                await work(self._keep)
        except Refusal as refusal:
            client.refuse_later(request, refusal)
        except ResponseNotFound as problem:
            client.refuse_later(request, Refusal(404, "response_not_found", problem.message))
        except ResponseTooLarge as problem:
            client.refuse_later(request, Refusal(400, "conversation_too_long", problem.message))
        except Exception as problem:
            log.warning("stored responses cannot be reached", problem=repr(problem))
            client.refuse_later(
                request, unavailable("responses_unavailable", "stored responses cannot be reached now; try again", 5)
            )

    def close(self) -> None:
        """Wait for nobody any more."""
        for task in self._tasks:
            task.cancel()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._core.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _closing_event(piece: bytes) -> dict[str, Any] | None:
    """The event that holds the whole response, if this is it."""
    event = orjson.loads(data_of(piece) or b"null")
    return event if isinstance(event, dict) and event.get("type") in _CLOSING else None


def own_items(call: Call) -> list[Item]:
    """What the request itself gave, each item with an id."""
    given = (call.payload or {}).get("input")
    if isinstance(given, str):
        return [_item({"role": "user", "content": [{"type": "input_text", "text": given}]})]
    return [_item(item) for item in list(given or ())[call.earlier :]]


def _item(item: Item) -> Item:
    kind = item.get("type", "message")
    return {**item, "type": kind, "id": item.get("id") or new_id("msg_" if kind == "message" else "item_")}


def continued(call: Call, chain: Sequence[StoredResponse]) -> Call:
    """The call with the conversation before its own input; what it costs to read counts as it would if it were sent."""
    earlier = [item for stored in chain for item in stored.turn]
    payload = {**(call.payload or {}), "input": [*earlier, *own_items(call)]}
    images, inline = measure_images(payload["input"])
    return replace(
        call, payload=payload, body=orjson.dumps(payload), images=images, inline=inline, earlier=len(earlier)
    )


def _read_page(query: str) -> tuple[int, bool, str | None]:
    """(how many, oldest first, after which id) of a listing, as OpenAI's API takes them. Raises Refusal."""
    fields = {name: values[-1] for name, values in parse_qs(query).items()}
    limit, order = fields.get("limit", "20"), fields.get("order", "desc")
    if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit) <= MOST_ITEMS:
        raise malformed(f"'limit' must be a number from 1 to {MOST_ITEMS}", "limit")
    if order not in ("asc", "desc"):
        raise malformed("'order' must be 'asc' or 'desc'", "order")
    return int(limit), order == "asc", fields.get("after")


def _list_of(items: list[Item], limit: int, oldest_first: bool, after: str | None) -> dict[str, Any]:
    ordered = items if oldest_first else items[::-1]
    if after is not None:
        ids = [item.get("id") for item in ordered]
        if after not in ids:
            raise malformed("'after' names no item of this response", "after")
        ordered = ordered[ids.index(after) + 1 :]
    page = ordered[:limit]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0].get("id") if page else None,
        "last_id": page[-1].get("id") if page else None,
        "has_more": len(ordered) > limit,
    }
