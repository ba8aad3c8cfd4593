"""Decisions: what deciding is given of a customer, and what it comes to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from service.core.events import Event
from service.core.lookahead import Horizon
from service.core.matching import NO_LISTS, Lists
from service.core.merging import Change, Written
from service.core.problems import Problem
from service.core.timelines import Timeline

Reason = Mapping[str, Any]


class Membership(NamedTuple):
    """Since when a customer is in a segment, and the definition's version that let them in."""

    since: int
    version: int


class Transition(NamedTuple):
    """A customer entered or left a segment. `sequence` numbers one customer's transitions."""

    sequence: int
    segment: str
    entered: bool
    version: int
    at: int
    reason: Reason


class ModelOutput(Protocol):
    """What a model says of one customer; None where it has nothing to say."""

    @property
    def label(self) -> str | None: ...
    @property
    def confidence(self) -> float | None: ...
    @property
    def score(self) -> float | None: ...
    @property
    def unusual(self) -> bool | None: ...


class Undecidable(RuntimeError):
    """The customer can't be decided now, for want of a model's answer; later it may be."""


Outputs = Mapping[str, ModelOutput]
Score = Callable[[Mapping[str, Any]], Outputs]


def no_models(profile: Mapping[str, Any]) -> Outputs:
    """The outputs of a service without models."""
    return {}


PERSON = "person"
# Whom only an address names, of an order as a rule.
GUEST = "guest"


@dataclass(slots=True)
class State:
    """A customer as stored. Instants are microseconds since the epoch."""

    customer_id: str
    first_seen: int
    last_seen: int
    type: str = PERSON
    traits: dict[str, Any] = field(default_factory=dict)
    times: dict[str, Written] = field(default_factory=dict)
    sequence: int = 0
    catalog_revision: int = 0
    decided_at: int | None = None
    due_at: int | None = None
    memberships: dict[str, Membership] = field(default_factory=dict)
    # Whether other ids than this one are theirs too: what came with each is kept apart.
    fragmented: bool = False
    lists: Lists = NO_LISTS
    # What derived traits need of the customer's events, by the series' key.
    histories: dict[str, Timeline] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Patch:
    """Given traits that a message carries, with the message's own time."""

    traits: Mapping[str, Any]
    written: Written


# Not frozen, as one is made for each customer of a batch: setting so many members would take twice
# as long as all else that is done for it before it is decided.
@dataclass(slots=True)
class Input:
    """New facts about a customer: a patch of given traits, when and by whom; and the patches and
    events of messages, in any order. `orders`: all that count, if what is known of some changed;
    they stand for the events by which they were told. `unsettled`: orders, by store and id, that
    may come to something else by now. `cause`: the reason of what it changes, where that is not
    what it holds: an import. `answered`: whether somebody is told who the customer is by now; if
    not, what changes no answer may pass without one, and nobody learns until when each stands."""

    traits: Mapping[str, Any]
    at: int
    source: str = "assign"
    message_id: str | None = None
    # Whether the customer did something now, or the service only looked again.
    seen: bool = True
    patches: Sequence[Patch] = ()
    events: Sequence[Event] = ()
    orders: Sequence[Event] | None = None
    unsettled: Sequence[tuple[str, str]] = ()
    cause: str | None = None
    # The id that this came with, where it is another than the customer's own.
    came_with: str | None = None
    # Whether to look also at somebody who is left out of all segments; nothing is stored of it.
    everyone: bool = False
    # As what somebody is known who is told of for the first time.
    type: str = PERSON
    answered: bool = True


@dataclass(frozen=True, slots=True)
class Publication:
    """When the current catalog was published, and why; the reason of what it changes."""

    at: int = 0
    cause: str = "definition"


@dataclass(slots=True)
class Decision:
    """What to store and to answer. `state` is the new state; `stored` says whether it differs.
    Of what nobody is told, `truths`, `horizon`, `outputs` and `derived` may be missing."""

    state: State
    now: int
    truths: int
    horizon: Horizon
    outputs: Outputs
    changes: list[Change] = field(default_factory=list)
    # All that was merged into the traits, whether it changed them or not.
    folded: list[Patch] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)
    stored: bool = False
    # The derived traits, and whether their events are no longer what was stored.
    derived: Mapping[str, Any] = field(default_factory=dict)
    remembered: bool = False
    # What decided: the caller's own, to read positions and versions of models by.
    served: Any = None
