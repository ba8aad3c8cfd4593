"""What the routes of `/segments` take and give."""

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from service.api.moments import Day
from service.api.schemas import Fault, Key, Kind, Page, Status, Strict, Text
from service.core.instants import format_instant, parse_instant
from service.core.traits import Dimension


def _instant(text: str) -> str:
    """An instant as it is kept: RFC 3339 in UTC. A day alone is none: it lasts too long."""
    instant = parse_instant(text, UTC) if len(text) > len("2027-03-01") else None
    if instant is None:
        raise ValueError("write an instant with its zone, such as 2027-03-01T00:00:00Z")
    return format_instant(instant)


Instant = Annotated[
    str, AfterValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})
]


def _figure(value: Any) -> int | float:
    """A number that a figure can be."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticCustomError("figure_type", "this has to be a number")
    try:
        float(value)
    except OverflowError as error:
        raise ValueError("the number is too large to be kept") from error
    return value


Figure = Annotated[Any, AfterValidator(_figure), WithJsonSchema({"type": "number"})]


class Persona(Strict):
    """Who is in the segment, for people."""

    summary: Annotated[Text, Field(max_length=4_000)] = ""
    needs: list[Text] = Field(default_factory=list)
    goals: list[Text] = Field(default_factory=list)


class SegmentDocument(Strict):
    """A segment's definition. Without `condition` it is a list."""

    name: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    description: Annotated[Text, Field(max_length=10_000)] = ""
    dimensions: list[Dimension] = Field(default_factory=list)
    condition: dict[str, Any] | None = Field(
        default=None, description="A RuleGroupType of react-querybuilder."
    )
    scheme: Key | None = Field(default=None, description="The exclusive scheme it belongs to.")
    priority: Annotated[int, Field(strict=True, ge=0, le=1_000_000)] | None = Field(
        default=None, description="Its place in the scheme: the lowest number that is true wins."
    )
    status: Literal["draft", "active"] = "active"
    owner: Annotated[Text, Field(max_length=200)] | None = Field(
        default=None, description="The team or person who answers for it."
    )
    tags: Annotated[list[Annotated[Text, Field(max_length=64)]], Field(max_length=50)] = Field(
        default_factory=list
    )
    review_by: Day | None = Field(
        default=None, description="The day by which somebody should look at it again."
    )
    expires_at: Instant | None = Field(
        default=None, description="When it is archived by itself, and its members leave."
    )
    persona: Persona | None = None
    treatment: dict[str, Any] | None = Field(
        default=None, description="How to address its members: channels, tone, message, offer ..."
    )
    limits: dict[str, Figure] | None = Field(
        default=None,
        description="`min_size` (customers) and `min_share` (of 1): below, a warning says so.",
    )
    goals: dict[str, Figure] | None = Field(
        default=None, description="What it is for, in figures: `conversion_rate` ..."
    )
    min_dwell: None = Field(default=None, description="Not available in this version.")

    @model_validator(mode="after")
    def _scheme_and_priority(self) -> "SegmentDocument":
        if self.priority is not None and self.scheme is None:
            raise ValueError("a priority is a place in a scheme: name the scheme")
        return self

    @field_validator("limits")
    @classmethod
    def _limits(cls, limits: dict[str, float] | None) -> dict[str, float] | None:
        least = limits or {}
        if least.get("min_size", 0) < 0 or not 0 <= least.get("min_share", 0) <= 1:
            raise ValueError("min_size is 0 or more, min_share between 0 and 1")
        return limits


_EXAMPLE: dict[str, Any] = {
    "name": "Big spenders",
    "description": "Whoever spent more than 500 and lives where we deliver.",
    "dimensions": ["value"],
    "condition": {
        "combinator": "and",
        "rules": [
            {"field": "total_spent", "operator": ">", "value": 500},
            {"field": "address.country", "operator": "in", "value": ["CZ", "SK"]},
        ],
    },
    "status": "active",
    "owner": "crm",
    "tags": ["retention"],
    "review_by": "2027-03-01",
    "treatment": {"channels": ["email"], "tone": "grateful", "offer": "Early access"},
    "limits": {"min_size": 100, "min_share": 0.01},
    "goals": {"conversion_rate": 0.05},
}


class KeyedSegment(SegmentDocument):
    """A segment's definition, which may repeat the key it is put at."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    key: Key | None = None


class NewSegment(SegmentDocument):
    """A segment's definition with its key."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"key": "big-spenders", **_EXAMPLE}]}
    )

    key: Key


class Moves(BaseModel):
    """How often customers entered or left, in the last day, 7 days and 30 days."""

    day: int
    week: int
    month: int


class SegmentMetrics(BaseModel):
    """What a segment comes to. Money in the base currency; shares and rates of 1; null where no
    member has the traits it takes, or they are personal and the key may not read those."""

    as_of: datetime
    size: int = Field(description="Customers in the segment.")
    share: float = Field(description="`size` / `customers`.")
    customers: int = Field(description="All customers there are, but those `excluded`.")
    excluded: int = Field(
        default=0,
        description="Customers who are in no segment and no figure: for tests, staff, machines.",
    )
    revenue: float | None
    orders: int | None
    average_order_value: float | None = Field(description="`revenue` / `orders`.")
    repeat_rate: float | None = Field(
        description="Customers with two or more orders among those with one or more."
    )
    average_recency_days: float | None = Field(description="Mean days since the last order.")
    reachable: dict[str, int] | None = Field(
        default=None,
        description="By channel, how many subscribed and are not suppressed. Null until they are "
        "next measured, where that was last done before consents were kept.",
    )
    entered: Moves
    exited: Moves


class Segment(BaseModel):
    """A segment as it is served."""

    key: str
    name: str
    description: str = ""
    dimensions: list[str] = []
    condition: dict[str, Any] | None = None
    scheme: str | None = None
    priority: int | None = None
    status: Status
    kind: Kind
    summary: str = Field(description="The condition in plain English.")
    version: int
    owner: str | None = None
    tags: list[str] = []
    review_by: date | None = None
    expires_at: datetime | None = None
    persona: dict[str, Any] | None = None
    treatment: dict[str, Any] | None = None
    limits: dict[str, float] | None = None
    goals: dict[str, float] | None = None
    warnings: list[Fault] = Field(
        default=[], description="What its owner should know, each with its place."
    )
    masked: list[str] = Field(
        default=[],
        description="JSON pointers of what is masked, because it is personal. Don't send it back.",
    )
    created_at: datetime
    updated_at: datetime
    metrics: SegmentMetrics | None = Field(
        default=None,
        description="The latest snapshot, with `as_of`; null before the first, and without the "
        "scope `read`.",
    )


class Segments(Page):
    """A page of segments."""

    items: list[Segment]
