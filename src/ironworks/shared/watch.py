"""Watches: lists that go on. `?watch=true` answers server-sent events with each object as it changes, and
`GET /api/v1/watch` those of several kinds in one stream, since a browser has six connections to a host.

    event: modified
    id: <cursor>
    data: {"api_version": "v1", "kind": "Endpoint", ...}

`added` and `modified` carry the object as it is now (a client stores either; versions in between may be left out),
`deleted` its identity: it is gone, or left what the list's filter shows. Of topics (`shared.topics`), `changed` says
that something of one changed at a scope or below; it may say so twice, and has no id of its own. `relist` ends a stream
that cannot go on: the client lists again. A client reconnects with the `id` it saw last (`Last-Event-ID`), also that of
a heartbeat, and drops what is not newer than what it holds, by `metadata.resource_version`.

The log only says where to look. Each stream reads the objects under its own caller's policies, in a transaction of a
few milliseconds; between them it holds none. A deletion is told to those alone who may read the kind at the path. The
cursor carries a digest of the caller's grants: when they change, what the client holds is no longer what it may see,
and resuming would not mend that, so the stream ends, and a cursor from before is answered 410.
"""

from __future__ import annotations

import random
import time
from collections import Counter, OrderedDict, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any, Literal
from uuid import UUID

import asyncpg

from ironworks.shared import telemetry
from ironworks.shared.changelog import Lagged, Notice, Subscription, Tail
from ironworks.shared.context import Actor, Context, system_actor, to_json
from ironworks.shared.db import Database
from ironworks.shared.declarations import Topic
from ironworks.shared.errors import Gone, RateLimited, Unavailable
from ironworks.shared.http import Call
from ironworks.shared.kind import Kind
from ironworks.shared.listing import ListQuery
from ironworks.shared.notify import LOST
from ironworks.shared.path import covers, show_path
from ironworks.shared.rendering import rendered
from ironworks.shared.topics import Listener, Place, Topics, cut, read_touched
from ironworks.shared.view import Cursor, View, look

log = telemetry.logger(__name__)
_open = telemetry.gauge("ironworks_watches", "Open watch streams", ["kind"])

_PAGE = 500
_REMEMBERED = 20_000
_MOST_PLACES = 50


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
        self.topics = Topics(db)
        self.grant_kinds = frozenset(grant_kinds)
        self.heartbeat = heartbeat
        self.lifetime = lifetime
        self.per_subject = per_subject
        self.streams: Counter[UUID | None] = Counter()

    async def open(
        self, call: Call, kinds: Sequence[Kind], query: ListQuery, cursor: str | None, topics: Sequence[Topic] = ()
    ) -> AsyncIterator[bytes]:
        """The stream of changes after `cursor` (None: from now on) to what lists of `kinds` by `query` show, and where
        `topics` changed, as SSE.

        Raises, before anything is sent: Invalid for a cursor that is none; Gone for one that has expired or is from
        before the caller's grants changed; RateLimited for too many streams; Unavailable without a database.
        """
        if self.streams[call.actor.uid] >= self.per_subject:
            raise RateLimited(f"at most {self.per_subject} watches at once; end one", retry_after=5)
        if self.tail.position < 0:
            raise Unavailable("the change log is not being followed yet; try again shortly")
        start = None if cursor is None else Cursor.decode(cursor)
        view = await look(call.ask, call.actor, kinds, topics)
        if start is None:
            start = Cursor(view.head, view.digest)
        elif not view.floor <= start.position <= view.head:
            raise Gone("the cursor has expired: list again and watch from the new resource_cursor", reason="expired")
        elif start.grants != view.digest:
            raise Gone("what you may see has changed: list again and watch from the new cursor", reason="grants")
        oldest = None if cursor is None else start.oldest
        return _Stream(self, call.actor, kinds, topics, query, view, start).run(oldest)


def _not_listening(wake: Callable[[], None]) -> nullcontext[None]:
    return nullcontext()


class _Relist(Exception):
    """The stream cannot go on; the text is the reason told."""


class _Stream:
    """One client's watch."""

    def __init__(
        self,
        watches: Watches,
        actor: Actor,
        kinds: Sequence[Kind],
        topics: Sequence[Topic],
        query: ListQuery,
        view: View,
        start: Cursor,
    ) -> None:
        self.watches = watches
        self.actor = actor
        self.kinds = {kind.name: kind for kind in kinds}
        self.topics = {topic.name: topic for topic in topics}
        self.only = kinds[0].name if len(kinds) == 1 else None
        self.query = query
        self.view = view
        self.position = start.position
        self.oldest = start.oldest
        self.told = _Told()

    async def run(self, oldest: int | None) -> AsyncIterator[bytes]:
        """Topics are told that transactions from `oldest` on touched; lately, where that is None."""
        watches, kinds = self.watches, {*self.kinds, *self.watches.grant_kinds}
        watches.streams[self.actor.uid] += 1
        open_streams = _open.labels(self.only or "several")
        open_streams.inc()
        try:
            listening = watches.topics.listen if self.topics else _not_listening
            with watches.tail.subscribe(self._concerns, kinds=kinds) as news, listening(news.wake) as touches:
                yield self._heartbeat()
                async for chunk in self._history(watches.tail.position):
                    yield chunk
                if touches is not None:
                    async for chunk in self._missed(touches, oldest):
                        yield chunk
                async for chunk in self._live(news, touches):
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
        return notice.kind in self.kinds and self._lies_in(notice.scope)

    def _lies_in(self, place: str) -> bool:
        scope = self.query.scope
        return scope is None or covers(scope, place) or (self.query.inherited and covers(place, scope))

    async def _history(self, upto: int) -> AsyncIterator[bytes]:
        """What was logged between the cursor and the moment of subscribing."""
        if not self.kinds:
            self.position = upto
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

    async def _missed(self, touches: Listener, oldest: int | None) -> AsyncIterator[bytes]:
        """The topics that were touched before what `touches` will tell."""
        await touches.ready()
        touched = await read_touched(self.watches.db, oldest)
        async for chunk in self._tell_topics(touched.places, touched.complete):
            yield chunk
        self.oldest = touched.oldest
        yield self._heartbeat()

    async def _live(self, news: Subscription, touches: Listener | None) -> AsyncIterator[bytes]:
        ends = time.monotonic() + self.watches.lifetime * random.uniform(0.9, 1.1)  # noqa: S311
        due = time.monotonic() + self.watches.heartbeat
        while time.monotonic() < ends:
            await news.wait(max(0.0, due - time.monotonic()))
            notices, upto = news.take()
            async for chunk in self._tell([n for n in notices if n.position > self.position]):
                due = time.monotonic() + self.watches.heartbeat
                yield chunk
            self.position = max(self.position, upto)
            if touches is not None:
                places, complete = touches.take()
                oldest = touches.oldest
                async for chunk in self._tell_topics(places, complete):
                    yield chunk
                self.oldest = max(self.oldest, oldest)
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

    async def _tell_topics(self, places: frozenset[Place], complete: bool) -> AsyncIterator[bytes]:
        """One event for each place of a topic that the caller may read there, once no grant of his has changed."""
        told = self._told_places(places) if complete else {n: [self.query.scope or ""] for n in self.topics}
        if not told:
            return
        await self._read(())
        for name in sorted(told):
            for scope in cut(told[name], _MOST_PLACES):
                yield _event("changed", to_json({"topic": name, "scope": show_path(scope)}))

    def _told_places(self, places: frozenset[Place]) -> dict[str, list[str]]:
        told: defaultdict[str, list[str]] = defaultdict(list)
        for name, scope in places:
            topic = self.topics.get(name)
            if topic is not None and self._tells(topic, scope):
                told[name].append("" if topic.own else scope)
        return told

    def _tells(self, topic: Topic, scope: str) -> bool:
        if topic.own:
            return scope == str(self.actor.uid)
        return self._lies_in(scope) and self.view.tells(topic, scope)

    def _event_of(self, notice: Notice, row: asyncpg.Record | None, created: bool) -> bytes | None:
        assert notice.uid is not None
        cursor = self._cursor(notice.position)
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
            seen = await look(ctx.db.fetchval, self.actor, list(self.kinds.values()), list(self.topics.values()))
            if seen.digest != self.view.digest:
                raise _Relist("grants")
        return found

    def _heartbeat(self) -> bytes:
        """A block without data: it dispatches no event, and moves the client's Last-Event-ID."""
        return f": alive\nid: {self._cursor(self.position)}\n\n".encode()

    def _cursor(self, position: int) -> str:
        return Cursor(position, self.view.digest, self.oldest).encode()


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
