"""Joining ids to persons: claims are kept, and whomever they concern is put together anew.

One transaction, which holds the rows of all persons concerned as the writer does: what is recorded
of them has ended before, or is decided afterwards for whom it belongs to by then. In which order
claims arrive is of no consequence: who is whom follows from all of them (`core.identities.roots`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

import asyncpg
import msgspec
from sqlalchemy import text

from service.core.access import Author
from service.core.decisions import GUEST, PERSON, Decision, Input, State, Transition
from service.core.fragments import Fragment, Regrouping, joined, regroup
from service.core.identities import Claim, Identity, Link, is_generated, roots
from service.core.instants import to_datetime
from service.flows.arrivals import new_id
from service.flows.holding import Holding
from service.live import Live, Served
from service.store import audit, events, identities, persons, states
from service.store.database import CANT_READ, Database
from service.store.erasures import Erasures
from service.store.fragmenting import fragment_of
from service.store.writer import RETRY, Overloaded, StoreUnavailable

# Longer than the writer holds a row.
_LOCK_TIMEOUT = text("set local lock_timeout = '2s'")
TRIES = 5
_HEAD = "select revision from catalog_head"

_CONTENDED = (*RETRY, asyncpg.LockNotAvailableError)
_REASON = {"kind": "merge"}

# What changes the claims, and answers the ids that it concerns.
Change = Callable[["Holding"], Awaitable[Collection[str]]]


class _Newer(Exception):
    """The database's catalog is newer than ours."""

    def __init__(self, revision: int) -> None:
        super().__init__(revision)
        self.revision = revision


class NoCustomer(LookupError):
    """There is no such customer."""

    def __init__(self, customer_id: str) -> None:
        super().__init__(customer_id)
        self.customer_id = customer_id


class NotMerged(LookupError):
    """The id is not one of this customer's other ids, or is by more than can be undone at once."""


class Linker:
    """Keeps who ids belong to."""

    def __init__(
        self,
        database: Database,
        live: Live,
        catch_up: Callable[[int], Awaitable[None]],
        clock: Callable[[], int],
        erasures: Erasures,
    ) -> None:
        """`catch_up(revision)`: makes the live catalog that one or a newer."""
        self._database = database
        self._live = live
        self._catch_up = catch_up
        self._clock = clock
        self._erasures = erasures

    async def tell(
        self, claims: Sequence[Claim], named: Mapping[str, Identity], at: int
    ) -> Mapping[str, int]:
        """Keep claims, and what customer ids stand for, told at an instant at the earliest; with
        what it comes to, stored on return. Most were told before, and cost one look. The ids among
        them that were erased since, and when, of which nothing is kept. Raises Overloaded,
        StoreUnavailable, and what deciding raises."""
        erased: Mapping[str, int] = {}
        if not claims and not named:
            return erased
        try:
            async with self._database.engine.connect() as connection:
                raw = (await connection.get_raw_connection()).driver_connection
                news = await identities.news(raw, claims) if claims else []
                unnamed = await identities.unnamed(raw, named) if named else {}
        except CANT_READ as error:
            raise StoreUnavailable(type(error).__name__) from error
        if not news and not unnamed:
            return erased

        async def keep(holding: Holding) -> Collection[str]:
            nonlocal erased
            raw = holding.raw
            # Whoever erases holds the rows too: who was erased is known from here on.
            ids = {who for each in news for who in (each.customer_id, each.claimant)}
            persons = await holding.people(ids | unnamed.keys())
            erased = await self._erasures.since(raw, dict.fromkeys(ids | unnamed.keys(), at))
            timely = [each for each in news if not _late(each, erased)]
            simple = await self._link_unknown(holding, timely, persons)
            await identities.keep_claims(raw, timely)
            await identities.name(
                raw, {who: each for who, each in unnamed.items() if who not in erased}
            )
            if simple:
                return ()
            joining = [each for each in timely if each.verified]
            return {who for each in joining for who in (each.customer_id, each.claimant)}

        await self.change(keep)
        return erased

    @staticmethod
    async def _link_unknown(
        holding: Holding, claims: Sequence[Claim], persons: Mapping[str, str]
    ) -> bool:
        """Link what is claimed, if that is all there is to do: of identities with which nothing
        came until now, nobody is made anew by whoever claims them, however many they have."""
        joining = [each for each in claims if each.verified]
        linked = {each.customer_id: each.claimant for each in joining}
        simple = (
            len(linked) == len(joining)
            and linked.keys().isdisjoint(linked.values())
            and all(each.kind is Link.CLAIM for each in joining)
            and holding.put.issuperset(linked)
            and linked.keys().isdisjoint(persons)
            and not await identities.heard_of(holding.raw, linked)
        )
        if simple:
            whose = {who: persons.get(claimant, claimant) for who, claimant in linked.items()}
            await identities.link(holding.raw, whose, ())
        return simple

    async def merge(self, survivor: str, loser: str, author: Author) -> None:
        """Have two customers be one, the first of whom goes on, even where that was undone before.
        Raises NoCustomer, and as `tell`."""

        async def keep(holding: Holding) -> Collection[str]:
            raw = holding.raw
            known = await holding.people([survivor, loser])
            people = [known.get(who, who) for who in (survivor, loser)]
            stored = await states.read(raw, people)
            for who, person in zip((survivor, loser), people, strict=True):
                if person not in stored or person in holding.put:
                    raise NoCustomer(who)
            if people[0] == people[1]:
                return ()
            now = self._clock()
            claim = Claim(people[1], people[0], now, new_id("merge"), "api", Link.MERGE)
            await identities.redo(raw, claim)
            await self._note(holding, author, "customer.merged", people[1], now)
            return people

        await self.change(keep)

    async def unmerge(self, person: str, part: str, author: Author) -> None:
        """Undo what made an id a person's: it is a customer of its own again, or that of whoever
        claimed it besides, with all that came with it; no message joins the two again. Raises
        NotMerged, and as `tell`."""

        async def part_them(holding: Holding) -> Collection[str]:
            raw = holding.raw
            concerned = await holding.all_concerned([person, part])
            root = concerned.before.get(person, person)
            if part == root or concerned.before.get(part) != root:
                raise NotMerged(person, part)
            now = self._clock()
            # Who they are without it: what is theirs by it alone goes with it.
            told = await identities.claims_of(raw, concerned.ids)
            without = roots(
                [each for each in told if part not in (each.customer_id, each.claimant)]
            )
            rest = {
                each for each in concerned.ids if without.get(each, each) == without.get(root, root)
            }
            await identities.undo(raw, part, sorted(rest - {part}), now)
            await self._note(holding, author, "customer.unmerged", part, now)
            left = roots(await identities.claims_of(raw, concerned.ids))
            if left.get(part, part) == left.get(root, root):
                raise NotMerged(person, part)
            return concerned.ids

        await self.change(part_them)

    async def _note(self, holding: Holding, author: Author, action: str, of: str, at: int) -> None:
        """Have the audit tell of it, by the fingerprint that an erasure would leave."""
        subject = f"customers/{self._erasures.fingerprints(of)[0].hex()}"
        await audit.record(holding.connection, author, to_datetime(at), action, subject)

    async def change(self, change: Change) -> None:
        """Make a change to the claims, and what it comes to, in one transaction. Raises as `tell`,
        and what the change does."""
        beside: frozenset[str] = frozenset()
        for attempt in range(TRIES):
            holding = None
            try:
                async with self._database.engine.begin() as connection:
                    await connection.execute(_LOCK_TIMEOUT)  # the transaction begins with it
                    raw: Any = (await connection.get_raw_connection()).driver_connection
                    holding = Holding(connection, raw, self._clock())
                    # What was found to be needed, all at once: two who take it one after another
                    # would wait for each other again.
                    await holding.hold(beside)
                    ids = await change(holding)
                    await self._put_together(raw, holding, ids)
                return
            except _Newer as newer:
                await self._catch_up(newer.revision)
            except _CONTENDED:
                if holding is not None:
                    beside |= holding.wanted
                await asyncio.sleep(0.01 * attempt)
            except (*CANT_READ, asyncpg.PostgresError) as error:
                raise StoreUnavailable(type(error).__name__) from error
        raise Overloaded("these persons are held by others")

    async def _put_together(self, raw: Any, holding: Holding, ids: Collection[str]) -> None:
        """Have the persons whom these ids concern be what all claims come to."""
        if not ids:
            await persons.remove(raw, holding.put)
            return
        concerned = await holding.all_concerned(ids)
        served = self._live.served
        head: int = await raw.fetchval(_HEAD)
        if head > served.revision:
            raise _Newer(head)
        found = await states.read(raw, sorted(concerned.ids - holding.put))
        now = self._clock()
        await self._settle(raw, served, found, now)
        fragments = await identities.fragments(raw, concerned.ids)
        for state in found.values():
            if not state.fragmented:
                fragments[state.customer_id] = fragment_of(state)
            elif state.customer_id in fragments:
                fragments[state.customer_id].sequence = state.sequence
        unseen = {concerned.after.get(each, each) for each in fragments} - fragments.keys()
        guests = await identities.guests(raw, unseen) if unseen else ()
        for root in unseen:
            # Known by what was joined to them before anything came with their own id.
            fragments[root] = Fragment(root, now, now, GUEST if root in guests else PERSON)
        change = regroup(concerned.before, concerned.after, fragments)
        await identities.link(raw, change.links, change.alone)
        await self._take_out(raw, change, found, fragments, now)
        people = {root: _person(root, found, change.people[root]) for root in change.people}
        await self._decide(raw, served, people, found, now)
        await identities.keep_fragments(
            raw,
            [
                each
                for root, state in people.items()
                if state.fragmented
                for each in change.people[root]
                # The others are as they are kept.
                if each.customer_id in found or each.customer_id in unseen
            ],
        )
        await identities.drop_fragments(
            raw, [root for root, state in people.items() if not state.fragmented]
        )
        await persons.remove(raw, (holding.put | change.gone) - people.keys())

    async def _take_out(
        self,
        raw: Any,
        change: Regrouping,
        found: Mapping[str, State],
        fragments: dict[str, Fragment],
        now: int,
    ) -> None:
        """End the memberships of those who are others now."""
        exits = []
        for customer_id in sorted(change.gone & found.keys()):
            state = found[customer_id]
            for key, membership in state.memberships.items():
                state.sequence += 1
                left = Transition(state.sequence, key, False, membership.version, now, _REASON)
                exits.append((customer_id, left))
            if customer_id in fragments:
                fragments[customer_id].sequence = state.sequence
        await persons.log_exits(raw, exits)

    async def _decide(
        self,
        raw: Any,
        served: Served,
        people: Mapping[str, State],
        found: Mapping[str, State],
        now: int,
    ) -> None:
        """Decide persons who were put together, and write them."""
        if not people:
            return
        await identities.repoint_orders(raw, people.keys() | found.keys())
        if served.has_lists:
            await states.load_lists(raw, people)
        await events.make_histories(raw, people, served.derivations)
        looked = Input({}, now, source="merge", seen=False, cause="merge")
        await self._write(raw, served, people, looked, now)
        await persons.describe(raw, people.values())
        await events.write_histories(raw, people.values(), served.derivations.series)

    async def _settle(self, raw: Any, served: Served, found: Mapping[str, State], now: int) -> None:
        """Let what was due of customers happen as they were, before they are anybody else."""
        due = {
            who: state
            for who, state in found.items()
            if state.decided_at is not None
            and (
                state.catalog_revision != served.revision
                or (state.due_at is not None and state.due_at <= now)
            )
        }
        if not due:
            return
        if served.has_lists:
            await states.load_lists(raw, due)
        filled = await events.load_histories(raw, due, served.derivations, served.revision)
        await self._write(raw, served, due, None, now)
        if filled:
            made = [due[who] for who in filled]
            await events.write_histories(raw, made, served.derivations.series)

    @staticmethod
    async def _write(
        raw: Any, served: Served, people: Mapping[str, State], given: Input | None, now: int
    ) -> None:
        """Decide customers and write what they come to."""
        before = {who: dict(state.memberships) for who, state in people.items()}
        asked = [(state, given, max(now, state.decided_at or 0)) for state in people.values()]
        decided: list[tuple[Decision, str]] = []
        if served.blocking:
            results = await asyncio.to_thread(served.decide_many, asked)
        else:
            results = served.decide_many(asked)
        for result in results:
            if isinstance(result, Exception):
                raise result
            result.state.decided_at = result.now
            decided.append((result, msgspec.json.encode(result.state.traits).decode()))
        await states.write(raw, served.revision, decided, before)


def _late(claim: Claim, erased: Mapping[str, int]) -> bool:
    """Whether a claim is of or by somebody who was erased since."""
    return any(erased.get(who, -1) >= claim.at for who in (claim.customer_id, claim.claimant))


def _person(root: str, found: Mapping[str, State], fragments: Sequence[Fragment]) -> State:
    """A person of these fragments, as somebody who is to be decided."""
    own = next(each for each in fragments if each.customer_id == root)
    state = found.get(root) or State(root, 0, 0, sequence=own.sequence)
    known = any(not is_generated(each.customer_id) for each in fragments)
    state.type = PERSON if known and own.type == GUEST else own.type
    state.first_seen = min(each.first_seen for each in fragments)
    state.last_seen = max(state.last_seen, *(each.last_seen for each in fragments))
    state.traits, state.times = joined(root, fragments)
    state.fragmented = len(fragments) > 1
    return state
