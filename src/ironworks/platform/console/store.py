"""The SQL of features."""

from __future__ import annotations

from typing import Any

from ironworks.platform.console.model import Module, RegisteredFeature
from ironworks.sdk import FeatureManifest
from ironworks.shared.context import Context

_FEATURE = "manifest::text as manifest, digest, registered_by, registered_at"


async def fetch_features(ctx: Context, after: str, limit: int) -> list[RegisteredFeature]:
    """Up to `limit` of the registered ones, by id, past `after`."""
    rows = await ctx.db.fetch(
        f"select {_FEATURE} from platform_console.feature where id > $1 order by id limit $2", after, limit
    )
    return [_feature(row) for row in rows]


async def fetch_feature(ctx: Context, feature: str) -> RegisteredFeature | None:
    """The one of that id; locked until the transaction ends."""
    row = await ctx.db.fetchrow(f"select {_FEATURE} from platform_console.feature where id = $1 for update", feature)
    return None if row is None else _feature(row)


def _feature(row: Any) -> RegisteredFeature:
    manifest = FeatureManifest.model_validate_json(row["manifest"])
    return RegisteredFeature(manifest, row["digest"], row["registered_by"], row["registered_at"])


async def count_features(ctx: Context) -> int:
    """How many are registered."""
    found: int = await ctx.db.fetchval("select count(*) from platform_console.feature")
    return found


async def save_feature(ctx: Context, feature: RegisteredFeature, module: Module) -> None:
    """Insert or replace, with its module."""
    await ctx.db.execute(
        "insert into platform_console.feature_module (digest, content) values ($1, $2) on conflict do nothing",
        module.digest, module.content,
    )  # fmt: skip
    await ctx.db.execute(
        """
        insert into platform_console.feature (id, manifest, digest, registered_by, registered_at)
        values ($1, $2::jsonb, $3, $4, $5)
        on conflict (id) do update
          set manifest = excluded.manifest, digest = excluded.digest, registered_by = excluded.registered_by,
              registered_at = excluded.registered_at
        """,
        feature.manifest.id, feature.manifest.model_dump_json(), feature.digest, feature.registered_by,
        feature.registered_at,
    )  # fmt: skip
    await _drop_unused(ctx)


async def remove_feature(ctx: Context, feature: str) -> None:
    """Delete it, and its module unless another has the same."""
    await ctx.db.execute("delete from platform_console.feature where id = $1", feature)
    await _drop_unused(ctx)


async def _drop_unused(ctx: Context) -> None:
    await ctx.db.execute(
        "delete from platform_console.feature_module m"
        " where not exists (select from platform_console.feature f where f.digest = m.digest)"
    )


async def fetch_module(ctx: Context, digest: str) -> bytes | None:
    """The content of that digest, for anybody."""
    content: bytes | None = await ctx.db.fetchval("select platform_console.read_module($1)", digest)
    return content


async def fetch_switches(ctx: Context, platform: str) -> dict[str, bool]:
    """Feature → whether the platform has it, of those that were ever switched there."""
    rows = await ctx.db.fetch("select feature, enabled from platform_console.feature_switch where path = $1", platform)
    return {row["feature"]: row["enabled"] for row in rows}


async def save_switch(ctx: Context, platform: str, feature: str, enabled: bool) -> None:
    """Insert or replace."""
    await ctx.db.execute(
        """
        insert into platform_console.feature_switch (scope, feature, enabled, set_by, set_at)
        values ($1::text::ltree, $2, $3, $4, $5)
        on conflict (path, feature) do update
          set enabled = excluded.enabled, set_by = excluded.set_by, set_at = excluded.set_at
        """,
        platform, feature, enabled, ctx.actor.name, ctx.now(),
    )  # fmt: skip
