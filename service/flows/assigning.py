"""Assigning one customer: from memory, recorded through the writer, or only looked at."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.core import consent
from service.core.consent import Told
from service.core.deciding import derived_problems
from service.core.decisions import Decision, Input, Outputs, State
from service.core.deriving import Histories
from service.core.events import Event
from service.core.exclusion import excluded
from service.core.imagined import imagined
from service.core.lookahead import FOR_EVER, Horizon, walk, walk_changing
from service.core.matching import Nobodys, Prepared
from service.core.merging import Written, coerced, merge, stands, without_nulls
from service.core.orders import COMPLETED
from service.core.outlook import Foreseen
from service.core.parsing import Schema
from service.core.problems import Invalid, Problem
from service.core.profiles import add_outputs
from service.flows.arrivals import Receipts, new_id
from service.flows.linking import Linker
from service.flows.scoring_together import ScoringTogether
from service.intake.assigned import events_of
from service.intake.identifying import Naming, Telling, identified
from service.live import Live, Served
from service.store import events, identities, states
from service.store.database import CANT_READ, Database
from service.store.writer import StoreUnavailable, Writer

NOTHING_KNOWN: frozenset[str] = frozenset()
NO_IDENTITIES: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Assignment:
    """The answer for one customer. `truths` is a bitset over `served.catalog.keys`."""

    served: Served
    now: int
    truths: int
    horizon: Horizon
    outputs: Outputs
    problems: list[Problem]
    traits: Mapping[str, Any]
    customer_id: str | None = None
    decision: Decision | None = None
    recorded: bool = False


def _new_id() -> str:
    return new_id("once")


def named(decision: Decision) -> Mapping[str, Any]:
    """The derived traits that have names of their own."""
    return {name: value for name, value in decision.derived.items() if ":" not in name}


def _heard(
    traits: Mapping[str, Any], events: Sequence[Event], now: int, schema: Schema
) -> Mapping[str, Any]:
    """Traits given at an instant, with what events say of consents."""
    told = [(event, said) for event in events if isinstance(said := consent.told(event), Told)]
    if not told:
        return traits
    given = {name: traits[name] for name in consent.SHAPED & traits.keys()}
    merged = merge({}, {}, given, Written(now, None, "assign"), schema)
    for event, said in told:
        written = Written(event.at, event.message_id, event.source)
        merged = merge(merged.traits, merged.times, said.patch, written, schema)
    return {**traits, **merged.traits}


class Assigner:
    """Answers who is in which segments."""

    def __init__(
        self,
        database: Database,
        live: Live,
        writer: Writer,
        linker: Linker,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._live = live
        self._writer = writer
        self._linker = linker
        self._clock = clock
        self._receipts = Receipts(clock)
        self._scoring = ScoringTogether()

    async def anonymous(
        self, traits: Mapping[str, Any], told: Sequence[Any] = (), *, everyone: bool = False
    ) -> Assignment:
        """Assign someone unnamed, purely from memory; `told`: events as they are on the wire;
        `everyone`: those too who are left out of all segments.
        Raises Undecidable, Invalid."""
        served = self._live.served
        catalog = served.catalog
        fitting, problems = traits, list[Problem]()
        if not stands(traits, catalog.schema):
            fitting, problems = coerced(traits, catalog.schema)
            fitting = without_nulls(fitting)
        now = self._clock()
        derivations = catalog.derivations
        histories: Histories = {}
        if told:
            events = events_of(told, None, now, _new_id)
            asked = imagined(events, derivations.base_currency, derivations.zone)
            histories = derivations.histories(asked)
            fitting = _heard(fitting, events, now, catalog.schema)

        # Their own word for a derived trait counts: nothing is stored.
        own = {name: fitting[name] for name in derivations.names & fitting.keys()}

        def derived_at(at: int) -> dict[str, Any]:
            return {**fitting, **derivations.values(fitting, histories, at, own)}

        deriving = derivations.any or consent.CONSENT in fitting
        known = derived_at(now) if deriving else fitting
        outputs = await self._scoring.outputs(served, known)
        if not deriving:
            now = self._clock()
        profile = dict(known)
        add_outputs(profile, outputs)
        consent.fill(profile)
        # Who has no id is on no list; without the store nobody knows what lists there are.
        lists = NOTHING_KNOWN if self._live.store_available else None
        left_out = not everyone and excluded(profile)
        prepared = (
            Nobodys(catalog.matcher, profile)
            if left_out
            else catalog.matcher.prepare(profile, lists)
        )
        truths = prepared.at(now)
        if left_out:
            horizon = FOR_EVER
        elif deriving:
            foreseen = Foreseen(catalog.outlook, known, histories, now)
            still = dict(fitting)
            add_outputs(still, outputs)

            def profile_at(at: int) -> tuple[Prepared, int | None]:
                moved = {**still, **foreseen.at(fitting, at, own)}
                consent.fill(moved)
                return catalog.matcher.prepare(moved, lists), foreseen.until(moved, at)

            until = foreseen.until(profile, now)
            horizon = walk_changing(prepared, until, profile_at, now, truths)
        else:
            horizon = walk(prepared, now, truths)
        return Assignment(served, now, truths, horizon, outputs, problems, fitting)

    @staticmethod
    async def _decide(served: Served, state: State, given: Input, now: int) -> Decision:
        if served.blocking:
            return await asyncio.to_thread(served.decide, state, given, now)
        return served.decide(state, given, now)

    async def recorded(
        self,
        customer_id: str | None,
        traits: Mapping[str, Any],
        told: Sequence[Any] = (),
        known_by: Mapping[str, Any] = NO_IDENTITIES,
    ) -> Assignment:
        """Assign a customer and store what changed before answering. `known_by`: their identities
        by kind; without an id the strongest of them names the customer.

        Raises Overloaded, StoreUnavailable, NotStored, Invalid, Undecidable.
        """
        now = self._clock()
        # Of two that are about one person, under two ids, the later one may be done first.
        at = self._receipts.next() if traits else now
        derived = self._live.served.catalog.derivations.unwritable & traits.keys()
        if derived:
            raise Invalid(derived_problems(derived))
        naming = self._naming(customer_id, known_by, now)
        who = naming.customer_id
        events = events_of(told, who, now, _new_id) if told else ()
        if known_by:
            await self._linker.tell(naming.claims, naming.names, now)
        given = Input(traits, at, events=events, type=naming.type)
        decision = await self._writer.submit(who, given)
        assert decision is not None  # noqa: S101 - only a touch answers None
        return self._answer(decision, recorded=True)

    def _naming(self, customer_id: str | None, known_by: Mapping[str, Any], now: int) -> Naming:
        if customer_id is not None and not known_by:
            return Naming(customer_id)
        told = Telling(now, _new_id(), "assign", server=True)
        naming = identified(customer_id, known_by, told, self._live.namer)
        if isinstance(naming, list):
            raise Invalid(naming)
        return naming

    async def unrecorded(
        self,
        customer_id: str | None,
        traits: Mapping[str, Any],
        told: Sequence[Any] = (),
        known_by: Mapping[str, Any] = NO_IDENTITIES,
        *,
        everyone: bool = False,
    ) -> Assignment:
        """Assign a customer with these traits and events over the stored ones, storing nothing.
        `known_by`: as for `recorded`; who belongs to whom stays as it is. `everyone`: those too
        who are left out of all segments.

        Raises StoreUnavailable, Undecidable, Invalid.
        """
        now = self._clock()
        served = self._live.served
        who = self._naming(customer_id, known_by, now).customer_id
        state = await self._stored(who, served) or State(who, now, now)
        events = events_of(told, who, now, _new_id) if told else ()
        orders = await self._ordering(state.customer_id, events, served) if events else None
        at = self._receipts.next() if traits else now
        given = Input(traits, at, seen=False, events=events, orders=orders, everyone=everyone)
        decision = await self._decide(served, state, given, now)
        return self._answer(decision, recorded=False)

    async def _ordering(
        self, customer_id: str, told: Sequence[Event], served: Served
    ) -> list[Event] | None:
        """The orders of a customer with those that are only asked about, each in place of a stored
        one of its id; None where none is asked about."""
        derivations = served.derivations
        asked = imagined(told, derivations.base_currency, derivations.zone)
        placed = {each.message_id: each for each in asked if each.name == COMPLETED}
        if not placed or not derivations.read_orders:
            return None
        try:
            async with self._database.engine.connect() as connection:
                raw = (await connection.get_raw_connection()).driver_connection
                stored = await events.counted_orders(raw, [customer_id], derivations)
        except CANT_READ as error:
            raise StoreUnavailable(type(error).__name__) from error
        known = {each.message_id: each for each in stored.get(customer_id, ())}
        return list((known | placed).values())

    async def _stored(self, customer_id: str, served: Served) -> State | None:
        try:
            async with self._database.engine.connect() as connection:
                raw = (await connection.get_raw_connection()).driver_connection
                person = await identities.persons(raw, [customer_id])
                customer_id = person.get(customer_id, customer_id)
                found = await states.read(raw, [customer_id])
                if served.has_lists:
                    await states.load_lists(raw, found)
                await events.load_histories(raw, found, served.derivations, served.revision)
                return found.get(customer_id)
        except CANT_READ as error:
            raise StoreUnavailable(type(error).__name__) from error

    @staticmethod
    def _answer(decision: Decision, *, recorded: bool) -> Assignment:
        return Assignment(
            served=decision.served,
            now=decision.now,
            truths=decision.truths,
            horizon=decision.horizon,
            outputs=decision.outputs,
            problems=decision.problems,
            traits={**decision.state.traits, **named(decision)},
            customer_id=decision.state.customer_id,
            decision=decision,
            recorded=recorded,
        )
