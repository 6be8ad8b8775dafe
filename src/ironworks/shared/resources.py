"""The resource engine: create, apply, replace, patch and delete for every kind, with one set of rules.

Each function is one use case inside the caller's transaction. Row-level security decides what exists for the caller;
what it refuses is then told apart: not there (404), not allowed (403), or changed meanwhile (409). Secrets leave the
spec before it is stored, a domain's admissions run before the commit, and every change appends an audit record.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar
from uuid import UUID, uuid4

import asyncpg

from ironworks.shared import path as paths
from ironworks.shared.context import Context, to_json
from ironworks.shared.documents import Document, read_document, too_many
from ironworks.shared.errors import Conflict, Forbidden, Invalid, NotFound, field_problem, invalid
from ironworks.shared.kind import Kind, Resource
from ironworks.shared.lookup import get_resource
from ironworks.shared.rendering import rendered
from ironworks.shared.secret_fields import take_secrets

Op: TypeAlias = Literal["create", "update", "delete"]
Action: TypeAlias = Literal["created", "updated", "unchanged", "deleted"]
R = TypeVar("R", bound=Resource[Any, Any])
Admission: TypeAlias = Callable[..., Awaitable[None]]
ATTEMPTS: Final = 5


class Overtaken(Conflict):
    """Somebody wrote, or made, the resource after it was read; nothing of this write happened."""


@dataclass(frozen=True, slots=True)
class Change(Generic[R]):
    """What is about to be committed. `new` is None on delete, `old` on create; `force`: the cleanup is skipped."""

    op: Op
    old: R | None
    new: R | None
    force: bool = False

    @property
    def subject(self) -> R:
        """The resource, as it will be or as it was."""
        found = self.new or self.old
        assert found is not None
        return found


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of a write: the resource's JSON, what happened, and what it was before."""

    action: Action
    json: str
    before: str | None = None


def admits(kind: Kind) -> Callable[[Admission], Admission]:
    """Mark `async def admit_x(ctx, change: Change[X]) -> None`: runs inside every write of `kind`, before the commit.

    It may refuse by raising, and write to its own domain's tables. `app.wiring` collects the marks and gives whatever
    other parameters ask for, by type.
    """

    def mark(function: Admission) -> Admission:
        function.admits = kind.name  # type: ignore[attr-defined]
        return function

    return mark


# --- reading -----------------------------------------------------------------------------------------------------


# --- writing -----------------------------------------------------------------------------------------------------


async def create_resource(ctx: Context, kind: Kind, path: str, body: Any) -> Written:
    """Create from a whole document. Raises Invalid, Conflict (exists), QuotaExceeded, Forbidden, NotFound (scope)."""
    document = read_document(kind, path, None, body)
    await ctx.require(kind.permission("create"), path)
    return await _insert(ctx, kind, path, document)


async def apply_resource(ctx: Context, kind: Kind, path: str, name: str, body: Any) -> Written:
    """Make the resource what the document says, whether it exists or not; what it omits becomes the default."""
    document = read_document(kind, path, name, body)

    async def attempt() -> Written:
        current = await _current(ctx, kind, path, name)
        if current is not None:
            return await _update(ctx, kind, current, document)
        await ctx.require(kind.permission("create"), path)
        if document.metadata.resource_version:
            raise Conflict(
                f"{kind.name} {name!r} does not exist, and the document names a resource_version",
                field="metadata.resource_version",
            )
        return await _insert(ctx, kind, path, document)

    return await _undisturbed(attempt)


async def replace_resource(ctx: Context, kind: Kind, path: str, name: str, body: Any) -> Written:
    """Replace an existing resource's spec and metadata. Raises NotFound."""
    document = read_document(kind, path, name, body)

    async def attempt() -> Written:
        return await _update(ctx, kind, await _existing(ctx, kind, path, name), document)

    return await _undisturbed(attempt)


async def patch_resource(ctx: Context, kind: Kind, path: str, name: str, patch: Any) -> Written:
    """Merge `patch` (RFC 7396) into the resource as it is now. Raises NotFound."""
    if not isinstance(patch, dict):
        raise invalid("body", "is not an object", "send a merge patch (RFC 7396)")

    async def attempt() -> Written:
        current = await _existing(ctx, kind, path, name)
        kept = {k: current["metadata"][k] for k in ("display_name", "labels", "annotations", "owner_references")}
        whole = {"api_version": "v1", "kind": kind.name, "metadata": kept, "spec": current["spec"]}
        return await _update(ctx, kind, current, read_document(kind, path, name, merge_patch(whole, patch)))

    return await _undisturbed(attempt)


async def _undisturbed(attempt: Callable[[], Awaitable[Written]]) -> Written:
    """What `attempt` writes, which reads first: again while somebody else's write comes between the two.

    A caller that names no resource_version does not care which version it changes, and a controller may write status at
    any moment. Every statement sees what is committed by then, so a second look finds what the first missed.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return await attempt()
        except Overtaken:
            pass
    return await attempt()


async def delete_resource(ctx: Context, kind: Kind, path: str, name: str, *, force: bool = False) -> Written:
    """Ask for deletion; the row goes when the controller has cleaned up, or at once where there is none, or by force.

    Raises NotFound, Forbidden, and Conflict that names who still refers to it.
    """
    current = await _existing(ctx, kind, path, name)
    uid = UUID(current["metadata"]["uid"])
    old = kind.parse(to_json(current))
    await _require_on(ctx, kind, old, "force-delete" if force else "delete")
    if old.deleting and not force:
        return Written("unchanged", to_json(current))
    text = to_json(current)
    if not old.deleting:
        if force:
            await _require_on(ctx, kind, old, "delete")
        found = await ctx.db.fetchval(
            f"update {kind.table} t set deletion_timestamp = now()"
            f" where uid = $1 and deletion_timestamp is null returning {rendered(kind)}",
            uid,
        )
        if found is None:
            raise Conflict(f"{kind.name} {name!r} changed meanwhile; try again")
        text = found
    await _refuse_if_referred_to(ctx, kind, uid, name)
    await _admit(ctx, kind, Change("delete", old, None, force))
    if force or not kind.reconciled:
        if kind.secrets:  # first: only who may write a resource that is there may remove its secrets
            await ctx.services.vault.remove(ctx, uid)
        try:
            await ctx.db.execute(f"delete from {kind.table} where uid = $1", uid)
        except asyncpg.ForeignKeyViolationError as error:
            raise Conflict(f"{kind.name} {name!r} is still in use; delete what uses it first") from error
    await _audit(ctx, kind, "delete", path, name, current, None)
    return Written("deleted", text, to_json(current))


async def _insert(ctx: Context, kind: Kind, path: str, document: Document) -> Written:
    name = document.metadata.name or ""
    if document.status:
        raise _status_refused()
    spec = document.spec.model_dump(mode="json")
    values, _ = take_secrets(kind, spec, None)
    uid = uuid4()
    meta = document.metadata
    try:
        text = await ctx.db.fetchval(
            f"insert into {kind.table} as t"
            " (uid, scope, name, display_name, labels, annotations, owner_references, spec)"
            " values ($1, $2::text::ltree, $3, $4, $5::jsonb, $6::jsonb, $7::jsonb, $8::jsonb)"
            f" on conflict (path, name) do nothing returning {rendered(kind)}",
            uid, path, name, meta.display_name, to_json(meta.labels), to_json(meta.annotations),
            to_json([o.model_dump(mode="json") for o in meta.owner_references]), to_json(spec),
        )  # fmt: skip
    except asyncpg.PostgresError as error:
        raise _translated(error, kind, path, name, needed="read") from error  # `create` was asked for before
    if text is None:
        where = paths.show_path(path)
        raise Overtaken(f"{kind.name} {name!r} exists already in {where!r}", kind=kind.name, scope=where, name=name)
    if path and kind.quota:  # after the insert: what is counted then is all there is
        await ctx.services.quota(ctx, kind.quota, kind.name, path)
    if values:
        await ctx.services.vault.put(ctx, path, uid, values)
    await _admit(ctx, kind, Change("create", None, kind.parse(text)))
    await _audit(ctx, kind, "create", path, name, None, json.loads(text))
    return Written("created", text)


async def _update(ctx: Context, kind: Kind, current: dict[str, Any], document: Document) -> Written:
    meta, now = document.metadata, current["metadata"]
    path, name = paths.parse_path(now["scope"]), now["name"]
    old = kind.parse(to_json(current))
    await _require_on(ctx, kind, old, "update")
    if document.status and document.status != current["status"]:
        raise _status_refused()
    if meta.resource_version is not None and meta.resource_version != now["resource_version"]:
        raise Conflict(
            f"{kind.name} {name!r} has changed: its resource_version is {now['resource_version']},"
            f" yours is {meta.resource_version}; read it again and repeat your change",
            field="metadata.resource_version", current=now["resource_version"],
        )  # fmt: skip
    if old.deleting:
        raise Conflict(f"{kind.name} {name!r} is being deleted; wait until it is gone")
    spec = document.spec.model_dump(mode="json")
    values, gone = take_secrets(kind, spec, current["spec"])
    _refuse_immutable(kind, current["spec"], spec)
    owners = [o.model_dump(mode="json") for o in meta.owner_references]
    wanted = (spec, meta.labels, meta.annotations, meta.display_name, owners)
    had = (current["spec"], now["labels"], now["annotations"], now["display_name"], now["owner_references"])
    if wanted == had and not values:
        return Written("unchanged", to_json(current), to_json(current))
    uid = UUID(now["uid"])
    try:
        text = await ctx.db.fetchval(
            f"update {kind.table} t set spec = $3::jsonb, labels = $4::jsonb, annotations = $5::jsonb,"
            " display_name = $6, owner_references = $7::jsonb where uid = $1 and resource_version = $2"
            f" returning {rendered(kind)}",
            uid, now["resource_version"], to_json(spec), to_json(meta.labels), to_json(meta.annotations),
            meta.display_name, to_json(owners),
        )  # fmt: skip
    except asyncpg.PostgresError as error:
        raise _translated(error, kind, path, name) from error
    if text is None:
        raise Overtaken(f"{kind.name} {name!r} changed meanwhile; read it again and repeat your change")
    if values:
        await ctx.services.vault.put(ctx, path, uid, values)
    if gone:
        await ctx.services.vault.remove(ctx, uid, gone)
    await _admit(ctx, kind, Change("update", old, kind.parse(text)))
    await _audit(ctx, kind, "update", path, name, current, json.loads(text))
    return Written("updated", text, to_json(current))


async def _current(ctx: Context, kind: Kind, path: str, name: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(await get_resource(ctx, kind, path, name))
    except NotFound:
        return None
    return found


async def _existing(ctx: Context, kind: Kind, path: str, name: str) -> dict[str, Any]:
    paths.check_label(name)
    found: dict[str, Any] = json.loads(await get_resource(ctx, kind, path, name))
    return found


async def _require_on(ctx: Context, kind: Kind, resource: Resource[Any, Any], action: str) -> None:
    """The caller sees the resource, so a refusal is a 403."""
    place = paths.join(resource.path, resource.name) if kind.node else resource.path
    if not await ctx.allows(kind.permission(action), place):
        raise Forbidden(
            f"this needs the permission {kind.permission(action)!r} at {paths.show_path(place)!r}",
            permission=kind.permission(action), scope=paths.show_path(place),
        )  # fmt: skip


async def _refuse_if_referred_to(ctx: Context, kind: Kind, uid: UUID, name: str) -> None:
    rows = await ctx.db.fetch("select kind, path, name, visible from shared.referrers($1, $2)", kind.name, uid)
    if not rows:
        return
    shown = [f"{r['kind']} {paths.show_path(r['path'])}/{r['name']}" for r in rows if r["visible"]]
    hidden = len(rows) - len(shown)
    text = ", ".join(shown[:10]) + (f" and {hidden} that you may not read" if hidden else "")
    raise Conflict(
        f"{kind.name} {name!r} is still referred to by {text.removeprefix(' and ')}; delete or change those first",
        referrers=shown, hidden=hidden,
    )  # fmt: skip


async def _admit(ctx: Context, kind: Kind, change: Change[Any]) -> None:
    for admission in ctx.services.admissions.get(kind.name, ()):
        await admission(ctx, change)


async def _audit(
    ctx: Context,
    kind: Kind,
    action: str,
    path: str,
    name: str,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
) -> None:
    def kept(resource: dict[str, Any] | None) -> dict[str, Any] | None:
        if resource is None:
            return None
        return {"spec": resource["spec"], "labels": resource["metadata"]["labels"]}

    place = paths.join(path, name) if kind.node else path
    target = f"{paths.show_path(path)}/{name}"
    await ctx.audit(f"{kind.resource}.{action}", kind.name, target, place, before=kept(before), after=kept(after))


def _refuse_immutable(kind: Kind, old: dict[str, Any], new: dict[str, Any]) -> None:
    problems = [
        field_problem(f"spec.{f}", f"is immutable; it is {_at(old, f)!r}", "make a new resource, or keep the value")
        for f in kind.immutable
        if _at(old, f) != _at(new, f)
    ]
    if problems:
        raise too_many(problems)


def _at(node: Any, dotted: str) -> Any:
    for part in dotted.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node


def _status_refused() -> Invalid:
    return invalid("status", "is written by controllers alone", "leave it out")


def _translated(error: asyncpg.PostgresError, kind: Kind, path: str, name: str, *, needed: str = "update") -> Exception:
    """The domain's words for what Postgres refused."""
    where = paths.show_path(path)
    if error.sqlstate == "IW404":
        problems = [
            field_problem(
                p["field"],
                f"{p['kind']} {p['name'][:120]!r} " + ("is being deleted" if p["deleting"] else "does not exist"),
                "name one in this scope, or path/name ('-/name' for the operator's)",
            )
            for p in json.loads(error.as_dict().get("detail") or "[]")
        ]
        return too_many(problems)
    if error.sqlstate == "IW409":
        return Conflict(f"{kind.name} {name!r} is being deleted; wait until it is gone")
    if error.sqlstate == "IW410":
        return NotFound(f"no scope {where!r}", scope=where)
    if isinstance(error, asyncpg.UniqueViolationError):
        return Conflict(f"{kind.name} {name!r} exists already in {where!r}", kind=kind.name, scope=where, name=name)
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return Forbidden(
            f"this needs the permission {kind.permission(needed)!r} at {where!r}",
            permission=kind.permission(needed), scope=where,
        )  # fmt: skip
    if isinstance(error, asyncpg.UntranslatableCharacterError | asyncpg.CharacterNotInRepertoireError):
        return invalid("spec", "holds a NUL character", "remove it")
    return error


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396: objects merge, null removes, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def difference(before: Any, after: Any, at: str = "") -> list[dict[str, Any]]:
    """What differs, as `{"field", "from", "to"}`; a missing side is None."""
    if isinstance(before, dict) and isinstance(after, dict):
        found: list[dict[str, Any]] = []
        for key in sorted({*before, *after}):
            found += difference(before.get(key), after.get(key), f"{at}.{key}" if at else key)
        return found
    return [] if before == after else [{"field": at, "from": before, "to": after}]
