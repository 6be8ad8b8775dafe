"""Looks at upstreams, and tells how external endpoints and routes stand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import UUID

from ironworks.products.tokenfactory.routing import service
from ironworks.products.tokenfactory.routing.model import (
    EXTERNAL_ENDPOINT,
    ROUTE,
    DeclaredRoute,
    EndpointHealth,
    ExternalEndpoint,
    Prober,
    RouteTarget,
    TargetHealth,
    TargetSights,
    UpstreamStatus,
    credential_pointer,
    judge,
    probe_of,
    split_reference,
)
from ironworks.shared.context import Context
from ironworks.shared.errors import NotFound
from ironworks.shared.lookup import find, load
from ironworks.shared.reconcile import Outcome, Step, reconciles

WELL: Final = 300.0
"""Seconds between looks at upstreams that answer: a look is a request to somebody else's machine."""
ILL: Final = 20.0
ROUTES_AGAIN: Final = 15.0
"""Seconds between looks at a route's endpoints, whose changes this product does not hear of."""
EJECTED: Final = "Ejected"


@reconciles(EXTERNAL_ENDPOINT, concurrency=16, timeout=60.0)
async def reconcile_external_endpoint(step: Step[ExternalEndpoint], prober: Prober) -> Outcome:
    """Ask each upstream for its models, all at once."""
    external = step.resource
    if external.deleting:
        return step.gone()
    kept = await step.secrets()
    async with step.read() as ctx:
        if not await service.is_current(ctx, external):  # the credentials may be for other addresses
            return step.again(0)
    upstreams = external.spec.upstreams
    probes = [probe_of(upstream, kept.get(credential_pointer(upstream), "")) for upstream in upstreams]
    findings = await asyncio.gather(*map(prober.look, probes))
    seen = [judge(upstream, finding) for upstream, finding in zip(upstreams, findings, strict=True)]
    return _tell(step, seen)


def _tell(step: Step[ExternalEndpoint], seen: Sequence[UpstreamStatus]) -> Outcome:
    failed = [status for status in seen if status.phase == "Failed"]
    shown: dict[str, Any] = {"upstream_status": [s.model_dump(mode="json") for s in seen], "checked_at": step.now()}
    if not failed:
        return step.ready(phase="Running", again=WELL, **shown)
    words = "; ".join(f"{status.name}: {status.error_message}" for status in failed[:3])
    if len(failed) < len(seen):
        return step.again(ILL, phase="Degraded", reason="UpstreamFailed", message=words, **shown)
    return step.failed("UpstreamsFailed", words, retry_in=ILL, **shown)


async def _on_external(ctx: Context, uid: UUID) -> Iterable[UUID]:
    return [route.uid for route in await find(ctx, ROUTE, where={"ref:targets[].external": uid})]


@reconciles(ROUTE, concurrency=8, timeout=30.0, watches={EXTERNAL_ENDPOINT: _on_external})
async def reconcile_route(step: Step[DeclaredRoute], endpoints: EndpointHealth, sights: TargetSights) -> Outcome:
    """A route works at once; this tells which of its targets do. Gateways have it called where they see a change."""
    route = step.resource
    if route.deleting:
        return step.gone()
    async with step.read() as ctx:
        aside = await sights.set_aside(ctx, route.metadata.uid)
        seen = [
            _seen_by_gateways(await _look_at(ctx, endpoints, route.path, target), aside.get(place))
            for place, target in enumerate(route.spec.targets)
        ]
    ill = [health for health in seen if not health.healthy]
    shown: dict[str, Any] = {"targets": [health.model_dump(mode="json") for health in seen]}
    if not ill:
        return step.ready(again=ROUTES_AGAIN, **shown)
    words = "; ".join(f"{health.target}: {health.message}" for health in ill[:3])
    if len(ill) < len(seen):
        return step.again(ROUTES_AGAIN, phase="Degraded", reason="TargetFailed", message=words, **shown)
    reason = "TargetsEjected" if all(health.reason == EJECTED for health in ill) else "TargetsFailed"
    return step.failed(reason, words, retry_in=ROUTES_AGAIN, **shown)


def _seen_by_gateways(health: TargetHealth, fault: str | None) -> TargetHealth:
    """What is well by our looks may still be of no use to those who send requests."""
    if fault is None or not health.healthy:
        return health
    message = "set aside by a gateway" + (f": {fault}" if fault else "")
    return TargetHealth(target=health.target, healthy=False, reason=EJECTED, message=message)


async def _look_at(ctx: Context, endpoints: EndpointHealth, scope: str, target: RouteTarget) -> TargetHealth:
    path, name = split_reference(target.endpoint or target.external or "", scope)
    try:
        if target.endpoint is not None:
            healthy, message = await endpoints.of(ctx, path, name)
        else:
            external: ExternalEndpoint = await load(ctx, EXTERNAL_ENDPOINT, path, name)
            healthy, message = _offers(external, target.model or "")
    except NotFound as problem:
        healthy, message = False, problem.message
    reason = "Ready" if healthy else "NotServing"
    return TargetHealth(target=target.label, healthy=healthy, reason=reason, message=message)


def _offers(external: ExternalEndpoint, model: str) -> tuple[bool, str]:
    """(whether an upstream that answers exposes the model, why not)."""
    if not any(model in upstream.model_mapping for upstream in external.spec.upstreams):
        return False, f"{external.full_name} does not expose {model}"
    seen = [status for status in external.status.upstream_status if model in status.models]
    if any(status.phase == "Ready" for status in seen):
        return True, ""
    if not seen:
        return False, f"{external.full_name} has not been looked at yet"
    return False, f"{external.full_name}: {seen[0].error_message}"
