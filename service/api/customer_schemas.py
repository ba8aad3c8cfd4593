"""What the routes of customers take and give."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, WithJsonSchema

from service.api.schemas import Page, Strict, Text


class TraitValue(BaseModel):
    """A trait's value and where it came from."""

    value: Any
    source: str | None = None
    updated_at: datetime | None = None


class HeldMembership(BaseModel):
    """A segment that a customer is in."""

    key: str
    since: datetime
    version: int


class ChannelConsent(BaseModel):
    """Whether a customer may be written to by a channel, and why."""

    status: Literal["subscribed", "unsubscribed", "never"] = Field(
        description="What they said last; `never` also where they never said anything."
    )
    at: datetime | None = Field(description="When they said so.")
    source: str | None = Field(description="Who told us.")
    suppressed: Literal["bounce", "complaint"] | None = Field(
        description="Why the channel is closed for good, whatever they want."
    )
    suppressed_at: datetime | None
    suppressed_by: str | None = Field(description="Who told us that.")
    reachable: bool = Field(description="Subscribed, and not suppressed.")


class ModelAnswer(BaseModel):
    """What a model says of a customer; null where it has nothing to say. Where it reads personal
    traits, `label` is "***" and the rest null for callers without the scope `personal`."""

    version: str
    label: str | None
    confidence: float | None = Field(description="From 0 to 1; of clusters 1 - d1/d2.")
    score: float | None
    unusual: bool | None = Field(description="Unlike all that the model was trained on.")


class KnownBy(BaseModel):
    """An identity of a customer."""

    kind: str = Field(description="email, phone, anonymous_id, or a vendor's namespace.")
    value: str
    verified: bool = Field(
        description="Whether a server said so: a browser's word joins nobody, and finds them."
    )


class Customer(BaseModel):
    """A stored customer."""

    customer_id: str
    type: str
    first_seen: datetime
    last_seen: datetime
    traits: dict[str, Any]
    sources: dict[str, TraitValue] = Field(description="Each trait by its dotted path.")
    masked: list[str] = Field(
        default=[], description='Paths whose value is "***", because they are personal.'
    )
    other_ids: list[str] = Field(default=[], description="Ids that were joined to this customer's.")
    identities: list[KnownBy] | None = Field(
        default=None,
        description="What the customer is known by; null for callers without the scope `personal`.",
    )
    consent: dict[str, ChannelConsent] | None = Field(
        default=None,
        description="By channel; null for callers who may not read it, as it is personal.",
    )
    segments: list[HeldMembership]
    lists: list[str]
    models: dict[str, ModelAnswer]
    valid_until: datetime | None
    sequence: int
    catalog_revision: int
    decided_at: datetime | None


class Proof(BaseModel):
    """That somebody was erased. It holds nothing personal."""

    fingerprint: str = Field(
        description="HMAC-SHA-256 of the id under this installation's secret key, hex."
    )
    erased_at: datetime = Field(description="Data dated up to here is dropped when it comes late.")
    dropped: int = Field(description="How much came late and was dropped.")


class Erased(BaseModel):
    """The proof of an erasure."""

    erasure: Proof


class Verified(BaseModel):
    """Whether somebody was erased, and the proof of the latest time."""

    erased: bool
    erasure: Proof | None


class Customers(BaseModel):
    """Customers, a page of them."""

    items: list[Customer]
    next_cursor: str | None


class MergeRequest(Strict):
    """Which customer, or which of the other ids, it is about."""

    from_: Annotated[Text, Field(alias="from", min_length=1, max_length=256)]


class PersonIds(BaseModel):
    """The ids of one person."""

    customer_id: str
    other_ids: list[str] = Field(description="What else is this customer, by merges and claims.")


class PersonNamed(Strict):
    """Whom it is about."""

    customer_id: Annotated[Text, Field(min_length=1, max_length=256)]


REASON: dict[str, Any] = {
    "type": "object",
    "description": "Why: new traits or events, time, an import, a merge, a changed list, "
    "definition, model or rank, or catching up.",
    "properties": {
        "kind": {
            "enum": [
                "trait",
                "event",
                "time",
                "list",
                "import",
                "definition",
                "model",
                "rank",
                "merge",
                "catch_up",
            ]
        },
        "traits": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Which traits, where kind is trait; the first 20.",
        },
    },
    "required": ["kind"],
}


class Transition(BaseModel):
    """A customer entered or left a segment."""

    sequence: int
    segment: str
    type: Literal["entered", "exited"]
    version: int
    at: datetime
    reason: Annotated[dict[str, Any], WithJsonSchema(REASON)]


class Transitions(Page):
    """A page of transitions, the newest first."""

    items: list[Transition]


class TraitChange(BaseModel):
    """A value that a trait took; null: it was removed."""

    path: str
    value: Any
    at: datetime
    message_id: str | None
    source: str


class ToldEvent(BaseModel):
    """An event as it was told."""

    name: str
    at: datetime
    source: str
    message_id: str
    properties: dict[str, Any]


class KeptOrder(BaseModel):
    """An order: all that was told of it, and what it comes to in the base currency."""

    store: str
    order_id: str
    placed_at: datetime | None
    cancelled_at: datetime | None
    net: Decimal | None
    gross: Decimal | None
    facts: dict[str, Any] = Field(description="What each message told, and when.")


class NotImported(BaseModel):
    """A row of an imported file that was not imported; kept for seven days."""

    job: int = Field(description="The import.")
    row: int = Field(description="As a spreadsheet counts: the header of CSV is row 1.")
    column: str | None
    code: str
    detail: str
    cells: list[Any] | None = Field(description="The row, in the order of the file's columns.")


class Reject(BaseModel):
    """A message, or the part of one at `pointer`, that was not taken."""

    source: str = Field(description="The source that sent it.")
    received_at: datetime
    code: str = Field(description="For programs; docs/errors.md lists them.")
    detail: str = Field(description="For people.")
    pointer: str = Field(description="RFC 6901, into the message; empty: all of it.")
    message_id: str | None
    message: str | None = Field(
        description="The beginning of the message as it came; null for callers without the scope "
        "`personal`, and where its person was erased."
    )


class PersonExport(BaseModel):
    """Everything kept of a person."""

    customer_id: str
    exported_at: datetime
    lists: list[str] = Field(description="Lists with this id, those archived too.")
    profile: Customer | None = Field(description="null for an id that is only on lists.")
    trait_history: list[TraitChange] = Field(description="The oldest first.")
    transitions: list[Transition] = Field(description="The oldest first.")
    events: list[ToldEvent] = Field(description="The oldest first.")
    orders: list[KeptOrder] = Field(description="The oldest first.")
    rejects: list[Reject] = Field(description="What came of them and was not taken.")
    import_rejects: list[NotImported] = Field(description="Rows of files that name them.")
