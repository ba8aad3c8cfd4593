"""Holding the rows of persons in one transaction, as the writer does, while who they are moves."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from service.core.identities import roots
from service.store import identities


@dataclass(frozen=True, slots=True)
class Concerned:
    """Ids that a change may join or part: how they are joined, and how they will be."""

    ids: frozenset[str]
    before: Mapping[str, str]
    after: Mapping[str, str]


class Holding:
    """The rows of persons that one transaction holds, of `connection` and, beneath it, asyncpg's
    `raw`; `at`: when it began."""

    def __init__(self, connection: AsyncConnection, raw: Any, at: int) -> None:
        self.connection = connection
        self.raw = raw
        self._at = at
        # Whose rows; and whose were asked for, whether they were got or not.
        self._held: set[str] = set()
        self.wanted: set[str] = set()
        # Rows that were put only to be held.
        self.put: set[str] = set()

    async def hold(self, customer_ids: Collection[str]) -> None:
        """Hold the rows of these ids until the transaction ends."""
        wanted = set(customer_ids) - self._held
        if wanted:
            self.wanted |= wanted
            self.put |= await identities.hold(self.raw, wanted, self._at)
            self._held |= wanted

    async def people(self, customer_ids: Collection[str]) -> dict[str, str]:
        """Hold the rows of these ids, and of whose they are; whose, of those that are another's."""
        ids = set(customer_ids)
        while True:
            known = await identities.persons(self.raw, ids)
            # Together: two who hold the same one after another may wait for each other.
            wanted = ids.union(known.values())
            if wanted <= self._held:
                return known
            await self.hold(wanted)

    async def all_concerned(self, ids: Collection[str]) -> Concerned:
        """Hold everybody whom a change to these ids concerns, and look again until nothing that
        was waited for has changed whom that is."""
        raw = self.raw
        concerned = set(ids)
        while True:
            concerned |= set((await identities.persons(raw, concerned)).values())
            others = await identities.ids_of(raw, concerned)
            concerned |= {each for them in others.values() for each in them}
            before = await identities.persons(raw, concerned)
            found = roots(await identities.claims_of(raw, concerned))
            reached = found.keys() | set(found.values())
            if not reached <= concerned:
                concerned |= reached
                continue
            # Ids that are and stay another's have no rows, and nobody makes them any.
            wanted = {each for each in concerned if each not in before or each not in found}
            if wanted <= self._held:
                return Concerned(frozenset(concerned), before, found)
            await self.hold(wanted)
