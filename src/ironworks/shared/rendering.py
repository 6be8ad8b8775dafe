"""Postgres builds the JSON of a resource; its bytes pass through to the caller."""

from __future__ import annotations

from ironworks.shared.kind import Kind


def rendered(kind: Kind, alias: str = "t") -> str:
    """The SQL expression for a row of the kind's table as the resource's JSON text."""
    a = alias
    return f"""json_build_object('api_version', 'v1', 'kind', '{kind.name}', 'metadata', json_build_object(
        'name', {a}.name, 'scope', coalesce(nullif({a}.path, ''), '-'), 'uid', {a}.uid,
        'display_name', {a}.display_name, 'labels', {a}.labels, 'annotations', {a}.annotations, 'generation', {a}.generation,
        'resource_version', {a}.resource_version, 'creation_timestamp', {a}.creation_timestamp,
        'update_timestamp', {a}.update_timestamp, 'deletion_timestamp', {a}.deletion_timestamp,
        'owner_references', {a}.owner_references), 'spec', {a}.spec, 'status', {a}.status)::text"""
