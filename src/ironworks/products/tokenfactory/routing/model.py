"""What people declare: Routes, the names that callers use, and ExternalEndpoints, other people's APIs behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Protocol, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ironworks.products.tokenfactory.routing.addresses import MAX_URL, parse_base, parse_path
from ironworks.shared.context import Context
from ironworks.shared.kind import EVERYWHERE, Key, Kind, Ref, Resource, Secret, Spec, Status

Dialect: TypeAlias = Literal["openai", "anthropic"]
"""Whose API an upstream speaks."""
Strategy: TypeAlias = Literal[
    "weighted", "least_loaded", "prefix_affine", "lowest_latency", "lowest_cost", "ordered_fallback"
]

SCHEMA: Final = "tokenfactory_routing"
MAX_TARGETS: Final = 32
MAX_UPSTREAMS: Final = 16
MAX_OFFERS: Final = 1000

_REFERENCE: Final = Field(None, min_length=1, max_length=600)
PublicName: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}$")]
"""A model's name as callers write it. It may hold dots and slashes, as `meta-llama/Llama-3.1-8B` does."""
UpstreamName: TypeAlias = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,256}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


# --- ExternalEndpoint --------------------------------------------------------------------------------------------


class UpstreamAuth(_Part):
    type: Literal["bearer", "api_key"] = Field(
        "bearer", description="`bearer`: Authorization: Bearer …; `api_key`: the header x-api-key."
    )
    credential: Annotated[str | None, Secret(sent_to=("../url",))] = Field(
        None, max_length=8192, pattern=r"^[\x21-\x7e]*$", description="Kept in the vault; reads back as ***."
    )


class UpstreamCheck(_Part):
    """A look at an upstream from time to time, by each gateway process, that sets it aside and brings it back."""

    path: str = Field(
        "/models",
        max_length=512,
        description="Below `url`; asked for with GET and the credential: it must cost nothing.",
    )
    interval_seconds: float = Field(30.0, ge=1, le=3600)
    timeout_seconds: float = Field(5.0, gt=0, le=60, description="For an answer to begin.")
    expected_status: list[Annotated[int, Field(ge=100, le=599)]] = Field(
        default_factory=lambda: [200], min_length=1, max_length=16, description="What it answers when it is well."
    )
    failures: int = Field(3, ge=1, le=100, description="So many looks in a row that find it ill set it aside.")

    @field_validator("path")
    @classmethod
    def _stays_below(cls, path: str) -> str:
        return parse_path(path)


class Upstream(_Part):
    name: Annotated[str, Key()] = Field(
        pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", description="Tells the upstreams of one resource apart."
    )
    url: str = Field(
        max_length=MAX_URL, description="Base address with the version, as clients of that API take it: https://host/v1"
    )
    dialect: Dialect = Field("openai", description="Whose API it speaks.")
    auth: UpstreamAuth = Field(default_factory=UpstreamAuth)
    model_mapping: dict[PublicName, UpstreamName] = Field(
        min_length=1, max_length=200, description="The names that callers use, and what the upstream calls each."
    )
    timeout_seconds: float | None = Field(
        None, gt=0, le=3600, description="Until the first byte of an answer; the resource's own when left out."
    )
    max_concurrency: int = Field(
        0, ge=0, le=100_000, description="Requests at once from one host; 0 for as many as come."
    )
    max_queue: int = Field(0, ge=0, le=100_000, description="How many more may wait for their turn.")
    max_output_tokens: int = Field(
        4096, ge=1, le=10_000_000, description="What a budget holds for an answer whose caller sets no limit."
    )
    check: UpstreamCheck | None = Field(None, description="Look at it between requests too; off if null.")

    @field_validator("url")
    @classmethod
    def _is_base(cls, url: str) -> str:
        parse_base(url)
        return url.rstrip("/")


class ExternalEndpointSpec(Spec):
    """Models that somebody else serves, called with your credential."""

    upstreams: list[Upstream] = Field(min_length=1, max_length=MAX_UPSTREAMS)
    timeout_seconds: float = Field(60.0, gt=0, le=3600, description="Until the first byte of an answer.")

    @model_validator(mode="after")
    def _names_differ(self) -> ExternalEndpointSpec:
        names = [upstream.name for upstream in self.upstreams]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two upstreams are called {twice[0]!r}; give each a name of its own")
        return self


class UpstreamStatus(_Part):
    """What a look at one upstream found. `url` holds no credential, `models` are the names that it is called by."""

    name: str
    url: str
    models: list[str] = Field(default_factory=list)
    phase: Literal["Ready", "Failed"]
    error_message: str = ""


class CheckedUpstream(UpstreamStatus):
    """The same of an upstream that need not be stored, with what there is to expose."""

    offers: list[str] = Field(
        default_factory=list,
        description="Models that it lists, by its names, at most 1,000; empty if it lists none.",
    )


class ExternalEndpointStatus(Status):
    upstream_status: list[UpstreamStatus] = Field(default_factory=list)
    checked_at: datetime | None = None


EXTERNAL_ENDPOINT = Kind(
    "ExternalEndpoint",
    plural="external-endpoints",
    short="ee",
    schema=SCHEMA,
    levels=EVERYWHERE,
    inherited=True,
    spec=ExternalEndpointSpec,
    status=ExternalEndpointStatus,
    columns=("status.checked_at",),
    phases=("Pending", "Running", "Degraded", "Failed", "Deleting"),
    description="Models of an external provider, called through the gateway.",
)
ExternalEndpoint: TypeAlias = Resource[ExternalEndpointSpec, ExternalEndpointStatus]


# --- Route -------------------------------------------------------------------------------------------------------


class RouteTarget(_Part):
    endpoint: Annotated[str | None, Ref("Endpoint"), _REFERENCE] = Field(None, description="An endpoint of ours.")
    external: Annotated[str | None, Ref("ExternalEndpoint"), _REFERENCE] = Field(
        None, description="An external endpoint; `model` names what it exposes."
    )
    model: PublicName | None = Field(None, description="With `external`: one of its model_mapping.")
    weight: int = Field(1, ge=0, le=1000, description="Its share; 0 means only when nothing else is left.")
    served_as: UpstreamName | None = Field(
        None, description="What the upstream is told the model is called; needs the target's update permission."
    )
    price_as: PublicName | None = Field(
        None, description="The model whose prices apply; set by whoever keeps the price book."
    )
    timeout_seconds: float | None = Field(None, gt=0, le=3600, description="Until the first byte of an answer.")
    max_concurrency: int = Field(0, ge=0, le=100_000, description="Requests at once from one host; 0: the target's.")
    max_queue: int = Field(0, ge=0, le=100_000, description="How many more may wait for their turn.")

    @model_validator(mode="after")
    def _names_one(self) -> RouteTarget:
        if (self.endpoint is None) == (self.external is None):
            raise ValueError("names none or two of 'endpoint' and 'external'; name one")
        if self.external is not None and self.model is None:
            raise ValueError("'external' needs 'model'; name one that the external endpoint exposes")
        if self.endpoint is not None and self.model is not None:
            raise ValueError("'model' goes with 'external'; an endpoint has one model (see served_as)")
        return self

    @property
    def label(self) -> str:
        """How the target is written in messages and in the status."""
        return f"endpoint {self.endpoint}" if self.endpoint else f"external {self.external}: {self.model}"


class CacheChoice(_Part):
    ttl_seconds: float = Field(300.0, gt=0, le=604_800, description="How long an answer is given again.")
    max_bytes: int = Field(
        16 * 1024 * 1024, ge=1024, le=1024**3, description="Of all answers kept, in each gateway process."
    )


class RouteSpec(Spec):
    """A model's name, and what answers to it."""

    model: PublicName | None = Field(
        None, description="What callers write as `model`, such as gpt-4o; metadata.name when left out."
    )
    targets: list[RouteTarget] = Field(min_length=1, max_length=MAX_TARGETS)
    strategy: Strategy = Field("weighted", description="How a target is chosen.")
    tries: int = Field(3, ge=1, le=10, description="Upstreams asked, at most, until one begins to answer.")
    cache: CacheChoice | None = Field(None, description="Give the exact answer of an equal request again; off if null.")


class TargetHealth(_Part):
    """How one target of a Route stands."""

    target: str
    healthy: bool
    reason: str = ""
    message: str = ""


class RouteStatus(Status):
    targets: list[TargetHealth] = Field(default_factory=list)


ROUTE = Kind(
    "Route",
    plural="routes",
    short="rt",
    schema=SCHEMA,
    levels=EVERYWHERE,
    inherited=True,
    spec=RouteSpec,
    status=RouteStatus,
    columns=("spec.model", "spec.strategy"),
    phases=("Pending", "Ready", "Degraded", "Failed", "Deleting"),
    description="A model name that callers use, and the targets that answer to it.",
)
DeclaredRoute: TypeAlias = Resource[RouteSpec, RouteStatus]


def public_name(route: Resource[Any, Any]) -> str:
    """What callers write as `model`."""
    return str(route.spec.model or route.name)


# --- what they ask of the outside --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Probe:
    """One upstream to look at: where it is, whose API it speaks, and the credential to show it."""

    url: str
    dialect: Dialect
    auth: Literal["bearer", "api_key"]
    credential: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look at an upstream found. `models` is None where it lists none; `problem` is empty when all is well."""

    models: frozenset[str] | None = None
    problem: str = ""


class Prober(Protocol):
    """Asks an upstream for its models."""

    async def look(self, probe: Probe) -> Finding:
        """Never raises for what the upstream does; takes at most some seconds. No credential is in what it answers."""


@dataclass(frozen=True, slots=True)
class OwnModel:
    """An endpoint of ours by the name that it is called by. `task`: what it is for, such as `text-generation`."""

    uid: UUID
    scope: str
    name: str
    task: str
    phase: str
    created_at: datetime


class EndpointHealth(Protocol):
    """How endpoints of ours stand; whoever runs endpoints answers."""

    async def at(self, ctx: Context, path: str) -> Sequence[OwnModel]:
        """Those at `path` and below that are not being deleted, as far as the caller may read them."""

    async def of(self, ctx: Context, path: str, name: str) -> tuple[bool, str]:
        """(whether it can serve, what a user should know)."""


class TargetSights(Protocol):
    """How gateways see the targets of Routes; whoever runs gateways answers."""

    async def set_aside(self, ctx: Context, route: UUID) -> Mapping[int, str]:
        """Those that a gateway sends nothing to now: the target's place → what went wrong, for people."""


def credential_pointer(upstream: Upstream) -> str:
    """Under which the vault keeps an upstream's credential."""
    return f"upstreams[{upstream.name}].auth.credential"


def probe_of(upstream: Upstream, credential: str) -> Probe:
    """What to look at for one upstream of a spec."""
    return Probe(upstream.url, upstream.dialect, upstream.auth.type, credential)


def judge(upstream: Upstream, finding: Finding) -> UpstreamStatus:
    """An upstream's status. A model that it does not list is told; it may be served all the same."""
    missing = sorted(set(upstream.model_mapping.values()) - finding.models) if finding.models is not None else []
    message = finding.problem
    if not message and missing:
        message = f"it does not list {', '.join(missing[:5])}" + (" and others" if len(missing) > 5 else "")
    return UpstreamStatus(
        name=upstream.name,
        url=upstream.url,
        models=sorted(upstream.model_mapping),
        phase="Failed" if finding.problem else "Ready",
        error_message=message,
    )


def report(upstream: Upstream, finding: Finding) -> CheckedUpstream:
    """What a check of a spec answers about one upstream."""
    offers = sorted(finding.models or ())[:MAX_OFFERS]
    return CheckedUpstream(**judge(upstream, finding).model_dump(), offers=offers)


def split_reference(reference: str, scope: str) -> tuple[str, str]:
    """(path, name) of a reference made at `scope`: `name`, or `path/name` with `-` for the operator's."""
    path, slash, name = reference.rpartition("/")
    if not slash:
        return scope, reference
    return ("" if path == "-" else path), name
