"""The price book over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ironworks.platform.pricing import service
from ironworks.platform.pricing.model import ANY_MODEL, CURRENCY, MAX_SCALE, MAX_UNIT_PRICE, Price, PriceKey
from ironworks.shared.context import Context
from ironworks.shared.http import AUTHENTICATED, Router

router = Router("platform.pricing")

Moment = Annotated[AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC), le=datetime(2200, 1, 1, tzinfo=UTC))]


class PricesQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    at: Moment | None = Field(None, description="Only the versions in force at this moment.")


class NewPrice(BaseModel):
    model_config = ConfigDict(extra="forbid")
    meter: str = Field(min_length=1, max_length=128)
    model: str = Field(ANY_MODEL, min_length=1, max_length=512, description="`*` for every model without its own.")
    currency: str = Field(CURRENCY, pattern="^[A-Z]{3}$")
    unit_price: Decimal = Field(
        ge=0, le=MAX_UNIT_PRICE, decimal_places=MAX_SCALE, description="Exact, for one unit of the meter."
    )
    valid_from: Moment | None = Field(None, description="Default: now. In the past only where there was no price.")


class PriceView(BaseModel):
    id: UUID
    meter: str
    model: str
    currency: str
    unit_price: str = Field(description="Exact decimal, for one unit of the meter.")
    per_million: str = Field(description="The same for a million units.")
    valid_from: datetime
    valid_to: datetime | None

    @classmethod
    def of(cls, price: Price) -> PriceView:
        return cls(
            id=price.id,
            **price.key._asdict(),
            unit_price=format(price.unit_price, "f"),
            per_million=format(price.unit_price.scaleb(6), "f"),
            valid_from=price.valid_from,
            valid_to=price.valid_to,
        )


class PriceList(BaseModel):
    items: list[PriceView]


@router.get("/api/v1/prices", permission=AUTHENTICATED)
async def list_prices(ctx: Context, query: PricesQuery) -> PriceList:
    """List the price book: every version, or those in force at a moment."""
    return PriceList(items=[PriceView.of(price) for price in await service.list_prices(ctx, query.at)])


@router.post("/api/v1/prices", permission="price:create", status=201)
async def create_price(ctx: Context, body: NewPrice) -> PriceView:
    """Add a version to the price book; it closes the one before and never alters what is rated."""
    key = PriceKey(body.meter, body.model, body.currency)
    return PriceView.of(await service.create_price(ctx, key, body.unit_price, body.valid_from))
