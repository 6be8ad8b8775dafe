"""What clients ask of all kinds and topics at once: what they are, a watch over several, resources by their name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from ironworks.shared import path as paths
from ironworks.shared.context import Context
from ironworks.shared.declarations import Topic
from ironworks.shared.errors import invalid
from ironworks.shared.http import AUTHENTICATED, Call, Raw, Router, Stream
from ironworks.shared.kind import Kind
from ironworks.shared.kind_routes import OpenWatch, ReadParameters
from ironworks.shared.listing import ListQuery
from ironworks.shared.search import Hit, search_resources
from ironworks.shared.shapes import Shape

T = TypeVar("T")


class WatchParameters(BaseModel):
    """What a watch over several kinds and topics takes: some of either."""

    model_config = ConfigDict(extra="forbid")
    kinds: str | None = Field(None, max_length=2000, description="Plurals, with commas: `endpoints,routes`.")
    topics: str | None = Field(
        None, max_length=2000, description="What is of no kind, with commas: `invoices,usage`. `changed` tells that"
        " something of it changed at a scope or below, never what: ask again for what you show of it.",
    )  # fmt: skip
    scope: str | None = Field(None, max_length=600, description="Only that scope and all below it.")
    inherited: bool = Field(False, description="Also what is above the scope and inherited from there.")
    cursor: str | None = Field(
        None, max_length=1024, description="The `id` seen last, of the same words; `Last-Event-ID` says it too."
    )


class SearchParameters(BaseModel):
    """What a search takes."""

    model_config = ConfigDict(extra="forbid")
    q: str = Field(min_length=1, max_length=100, description="Part of a name or of a display name, in any case.")
    kinds: str | None = Field(None, max_length=2000, description="Only these, by their plurals, with commas.")
    scope: str = Field("-", max_length=600, description="Only what is in that scope and below it.")
    limit: int = Field(20, ge=1, le=100)


class HitView(BaseModel):
    """A resource that was found."""

    kind: str
    scope: str
    name: str
    display_name: str | None
    phase: str | None

    @classmethod
    def of(cls, hit: Hit) -> HitView:
        where = paths.show_path(hit.scope)
        return cls(kind=hit.kind, scope=where, name=hit.name, display_name=hit.display_name, phase=hit.phase)


class HitList(BaseModel):
    """The best first; there may be more than were asked for."""

    items: list[HitView]


class KindView(BaseModel):
    """A kind as clients need to know it."""

    name: str
    plural: str
    short: str
    description: str
    domain: str
    levels: list[str]
    inherited: bool
    node: bool
    columns: list[str]
    immutable: list[str]
    references: dict[str, str]
    secrets: list[str]
    phases: list[str]
    spec_schema: dict[str, Any]
    status_schema: dict[str, Any]


class KindList(BaseModel):
    """Every kind there is."""

    items: list[KindView]


class TopicView(Shape):
    """What is of no kind and can be watched all the same."""

    name: str
    description: str
    permission: str = Field(description="Who holds it at a scope is told of changes there and below.")
    inherited: bool = Field(description="Who holds it below is told too.")


class TopicList(BaseModel):
    """Every topic there is."""

    items: list[TopicView]


def catalogue_router(kinds: list[Kind], topics: Sequence[Topic], watch: OpenWatch) -> Router:
    """How clients learn kinds and topics, so that they need no list of their own, and watch several of them."""
    router = Router("shared.kinds")
    told = TopicList(items=[TopicView.show(topic) for topic in topics])
    listing = KindList(items=[_view(kind) for kind in sorted(kinds, key=lambda k: k.name)])
    content = listing.model_dump_json().encode()

    @router.get("/api/v1/kinds", permission=AUTHENTICATED, summary="Describe every kind.", returns=KindList)
    async def list_kinds(query: ReadParameters) -> Any:
        return Raw(content)

    @router.get("/api/v1/topics", permission=AUTHENTICATED, summary="Describe every topic.")
    async def list_topics(query: ReadParameters) -> TopicList:
        return told

    plurals = {kind.plural: kind for kind in kinds}
    by_name = {topic.name: topic for topic in topics}

    @router.get("/api/v1/watch", permission=AUTHENTICATED, calls_out=True, streams="text/event-stream",
                summary="Stream changes of several kinds and topics.")  # fmt: skip
    async def watch_kinds(call: Call, query: WatchParameters) -> Stream:
        scope = None if query.scope is None else paths.parse_path(query.scope, "scope")
        resume = call.headers.get("last-event-id") or query.cursor
        if not (query.kinds or query.topics):
            raise invalid("kinds", "names nothing, nor does topics", "name kinds, topics or both")
        chosen = _named(plurals, query.kinds) if query.kinds else []
        followed = _named(by_name, query.topics, "topics") if query.topics else []
        return Stream(await watch(call, chosen, ListQuery(scope, query.inherited), resume, followed))

    @router.get("/api/v1/search", permission=AUTHENTICATED, summary="Find resources of any kind by their name.")
    async def search(ctx: Context, query: SearchParameters) -> HitList:
        chosen = _named(plurals, query.kinds) if query.kinds else list(plurals.values())
        scope = paths.parse_path(query.scope, "scope")
        found = await search_resources(ctx, chosen, query.q.strip(), scope, query.limit)
        return HitList(items=[HitView.of(hit) for hit in found])

    return router


def _named(known: Mapping[str, T], text: str, field: Literal["kinds", "topics"] = "kinds") -> list[T]:
    """The kinds that a text names by their plurals, or the topics, each once, in one order. Raises Invalid."""
    wanted = sorted({word.strip() for word in text.split(",")})
    if unknown := [word for word in wanted if word not in known]:
        problem = "no kind has the plural" if field == "kinds" else "there is no topic"
        raise invalid(field, f"{problem} {unknown[0][:63]!r}", f"GET /api/v1/{field} lists them")
    return [known[word] for word in wanted]


def _view(kind: Kind) -> KindView:
    return KindView(
        name=kind.name,
        plural=kind.plural,
        short=kind.short,
        description=kind.description or (kind.spec.__doc__ or "").strip(),
        domain=kind.schema.replace("_", ".", 1),
        levels=list(kind.levels),
        inherited=kind.inherited,
        node=kind.node,
        columns=list(kind.columns),
        immutable=list(kind.immutable),
        references=kind.references,
        secrets=list(kind.secrets),
        phases=list(kind.phases),
        spec_schema=kind.spec.model_json_schema(),
        status_schema=kind.status.model_json_schema(),
    )
