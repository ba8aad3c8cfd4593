"""What the routes of `/traits` take and give."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StrictBool

from service.api.schemas import Page, Strict, Text
from service.core.traits import Dimension, TraitType


class TraitDeclaration(Strict):
    """A trait's declared type and dimension, and whether it is personal."""

    type: TraitType | None = None
    dimension: Dimension | None = None
    personal: StrictBool = Field(
        default=False,
        description="Masked, with all below it, for callers without the scope `personal`.",
    )
    writable_by: Literal["server"] | None = Field(
        default=None,
        description="`server`: sources of type browser can't write it, nor what is below it.",
    )
    description: Annotated[Text, Field(max_length=2_000)] = ""
    aggregate: dict[str, Any] | None = Field(
        default=None,
        description="Derived from events: `{event, function, of, each, where, within | between}`.",
        examples=[{"event": "Page Viewed", "function": "count", "within": "30d"}],
    )
    ratio: dict[str, Any] | None = Field(
        default=None,
        description="Derived: one trait divided by another.",
        examples=[{"numerator": "revenue", "denominator": "orders"}],
    )
    formula: str | None = Field(
        default=None,
        description="Derived: a calculation with traits.",
        examples=["revenue - refunds"],
    )
    score: dict[str, Any] | None = Field(
        default=None,
        description="Derived: points for conditions and for events.",
        examples=[{"points": [{"event": "Email Opened", "points": 2}], "half_life": "30d"}],
    )
    rank: dict[str, Any] | None = Field(
        default=None,
        description="Derived: the share of customers who have less, as of the last refresh.",
        examples=[{"of": "revenue", "order": "asc"}],
    )
    city: dict[str, Any] | None = Field(
        default=None,
        description="Derived: a fact of the city that traits name, `location` or `population`.",
        examples=[{"fact": "population", "name": "address.city", "country": "address.country"}],
    )


class TraitCoverage(BaseModel):
    """How many customers have a trait, as of the last count. Of more than 50,000 customers a sample
    is looked at, and what it comes to is told of all."""

    as_of: datetime
    customers: int = Field(description="How many have it.")
    share: float = Field(description="Of 1: `customers` / `of`.")
    types: dict[str, int] = Field(description="How many have it as which type.")
    of: int = Field(description="All customers there were.")
    looked_at: int
    exact: bool = Field(description="Whether all were looked at.")


class ValueCount(BaseModel):
    """A value, or an item of lists, and how many customers have it."""

    value: str | bool | int | float
    customers: int


class Trait(TraitDeclaration):
    """A trait: what is declared of it, and what customers have."""

    name: str
    masked: list[str] = Field(
        default=[],
        description='Places where "***" stands for values that conditions compare personal traits '
        "with, and for numbers in formulas of such.",
    )
    kind: Literal["given", "derived", "ready_made"] = Field(
        default="given",
        description="Told by callers; computed as defined here; or computed without being defined, "
        "as soon as anything reads it.",
    )
    declared: bool = True
    coverage: TraitCoverage | None = Field(
        default=None,
        description="null where nobody has been counted yet, and of what is below a personal trait "
        "for callers who may not read it; for those without the scope `read` always.",
    )
    top_values: list[ValueCount] | None = Field(
        default=None,
        description="The most frequent values, at most 20, none of fewer than 5 customers; null "
        "where nobody has been counted yet, and for callers who may not read it, as it is "
        "personal.",
    )


class RankRefresh(BaseModel):
    """The job that ranks everyone anew."""

    job: int


class TraitCount(BaseModel):
    """The job that counts traits anew."""

    job: int


class Traits(Page):
    """A page of traits."""

    items: list[Trait]
