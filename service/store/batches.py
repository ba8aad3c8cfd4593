"""A batch of work decided in memory: what one transaction reads, decides and will write."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import msgspec
import structlog

from service.core.decisions import Decision, Input, Membership, State, Undecidable
from service.core.deriving import Derivations
from service.core.merging import Written, count_traits
from service.core.parsing import Invalid, Problem, Schema

log = structlog.get_logger()


class NotStored(RuntimeError):
    """This one piece of work can't be stored, whatever is tried."""


class Serving(Protocol):
    """What decides: a catalog with its models, as the writer needs it."""

    @property
    def revision(self) -> int:
        """The catalog's revision."""

    @property
    def derivations(self) -> Derivations:
        """The aggregates of events that deciding evaluates."""

    @property
    def schema(self) -> Schema:
        """What traits are declared as."""

    @property
    def has_lists(self) -> bool:
        """Whether deciding needs to know the lists a customer is on."""

    @property
    def blocking(self) -> bool:
        """Whether deciding waits for another process, so that an event loop must not do it."""

    def decide_many(
        self, asked: Sequence[tuple[State, Input | None, int]]
    ) -> Sequence[Decision | Exception]:
        """Decide many customers: each decision, or the exception that it ended with."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one customer may have."""

    traits: int = 500
    traits_bytes: int = 65_536


@dataclass(slots=True)
class Work:
    """One customer to decide: with new input, or (`given` None) only to look again."""

    customer_id: str
    given: Input | None
    answer: asyncio.Future[Decision | None]
    tries: int = 0
    # Whose rows it needs besides: of those whose orders it was found to tell of.
    beside: frozenset[str] = frozenset()


@dataclass(slots=True)
class Outcome:
    """What a batch came to: answers, errors, and work whose rows others held."""

    decided: list[tuple[Work, Decision | None]] = field(default_factory=list)
    failed: list[tuple[Work, Exception]] = field(default_factory=list)
    held: list[Work] = field(default_factory=list)
    # Work of ids that belong to others by now, each with who is to be decided instead.
    moved: list[tuple[Work, str]] = field(default_factory=list)


class _Before(NamedTuple):
    """What a customer had before. Deciding puts others in the place of traits and times."""

    memberships: Mapping[str, Membership]
    traits: Mapping[str, Any]
    times: Mapping[str, Written]


class Batch:
    """Decides one transaction's work in memory, and keeps what it came to for writing."""

    def __init__(
        self,
        served: Serving,
        now: int,
        limits: Limits,
        instead: Mapping[str, Input] | None = None,
    ) -> None:
        """`instead`: by customer, what is to be folded in place of what their work was given."""
        self.instead = instead or {}
        self.served = served
        self.now = now
        self.limits = limits
        self.to_write: list[tuple[Decision, str]] = []
        self.before: dict[str, Mapping[str, Membership]] = {}
        # Those whose timelines are no longer what is stored, whatever else is.
        self.remembered: list[State] = []
        self.came_to_nothing: list[str] = []

    def decide(
        self, batch: Sequence[Work], found: Mapping[str, State], new: Mapping[str, State]
    ) -> Outcome:
        """Decide each piece of work whose row we hold."""
        outcome = Outcome()
        asked: list[tuple[Work, State]] = []
        for work in batch:
            state = found.get(work.customer_id) or new.get(work.customer_id)
            if state is not None:
                asked.append((work, state))
            elif work.given is None:
                # Gone, or held: a customer that is looked at again need not exist.
                outcome.decided.append((work, None))
            else:
                outcome.held.append(work)
        before = [_Before(dict(state.memberships), state.traits, state.times) for _, state in asked]
        # Another process may have decided a customer by a clock that runs ahead of ours.
        results = self.served.decide_many(
            [
                (
                    state,
                    self.instead.get(work.customer_id, work.given),
                    max(self.now, state.decided_at or 0),
                )
                for work, state in asked
            ]
        )
        for (work, _), held, result in zip(asked, before, results, strict=True):
            failure = result if isinstance(result, Exception) else self._keep(result, held)
            if failure is None:
                assert not isinstance(result, Exception)  # noqa: S101
                outcome.decided.append((work, result))
                continue
            if not isinstance(failure, Invalid | Undecidable):
                # One customer's data must not stop the others; the trace goes to the log.
                log.error("decision_failed", exc_info=failure)
                failure = NotStored(f"deciding failed: {type(failure).__name__}")
            outcome.failed.append((work, failure))
            if work.customer_id in new:
                self.came_to_nothing.append(work.customer_id)
        return outcome

    def _keep(self, decision: Decision, before: _Before) -> Exception | None:
        """Keep what is to be written; or why it can't be."""
        if decision.stored:
            state = decision.state
            try:
                encoded = msgspec.json.encode(state.traits)
            except (ValueError, TypeError, OverflowError, RecursionError) as error:
                return error
            fault = self._fault(state, encoded, before)
            if fault is not None:
                return Invalid([fault])
            self.to_write.append((decision, encoded.decode()))
            self.before[state.customer_id] = before.memberships
        if decision.remembered:
            self.remembered.append(decision.state)
        return None

    def _fault(self, state: State, encoded: bytes, before: _Before) -> Problem | None:
        """Why the traits are too many, or too large. Who is put together from several may have more
        than one customer may: that may change, and nothing be added to it."""
        limits = self.limits
        if len(state.times) > limits.traits:
            many = count_traits(state.traits, state.times)
            if many > limits.traits and many > count_traits(before.traits, before.times):
                detail = f"a customer has {limits.traits:,} traits at most"
                return Problem("/traits", "too_many", detail)
        size = len(encoded)
        if size > limits.traits_bytes and size > len(msgspec.json.encode(before.traits)):
            detail = f"a customer's traits take {limits.traits_bytes:,} bytes at most"
            return Problem("/traits", "too_large", detail)
        return None
