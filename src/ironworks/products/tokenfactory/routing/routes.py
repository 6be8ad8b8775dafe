"""Connectivity checks over HTTP. Everything else about the two kinds is what every kind has."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from ironworks.products.tokenfactory.routing import service
from ironworks.products.tokenfactory.routing.addresses import AddressPolicy
from ironworks.products.tokenfactory.routing.declarations import TEST
from ironworks.products.tokenfactory.routing.model import CheckedUpstream, ExternalEndpointSpec, Prober, UpstreamStatus
from ironworks.shared.http import Call, Router


class TestRequest(BaseModel):
    """A spec that need not be stored, with its credentials."""

    model_config = ConfigDict(extra="forbid")
    spec: ExternalEndpointSpec


class SpecReport(BaseModel):
    """What a look at each upstream of a spec found, and what it offers."""

    upstream_status: list[CheckedUpstream]


class TestReport(BaseModel):
    """What a look at each upstream found."""

    upstream_status: list[UpstreamStatus]


router = Router("tokenfactory.routing")


@router.post(
    "/api/v1/scopes/{path}/external-endpoints:test",
    permission=TEST,
    calls_out=True,
    summary="Check the upstreams of an external endpoint before it is stored",
)
async def test_external_endpoint(
    call: Call, path: str, body: TestRequest, prober: Prober, policy: AddressPolicy
) -> SpecReport:
    return SpecReport(upstream_status=await service.test_spec(prober, policy, body.spec))


@router.post(
    "/api/v1/scopes/{path}/external-endpoints/{name}:test",
    permission=TEST,
    calls_out=True,
    summary="Check the upstreams of a stored external endpoint now",
)
async def test_stored_external_endpoint(call: Call, path: str, name: str) -> TestReport:
    return TestReport(upstream_status=await service.test_stored(call, path, name))
