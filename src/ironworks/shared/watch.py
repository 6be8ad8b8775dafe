"""Watches: lists that go on. `?watch=true` answers server-sent events with each object as it changes, and
`GET /api/v1/watch` those of several kinds in one stream, since a browser has six connections to a host.

    event: modified
    id: <cursor>
    data: {"api_version": "v1", "kind": "Endpoint", ...}

`added` and `modified` carry the object as it is now (a client stores either; versions in between may be left out),
`deleted` its identity: it is gone, or left what the list's filter shows. `relist` ends a stream that cannot go on:
the client lists again. A client reconnects with the `id` it saw last (`Last-Event-ID`), also that of a heartbeat, and
drops what is not newer than what it holds, by `metadata.resource_version`.

The log only says where to look. Each stream reads the objects under its own caller's policies, in a transaction of a
few milliseconds; between them it holds none. A deletion is told to those alone who may read the kind at the path. The
cursor carries a digest of the caller's grants: when they change, what the client holds is no longer what it may see,
and resuming would not mend that, so the stream ends, and a cursor from before is answered 410.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import random
import re
import time
from collections import Counter, OrderedDict, defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import asyncpg

from ironworks.shared import telemetry
from ironworks.shared.changelog import Lagged, Notice, Subscription, Tail
from ironworks.shared.context import Actor, Context, system_actor, to_json
from ironworks.shared.db import Database
from ironworks.shared.errors import Gone, RateLimited, Unavailable, invalid
from ironworks.shared.http import Call
from ironworks.shared.kind import Kind
from ironworks.shared.listing import Ask, ListQuery
from ironworks.shared.notify import LOST
from ironworks.shared.path import covers, join, show_path
from ironworks.shared.rendering import rendered

log = telemetry.logger(__name__)
_open = telemetry.gauge("ironworks_watches", "Open watch streams", ["kind"])

_PAGE = 500
_REMEMBERED = 20_000
_CURSOR = re.compile(r"(\d{1,19})\.([0-9a-f]{16})")


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the log, as one caller sees some kinds.

    It holds nothing secret and gives no rights, so it is checked, not signed: who makes one up can at most skip or
    repeat what he may see anyway.
    """

    position: int
    grants: str

    def encode(self) -> str:
        text = f"{self.position}.{self.grants}"
        return base64.urlsafe_b64encode(f"{text}.{_checksum(text)}".encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Cursor:
        """Raises Invalid for what `encode` did not make."""
        try:
            plain = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)).decode("ascii")
        except (ValueError, binascii.Error):
            plain = ""
        body, _, checksum = plain.rpartition(".")
        match = _CURSOR.fullmatch(body)
        if match is None or checksum != _checksum(body):
            raise invalid("resource_cursor", "is not one of ours", "take resource_cursor from a list, or leave it out")
        return cls(int(match[1]), match[2])


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class View:
    """What the caller may see of some kinds at one moment: the paths that its grants reach from, and the log's bounds.

    Args:
        grants: by the kind's name.
    """

    grants: Mapping[str, tuple[str, ...]]
    digest: str
    floor: int
    head: int

    @property
    def cursor(self) -> str:
        """Where a watch begins that goes on from what was read after this."""
        return Cursor(self.head, self.digest).encode()

    def shows(self, kind: Kind, notice: Notice) -> bool:
        """Whether the caller may read resources of `kind` where `notice` comes from."""
        own = join(notice.scope, notice.name or "") if kind.node else notice.scope
        grants = self.grants[kind.name]
        if any(covers(grant, own) for grant in grants):
            return True
        return kind.inherited and any(covers(notice.scope, grant) for grant in grants)


async def look(ask: Ask, actor: Actor, kinds: Sequence[Kind]) -> View:
    """The caller's view of `kinds` now.

    A list's is taken before the list: what has a position by then was committed before, so the list shows it; what gets
    one later the watch tells, also where the list shows it already.
    """
    columns = ", ".join(f"shared.granted(${n})::text[]" for n in range(1, len(kinds) + 1))
    floor, head, *granted = await ask(
        f"select row(b.floor, b.head, {columns}) from shared.change_bounds() b",
        *(kind.permission("read") for kind in kinds),
    )
    grants = {kind.name: tuple(sorted(set(own or ()))) for kind, own in zip(kinds, granted, strict=True)}
    told = f"{actor.uid}|" + ";".join(f"{name}|{','.join(own)}" for name, own in grants.items())
    return View(grants, hashlib.sha256(told.encode()).hexdigest()[:16], floor, head)


class Watches:
    """Opens watch streams. One per API process.

    Args:
        grant_kinds: names of the kinds whose changes may change somebody's grants; without them a change of grants
            is noticed at the next change of the watched kind or the next heartbeat.
        heartbeat: seconds of silence before the client is told that the stream lives.
        lifetime: seconds after which a stream ends, so that the client comes back and its credential is checked.
        per_subject: how many streams one subject may have open here.
    """

    def __init__(
        self,
        db: Database,
        tail: Tail,
        *,
        grant_kinds: Iterable[str] = (),
        heartbeat: float = 15.0,
        lifetime: float = 900.0,
        per_subject: int = 100,
    ) -> None:
        self.db = db
        self.tail = tail
        self.grant_kinds = frozenset(grant_kinds)
        self.heartbeat = heartbeat
        self.lifetime = lifetime
        self.per_subject = per_subject
        self.streams: Counter[UUID | None] = Counter()

    async def open(
        self, call: Call, kinds: Sequence[Kind], query: ListQuery, cursor: str | None
    ) -> AsyncIterator[bytes]:
        """The stream of changes after `cursor` (None: from now on) to what lists of `kinds` by `query` show, as SSE.

        Raises, before anything is sent: Invalid for a cursor that is none; Gone for one that has expired or is from
        before the caller's grants changed; RateLimited for too many streams; Unavailable without a database.
        """
        if self.streams[call.actor.uid] >= self.per_subject:
            raise RateLimited(f"at most {self.per_subject} watches at once; end one", retry_after=5)
        if self.tail.position < 0:
            raise Unavailable("the change log is not being followed yet; try again shortly")
        start = None if cursor is None else Cursor.decode(cursor)
        view = await look(call.ask, call.actor, kinds)
        if start is None:
            start = Cursor(view.head, view.digest)
        elif not view.floor <= start.position <= view.head:
            raise Gone("the cursor has expired: list again and watch from the new resource_cursor", reason="expired")
        elif start.grants != view.digest:
            raise Gone("what you may see has changed: list again and watch from the new cursor", reason="grants")
        return _Stream(self, call.actor, kinds, query, view, start.position).run()


class _Relist(Exception):
    """The stream cannot go on; the text is the reason told."""


class _Stream:
    """One client's watch."""

    def __init__(
        self, watches: Watches, actor: Actor, kinds: Sequence[Kind], query: ListQuery, view: View, position: int
    ) -> None:
        self.watches = watches
        self.actor = actor
        self.kinds = {kind.name: kind for kind in kinds}
        self.only = kinds[0].name if len(kinds) == 1 else None
        self.query = query
        self.view = view
        self.position = position
        self.told = _Told()

    async def run(self) -> AsyncIterator[bytes]:
        watches, kinds = self.watches, {*self.kinds, *self.watches.grant_kinds}
        watches.streams[self.actor.uid] += 1
        open_streams = _open.labels(self.only or "several")
        open_streams.inc()
        try:
            with watches.tail.subscribe(self._concerns, kinds=kinds) as news:
                yield self._heartbeat()
                async for chunk in self._history(watches.tail.position):
                    yield chunk
                async for chunk in self._live(news):
                    yield chunk
        except (_Relist, Lagged) as problem:
            yield _event("relist", to_json({"reason": str(problem) or "slow"}))
        except LOST as problem:  # the client comes back with the cursor it has
            log.warning("a watch lost the database", kinds=list(self.kinds), error=str(problem))
        finally:
            open_streams.dec()
            watches.streams[self.actor.uid] -= 1
            if not watches.streams[self.actor.uid]:
                del watches.streams[self.actor.uid]

    def _concerns(self, notice: Notice) -> bool:
        return self._in_list(notice) or notice.kind in self.watches.grant_kinds

    def _in_list(self, notice: Notice) -> bool:
        if notice.kind not in self.kinds:
            return False
        scope = self.query.scope
        return scope is None or covers(scope, notice.scope) or (self.query.inherited and covers(notice.scope, scope))

    async def _history(self, upto: int) -> AsyncIterator[bytes]:
        """What was logged between the cursor and the moment of subscribing."""
        while self.position < upto:
            async with self.watches.db.transaction(system_actor("watch")) as ctx:
                rows = await ctx.db.fetch(
                    "select * from shared.tail_changes($1, $2, $3)", self.position, _PAGE, self.only
                )
                if await ctx.db.fetchval("select floor from shared.change_bounds()") > self.position:
                    raise _Relist("expired")
            notices = [Notice(*row.values()) for row in rows]
            async for chunk in self._tell(notices):
                yield chunk
            self.position = notices[-1].position if len(notices) == _PAGE else max(self.position, upto)

    async def _live(self, news: Subscription) -> AsyncIterator[bytes]:
        ends = time.monotonic() + self.watches.lifetime * random.uniform(0.9, 1.1)  # noqa: S311
        due = time.monotonic() + self.watches.heartbeat
        while time.monotonic() < ends:
            await news.wait(max(0.0, due - time.monotonic()))
            notices, upto = news.take()
            async for chunk in self._tell([n for n in notices if n.position > self.position]):
                due = time.monotonic() + self.watches.heartbeat
                yield chunk
            self.position = max(self.position, upto)
            if time.monotonic() >= due:
                await self._read(())
                yield self._heartbeat()
                due = time.monotonic() + self.watches.heartbeat

    async def _tell(self, notices: list[Notice]) -> AsyncIterator[bytes]:
        """One event for each object, in the order of each one's newest change: an event's cursor passes over no other.

        A change of grants is looked for in the same transaction, after the objects are read.
        """
        shown = [n for n in notices if self._in_list(n) and self.view.shows(self.kinds[n.kind or ""], n)]
        if not shown and not any(n.kind in self.watches.grant_kinds for n in notices):
            return
        newest = {notice.uid: notice for notice in shown}
        created = {notice.uid for notice in shown if notice.op == "created"}
        found = await self._read(newest.values())
        for uid, notice in sorted(newest.items(), key=lambda item: item[1].position):
            assert uid is not None
            chunk = self._event_of(notice, found.get(uid), uid in created)
            if chunk:
                yield chunk

    def _event_of(self, notice: Notice, row: asyncpg.Record | None, created: bool) -> bytes | None:
        assert notice.uid is not None
        cursor = Cursor(notice.position, self.view.digest).encode()
        if row is not None:
            word = self.told.seen(notice.uid, row["resource_version"], created)
            return _event(word, row["json"], cursor) if word else None
        if not self.told.gone(notice.uid):
            return None
        identity = {
            "name": notice.name,
            "scope": show_path(notice.scope),
            "uid": str(notice.uid),
            "resource_version": notice.resource_version,
        }
        return _event("deleted", to_json({"api_version": "v1", "kind": notice.kind, "metadata": identity}), cursor)

    async def _read(self, notices: Iterable[Notice]) -> dict[UUID, asyncpg.Record]:
        """The objects that the caller may see and the filter shows. Raises _Relist when the grants have changed."""
        wanted: defaultdict[str, list[UUID]] = defaultdict(list)
        for notice in notices:
            assert notice.kind is not None
            assert notice.uid is not None
            wanted[notice.kind].append(notice.uid)
        found: dict[UUID, asyncpg.Record] = {}
        async with self.watches.db.transaction(self.actor) as ctx:
            for kind, uids in wanted.items():
                for start in range(0, len(uids), _PAGE):
                    rows = await _read_objects(ctx, self.kinds[kind], self.query, uids[start : start + _PAGE])
                    found.update({row["uid"]: row for row in rows})
            if (await look(ctx.db.fetchval, self.actor, list(self.kinds.values()))).digest != self.view.digest:
                raise _Relist("grants")
        return found

    def _heartbeat(self) -> bytes:
        """A block without data: it dispatches no event, and moves the client's Last-Event-ID."""
        return f": alive\nid: {Cursor(self.position, self.view.digest).encode()}\n\n".encode()


class _Told:
    """Which version of each object this stream has told, so that it tells none twice; the newest 20,000."""

    def __init__(self) -> None:
        self._versions: OrderedDict[UUID, int | None] = OrderedDict()

    def seen(self, uid: UUID, version: int, created: bool) -> Literal["added", "modified"] | None:
        known = uid in self._versions
        last = self._versions.get(uid)
        if last is not None and version <= last:
            return None
        self._keep(uid, version)
        return "modified" if last is not None or not (created or known) else "added"

    def gone(self, uid: UUID) -> bool:
        """Whether that is news."""
        if uid in self._versions and self._versions[uid] is None:
            return False
        self._keep(uid, None)
        return True

    def _keep(self, uid: UUID, version: int | None) -> None:
        self._versions[uid] = version
        self._versions.move_to_end(uid)
        if len(self._versions) > _REMEMBERED:
            self._versions.popitem(last=False)


async def _read_objects(ctx: Context, kind: Kind, query: ListQuery, uids: Sequence[UUID]) -> list[asyncpg.Record]:
    args: list[Any] = [list(uids)]
    where = "t.uid = any ($1)"
    if query.phase is not None:
        args.append(query.phase)
        where += f" and t.phase = ${len(args)}"
    for key, value in query.labels.items():
        args += [key, value]
        where += (
            f" and exists (select from {kind.table}_label l where l.uid = t.uid"
            f" and l.key = ${len(args) - 1} and l.value = ${len(args)})"
        )
    return await ctx.db.fetch(
        f"select t.uid, t.resource_version, {rendered(kind)} as json from {kind.table} t where {where}",
        *args,
    )


def _event(word: str, data: str, cursor: str | None = None) -> bytes:
    lines = [f"event: {word}"] + ([f"id: {cursor}"] if cursor else []) + [f"data: {line}" for line in data.split("\n")]
    return ("\n".join(lines) + "\n\n").encode()
