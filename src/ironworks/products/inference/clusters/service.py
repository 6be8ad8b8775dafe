"""What may be declared a cluster by whom."""

from __future__ import annotations

from ironworks.products.inference.clusters.model import CLUSTER, Cluster
from ironworks.shared.context import Context
from ironworks.shared.errors import invalid
from ironworks.shared.resources import Change, admits


@admits(CLUSTER)
async def admit_cluster(ctx: Context, change: Change[Cluster]) -> None:
    """The control plane's own machine is the operator's to give. Raises Invalid."""
    cluster = change.new
    if cluster is not None and cluster.spec.type == "local" and cluster.path:
        raise invalid(
            "spec.type",
            "a local cluster is the operator's own machine, so only the operator may have one",
            "use '-/local' as an endpoint's cluster",
        )
