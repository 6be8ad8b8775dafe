"""What a shell is told, and features that come, go and are switched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ironworks.platform import iam, tenancy
from ironworks.platform.console import store
from ironworks.platform.console.model import (
    MAX_FEATURES,
    MAX_SCOPES,
    AlwaysThere,
    RegisteredFeature,
    Shell,
    ShownFeature,
    UnknownFeature,
    check_manifest,
    check_module,
    show_features,
)
from ironworks.sdk import FeatureManifest
from ironworks.shared.context import Context
from ironworks.shared.errors import Conflict, NotFound, invalid
from ironworks.shared.path import show_path


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """What a shell needs before it shows anything. `more`: there are more scopes than those."""

    caller: dict[str, Any]
    preferences: dict[str, Any]
    scopes: Sequence[tenancy.ScopeEntry]
    more: bool
    features: Sequence[ShownFeature]


async def describe_shell(ctx: Context, shell: Shell, scope: str) -> Bootstrap:
    """Who the caller is, where he may go, and which features there are for him in `scope` (a path).

    Raises NotFound for a caller that is gone or disabled.
    """
    caller = await iam.describe_caller(ctx)
    scopes, more = await tenancy.list_scopes(ctx, scope, MAX_SCOPES)
    preferences = await iam.read_preferences(ctx) if ctx.actor.kind == "user" else {}
    return Bootstrap(caller, preferences, scopes, more, await list_shown_features(ctx, shell, scope))


async def list_shown_features(ctx: Context, shell: Shell, scope: str) -> list[ShownFeature]:
    """Every feature, and whether the platform that `scope` lies in has it; above platforms the defaults count."""
    registered = await store.fetch_features(ctx, "", MAX_FEATURES)
    platform = _platform_of(scope)
    switches = await store.fetch_switches(ctx, platform) if platform else {}
    return show_features(shell.built_in(), registered, switches)


def _platform_of(scope: str) -> str | None:
    labels = scope.split(".")
    return ".".join(labels[:2]) if len(labels) >= 2 else None


async def switch_feature(ctx: Context, shell: Shell, path: str, feature: str, enabled: bool) -> ShownFeature:
    """Let a platform have a feature, or not; the permission was asked for. What a feature shows is not touched.

    Raises Invalid for what is no platform, NotFound, UnknownFeature, AlwaysThere.
    """
    if path.count(".") != 1:
        raise invalid("path", f"{show_path(path)!r} is no platform", "switch features for account.platform")
    await tenancy.require_scope(ctx, path)
    before = {shown.manifest.id: shown for shown in await list_shown_features(ctx, shell, path)}
    if feature not in before:
        raise UnknownFeature(feature, before)
    was = before[feature]
    if was.manifest.always and not enabled:
        raise AlwaysThere(feature)
    if was.enabled != enabled:
        await store.save_switch(ctx, path, feature, enabled)
        await ctx.audit(
            "console.feature.switch", "feature", f"{path}/{feature}", path,
            before={"enabled": was.enabled}, after={"enabled": enabled},
        )  # fmt: skip
    return ShownFeature(was.manifest, enabled, was.registered)


async def list_features(ctx: Context, after: str, limit: int) -> list[RegisteredFeature]:
    """Registered features by id, past `after`."""
    return await store.fetch_features(ctx, after, limit)


async def register_feature(
    ctx: Context, shell: Shell, feature: str, manifest: FeatureManifest, module_text: str, integrity: str | None
) -> RegisteredFeature:
    """Add a feature to every console, or replace it. Idempotent; the permission was asked for.

    `integrity`, `sha384-…`, is checked where it is given. Raises Invalid, Conflict.
    """
    check_manifest(feature, manifest, shell.built_in())
    module = check_module(module_text, integrity)
    before = await store.fetch_feature(ctx, feature)
    if before is None and await store.count_features(ctx) >= MAX_FEATURES:
        raise Conflict(f"there are {MAX_FEATURES} registered features: remove one first")
    if before is not None and (before.manifest, before.digest) == (manifest, module.digest):
        return before
    made = RegisteredFeature(manifest, module.digest, ctx.actor.name, ctx.now())
    await store.save_feature(ctx, made, module)
    await ctx.audit("console.feature.register", "feature", feature, before=_told(before), after=_told(made))
    return made


async def remove_feature(ctx: Context, feature: str) -> None:
    """Take a registered feature out of every console; its switches stay. The permission was asked for.

    Raises UnknownFeature.
    """
    before = await store.fetch_feature(ctx, feature)
    if before is None:
        known = await store.fetch_features(ctx, "", MAX_FEATURES)
        raise UnknownFeature(feature, (found.manifest.id for found in known))
    await store.remove_feature(ctx, feature)
    await ctx.audit("console.feature.remove", "feature", feature, before=_told(before))


async def read_module(ctx: Context, digest: str) -> bytes:
    """The module of that digest. Raises NotFound."""
    content = await store.fetch_module(ctx, digest)
    if content is None:
        raise NotFound("no feature has this module any more: load the page again")
    return content


def _told(feature: RegisteredFeature | None) -> dict[str, str] | None:
    return None if feature is None else {"version": feature.manifest.version, "digest": feature.digest}
