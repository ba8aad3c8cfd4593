"""What the ordinary routes take and give."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

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


class Persona(Strict):
    """Who is in the segment, for people."""

    summary: Annotated[Text, Field(max_length=4_000)] = ""
    needs: list[Text] = []
    goals: list[Text] = []


class SegmentDocument(Strict):
    """A segment's definition. Without `condition` it is a list."""

    name: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    description: Annotated[Text, Field(max_length=10_000)] = ""
    dimensions: list[Dimension] = []
    condition: dict[str, Any] | None = Field(
        default=None, description="A RuleGroupType of react-querybuilder."
    )
    scheme: Key | None = Field(default=None, description="The exclusive scheme it belongs to.")
    priority: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(
        default=None, description="Its place in the scheme: the lowest number that is true wins."
    )
    status: Literal["draft", "active"] = "active"
    owner: Annotated[Text, Field(max_length=200)] | None = None
    tags: Annotated[list[Annotated[Text, Field(max_length=64)]], Field(max_length=50)] = []
    review_by: date | None = None
    persona: Persona | None = None
    treatment: dict[str, Any] | None = None
    limits: dict[str, float] | None = None
    goals: dict[str, float] | None = None
    expires_at: None = Field(default=None, description="Not available in this version.")
    min_dwell: None = Field(default=None, description="Not available in this version.")

    @model_validator(mode="after")
    def _scheme_and_priority(self) -> "SegmentDocument":
        if self.priority is not None and self.scheme is None:
            raise ValueError("a priority is a place in a scheme: name the scheme")
        return self


class KeyedSegment(SegmentDocument):
    """A segment's definition, which may repeat the key it is put at."""

    key: Key | None = None


class NewSegment(SegmentDocument):
    """A segment's definition with its key."""

    key: Key


class Fault(BaseModel):
    """One thing that is wrong, and where."""

    pointer: str = Field(
        description="RFC 6901: into the body; below `/query`, `/path` or `/header` elsewhere."
    )
    code: str = Field(description="For programs; docs/errors.md lists them.")
    detail: str = Field(description="For people.")


class Moves(BaseModel):
    """How often customers entered or left, in the last day, 7 days and 30 days."""

    day: int
    week: int
    month: int


class SegmentMetrics(BaseModel):
    """What a segment comes to. Money in the base currency; shares and rates of 1; null where no
    member has the traits it takes."""

    as_of: datetime
    size: int = Field(description="Customers in the segment.")
    share: float = Field(description="`size` / `customers`.")
    customers: int = Field(description="All customers there are.")
    revenue: float | None
    orders: int | None
    average_order_value: float | None = Field(description="`revenue` / `orders`.")
    repeat_rate: float | None = Field(
        description="Customers with two or more orders among those with one or more."
    )
    average_recency_days: float | None = Field(description="Mean days since the last order.")
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
    persona: dict[str, Any] | None = None
    treatment: dict[str, Any] | None = None
    limits: dict[str, float] | None = None
    goals: dict[str, float] | None = None
    warnings: list[dict[str, Any]] = []
    created_at: datetime
    updated_at: datetime
    metrics: SegmentMetrics | None = Field(
        default=None, description="The latest snapshot, with `as_of`; null before the first."
    )


class Page(BaseModel):
    """A page of a list; `next_cursor` leads to the next, null on the last."""

    next_cursor: str | None = None


class Segments(Page):
    """A page of segments."""

    items: list[Segment]


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


class ModelAnswer(BaseModel):
    """What a model says of a customer; null where it has nothing to say."""

    version: str
    label: str | None
    confidence: float | None = Field(description="From 0 to 1; of clusters 1 - d1/d2.")
    score: float | None
    unusual: bool | None = Field(description="Unlike all that the model was trained on.")


class Customer(BaseModel):
    """A stored customer."""

    customer_id: str
    type: str
    first_seen: datetime
    last_seen: datetime
    traits: dict[str, Any]
    sources: dict[str, TraitValue] = Field(description="Each trait by its dotted path.")
    segments: list[HeldMembership]
    lists: list[str]
    models: dict[str, ModelAnswer]
    valid_until: datetime | None
    sequence: int
    catalog_revision: int
    decided_at: datetime | None


REASON: dict[str, Any] = {
    "type": "object",
    "description": "Why: new traits, time, a changed list, definition or model, or catching up.",
    "properties": {
        "kind": {"enum": ["trait", "time", "list", "definition", "model", "catch_up"]},
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


class TraitDeclaration(Strict):
    """A trait's declared type and dimension."""

    type: TraitType | None = None
    dimension: Dimension | None = None
    description: Annotated[Text, Field(max_length=2_000)] = ""


class Trait(TraitDeclaration):
    """A declared trait."""

    name: str


class Traits(Page):
    """A page of declared traits."""

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

    kind: Literal["segment", "model"]
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


class ProblemDocument(BaseModel):
    """RFC 9457: what is wrong, and where."""

    type: str = Field(description="A URN that ends in the code.")
    title: str = Field(description="The status in words.")
    status: int
    detail: str = Field(description="What is wrong, for people.")
    instance: str = Field(description="The path that was asked.")
    code: str = Field(description="For programs; docs/errors.md lists them.")
    message: str = Field(description="The same as detail, for tracking SDKs.")
    errors: list[Fault] = Field(default=[], description="Each fault with its place; or absent.")
