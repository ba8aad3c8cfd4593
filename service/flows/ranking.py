"""Refreshing ranks: everyone is ranked, and the cut points are published."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from service.core.decisions import State
from service.core.derived.cut_points import cut_points
from service.core.derived.ranks import Order, Rank
from service.core.exclusion import excluded
from service.core.instants import Moment
from service.core.profiles import derived_of, given_of
from service.flows.following import Follower
from service.flows.publications import Publications
from service.live import Live, Served
from service.store import catalogs, events, exports, ranks
from service.store.database import Database, Long
from service.store.jobs import JobRow


class Ranker:
    """Ranks all customers anew."""

    def __init__(
        self,
        database: Database,
        live: Live,
        follower: Follower,
        publications: Publications,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._live = live
        self._follower = follower
        self._publications = publications
        self._clock = clock

    async def refresh(self, job: JobRow) -> int:
        """Rank everyone stored by every rank, as of one instant, and have those decided again who
        may have crossed a border; how many customers were looked at."""
        now = self._clock()
        async with self._database.long(Long.MEASURING) as connection:
            await exports.at_one_instant(connection)
            rows = await catalogs.read_catalog(connection)
            await self._follower.catch_up(rows.revision)
            served = self._live.served
            plan = served.derivations.plan
            ranked = {
                name: trait.rule
                for name, trait in ({} if plan is None else plan.traits).items()
                if isinstance(trait.rule, Rank)
            }
            if not ranked:
                return 0
            keys = {name: rank.keys() for name, rank in ranked.items()}
            done = 0
            raw = (await connection.get_raw_connection()).driver_connection
            async for batch in exports.customers(connection):
                states = {state.customer_id: state for state in batch}
                await events.load_histories(raw, states, served.derivations, -1)
                await asyncio.to_thread(_rank, served, batch, ranked, keys, now)
                done += len(batch)
        async with self._publications.change() as change:
            before = await ranks.read(change.connection)
            for name, rank in ranked.items():
                cuts = cut_points(keys[name], descending=rank.order is Order.DESCENDING)
                definition: Any = rows.derived.get(name, {}).get("rank")
                if definition is not None:
                    encoded = cuts.encode()
                    known = before.get(name)
                    await ranks.write(change.connection, name, definition, change.now, encoded)
                    if known is None or known.encode() != encoded:
                        change.publish("rank", name, redecide=True)
        return done


def _rank(
    served: Served,
    batch: Sequence[State],
    ranked: Mapping[str, Rank],
    keys: Mapping[str, Any],
    now: int,
) -> None:
    moment = Moment(now, served.derivations.zone)
    functions = {name: rank.key() for name, rank in ranked.items()}
    for state in batch:
        if excluded(state.traits):
            continue
        given = given_of(served.catalog, state)
        profile = {
            **served.derivations.given(given),
            **derived_of(served.catalog, state, now),
        }
        for name, function in functions.items():
            key = function(profile, moment)
            if key is not None:
                keys[name].append(key)
