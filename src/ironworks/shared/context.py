"""Who acts, in which transaction, at what time: the first argument of whatever acts.

A `Context` is made by `Database.transaction` and lives as long as that transaction; nothing is ambient. What the
kernel needs from business domains (audit, secrets, quotas) it takes as Protocols, handed over in `app.wiring`.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Literal, Protocol, TypeAlias
from uuid import UUID

import asyncpg
from pydantic import BaseModel, ConfigDict

from ironworks.shared.errors import Forbidden, NotFound
from ironworks.shared.path import show_path

Clock: TypeAlias = Callable[[], datetime]
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
ActorKind: TypeAlias = Literal["user", "service_account", "api_key", "system", "anonymous"]


def utc_now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Actor:
    """A subject as the database knows it: `uid` is what row-level security asks about."""

    uid: UUID | None
    kind: ActorKind
    name: str
    """What people read in the audit trail: an e-mail address, `path/name` of a key, a process."""
    address: str = ""
    session: UUID | None = None
    """The sign-in that a user acts in."""


ANONYMOUS = Actor(None, "anonymous", "anonymous")


def system_actor(name: str) -> Actor:
    """A process of ours acting on its own; its rights come from its database role, never from this."""
    return Actor(None, "system", name)


class Event(BaseModel):
    """A fact a domain publishes. Subclass it in `events.py`; the fields are the payload (no secrets).

    `type` is `<layer or product>.<domain>.<past_tense>.v<version>`, for instance
    `platform.billing.invoice_issued.v1`; `governed` events carry the registry's version in their envelope.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    type: ClassVar[str]
    governed: ClassVar[bool] = False


class AuditSink(Protocol):
    """Appends one record in the caller's transaction; `platform.audit` is one."""

    async def __call__(
        self,
        ctx: Context,
        action: str,
        target_type: str,
        target_id: str,
        scope: str,
        result: str,
        before: Mapping[str, Any] | None,
        after: Mapping[str, Any] | None,
    ) -> None: ...


class Vault(Protocol):
    """Keeps secret values by (owner uid, pointer); `platform.secrets` is one.

    A pointer names a secret field inside a spec, for instance `auth.password` or `upstreams[name=eu].credential`.
    """

    async def put(self, ctx: Context, scope: str, owner: UUID, values: Mapping[str, str]) -> None: ...

    async def get(self, ctx: Context, owner: UUID) -> dict[str, str]: ...

    async def get_many(self, ctx: Context, owners: Sequence[UUID]) -> dict[UUID, dict[str, str]]:
        """By owner, at the cost of one; who has a value that does not open is left out."""

    async def remove(self, ctx: Context, owner: UUID, pointers: Sequence[str] | None = None) -> None: ...


class QuotaCheck(Protocol):
    """Asked when a resource was inserted, in its transaction: may it stay? `platform.policy` is one.

    `quota` is the kind's (`Kind.quota`), `kind` its name, `scope` the path it was created in. Raises QuotaExceeded.
    """

    async def __call__(self, ctx: Context, quota: str, kind: str, scope: str) -> None: ...


async def nothing_limited(ctx: Context, quota: str, kind: str, scope: str) -> None:
    """The check of a process without quotas."""


@dataclass(frozen=True, slots=True)
class Services:
    """What business domains lend the kernel; `app.wiring` makes it, once per process.

    `admissions`: kind name → the functions that may refuse a change of it (see `shared.resources.admits`).
    """

    audit: AuditSink
    vault: Vault
    admissions: Mapping[str, Sequence[Callable[..., Awaitable[None]]]] = field(default_factory=dict)
    quota: QuotaCheck = nothing_limited


_APPEND_EVENT: Final = "select shared.append_event($1, $2, $3::jsonb, $4, $5)"


@dataclass(frozen=True, slots=True)
class Context:
    """One actor in one transaction. Use cases are `verb_noun(ctx, …)`."""

    actor: Actor
    db: Connection
    services: Services
    request_id: str
    client_request_id: str | None = None
    clock: Clock = field(default=utc_now)

    def now(self) -> datetime:
        """The time, UTC; tests freeze it."""
        return self.clock()

    async def emit(self, event: Event, scope: str = "", correlation_id: str | None = None) -> None:
        """Append `event` to the change log, in this transaction."""
        await self.db.execute(_APPEND_EVENT, *self._appended(event, scope, correlation_id))

    async def emit_all(self, events: Iterable[tuple[Event, str]]) -> None:
        """Append events, each with its scope, in their order, at the cost of one round trip."""
        await self.db.executemany(_APPEND_EVENT, [self._appended(event, scope, None) for event, scope in events])

    async def touch(self, topic: str, scope: str) -> None:
        """Tell who watches a topic that something of it changed at `scope`, where no table of the topic did."""
        await self.db.execute("select shared.touch_topic($1, $2)", topic, scope)

    def _appended(self, event: Event, scope: str, correlation_id: str | None) -> tuple[Any, ...]:
        return event.type, scope, event.model_dump_json(), correlation_id or self.request_id, event.governed

    async def audit(
        self,
        action: str,
        target_type: str,
        target_id: str,
        scope: str = "",
        result: str = "ok",
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        """Append one audit record, in this transaction; `before` and `after` must hold no secret."""
        await self.services.audit(self, action, target_type, target_id, scope, result, before, after)

    async def allows(self, permission: str, scope: str) -> bool:
        """Whether the actor holds `permission` at `scope`, as the database sees it."""
        found: bool = await self.db.fetchval("select shared.allows($1, $2::text::ltree)", permission, scope)
        return found

    async def require(self, permission: str, scope: str) -> None:
        """Raises NotFound where the actor sees nothing at all at `scope`, else Forbidden, unless it holds it."""
        if await self.allows(permission, scope):
            return
        if not await self.db.fetchval("select shared.sees($1::text::ltree)", scope):
            raise NotFound(f"no scope {show_path(scope)!r} for this caller", scope=show_path(scope))
        raise Forbidden(
            f"this needs the permission {permission!r} at {show_path(scope)!r}",
            permission=permission,
            scope=show_path(scope),
        )


def to_json(value: Any) -> str:
    """Compact JSON text for a jsonb parameter."""
    return json.dumps(value, separators=(",", ":"), default=str)
