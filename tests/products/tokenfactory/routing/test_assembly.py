"""From declarations to a table: what tells one model's route from another's."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

from ironworks.products.tokenfactory.routing import AddressPolicy, Declared, RouteTable, build_routes
from ironworks.products.tokenfactory.routing.model import ExternalEndpoint, ExternalEndpointSpec, ExternalEndpointStatus
from ironworks.products.tokenfactory.traces import Captures
from ironworks.shared.kind import Metadata
from tests.products.tokenfactory.routing.conftest import PLACE, external
from tests.products.tokenfactory.traces.test_capture import Shelf, policy

TENANT = f"{PLACE}.eu"


def table(uid: UUID) -> RouteTable:
    """Of one external endpoint, `openai`, with the models `gpt-4o` and `small`."""
    now = datetime.now(UTC)
    found = ExternalEndpoint(
        kind="ExternalEndpoint",
        metadata=Metadata(name="openai", scope=PLACE, uid=uid, creation_timestamp=now, update_timestamp=now),
        spec=ExternalEndpointSpec.model_validate(external()),
        status=ExternalEndpointStatus(),
    )
    return RouteTable(build_routes(Declared((), [(found, {})]), (), AddressPolicy()))


def test_each_model_of_an_external_endpoint_has_a_route_of_its_own() -> None:
    uid = uuid4()
    large, small = (table(uid).resolve(TENANT, f"openai/{model}") for model in ("gpt-4o", "small"))
    assert large is not None
    assert small is not None
    assert len({large.uid, small.uid, uid}) == 3, "limits, budgets and traces tell routes apart by it"
    again = table(uid).resolve(TENANT, "openai/gpt-4o")
    assert again is not None
    assert again.uid == large.uid, "whoever loads it"


def test_a_trace_policy_for_one_model_keeps_no_text_of_another() -> None:
    routes = table(uuid4())

    def uid_of(scope: str, model: str) -> UUID | None:
        found = routes.resolve(scope, model)
        return found.uid if found else None

    captures = Captures(Shelf())
    captures.replace([policy(scope=TENANT, model="openai/gpt-4o")], uid_of)
    wanted, other = uid_of(TENANT, "openai/gpt-4o"), uid_of(TENANT, "openai/small")
    assert wanted is not None
    assert other is not None
    assert captures.begin(wanted, TENANT, b"kept") is not None
    assert captures.begin(other, TENANT, b"private") is None
