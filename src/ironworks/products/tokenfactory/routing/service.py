"""Use cases around routes: refuse what must not be, tell the gateway what is called, check a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from ironworks.products.tokenfactory.routing import store
from ironworks.products.tokenfactory.routing.addresses import AddressPolicy, parse_base, private_address
from ironworks.products.tokenfactory.routing.assembly import Declared
from ironworks.products.tokenfactory.routing.declarations import INVOKE, PRICE, TEST
from ironworks.products.tokenfactory.routing.model import (
    EXTERNAL_ENDPOINT,
    ROUTE,
    CheckedUpstream,
    DeclaredRoute,
    ExternalEndpoint,
    ExternalEndpointSpec,
    Prober,
    RouteTarget,
    UpstreamStatus,
    probe_of,
    report,
    split_reference,
)
from ironworks.shared.context import Context
from ironworks.shared.documents import too_many
from ironworks.shared.errors import Conflict, Forbidden, Unavailable, field_problem
from ironworks.shared.http import Call
from ironworks.shared.kind import MASK
from ironworks.shared.lookup import load
from ironworks.shared.path import covers, show_path
from ironworks.shared.resources import Change, admits

CHECK_WITHIN: Final = 25.0
"""Seconds that a check of a stored external endpoint may take; a worker makes it."""
_LOOK: Final = 0.25
READINGS: Final = 3
"""So often external endpoints are read until none changes meanwhile; one that still does is left to the next load."""

Problems = list[dict[str, str]]


# --- what may be declared ----------------------------------------------------------------------------------------


@admits(EXTERNAL_ENDPOINT)
async def admit_external_endpoint(ctx: Context, change: Change[ExternalEndpoint], policy: AddressPolicy) -> None:
    """Refuse an address that no upstream may have. What a name resolves to is looked at by whoever connects."""
    if change.new is not None and (problems := address_problems(change.new.spec, policy)):
        raise too_many(problems)


def address_problems(spec: ExternalEndpointSpec, policy: AddressPolicy) -> Problems:
    """One for each upstream whose URL holds an address that it must not have."""
    found = []
    for index, upstream in enumerate(spec.upstreams):
        literal = parse_base(upstream.url).literal
        if literal is not None and not policy.permits(literal):
            field = f"spec.upstreams[{index}].url"
            found.append(
                field_problem(field, private_address(str(literal)), "give a public address, or ask the operator")
            )
    return found


@admits(ROUTE)
async def admit_route(ctx: Context, change: Change[DeclaredRoute]) -> None:
    """Refuse a target that its writer may not call, map or price so. What was there before is not asked about again."""
    if change.new is None:
        return
    before = [_facts(target) for target in change.old.spec.targets] if change.old else []
    problems: Problems = []
    for index, target in enumerate(change.new.spec.targets):
        if _facts(target) not in before:
            problems += await _target_problems(ctx, change.new.path, target, f"spec.targets[{index}]")
    if problems:
        raise too_many(problems)


def _facts(target: RouteTarget) -> tuple[Any, ...]:
    """What a right is needed for: where it goes, as what, at which price."""
    return target.endpoint, target.external, target.model, target.served_as, target.price_as


async def _target_problems(ctx: Context, place: str, target: RouteTarget, field: str) -> Problems:
    """Raises Forbidden where the writer lacks a right, which is no problem of the document."""
    path, name = split_reference(target.endpoint or target.external or "", place)
    await _require(ctx, INVOKE, place if covers(path, place) and target.external else path, field)
    if target.served_as is not None:
        kind = "endpoint" if target.endpoint else "external-endpoint"
        await _require(ctx, f"{kind}:update", path, f"{field}.served_as")
    if target.price_as is not None:
        await _require(ctx, PRICE, "", f"{field}.price_as")
    if target.external is None:
        return []
    external: ExternalEndpoint = await load(ctx, EXTERNAL_ENDPOINT, path, name)
    exposed = sorted({model for upstream in external.spec.upstreams for model in upstream.model_mapping})
    if target.model in exposed:
        return []
    known = ", ".join(exposed[:20]) + (", …" if len(exposed) > 20 else "")
    return [field_problem(f"{field}.model", f"{target.model!r} is not exposed by {external.full_name}", f"use {known}")]


async def _require(ctx: Context, permission: str, place: str, field: str) -> None:
    if not await ctx.allows(permission, place):
        where = show_path(place)
        raise Forbidden(
            f"{field}: this needs the permission {permission!r} at {where!r}; leave it out, or ask somebody who has it",
            permission=permission, scope=where, field=field,
        )  # fmt: skip


# --- who leads where ---------------------------------------------------------------------------------------------


async def list_leading(ctx: Context, external: ExternalEndpoint, limit: int) -> list[DeclaredRoute]:
    """The Routes with a target at an external endpoint that the caller may read, by path and name; at most `limit`."""
    return await store.fetch_leading(ctx, ROUTE, external.uid, limit)


# --- what the gateway is told ------------------------------------------------------------------------------------


async def list_declared(ctx: Context, unreadable: list[str] | None = None) -> Declared:
    """Every route and external endpoint, with credentials. For the gateway's role.

    An external endpoint whose credentials do not open is left out: it must not keep the others from being found. So is
    what cannot be read; its name is put to `unreadable`.
    """
    externals = await _with_credentials(ctx, unreadable)
    return Declared(await store.fetch_live(ctx, ROUTE, unreadable=unreadable), externals)


async def _with_credentials(
    ctx: Context, unreadable: list[str] | None
) -> list[tuple[ExternalEndpoint, Mapping[str, str]]]:
    """Each with the credentials that belong to its addresses: who gives both anew may commit between two readings."""
    for _ in range(READINGS):
        skipped: list[str] = []
        found = await store.fetch_live(ctx, EXTERNAL_ENDPOINT, unreadable=skipped)
        kept = await ctx.services.vault.get_many(ctx, [external.uid for external in found])
        now = await store.fetch_generations(ctx, EXTERNAL_ENDPOINT)
        same = [external for external in found if now.get(external.uid) == external.metadata.generation]
        if len(same) == len(found):
            break
    if unreadable is not None:
        unreadable += skipped
    return [(external, kept[external.uid]) for external in same if external.uid in kept]


async def is_current(ctx: Context, external: ExternalEndpoint) -> bool:
    """Whether it is still as it was read: then what was read of the vault since belongs to it."""
    return (await store.fetch_generations(ctx, EXTERNAL_ENDPOINT, external.uid)) == {
        external.uid: external.metadata.generation
    }


# --- checks ------------------------------------------------------------------------------------------------------


async def test_spec(prober: Prober, policy: AddressPolicy, spec: ExternalEndpointSpec) -> list[CheckedUpstream]:
    """Look at every upstream of a spec that is not stored. Raises Invalid for `***` and for a private address."""
    problems = address_problems(spec, policy)
    for index, upstream in enumerate(spec.upstreams):
        if upstream.auth.credential == MASK:
            field = f"spec.upstreams[{index}].auth.credential"
            remedy = "give the credential; a stored one is checked by …/external-endpoints/{name}:test"
            problems.append(
                field_problem(field, f"{MASK} stands for a stored secret, and nothing is stored here", remedy)
            )
    if problems:
        raise too_many(problems)
    findings = await asyncio.gather(*(prober.look(probe_of(u, u.auth.credential or "")) for u in spec.upstreams))
    return [report(upstream, finding) for upstream, finding in zip(spec.upstreams, findings, strict=True)]


async def test_stored(call: Call, path: str, name: str) -> list[UpstreamStatus]:
    """Have a worker look at a stored external endpoint, whose credentials the API cannot open; tell what it found.

    Raises NotFound, Forbidden, Conflict (it is being deleted), Unavailable when no worker comes to it in time.
    """
    async with call.transaction() as ctx:
        external: ExternalEndpoint = await load(ctx, EXTERNAL_ENDPOINT, path, name)
        await ctx.require(TEST, path)
        if not await store.request_check(ctx, external.uid):
            raise Conflict(f"{external.full_name} is being deleted")
    before, deadline = external.status.checked_at, asyncio.get_running_loop().time() + CHECK_WITHIN
    while asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(_LOOK)
        async with call.transaction() as ctx:
            external = await load(ctx, EXTERNAL_ENDPOINT, path, name)
        if external.status.checked_at != before:
            return list(external.status.upstream_status)
    raise Unavailable("no worker has looked at it yet; see `ironworks status`, and try again")
