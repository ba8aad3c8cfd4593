"""Erasing persons, and handing out what is kept of them: both leave proofs that name nobody."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from service.core.access import Author
from service.core.instants import to_datetime
from service.store import (
    audit,
    customers,
    identities,
    import_rejects,
    lists,
    sources,
    workspace,
)
from service.store.database import Database
from service.store.erasures import Erasure, Erasures

# Longer than the writer holds a row; whoever holds one for longer is waited for another time.
LOCK_TIMEOUT = text("set local lock_timeout = '5s'")

# SQLSTATE of a lock that was waited for too long, and of a deadlock.
GIVEN_UP = frozenset({"55P03", "40P01"})


class NobodyErased(LookupError):
    """Nothing is stored of this person, and nothing was."""


class Held(RuntimeError):
    """Others are writing of this person, or to lists, and take their time over it."""

    def __init__(self) -> None:
        super().__init__("this person's record, or a list, is being written for a while longer")


class Eraser:
    """Erases persons, and proves it."""

    def __init__(self, database: Database, erasures: Erasures, clock: Callable[[], int]) -> None:
        self._database = database
        self._erasures = erasures
        self._clock = clock

    async def erase(self, customer_id: str, author: Author, *, whoever: bool = False) -> Erasure:
        """Erase a person, or tell of the erasure before where nothing has come since. `whoever`:
        note the erasure also of a person of whom nothing is stored. Raises NobodyErased, Held.

        One transaction, which holds the customer's row as the writer does: whatever is recorded of
        them ends before, and is erased, or begins after.
        """
        try:
            async with self._database.engine.begin() as connection:
                return await self._erase(connection, customer_id, author, whoever)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) in GIVEN_UP:
                raise Held from error
            raise

    async def _erase(
        self, connection: AsyncConnection, customer_id: str, author: Author, whoever: bool
    ) -> Erasure:
        await connection.execute(LOCK_TIMEOUT)
        raw = (await connection.get_raw_connection()).driver_connection
        ids, stored = await self._hold(connection, raw, customer_id)
        now = to_datetime(self._clock())  # from here on: we may have waited
        for each in ids:
            stored |= await lists.forget(connection, each)
            stored |= await customers.erase(connection, each)
            stored |= await sources.forget(connection, each)
            stored |= await workspace.forget(connection, each)
        nobodys = await identities.forget(raw, ids)
        stored |= await import_rejects.forget(connection, [*ids, *nobodys])
        if not stored and not whoever:
            before = await self._erasures.of(connection, customer_id)
            if before is None:
                raise NobodyErased
            return before
        for each in (*ids, *nobodys):
            await self._erasures.record(connection, each, now)
        erasure = await self._erasures.of(connection, customer_id)
        assert erasure is not None  # noqa: S101 - just recorded
        subject = f"customers/{erasure.fingerprint.hex()}"
        await audit.record(connection, author, now, "customer.erased", subject)
        return erasure

    async def _hold(
        self, connection: AsyncConnection, raw: Any, customer_id: str
    ) -> tuple[list[str], bool]:
        """Hold the row of the person whose id this is: all their ids, this one first, and whether
        anything was stored of them. Raises Held where the id goes to another meanwhile."""
        joined = await identities.persons(raw, [customer_id])
        person = joined.get(customer_id, customer_id)
        stored = await customers.hold(connection, person, to_datetime(self._clock()))
        if await identities.persons(raw, [customer_id]) != joined:
            raise Held
        others = (await identities.ids_of(raw, [person])).get(person, [])
        return [customer_id, *sorted({person, *others} - {customer_id})], stored

    async def verify(self, customer_id: str) -> Erasure | None:
        """The latest erasure of a person, if there was one."""
        async with self._database.engine.connect() as connection:
            return await self._erasures.of(connection, customer_id)

    async def note_export(self, customer_id: str, author: Author, at: int) -> None:
        """Have the audit tell that everything of a person was handed out; it names nobody, and
        knows them again by the fingerprint that their erasure would leave."""
        fingerprint = self._erasures.fingerprints(customer_id)[0].hex()
        async with self._database.engine.begin() as connection:
            subject = f"customers/{fingerprint}"
            await audit.record(connection, author, to_datetime(at), "customer.exported", subject)
