"""Engines need nothing done in the world; their status sums up what the versions support."""

from __future__ import annotations

from ironworks.products.inference.engines.model import ENGINE, Engine
from ironworks.shared.reconcile import Outcome, Step, reconciles


@reconciles(ENGINE, concurrency=2)
async def reconcile_engine(step: Step[Engine]) -> Outcome:
    """Ready at once."""
    engine = step.resource
    if engine.deleting:
        return step.gone()
    tasks = sorted({task for version in engine.spec.versions for task in version.supported_tasks})
    return step.ready(supported_tasks=tasks)
