"""Deciding: what a customer's stored state and new input come to, as values that others write.

A decision is a function of the catalog, the stored state, the input and the instant. In order: a
state that an older catalog decided is first decided again as it is; what time alone has changed
since is settled, each change at its own instant; then the new input is folded in.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from service.core import consent
from service.core.bits import bits_of, positions_of
from service.core.catalog import Catalog
from service.core.decisions import (
    Decision,
    Input,
    Membership,
    Outputs,
    Patch,
    Publication,
    Reason,
    Score,
    State,
    Transition,
    Undecidable,
    no_models,
)
from service.core.events import Event
from service.core.exclusion import excluded
from service.core.fragments import left_aside
from service.core.instants import MINUTE
from service.core.lookahead import Horizon, walk, walk_changing
from service.core.matching import Nobodys, Prepared
from service.core.merging import Change, Written, merge
from service.core.orders import COMPLETED
from service.core.outlook import Foreseen
from service.core.problems import Problem, escape
from service.core.profiles import derived_of, given_of, profile_of
from service.core.timelines import Timeline

CATCH_UP_AFTER = 100
SEEN_EVERY = MINUTE
IMPORT = "import"  # the cause of what files tell


def decide(
    catalog: Catalog,
    state: State,
    now: int,
    given: Input | None = None,
    score: Score = no_models,
    publication: Publication | None = None,
) -> Decision:
    """Decide one customer at an instant. `state` is changed in place and returned in the
    decision; a caller that needs the old one keeps a copy."""
    asking = decision_of(catalog, state, now, given, publication)
    try:
        traits = next(asking)
        while True:
            traits = asking.send(score(traits))
    except StopIteration as done:
        decision: Decision = done.value
        return decision


# Yields traits for the models to score, is sent their outputs, and returns what it comes to.
T = TypeVar("T")
Asking = Generator[Mapping[str, Any], Outputs, T]


def decision_of(
    catalog: Catalog,
    state: State,
    now: int,
    given: Input | None = None,
    publication: Publication | None = None,
) -> Asking[Decision]:
    """`decide`, stopping wherever it needs models' outputs, so that a caller with many customers
    can have them scored together."""
    run = _Run(catalog, state, ends=given is None or given.answered)
    if state.decided_at is not None:
        if state.catalog_revision != catalog.revision:
            published = publication or Publication(now)
            at = min(max(published.at, state.decided_at), now)
            yield from run.at(at, {"kind": published.cause})
        if state.due_at is not None and state.due_at <= now:
            yield from run.settle(now)
    if given is not None:
        run.take(given, now)
        if run.stirred or not run.stands(given):
            yield from run.at(now, run.reason(given))
    elif state.decided_at is None:
        yield from run.at(now, {"kind": "trait"})
    return (yield from run.decision(now))


def decide_together(
    asking: Sequence[Asking[Decision]],
    score: Callable[[Sequence[Mapping[str, Any]]], Sequence[Outputs]],
) -> list[Decision | Exception]:
    """Carry many decisions on in step, models scoring all that wait at once. In their order, each
    decision or the exception that it ended with: none stops the others."""
    results: list[Decision | Exception] = [Undecidable("not asked for")] * len(asking)
    waiting: list[tuple[int, Mapping[str, Any]]] = []

    def carry_on(place: int, outputs: Outputs | None) -> None:
        try:
            one = asking[place]
            traits = next(one) if outputs is None else one.send(outputs)
        except StopIteration as done:
            results[place] = done.value
        except Exception as error:
            results[place] = error
        else:
            waiting.append((place, traits))

    for place in range(len(asking)):
        carry_on(place, None)
    while waiting:
        asked, waiting = waiting, []
        try:
            outputs = score([traits for _, traits in asked])
        except Undecidable as error:
            for place, _ in asked:
                results[place] = error
            continue
        for (place, _), answer in zip(asked, outputs, strict=True):
            carry_on(place, answer)
    return results


def derived_problems(names: Iterable[str]) -> list[Problem]:
    """A problem for each derived trait that somebody wants to store a value of."""
    return [
        Problem(f"/traits/{escape(name)}", "derived", f"{name} is derived: nobody can set it")
        for name in sorted(names)
    ]


class _Run:
    """One customer's way through a decision."""

    def __init__(self, catalog: Catalog, state: State, *, ends: bool = True) -> None:
        self.catalog = catalog
        self.state = state
        self.changes: list[Change] = []
        self.folded: list[Patch] = []
        self.problems: list[Problem] = []
        self.transitions: list[Transition] = []
        self.stored = state.decided_at is None or state.catalog_revision != catalog.revision
        self.outputs: Outputs = {}
        self.prepared: Prepared | None = None
        # Of which instant the derived traits are that were looked up.
        self.since = 0
        self.derived: Mapping[str, Any] = {}
        # Traits of an unrecorded call that stand in for derived ones.
        self.overriding: Mapping[str, Any] = {}
        self.remembered = False
        # Whether the profile may be seen as another than before.
        self.stirred = False
        # Whether until when each segment stands is asked for.
        self.ends = ends
        # Whether somebody who is left out of all segments is looked at as if they weren't.
        self.everyone = False
        self.truths = 0
        self.horizon = Horizon()
        self.decided: int | None = None
        # What is told with an id of theirs, and says nothing of them.
        self.aside: frozenset[str] = frozenset()
        # Whether traits were told, and not only events that change some.
        self.told_traits = False

    def prepare(self, instant: int) -> Asking[Prepared]:
        """The profile at an instant, looked up."""
        if self.prepared is None or (instant != self.since and self.catalog.derivations.any):
            self.derive(instant)
            self.outputs = yield self.known()
            self.prepared = self.looked_up(self.derived)
        return self.prepared

    def known(self) -> Mapping[str, Any]:
        traits = self.catalog.derivations.given(self.state.traits)
        return {**traits, **self.derived} if self.derived else traits

    def derive(self, instant: int) -> None:
        self.derived = derived_of(self.catalog, self.state, instant, self.overriding)
        self.since = instant

    def looked_up(self, derived: Mapping[str, Any]) -> Prepared:
        profile = profile_of(self.catalog, self.state, self.outputs, derived)
        if not self.everyone and excluded(profile):
            return Nobodys(self.catalog.matcher, profile)
        return self.catalog.matcher.prepare(profile, self.state.lists)

    def look_ahead(self, prepared: Prepared, instant: int) -> None:
        catalog, state, derived = self.catalog, self.state, self.derived
        if catalog.derivations.any:
            given = given_of(catalog, state)
            foreseen = Foreseen(catalog.outlook, derived, state.histories, instant)

            def profile_at(at: int) -> tuple[Prepared, int | None]:
                """The profile as it will be, the models' outputs as they are."""
                then = foreseen.at(given, at, self.overriding)
                return self.looked_up(then), foreseen.until({**given, **then}, at)

            until = foreseen.until({**given, **derived}, instant)
            self.horizon = walk_changing(
                prepared, until, profile_at, instant, self.truths, ends=self.ends
            )
        else:
            self.horizon = walk(prepared, instant, self.truths, ends=self.ends)
        state.due_at = self.horizon.valid_until

    def at(self, instant: int, reason: Reason) -> Asking[None]:
        """Decide at an instant: diff with the memberships, and look ahead."""
        prepared = yield from self.prepare(instant)
        self.truths = prepared.at(instant)
        self.diff(instant, reason)
        self.look_ahead(prepared, instant)
        self.decided = instant

    def settle(self, now: int) -> Asking[None]:
        """Overdue instants in order, each with its own; past a hundred, jump to now."""
        settled = 0
        while self.state.due_at is not None and self.state.due_at <= now:
            if settled == CATCH_UP_AFTER:
                yield from self.at(now, {"kind": "catch_up"})
                return
            yield from self.at(self.state.due_at, {"kind": "time"})
            settled += 1
            self.stored = True

    def stands(self, given: Input) -> bool:
        """Whether the stored answer stands until `due_at` if the profile is seen as it was, and
        nobody asks for more."""
        state, matcher = self.state, self.catalog.matcher
        if given.answered or (state.decided_at is None and self.decided is None):
            return False
        if state.catalog_revision != self.catalog.revision and self.decided is None:
            return False
        if self.catalog.outlook.scores_move:
            return False
        lists = matcher.list_bits.keys()
        return not lists or (
            state.lists is not None and lists & state.lists == lists & state.memberships.keys()
        )

    def take(self, given: Input, now: int) -> None:
        """Fold new traits in."""
        state = self.state
        traits = given.traits
        names = self.catalog.derivations.names
        self.everyone = given.everyone
        if given.came_with is not None:
            self.aside = left_aside(given.came_with, given.type, state.customer_id)
        if not given.seen and not names.isdisjoint(traits):
            # Nothing is stored of this: the caller's word stands in for what would be derived.
            self.overriding = {name: traits[name] for name in names & traits.keys()}
            traits = {name: value for name, value in traits.items() if name not in names}
            self.stir()
        if traits:
            self.merge(traits, Written(given.at, given.message_id, given.source))
        # Others have events for what closes a channel; files tell of it in a column.
        closes = given.cause == IMPORT
        for patch in given.patches:
            self.merge(patch.traits, patch.written, closes=closes)
        self.told_traits = bool(self.changes)
        for event in given.events:
            self.hear(event)
        self.remember(given, now)
        seen_at = given.at
        if given.cause is not None:  # what is told with it may be of years
            seen_at = max([seen_at, *(event.at for event in given.events)])
        if given.seen and seen_at - state.last_seen >= SEEN_EVERY:
            state.last_seen = seen_at
            self.stored = True
            if "customer.last_seen" in self.catalog.facts_read:
                self.stir()
        self.stored = self.stored or bool(self.changes)

    def stir(self) -> None:
        """The profile is another."""
        self.prepared = None
        self.stirred = True

    def remember(self, given: Input, now: int) -> None:
        """Put events into the timelines that want them."""
        derivations, histories = self.catalog.derivations, self.state.histories
        outlook = self.catalog.outlook
        added = derivations.entries(each for each in given.events if each.name != COMPLETED)
        settled = {} if given.orders is None else derivations.of_orders(given.orders)
        if not added and not settled:
            return
        self.remembered = True
        before = after = None
        if not settled and not given.answered:
            before = outlook.standing(histories, added, now)
        for key, entries in added.items():
            if key not in histories:
                histories[key] = Timeline()
            histories[key].add(entries)
        histories.update(settled)
        if before is not None:
            after = outlook.standing(histories, added, now)
        if before is None or after is None or before.out != after.out:
            self.stored = True
            self.stir()
            return
        self.prepared = None
        # Until something of these series is seen otherwise than it was, or would have been, all
        # that is seen is as it was when the stored instant was found.
        state = self.state
        ends = [state.due_at, before.until, after.until]
        due = min((end for end in ends if end is not None), default=None)
        if due != state.due_at:
            state.due_at = due
            self.stored = True

    def merge(self, traits: Mapping[str, Any], written: Written, *, closes: bool = False) -> None:
        """Merge given traits into the customer's, but what nobody can set. `closes`: whether they
        may tell what closes channels."""
        derivations = self.catalog.derivations
        names = derivations.names if closes else derivations.unwritable
        if not names.isdisjoint(traits):
            self.problems += derived_problems(names & traits.keys())
            traits = {name: value for name, value in traits.items() if name not in names}
        self.fold(traits, written)

    def hear(self, event: Event) -> None:
        """Fold what an event says of consents. What it says wrongly was told when it came in."""
        told = consent.told(event)
        if isinstance(told, consent.Told):
            source = told.source or event.source
            self.fold(told.patch, Written(event.at, event.message_id, source))

    def fold(self, traits: Mapping[str, Any], written: Written) -> None:
        state = self.state
        self.folded.append(Patch(traits, written))
        if not self.aside.isdisjoint(traits):
            traits = {name: value for name, value in traits.items() if name not in self.aside}
        merged = merge(state.traits, state.times, traits, written, self.catalog.schema)
        if written.message_id is not None and merged.times != state.times:
            # Older messages may still come: they have to meet the time of a value told again.
            self.stored = True
        state.traits, state.times = merged.traits, merged.times
        self.problems += merged.problems
        self.changes += merged.changes
        if merged.changes:
            self.stir()

    def reason(self, given: Input) -> Reason:
        """The reason of what new facts change: the last event, which traits, or their cause."""
        if given.cause is not None:
            return {"kind": given.cause}
        if given.events and not self.told_traits:
            return {"kind": "event", "event": max(given.events, key=lambda event: event.at).name}
        if given.orders is not None and not self.told_traits:
            return {"kind": "event", "event": COMPLETED}
        names = sorted({change.path for change in self.changes})[:20]
        return {"kind": "trait", "traits": names} if names else {"kind": "trait"}

    def diff(self, at: int, reason: Reason) -> None:
        """Enter and leave segments, so that the memberships are what is true."""
        state, catalog = self.state, self.catalog
        held = state.memberships
        positions = catalog.matcher.positions
        gone: list[str] = []
        if held.keys() <= positions.keys():
            before = bits_of(map(positions.__getitem__, held))
        else:
            before = bits_of(positions[key] for key in held if key in positions)
            gone = [key for key in held if key not in positions and key not in catalog.refused_keys]
        moved = before ^ self.truths
        if not moved and not gone:
            return
        for key in gone:
            self.transition(key, False, held.pop(key).version, at, reason)
        for position in positions_of(moved):
            key = catalog.keys[position]
            entered = bool(self.truths >> position & 1)
            version = catalog.segments[key].definition.version
            if entered:
                held[key] = Membership(at, version)
            else:
                del held[key]
            self.transition(key, entered, version, at, reason)

    def transition(self, key: str, entered: bool, version: int, at: int, reason: Reason) -> None:
        self.state.sequence += 1
        self.stored = True
        self.transitions.append(Transition(self.state.sequence, key, entered, version, at, reason))

    def decision(self, now: int) -> Asking[Decision]:
        state = self.state
        if self.decided is None and self.ends:
            # Nothing was due and nothing came: the stored answer stands, told as of now.
            prepared = yield from self.prepare(now)
            self.truths = prepared.at(now)
            self.look_ahead(prepared, now)
        state.catalog_revision = self.catalog.revision
        if self.stored:
            state.decided_at = now
        return Decision(
            state=state,
            now=now,
            truths=self.truths,
            horizon=self.horizon,
            outputs=self.outputs,
            changes=self.changes,
            folded=self.folded,
            problems=self.problems,
            transitions=self.transitions,
            stored=self.stored,
            derived=self.derived,
            remembered=self.remembered,
        )
