"""The API every kind gets from its declaration: list, watch, create, read, replace, merge, apply, delete."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal, Protocol

import orjson
from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator

from ironworks.shared import lookup, resources
from ironworks.shared import path as paths
from ironworks.shared.context import Context
from ironworks.shared.declarations import Topic
from ironworks.shared.documents import document_model
from ironworks.shared.http import Call, DryRun, Raw, Router, Stream
from ironworks.shared.kind import Kind, Resource
from ironworks.shared.listing import DEFAULT_PAGE, MAX_PAGE, ListQuery, list_resources
from ironworks.shared.view import look

_TEXT = Field(None, max_length=1024)


class OpenWatch(Protocol):
    """`Watches.open` of the process."""

    async def __call__(
        self, call: Call, kinds: Sequence[Kind], query: ListQuery, cursor: str | None, topics: Sequence[Topic] = ()
    ) -> AsyncIterator[bytes]: ...


class ListParameters(BaseModel):
    """What any list takes."""

    model_config = ConfigDict(extra="forbid")
    limit: int = Field(DEFAULT_PAGE, ge=1, le=MAX_PAGE, description="Items in a page.")
    cursor: str | None = Field(None, max_length=1024, description="`next_cursor` of the page before.")
    labels: str | None = Field(None, max_length=1024, description="Only with these labels: `key=value,key2=value2`.")
    phase: str | None = Field(None, max_length=64, description="Only in this phase.")
    watch: bool = Field(False, description="Stream changes as server-sent events, from `resource_cursor` on.")
    resource_cursor: str | None = Field(
        None, max_length=1024, description="Where a watch begins; from a list's answer."
    )

    @field_validator("labels")
    @classmethod
    def _well_formed(cls, text: str | None) -> str | None:
        if text and not all(re.fullmatch(r"[^=,\s]{1,63}=[^=,\s]{0,63}", part) for part in text.split(",")):
            raise ValueError("write key=value, several with commas")
        return text

    def as_query(self, scope: str | None) -> ListQuery:
        labels = dict(part.split("=", 1) for part in self.labels.split(",")) if self.labels else {}
        inherited = bool(getattr(self, "inherited", False))
        return ListQuery(scope, inherited, self.limit, self.cursor, labels, self.phase)


class ScopedListParameters(ListParameters):
    """What the list of a scope takes besides."""

    inherited: bool = Field(False, description="Also what is above and inherited from there.")


class ReadParameters(BaseModel):
    """Nothing."""

    model_config = ConfigDict(extra="forbid")


class WriteParameters(BaseModel):
    """What any write takes."""

    model_config = ConfigDict(extra="forbid")
    dry_run: bool = Field(False, description="Answer what would happen, and change nothing.")


class DeleteParameters(WriteParameters):
    """What a deletion takes."""

    force: bool = Field(False, description="Skip the cleanup; needs `<kind>:force-delete`.")


class Difference(BaseModel):
    """One field that a write changes."""

    field: str
    from_: Any = Field(None, alias="from")
    to: Any = None


def page_model(kind: Kind) -> type[BaseModel]:
    """A page of resources, as the API document shows it."""
    item = resource_model(kind)
    return create_model(
        f"{kind.name}Page",
        items=(list[item], ...),  # type: ignore[valid-type]
        next_cursor=(str | None, None),
        resource_cursor=(str | None, None),
    )


def resource_model(kind: Kind) -> type[BaseModel]:
    """The resource as read, with its own name in the API document."""
    only: Any = Literal[kind.name]
    made: type[BaseModel] = create_model(
        kind.name,
        __base__=Resource[kind.spec, kind.status],  # type: ignore[name-defined]
        __doc__=kind.description or kind.spec.__doc__ or "",
        kind=(only, kind.name),
    )
    return made


def applied_model(kind: Kind) -> type[BaseModel]:
    """What `:apply` and every dry run answer."""
    actions: Any = resources.Action
    return create_model(
        f"{kind.name}Applied",
        action=(actions, ...),
        resource=(resource_model(kind), ...),
        diff=(list[Difference], Field(default_factory=list)),
    )


def kind_router(kind: Kind, watch: OpenWatch) -> Router:
    """All routes of one kind."""
    router = Router(kind.schema.replace("_", ".", 1))
    _add_reads(router, kind, watch)
    _add_writes(router, kind)
    return router


def _add_reads(router: Router, kind: Kind, watch: OpenWatch) -> None:
    async def one_list(call: Call, scope: str | None, query: ListParameters) -> Raw | Stream:
        wanted = query.as_query(scope)
        if query.watch:
            resume = call.headers.get("last-event-id") or query.resource_cursor
            return Stream(await watch(call, [kind], wanted, resume))
        view = await look(call.ask, call.actor, [kind])
        page = await list_resources(call.ask, kind, wanted, view.grants[kind.name])
        return Raw(
            b'{"items":[' + ",".join(page.items).encode() + b'],"next_cursor":' + orjson.dumps(page.next_cursor)
            + b',"resource_cursor":' + orjson.dumps(view.cursor) + b"}"
        )  # fmt: skip

    async def list_everywhere(call: Call, query: ListParameters) -> Any:
        return await one_list(call, None, query)

    async def list_here(call: Call, path: str, query: ScopedListParameters) -> Any:
        return await one_list(call, path, query)

    async def read(call: Call, path: str, name: str, query: ReadParameters) -> Any:
        paths.check_label(name, "name")
        text = await call.ask(lookup.one(kind), path, name)
        return Raw(lookup.found(kind, path, name, text).encode())

    everywhere, here = f"/api/v1/{kind.plural}", f"/api/v1/scopes/{{path}}/{kind.plural}"
    shared: dict[str, Any] = {"permission": kind.permission("read"), "rows_decide": True}
    listed: dict[str, Any] = {**shared, "calls_out": True, "streams": "text/event-stream"}
    word = kind.plural
    router.add("GET", everywhere, list_everywhere, **listed, name=f"list_all_{word}",
               summary=f"List every {kind.name} the caller may see.", returns=page_model(kind))  # fmt: skip
    router.add("GET", here, list_here, **listed, name=f"list_{word}",
               summary=f"List {word} of a scope and all below it.", returns=page_model(kind))  # fmt: skip
    router.add("GET", here + "/{name}", read, **shared, calls_out=True, name=f"read_{word}",
               summary=f"Read one {kind.name}.", returns=resource_model(kind))  # fmt: skip


def _add_writes(router: Router, kind: Kind) -> None:
    async def create(ctx: Context, path: str, body: Any, query: WriteParameters) -> Any:
        return _answer(await resources.create_resource(ctx, kind, path, body), query.dry_run, 201)

    async def apply(ctx: Context, path: str, name: str, body: Any, query: WriteParameters) -> Any:
        written = await resources.apply_resource(ctx, kind, path, name, body)
        return _answer(written, query.dry_run, 200, whole=True)

    async def replace(ctx: Context, path: str, name: str, body: Any, query: WriteParameters) -> Any:
        return _answer(await resources.replace_resource(ctx, kind, path, name, body), query.dry_run)

    async def merge(ctx: Context, path: str, name: str, body: Any, query: WriteParameters) -> Any:
        return _answer(await resources.patch_resource(ctx, kind, path, name, body), query.dry_run)

    async def delete(ctx: Context, path: str, name: str, query: DeleteParameters) -> Any:
        written = await resources.delete_resource(ctx, kind, path, name, force=query.force)
        return _answer(written, query.dry_run)

    here = f"/api/v1/scopes/{{path}}/{kind.plural}"
    one, word, document = here + "/{name}", kind.plural, document_model(kind)
    may_create: dict[str, Any] = {"permission": kind.permission("create"), "rows_decide": True}
    may_update: dict[str, Any] = {"permission": kind.permission("update"), "rows_decide": True, "node": kind.node}
    may_delete: dict[str, Any] = {"permission": kind.permission("delete"), "rows_decide": True, "node": kind.node}
    read_back: dict[str, Any] = {"returns": resource_model(kind), "rehearsal": applied_model(kind)}
    router.add("POST", here, create, **may_create, name=f"create_{word}", status=201, body=Any, accepts=document,
               summary=f"Create one {kind.name}.", **read_back)  # fmt: skip
    router.add("POST", one + ":apply", apply, **may_update, name=f"apply_{word}", body=Any, accepts=document,
               summary=f"Make one {kind.name} what the document says, whether it exists or not.",
               returns=applied_model(kind))  # fmt: skip
    router.add("PUT", one, replace, **may_update, name=f"replace_{word}", body=Any, accepts=document,
               summary=f"Replace one {kind.name}.", **read_back)  # fmt: skip
    router.add("PATCH", one, merge, **may_update, name=f"merge_{word}", body=Any, accepts=dict[str, Any],
               summary=f"Merge into one {kind.name} (RFC 7396).", **read_back)  # fmt: skip
    router.add("DELETE", one, delete, **may_delete, name=f"delete_{word}", **read_back,
               summary=f"Delete one {kind.name}; it goes when its controller has cleaned up.")  # fmt: skip


def _answer(written: resources.Written, dry_run: bool, status: int = 200, *, whole: bool = False) -> Raw:
    resource = written.json.encode()
    if not whole and not dry_run:
        return Raw(resource, status=status)
    diff = []
    if dry_run:
        before = orjson.loads(written.before) if written.before else {}
        after = {} if written.action == "deleted" else orjson.loads(resource)
        diff = resources.difference(_declared(before), _declared(after))
    action = written.action.encode()
    content = b'{"action":"' + action + b'","resource":' + resource + b',"diff":' + orjson.dumps(diff) + b"}"
    answer = Raw(content, status=200)
    if dry_run:
        raise DryRun(answer)
    return answer


def _declared(resource: dict[str, Any]) -> dict[str, Any]:
    """The part of a resource that people write."""
    if not resource:
        return {}
    metadata = resource["metadata"]
    kept = {k: metadata[k] for k in ("display_name", "labels", "annotations") if metadata.get(k)}
    return {"metadata": kept, "spec": resource["spec"]}
