"""Postgres builds the JSON of a resource; its bytes pass through to the caller."""

from __future__ import annotations

from ironworks.shared.kind import Kind

_METADATA = (
    "'name', t.name, 'scope', coalesce(nullif(t.path, ''), '-'), 'uid', t.uid, 'display_name', t.display_name,"
    " 'labels', t.labels, 'annotations', t.annotations, 'generation', t.generation,"
    " 'resource_version', t.resource_version, 'creation_timestamp', t.creation_timestamp,"
    " 'update_timestamp', t.update_timestamp, 'deletion_timestamp', t.deletion_timestamp,"
    " 'owner_references', t.owner_references"
)


def rendered(kind: Kind) -> str:
    """The SQL expression for a row `t` of the kind's table as the resource's JSON text."""
    return (
        f"json_build_object('api_version', 'v1', 'kind', '{kind.name}', 'metadata', json_build_object({_METADATA}),"
        " 'spec', t.spec, 'status', t.status)::text"
    )
