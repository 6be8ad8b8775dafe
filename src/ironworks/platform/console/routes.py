"""The shell's questions, features, and what pages report."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ironworks.platform import iam
from ironworks.platform.console import service
from ironworks.platform.console.model import (
    MAX_MODULE,
    REGISTER,
    SWITCH,
    Shell,
    ShellKind,
    ShellTopic,
    ShownFeature,
    permissions_by_scope,
)
from ironworks.sdk import FeatureManifest
from ironworks.shared import telemetry
from ironworks.shared.context import Context
from ironworks.shared.http import AUTHENTICATED, PUBLIC, Raw, Router
from ironworks.shared.listing import DEFAULT_PAGE, MAX_PAGE, decode_cursor, encode_cursor
from ironworks.shared.path import parse_path
from ironworks.shared.shapes import Shape

router = Router("platform.console")
log = telemetry.logger(__name__)
_reported = telemetry.counter("ironworks_console_reports_total", "Reports of the console's pages", ("kind",))
_vitals = telemetry.histogram("ironworks_console_vital_seconds", "How fast pages were for who looked", ("name",))


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


# --- the shell -------------------------------------------------------------------------------------------------------


class ProviderView(BaseModel):
    """An OpenID provider that people may sign in by: send the browser to `url`, with `return_to` if wished."""

    id: str
    label: str
    url: str


class SignInView(BaseModel):
    password: bool
    oidc: list[ProviderView]


class ConsoleView(BaseModel):
    """What a console may know of an installation before anybody signed in."""

    version: str
    sign_in: SignInView
    setup_needed: bool = Field(description="Nobody but the bootstrapped operator may do everything yet.")
    mail: bool = Field(description="Mails are sent; where they are not, the operator hands links over.")


@router.get("/api/v1/console", permission=PUBLIC)
async def describe_console(ctx: Context, shell: Shell, single: iam.SingleSignOn) -> ConsoleView:
    """Tell how people sign in here, and whether somebody must set it up first."""
    needed = await iam.is_setup_needed(ctx)
    found = [ProviderView(id="oidc", label=single.label, url="/api/v1/session/oidc")] if single.provider else []
    sign_in = SignInView(password=True, oidc=found)
    return ConsoleView(version=shell.version, sign_in=sign_in, setup_needed=needed, mail=shell.mail)


class BootstrapQuery(_Body):
    scope: str = Field("-", max_length=600, description="Where the caller is: its platform decides about features.")


class ShellCaller(BaseModel):
    uid: str
    kind: str
    name: str
    display_name: str | None


class ShellScope(Shape):
    path: str
    kind: Literal["Account", "Platform", "Tenant"]
    display_name: str | None
    phase: str


class ShellFeature(BaseModel):
    """A feature as the current platform has it; `url` and `integrity` are those of a registered one's module."""

    manifest: FeatureManifest
    enabled: bool
    built_in: bool
    url: str | None
    integrity: str | None

    @classmethod
    def of(cls, shown: ShownFeature) -> ShellFeature:
        added = shown.registered
        return cls(
            manifest=shown.manifest,
            enabled=shown.enabled,
            built_in=added is None,
            url=added.url if added else None,
            integrity=added.integrity if added else None,
        )


class BootstrapView(BaseModel):
    version: str
    caller: ShellCaller
    preferences: dict[str, Any] = Field(description="As `GET /api/v1/me/preferences` tells them; empty for programs.")
    mail: bool = Field(description="Mails are sent; where they are not, the operator hands links over.")
    permissions: dict[str, list[str]] = Field(
        description="Permission → the topmost scopes at which the caller holds it; it reaches all below. For showing"
        " what makes sense: what is allowed, the API decides at each call."
    )
    scopes: list[ShellScope] = Field(description="Scopes that the caller may read, in the order of the tree.")
    more_scopes: bool = Field(description="There are more: find them with `GET /api/v1/search`.")
    kinds: list[ShellKind]
    topics: list[ShellTopic]
    features: list[ShellFeature]
    services: dict[str, str] = Field(
        description="Addresses of what else here pages may call: `gateway`, which answers below `/v1`."
    )


@router.get("/api/v1/console/bootstrap", permission=AUTHENTICATED)
async def bootstrap(ctx: Context, query: BootstrapQuery, shell: Shell) -> BootstrapView:
    """Tell a shell all that it needs before it shows anything."""
    found = await service.describe_shell(ctx, shell, parse_path(query.scope, "scope"))
    caller: dict[str, Any] = found.caller
    return BootstrapView(
        version=shell.version,
        caller=ShellCaller.model_validate(caller),
        preferences=found.preferences,
        mail=shell.mail,
        permissions=permissions_by_scope(caller["grants"]),
        scopes=[ShellScope.show(scope) for scope in found.scopes],
        more_scopes=found.more,
        kinds=list(shell.kinds),
        topics=list(shell.topics),
        features=[ShellFeature.of(shown) for shown in found.features],
        services=dict(shell.services),
    )


# --- features --------------------------------------------------------------------------------------------------------


class SwitchRequest(_Body):
    enabled: bool


class RegisterRequest(_Body):
    manifest: FeatureManifest
    module: str = Field(
        min_length=1, max_length=MAX_MODULE, description="An ES module; its default export takes the shell's host."
    )
    integrity: str | None = Field(
        None, max_length=100, pattern=r"^sha384-[A-Za-z0-9+/]{64}$", description="Checked where it is given."
    )


class FeaturesQuery(_Body):
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    cursor: str | None = Field(None, max_length=1024)


class FeatureView(Shape):
    """A feature that was registered while the installation runs."""

    manifest: FeatureManifest
    url: str
    integrity: str
    registered_by: str
    registered_at: datetime


class FeatureList(BaseModel):
    items: list[FeatureView]
    next_cursor: str | None


@router.put("/api/v1/scopes/{path}/console/features/{feature}", permission=SWITCH)
async def switch_feature(ctx: Context, path: str, feature: str, body: SwitchRequest, shell: Shell) -> ShellFeature:
    """Let a platform have a feature of the console, or not."""
    return ShellFeature.of(await service.switch_feature(ctx, shell, path, feature, body.enabled))


@router.get("/api/v1/console/features", permission=REGISTER)
async def list_features(ctx: Context, query: FeaturesQuery) -> FeatureList:
    """List the features that were registered while the installation runs."""
    after = decode_cursor(query.cursor)[1] if query.cursor else ""
    found = await service.list_features(ctx, after, query.limit + 1)
    page = found[: query.limit]
    more = encode_cursor("", page[-1].manifest.id) if len(found) > query.limit else None
    return FeatureList(items=[FeatureView.show(feature) for feature in page], next_cursor=more)


@router.put("/api/v1/console/features/{feature}", permission=REGISTER)
async def register_feature(ctx: Context, feature: str, body: RegisterRequest, shell: Shell) -> FeatureView:
    """Add a feature to every console, or replace it: its code runs in every browser, as whoever looks."""
    made = await service.register_feature(ctx, shell, feature, body.manifest, body.module, body.integrity)
    return FeatureView.show(made)


@router.delete("/api/v1/console/features/{feature}", permission=REGISTER)
async def remove_feature(ctx: Context, feature: str) -> None:
    """Take a registered feature out of every console."""
    await service.remove_feature(ctx, feature)


@router.get("/console/features/{digest}/index.js", permission=PUBLIC)
async def read_module(ctx: Context, digest: str) -> Raw:
    """The module of a registered feature, under the digest of its content."""
    content = await service.read_module(ctx, digest)
    about = {"cache-control": "public, max-age=31536000, immutable", "cross-origin-resource-policy": "same-origin"}
    return Raw(content, "text/javascript; charset=utf-8", headers=about)


# --- reports ---------------------------------------------------------------------------------------------------------


class ErrorReport(_Body):
    """A page failed."""

    kind: Literal["error"]
    message: str = Field(max_length=2000)
    stack: str | None = Field(None, max_length=8000)
    feature: str | None = Field(None, max_length=63)
    page: str | None = Field(None, max_length=300, description="The pattern of its address, without names and query.")
    release: str | None = Field(None, max_length=64)
    count: int = Field(1, ge=1, le=1000, description="How often since it was reported last.")


class VitalReport(_Body):
    """How fast a page was, in seconds; `cls` has no unit."""

    kind: Literal["vital"]
    name: Literal["ttfb", "fcp", "lcp", "inp", "cls"]
    value: float = Field(ge=0, le=600)
    page: str | None = Field(None, max_length=300)


Report = Annotated[ErrorReport | VitalReport, Field(discriminator="kind")]


class ReportRequest(_Body):
    reports: list[Report] = Field(min_length=1, max_length=20)


@router.post("/api/v1/console/reports", permission=AUTHENTICATED, status=204)
async def report(ctx: Context, body: ReportRequest, shell: Shell) -> None:
    """Tell of errors in the console's pages and of how fast they were."""
    shell.reports.spend(str(ctx.actor.uid))
    for each in body.reports:
        _reported.labels(each.kind).inc(each.count if isinstance(each, ErrorReport) else 1)
        if isinstance(each, ErrorReport):
            log.warning(
                "a page of the console failed",
                request_id=ctx.request_id,
                actor=ctx.actor.name,
                error=each.message,
                **each.model_dump(exclude={"kind", "message"}, exclude_none=True),
            )
        elif each.name != "cls":
            _vitals.labels(each.name).observe(each.value)
