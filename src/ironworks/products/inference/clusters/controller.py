"""Looks at clusters: whether they answer, what they have, and what of it is free."""

from __future__ import annotations

from ironworks.products.inference.clusters.model import CLUSTER, Cluster, ClusterUnavailable, Drivers
from ironworks.shared.reconcile import Outcome, Step, reconciles

LOOK_AGAIN = 15.0
"""Seconds; what is free changes as endpoints come and go."""


@reconciles(CLUSTER, concurrency=4)
async def reconcile_cluster(step: Step[Cluster], drivers: Drivers) -> Outcome:
    """Inspect it. Endpoints refer to their cluster, so one that is being deleted has none left."""
    cluster = step.resource
    if cluster.deleting:
        return step.gone()
    try:
        driver = drivers.of(cluster)
        facts = await driver.inspect()
        await driver.clean_up()
    except ClusterUnavailable as problem:
        return step.failed("ClusterUnavailable", problem.message, ready_nodes=0)
    ready = sum(node.state == "Ready" for node in facts.nodes)
    return step.ready(
        phase="Running",
        again=LOOK_AGAIN,
        ready_nodes=ready,
        desired_nodes=len(facts.nodes),
        nodes=[node.model_dump() for node in facts.nodes],
        resource_info=facts.info.model_dump(),
    )
