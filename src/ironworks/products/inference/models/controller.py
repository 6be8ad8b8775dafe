"""A registry is connected when its models can be listed; its status counts them."""

from __future__ import annotations

import asyncio

from ironworks.products.inference.models import service
from ironworks.products.inference.models.model import MODEL_REGISTRY, ModelRegistry, RegistryStats, RegistryUnreadable
from ironworks.shared.reconcile import Outcome, Step, reconciles

LOOK_AGAIN = 300.0
"""Seconds until a folder that others write to is read again."""


@reconciles(MODEL_REGISTRY, concurrency=2)
async def reconcile_registry(step: Step[ModelRegistry]) -> Outcome:
    """List it."""
    registry = step.resource
    if registry.deleting:
        return step.gone()
    try:
        found = await asyncio.to_thread(service.list_models, registry)
    except RegistryUnreadable as problem:
        return step.failed("RegistryUnreadable", problem.message)
    stats = RegistryStats(model_count=len(found), storage_bytes=sum(model.size_bytes for model in found))
    again = LOOK_AGAIN if registry.spec.type == "directory" else None
    return step.ready(phase="Connected", again=again, stats=stats.model_dump())
