"""Limits: what they count, whom they apply to, and how a request is refused.

A limit counts everything that matches all it names (a scope, a key, a route), together or split `per` tenant, key,
route or end user. Whatever applies counts: a request passes only if every limit on its way lets it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Final, Literal, NamedTuple, TypeAlias
from uuid import UUID

from pydantic import Field, JsonValue, field_validator, model_validator

from ironworks.shared.errors import Invalid
from ironworks.shared.kind import EVERYWHERE, Kind, Ref, Resource, Spec
from ironworks.shared.path import covers, parse_path, show_path

Per: TypeAlias = Literal["tenant", "key", "route", "end_user"]
"""What gets a count of its own. `tenant`: the scope where the calling key lives."""

_RATES: Final = ("requests_per_second", "requests_per_minute")
_COUNTS: Final = (*_RATES, "tokens_per_minute", "concurrency")
_SUGGESTS: Final[dict[str, JsonValue]] = {"x-suggests": "Model"}
"""For forms: what can be called at the limit's scope may be written here."""
ModelPattern: TypeAlias = Annotated[str, Field(min_length=1, max_length=512, json_schema_extra=_SUGGESTS)]


class LimitSpec(Spec):
    """At least one of the rates, `concurrency` and `allowed_models`."""

    scope: str | None = Field(
        None,
        max_length=512,
        description="Only calls from this scope and below; the limit's own scope when left out, or one below it.",
    )
    key: Annotated[str | None, Ref("ApiKey")] = Field(
        None, max_length=700, description="Only calls with this key, at the limit's scope or below it."
    )
    route: str | None = Field(
        None,
        min_length=1,
        max_length=700,
        json_schema_extra=_SUGGESTS,
        description="Only calls of this model: a name as it is called from the limit's scope, or `path/name`.",
    )
    per: list[Per] = Field(
        default_factory=list, max_length=4, description="Each of these has a count of its own; all together if empty."
    )
    requests_per_second: int | None = Field(None, ge=1, le=1_000_000)
    requests_per_minute: int | None = Field(None, ge=1, le=60_000_000)
    tokens_per_minute: int | None = Field(
        None, ge=1, le=100_000_000, description="Input, counted before the call, and output, counted as it comes."
    )
    burst: int | None = Field(
        None, ge=1, le=60_000_000, description="Requests at once; a second's or a minute's worth when left out."
    )
    token_burst: int | None = Field(
        None, ge=1, le=100_000_000, description="Tokens at once; a minute's worth when left out."
    )
    concurrency: int | None = Field(None, ge=1, le=1_000_000, description="Requests in flight at once.")
    allowed_models: list[ModelPattern] | None = Field(
        None,
        max_length=500,
        description="Names that may be called, `*` for any text; none if empty, any if left out.",
    )

    @field_validator("scope")
    @classmethod
    def _is_path(cls, value: str | None) -> str | None:
        try:
            return value if value is None else show_path(parse_path(value, "spec.scope"))
        except Invalid as problem:
            raise ValueError(problem.message) from None

    @field_validator("per")
    @classmethod
    def _sorted_once(cls, value: list[Per]) -> list[Per]:
        return sorted(set(value))

    @model_validator(mode="after")
    def _limits_something(self) -> LimitSpec:
        counts = [name for name in _COUNTS if getattr(self, name) is not None]
        if not counts and self.allowed_models is None:
            raise ValueError(f"limits nothing: set one of {', '.join(_COUNTS)} or allowed_models")
        if self.burst is not None and not set(counts) & set(_RATES):
            raise ValueError("burst needs requests_per_second or requests_per_minute")
        if self.token_burst is not None and self.tokens_per_minute is None:
            raise ValueError("token_burst needs tokens_per_minute")
        if self.per and not counts:
            raise ValueError("per splits a count, and there is none: allowed_models is the same for all")
        return self


LIMIT = Kind(
    "Limit",
    plural="limits",
    short="lim",
    schema="tokenfactory_limits",
    levels=EVERYWHERE,
    spec=LimitSpec,
    reconciled=False,
    columns=(
        "spec.scope", "spec.key", "spec.route", "spec.per", "spec.requests_per_second", "spec.requests_per_minute",
        "spec.tokens_per_minute", "spec.concurrency", "spec.allowed_models",
    ),
    phases=("Ready",),
    description="How much may be called at a scope and below, by a key, of a model, or by each end user.",
)  # fmt: skip
Limit: TypeAlias = Resource[LimitSpec, LIMIT.status]  # type: ignore[name-defined]


class Caller(NamedTuple):
    """A key, and the route that it calls."""

    key_uid: UUID
    key_scope: str
    route_uid: UUID
    route_scope: str
    route_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitView:
    """A limit as the gateway knows it.

    Args:
        home: the path where it lives. scope: whose calls it counts, `home` or a path below it.
        narrowed: `scope` was named, so callers from elsewhere are not counted, whatever they call.
        key: the only key it is about. route: the only model, as `LimitSpec.route`.
        others: as in LimitSpec; None where it says nothing.
    """

    uid: UUID
    home: str
    scope: str
    narrowed: bool = False
    key: UUID | None = None
    route: str | None = None
    per: tuple[Per, ...] = ()
    requests_per_second: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    burst: int | None = None
    token_burst: int | None = None
    concurrency: int | None = None
    allowed_models: tuple[str, ...] | None = None

    @property
    def guards_route(self) -> bool:
        """It may be about a route of its own scope or below: then it counts whoever calls that, from anywhere."""
        return self.route is not None and self.key is None and not self.narrowed

    def applies(self, caller: Caller) -> bool:
        """Whether it counts what `caller` does."""
        if self.key is not None and self.key != caller.key_uid:
            return False
        if self.route is not None and not self._means(caller.route_scope, caller.route_name):
            return False
        if self.guards_route and covers(self.home, caller.route_scope):
            return True
        return covers(self.scope, caller.key_scope)

    def _means(self, scope: str, name: str) -> bool:
        """Whether `route` names the one at `scope`: from above or here by its bare name, from anywhere in full."""
        return (self.route == name and covers(scope, self.home)) or self.route == f"{show_path(scope)}/{name}"

    def permits(self, caller: Caller) -> bool:
        """Whether the model is among those that may be called; a pattern fits its name or its full name."""
        if self.allowed_models is None:
            return True
        names = (caller.route_name, f"{show_path(caller.route_scope)}/{caller.route_name}")
        return any(fnmatchcase(name, pattern) for pattern in self.allowed_models for name in names)

    def subject(self, caller: Caller) -> str:
        """Whose count it is, in words that tell a caller nothing new."""
        if "end_user" in self.per:
            return "this end user"
        if self.key is not None or "key" in self.per:
            return "this key"
        if self.route is not None or "route" in self.per:
            return f"the model {caller.route_name!r}"
        return f"scope {show_path(caller.key_scope if 'tenant' in self.per else self.scope)!r}"


class Exceeded(Exception):
    """A limit is reached.

    Args:
        code: stable: `rate_limit_exceeded` (429), `too_many_requests_in_flight` (429), `model_not_permitted` (403),
            `request_too_large_for_limit` (413: waiting does not help), `limits_unavailable` (503).
        retry_after: whole seconds after which it would pass if nobody else called; None where waiting does not help.
        headers: lines of `x-ratelimit-*`, `RateLimit` and `RateLimit-Policy`, each with its CRLF.
    """

    def __init__(
        self, code: str, message: str, retry_after: int | None = None, status: int = 429, headers: bytes = b""
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.status = status
        self.headers = headers
