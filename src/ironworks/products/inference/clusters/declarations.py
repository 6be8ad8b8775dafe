"""What this domain registers, and the cluster that every installation has."""

from __future__ import annotations

from typing import Any

from ironworks.shared.declarations import Declarations

DECLARATIONS = Declarations()


def builtins() -> list[dict[str, Any]]:
    """Manifests that `ironworks up` applies in the operator's scope: this machine."""
    return [
        {
            "api_version": "v1",
            "kind": "Cluster",
            "metadata": {"name": "local", "scope": "-", "display_name": "This machine"},
            "spec": {"type": "local"},
        }
    ]
