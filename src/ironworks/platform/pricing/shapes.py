"""What the price book looks like over HTTP."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID, uuid4

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from ironworks.platform.pricing.model import (
    ANY_MODEL,
    CURRENCY,
    MAX_SCALE,
    MAX_UNIT_PRICE,
    AccountCurrency,
    Price,
    PriceKey,
    show_nano,
)
from ironworks.platform.pricing.simulation import Difference, GroupBy, OtherBook, Simulation
from ironworks.platform.pricing.terms import (
    MAX_COUNT,
    MAX_MINIMUM,
    MAX_TIERS,
    Adjustment,
    Package,
    PriceTerms,
    TermsVersion,
    Tier,
    TierMode,
)
from ironworks.shared.errors import invalid
from ironworks.shared.listing import DEFAULT_PAGE, MAX_PAGE
from ironworks.shared.path import parse_path, show_path
from ironworks.shared.shapes import Shape

Moment = Annotated[AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC), le=datetime(2200, 1, 1, tzinfo=UTC))]
Day = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2200, 1, 1))]
UnitPrice = Annotated[Decimal, Field(ge=0, le=MAX_UNIT_PRICE, decimal_places=MAX_SCALE)]
Sum = Annotated[Decimal, Field(ge=0, le=MAX_MINIMUM, decimal_places=MAX_SCALE)]
MAX_BOOK = 1000


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BookQuery(Strict):
    scope: str | None = Field(None, max_length=512, description="Only what counts there: its own, and those above.")
    meter: str | None = Field(None, min_length=1, max_length=128, description="Only what is for this meter.")
    limit: int = Field(DEFAULT_PAGE, ge=1, le=MAX_PAGE)
    cursor: str | None = Field(None, max_length=4096)

    @property
    def path(self) -> str | None:
        return None if self.scope is None else parse_path(self.scope)


class PricesQuery(BookQuery):
    at: Moment | None = Field(None, description="Only the versions in force at this moment.")


class Key(Strict):
    """What a price, or terms, are for."""

    meter: str = Field(min_length=1, max_length=128)
    model: str = Field(ANY_MODEL, min_length=1, max_length=512, description="`*` for every model without its own.")
    currency: str = Field(CURRENCY, pattern="^[A-Z]{3}$")
    scope: str = Field("-", max_length=512, description="Where it holds, and below; `-` is everywhere.")

    def key(self) -> PriceKey:
        return PriceKey(self.meter, self.model, self.currency, parse_path(self.scope))


class NewPrice(Key):
    unit_price: UnitPrice | None = Field(None, description="Exact, for one unit of the meter.")
    withdrawn: bool = Field(False, description="There is none from then on, and the next one above counts.")
    valid_from: Moment | None = Field(None, description="Default: now. In the past only where there was no price.")

    @model_validator(mode="after")
    def one_of_both(self) -> NewPrice:
        if (self.unit_price is None) != self.withdrawn:
            raise ValueError("give either `unit_price` or `withdrawn`")
        return self


class PriceView(BaseModel):
    id: UUID
    meter: str
    model: str
    currency: str
    scope: str
    unit_price: str = Field(description="Exact decimal, for one unit of the meter.")
    per_million: str = Field(description="The same for a million units.")
    valid_from: datetime
    valid_to: datetime | None
    withdrawn: bool = Field(description="From `valid_from` on there is no price of this scope, model and meter.")

    @classmethod
    def of(cls, price: Price) -> PriceView:
        return cls(
            id=price.id,
            **price.key._asdict() | {"scope": show_path(price.key.scope)},
            unit_price=format(price.unit_price, "f"),
            per_million=format(price.unit_price.scaleb(6), "f"),
            valid_from=price.valid_from,
            valid_to=price.valid_to,
            withdrawn=price.withdrawn,
        )


class PriceList(BaseModel):
    items: list[PriceView]
    next_cursor: str | None


class TierBody(Strict):
    up_to: int | None = Field(None, ge=1, le=MAX_COUNT, description="The last unit of the tier; null in the last tier.")
    unit_price: UnitPrice


class PackageBody(Strict):
    size: int = Field(ge=1, le=MAX_COUNT)
    price: Sum = Field(description="Of a package, begun or whole.")


class TermsBody(Strict):
    """How a period's quantity is charged, where that is not at base price; applied in this order."""

    included: int = Field(0, ge=0, le=MAX_COUNT, description="So many units are free.")
    tiers: list[TierBody] = Field(
        [], max_length=MAX_TIERS, description="Prices of the rest, instead of the base price."
    )
    mode: TierMode = Field(TierMode.GRADUATED, description="Each unit at its tier's price, or all at the last one's.")
    package: PackageBody | None = Field(None, description="Instead of tiers: the rest in packages.")
    discount: Decimal = Field(Decimal(0), ge=0, le=100, decimal_places=MAX_SCALE, description="Per cent off all that.")
    minimum: Sum = Field(Decimal(0), description="In the currency, for a period, used or not.")

    def terms(self) -> PriceTerms:
        tiers = tuple(Tier(tier.up_to, tier.unit_price) for tier in self.tiers)
        package = Package(self.package.size, self.package.price) if self.package else None
        return PriceTerms(self.included, tiers, self.mode, package, self.discount, self.minimum)

    @classmethod
    def of(cls, terms: PriceTerms) -> TermsBody:
        return cls(
            included=terms.included,
            tiers=[TierBody(up_to=tier.up_to, unit_price=tier.unit_price) for tier in terms.tiers],
            mode=terms.mode,
            package=PackageBody(size=terms.package.size, price=terms.package.price) if terms.package else None,
            discount=terms.discount,
            minimum=terms.minimum,
        )


class NewTerms(Key):
    terms: TermsBody = Field(TermsBody(), description="Nothing in it: none, and those above do not count either.")
    withdrawn: bool = Field(False, description="There are none from then on, and the next ones above count.")
    valid_from: Day | None = Field(None, description="For periods that begin on this UTC day or later; default: today.")

    @model_validator(mode="after")
    def one_of_both(self) -> NewTerms:
        if self.withdrawn and self.terms != TermsBody():
            raise ValueError("give either `terms` or `withdrawn`")
        return self


class TermsView(BaseModel):
    id: UUID
    meter: str
    model: str
    currency: str
    scope: str
    terms: TermsBody
    valid_from: date
    withdrawn: bool

    @classmethod
    def of(cls, version: TermsVersion) -> TermsView:
        return cls(
            id=version.id,
            **version.key._asdict() | {"scope": show_path(version.key.scope)},
            terms=TermsBody.of(version.terms),
            valid_from=version.valid_from,
            withdrawn=version.withdrawn,
        )


class TermsList(BaseModel):
    items: list[TermsView]
    next_cursor: str | None


class PeriodQuery(Strict):
    from_: Day = Field(alias="from", description="The first day, in UTC.")
    to: Day = Field(description="The day after the last one.")
    currency: str = Field(CURRENCY, pattern="^[A-Z]{3}$")

    def days(self) -> tuple[date, date]:
        if not self.from_ < self.to:
            raise invalid("from", "is not before `to`", "give the first day, and the one after the last")
        return self.from_, self.to


class NewCurrency(Strict):
    currency: str = Field(pattern="^[A-Z]{3}$")
    valid_from: Moment | None = Field(None, description="Default: now.")


class CurrencyVersion(BaseModel):
    currency: str
    valid_from: datetime


class CurrencyView(BaseModel):
    currency: str = Field(description="The one that counts now.")
    versions: list[CurrencyVersion] = Field(description="Without one, it is the installation's.")

    @classmethod
    def of(cls, now: str, versions: list[AccountCurrency]) -> CurrencyView:
        kept = [CurrencyVersion(currency=each.currency, valid_from=each.valid_from) for each in versions]
        return cls(currency=now, versions=kept)


class NanoAmount(BaseModel):
    nano: int = Field(description="Whole nano-units (10⁻⁹) of the currency.")
    amount: str

    @classmethod
    def of(cls, nano: int) -> NanoAmount:
        return cls(nano=nano, amount=show_nano(nano))


class AdjustmentView(Shape):
    scope: str
    meter: str
    model: str
    description: str
    quantity: int
    adjustment: NanoAmount
    terms_id: UUID

    @classmethod
    def of(cls, adjustment: Adjustment) -> AdjustmentView:
        return cls.show(adjustment, scope=show_path(adjustment.scope), adjustment=NanoAmount.of(adjustment.amount_nano))


class AdjustmentList(BaseModel):
    currency: str
    items: list[AdjustmentView]


class OtherPrice(Strict):
    meter: str = Field(min_length=1, max_length=128)
    model: str = Field(ANY_MODEL, min_length=1, max_length=512)
    scope: str = Field("-", max_length=512)
    unit_price: UnitPrice


class OtherTerms(Strict):
    meter: str = Field(min_length=1, max_length=128)
    model: str = Field(ANY_MODEL, min_length=1, max_length=512)
    scope: str = Field("-", max_length=512)
    terms: TermsBody


class SimulationBody(PeriodQuery):
    """Another book for a past period; what it does not name is as it was."""

    group_by: GroupBy = GroupBy.METER
    limit: int = Field(DEFAULT_PAGE, ge=1, le=MAX_PAGE, description="At most so many groups; the total is of all.")
    prices: list[OtherPrice] = Field([], max_length=MAX_BOOK)
    terms: list[OtherTerms] = Field([], max_length=MAX_BOOK)

    def book(self) -> OtherBook:
        terms = [TermsVersion(uuid4(), self._key(each), each.terms.terms(), self.from_) for each in self.terms]
        return OtherBook({self._key(each): each.unit_price for each in self.prices}, terms)

    def _key(self, each: OtherPrice | OtherTerms) -> PriceKey:
        return PriceKey(each.meter, each.model, self.currency, parse_path(each.scope))


class SimulatedGroup(BaseModel):
    name: str
    quantity: int
    was: NanoAmount = Field(description="At base price.")
    would_be: NanoAmount
    adjusted_was: NanoAmount = Field(description="What terms made of it; in the total, and in groups by account.")
    adjusted_would_be: NanoAmount
    difference: NanoAmount

    @classmethod
    def of(cls, group: Difference) -> SimulatedGroup:
        return cls(
            name=group.name,
            quantity=group.quantity,
            was=NanoAmount.of(group.was_nano),
            would_be=NanoAmount.of(group.would_nano),
            adjusted_was=NanoAmount.of(group.adjusted_was_nano),
            adjusted_would_be=NanoAmount.of(group.adjusted_would_nano),
            difference=NanoAmount.of(group.difference_nano),
        )


class SimulationView(BaseModel):
    currency: str
    groups: list[SimulatedGroup] = Field(description="The largest difference first.")
    total: SimulatedGroup
    waiting: int = Field(description="Quantities that have no price, and count for nothing here.")
    would_wait: int = Field(description="Those that would have none.")

    @classmethod
    def of(cls, currency: str, simulation: Simulation, limit: int) -> SimulationView:
        return cls(
            currency=currency,
            groups=[SimulatedGroup.of(group) for group in simulation.groups[:limit]],
            total=SimulatedGroup.of(simulation.total),
            waiting=simulation.waiting,
            would_wait=simulation.would_wait,
        )
