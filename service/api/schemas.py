"""What the ordinary routes take and give."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    WithJsonSchema,
)

from service.core.traits import Dimension, TraitType

KEY_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"
RESERVED_KEYS = frozenset({"preview", "overlap", "import"})
Status = Literal["draft", "active", "archived"]
Kind = Literal["rule", "model", "list"]


def _not_reserved(key: str) -> str:
    if key in RESERVED_KEYS:
        raise ValueError(f"{key} is reserved")
    return key


def storable(text: str) -> str:
    """A text that PostgreSQL can keep: no U+0000."""
    if "\0" in text:
        raise ValueError("U+0000 can't be stored in a text")
    return text


Text = Annotated[str, AfterValidator(storable)]
Key = Annotated[str, Field(pattern=KEY_PATTERN), AfterValidator(_not_reserved)]


class Strict(BaseModel):
    """A body whose unknown members are refused."""

    model_config = ConfigDict(extra="forbid")


class Fault(BaseModel):
    """One thing that is wrong, and where."""

    pointer: str = Field(
        description="RFC 6901: into the body; below `/query`, `/path` or `/header` elsewhere; "
        "`line 12` of an uploaded list."
    )
    code: str = Field(description="For programs; docs/errors.md lists them.")
    detail: str = Field(description="For people.")


class Page(BaseModel):
    """A page of a list; `next_cursor` leads to the next, null on the last."""

    next_cursor: str | None = None


class Member(BaseModel):
    """A customer in a segment."""

    customer_id: str
    since: datetime
    version: int = Field(description="The definition's version that let them in.")


class Members(Page):
    """A page of members."""

    items: list[Member]


class ListChange(Strict):
    """Ids to add to and to remove from a list."""

    add: Annotated[list[Annotated[Text, Field(min_length=1, max_length=256)]],
                   Field(max_length=10_000)] = []  # fmt: skip
    remove: Annotated[list[Annotated[Text, Field(min_length=1, max_length=256)]],
                      Field(max_length=10_000)] = []  # fmt: skip


class ListChanged(BaseModel):
    """How many entries of the list changed."""

    changed: int


class UploadedList(BaseModel):
    """What an upload came to."""

    job: int = Field(description="The job that decides the customers who came or went.")
    size: int = Field(description="Ids that are on the list now.")
    added: int
    removed: int
    ignored: list[str] = Field(description="Columns or members that were ignored: the first 20.")


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
    """What a model says of a customer; null where it has nothing to say."""

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
        description='Places whose value is "***", because conditions name personal values there.',
    )
    kind: Literal["given", "derived", "ready_made"] = Field(
        default="given",
        description="Told by callers; computed as defined here; or computed without being defined, "
        "as soon as anything reads it.",
    )
    declared: bool = True
    coverage: TraitCoverage | None = Field(
        default=None, description="null where nobody has been counted yet."
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


class Job(BaseModel):
    """A background job."""

    id: int
    kind: str
    status: Literal["queued", "running", "done", "failed"]
    detail: dict[str, Any]
    done: int
    total: int | None
    rate: float | None = Field(description="Customers a second.")
    eta_seconds: float | None
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class JobPage(Page):
    """A page of jobs, the newest first."""

    items: list[Job]


class Refused(BaseModel):
    """A definition or a model that is not served, and why."""

    kind: Literal["segment", "trait", "model"]
    key: str
    problems: list[Fault]


class ActiveModel(BaseModel):
    """A model that is served."""

    version: str
    form: Literal["onnx", "joblib"] = Field(description="What answers: ONNX, or the pipeline.")
    reason: str | None = Field(description="Why it is not ONNX that answers.")


class CatalogState(BaseModel):
    """What this process serves."""

    revision: int
    segments: int
    schemes: dict[str, list[str]]
    models: dict[str, ActiveModel]
    refused: list[Refused]


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class DatabaseReadiness(BaseModel):
    """Whether the database answers."""

    ready: bool
    revision: int | None = Field(default=None, description="The newest revision it holds.")
    reason: str | None = None


class CatalogReadiness(BaseModel):
    """Whether there is a catalog to serve."""

    ready: bool
    revision: int = Field(description="The revision this process serves.")
    segments: int
    refused: list[Refused]


class ModelsReadiness(BaseModel):
    """Whether every registered model is served."""

    ready: bool
    active: dict[str, ActiveModel]
    refused: list[Refused]


class Readiness(BaseModel):
    """Whether the service can do its work, part by part."""

    ready: bool
    database: DatabaseReadiness
    catalog: CatalogReadiness
    models: ModelsReadiness


_PROBLEM: dict[str, Any] = {
    "type": "urn:segserve:problem:invalid",
    "title": "Unprocessable Entity",
    "status": 422,
    "detail": '"=>" is no operator',
    "instance": "/segments/adults",
    "code": "invalid",
    "message": '"=>" is no operator',
    "errors": [
        {
            "pointer": "/condition/rules/0/operator",
            "code": "unknown_operator",
            "detail": '"=>" is no operator',
        }
    ],
}


class ProblemDocument(BaseModel):
    """RFC 9457: what is wrong, and where."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PROBLEM]})

    type: str = Field(description="A URN that ends in the code.")
    title: str = Field(description="The status in words.")
    status: int
    detail: str = Field(description="What is wrong, for people.")
    instance: str = Field(description="The path that was asked.")
    code: str = Field(description="For programs; docs/errors.md lists them.")
    message: str = Field(description="The same as detail, for tracking SDKs.")
    errors: list[Fault] = Field(default=[], description="Each fault with its place; or absent.")
