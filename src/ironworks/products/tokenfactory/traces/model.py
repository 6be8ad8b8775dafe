"""Which requests are traced, and what a trace is."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeAlias
from uuid import UUID

from pydantic import Field

from ironworks.platform import secrets
from ironworks.shared.kind import TENANT, Kind, Resource, Spec, Status

EVERY_MODEL: Final = "*"
MOST_BYTES: Final = 1024 * 1024
LONGEST_RETENTION: Final = 90


class TracePolicySpec(Spec):
    """What to keep of the requests that a tenant, and the tenants in it, make of a model."""

    model: str = Field(
        min_length=1,
        max_length=512,
        description="A model's name as callers at this scope write it: an endpoint's, a route's; `*` for every one.",
    )
    enabled: bool = Field(True, description="Switching it off deletes what was kept.")
    sample_rate: float = Field(0.1, ge=0, le=1, description="The share of requests that is kept.")
    max_bytes: int = Field(
        65_536, ge=256, le=MOST_BYTES, description="Of a request, and of its answer; what is longer is cut off."
    )
    retention_days: int = Field(7, ge=1, le=LONGEST_RETENTION, description="After so many days a trace is deleted.")


TRACE_POLICY = Kind(
    "TracePolicy",
    plural="trace-policies",
    short="tp",
    schema="tokenfactory_traces",
    levels=(TENANT,),
    spec=TracePolicySpec,
    inherited=True,  # who is traced by a policy above may see that he is
    columns=("spec.model", "spec.enabled", "spec.sample_rate", "spec.retention_days"),
    phases=("Pending", "Ready", "Off", "Failed", "Deleting"),
    description="Keeps the texts of a sample of requests and answers, sealed, for some days.",
)
TracePolicy: TypeAlias = Resource[TracePolicySpec, Status]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyView:
    """A policy that is on, as the gateway knows it. `key` seals its traces."""

    uid: UUID
    scope: str
    model: str
    sample_rate: float
    max_bytes: int
    retention_days: int
    key: secrets.WrappedKey = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """What was captured of one request. The texts are bytes as they passed, cut off where `truncated`.

    Args:
        scope: where the calling key lives; whose trace it is. occurred_at: seconds since the epoch.
        operation: the API path. model: as the caller wrote it. endpoint: `path/name` of what answered.
    """

    request_id: str
    scope: str
    key_uid: UUID
    occurred_at: float
    operation: str
    model: str
    endpoint: str
    status: int
    input_tokens: int
    output_tokens: int
    content_type: str
    policy: PolicyView | None = None
    request: bytes = field(default=b"", repr=False)
    answer: bytes = field(default=b"", repr=False)
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class TraceView:
    """A trace without its texts. `size`: bytes of both texts as they were kept."""

    request_id: str
    path: str
    policy: UUID
    occurred_at: datetime
    expires_at: datetime
    operation: str
    model: str
    endpoint: str
    key_uid: UUID
    status: int
    input_tokens: int
    output_tokens: int
    content_type: str
    size: int
    truncated: bool


@dataclass(frozen=True, slots=True)
class SealedTrace:
    """A trace as stored, with the key that opens it."""

    view: TraceView
    key: secrets.WrappedKey
    nonce: bytes = field(repr=False)
    ciphertext: bytes = field(repr=False)

    @property
    def sealed(self) -> secrets.SealedSecret:
        """As the keyring opens it."""
        return secrets.SealedSecret(
            place_of(self.view.policy, self.view.request_id, self.view.path), self.key, self.nonce, self.ciphertext
        )


@dataclass(frozen=True, slots=True)
class OpenedTrace:
    """A trace with its texts. What was no UTF-8 shows as replacement characters."""

    view: TraceView
    request: str
    answer: str


def place_of(policy: UUID, request_id: str, scope: str) -> secrets.Place:
    """Where a trace belongs; sealed, it opens nowhere else."""
    return secrets.Place(policy, f"trace/{request_id}", scope)
