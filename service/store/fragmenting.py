"""Keeping apart what came with each id of customers who have several, within the writer's
transaction."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.core.decisions import Decision, State
from service.core.fragments import Fragment
from service.core.merging import Change, merge
from service.core.parsing import Schema
from service.store import identities
from service.store.batches import Work

_FRAGMENTED = "update customers set fragmented = true where customer_id = any($1::text[])"


def fragment_of(state: State) -> Fragment:
    """A customer of one id, as the fragment of that."""
    return Fragment(
        state.customer_id,
        state.first_seen,
        state.last_seen,
        state.type,
        state.traits,
        state.times,
        state.sequence,
    )


async def begin(connection: Any, batch: Sequence[Work], held: Mapping[str, State]) -> None:
    """Begin to keep apart what comes with other ids of customers who had none until now."""
    first = [
        held[work.customer_id]
        for work in batch
        if work.given is not None
        and work.given.came_with is not None
        and work.customer_id in held
        and not held[work.customer_id].fragmented
    ]
    if not first:
        return
    await identities.keep_fragments(connection, map(fragment_of, first))
    await connection.execute(_FRAGMENTED, [state.customer_id for state in first])
    for state in first:
        state.fragmented = True


async def keep(
    connection: Any, decided: Sequence[tuple[Work, Decision | None]], schema: Schema
) -> None:
    """Merge what was folded into customers into the fragments of the ids that it came with."""
    told = {
        work.given.came_with or work.customer_id: (work.given, decision)
        for work, decision in decided
        if decision is not None
        and work.given is not None
        and work.given.seen
        and decision.state.fragmented
        and (decision.folded or work.given.came_with is not None)
    }
    if not told:
        return
    known = await identities.fragments(connection, told.keys())
    changed: list[Fragment] = []
    changes: list[tuple[str, Change]] = []
    for customer_id, (given, decision) in told.items():
        fragment = known.get(customer_id) or Fragment(customer_id, given.at, given.at, given.type)
        before = fragment.times
        for patch in decision.folded:
            merged = merge(fragment.traits, fragment.times, patch.traits, patch.written, schema)
            fragment.traits, fragment.times = merged.traits, merged.times
            changes += [(customer_id, change) for change in merged.changes]
        if customer_id not in known or fragment.times != before:
            fragment.first_seen = min(fragment.first_seen, given.at)
            fragment.last_seen = max(fragment.last_seen, given.at)
            changed.append(fragment)
    await identities.keep_fragments(connection, changed)
    await identities.remember(connection, changes)
