"""Erased customers: keyed hashes by which late data is recognised, and nobody can be found.

A fingerprint is made with the installation's secret key. Keys can be replaced, so the newest makes
what is stored, and all of them look.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from service.core.instants import from_datetime
from service.store.states import Connection
from service.store.tables import erasures
from service.store.vault import Vault

_KNOWN = "select fingerprint, erased_at from erasures where fingerprint = any($1::bytea[])"

# In one order, so that two who count the same can't deadlock.
_COUNT = """update erasures e set dropped = dropped + 1 from (
    select fingerprint from erasures where fingerprint = any($1::bytea[])
    order by fingerprint for update) as late
  where e.fingerprint = late.fingerprint"""

# Of customers whose fingerprints were noted, those erased who have not come back.
_NOTED_GONE = """select n.customer_id, n.fingerprint from noted n join erasures using (fingerprint)
  where not exists (select from customers c where c.customer_id = n.customer_id)"""

_STORED = "select customer_id from customers where customer_id = any($1::text[])"


class Erased(RuntimeError):
    """The customer was erased after this was received: it is dropped, and counted."""

    def __init__(self) -> None:
        super().__init__(
            "this customer was erased after this was received: it is dropped; what comes from now "
            "on makes a new customer"
        )


@dataclass(frozen=True, slots=True)
class Erasure:
    """That somebody was erased and when, and how much came for them afterwards and was dropped."""

    fingerprint: bytes
    erased_at: datetime
    dropped: int


_COLUMNS = (erasures.c.fingerprint, erasures.c.erased_at, erasures.c.dropped)


class Erasures:
    """Recognises who was erased, with the vault's keys."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def fingerprints(self, customer_id: str) -> list[bytes]:
        """32 bytes under each key, the newest first."""
        return self._vault.fingerprints("customer", customer_id)

    async def record(self, connection: AsyncConnection, customer_id: str, at: datetime) -> Erasure:
        """Note that a customer was erased, maybe once more."""
        statement = (
            upsert(erasures)
            .values(fingerprint=self.fingerprints(customer_id)[0], erased_at=at)
            .on_conflict_do_update(index_elements=[erasures.c.fingerprint], set_={"erased_at": at})
            .returning(*_COLUMNS)
        )
        return Erasure(*(await connection.execute(statement)).one())

    async def any(self, connection: AsyncConnection, since: datetime | None = None) -> bool:
        """Whether anybody was erased, ever or since."""
        query = select(erasures.c.erased_at).limit(1)
        if since is not None:
            query = query.where(erasures.c.erased_at >= since)
        found = await connection.execute(query)
        return found.one_or_none() is not None

    async def of(self, connection: AsyncConnection, customer_id: str) -> Erasure | None:
        """The latest erasure of a customer."""
        query = (
            select(*_COLUMNS)
            .where(erasures.c.fingerprint.in_(self.fingerprints(customer_id)))
            .order_by(erasures.c.erased_at.desc())
            .limit(1)
        )
        row = (await connection.execute(query)).one_or_none()
        return None if row is None else Erasure(*row)

    async def late(self, connection: Connection, dated: Mapping[str, int]) -> frozenset[str]:
        """Of customers with the instants of their data, those erased since: they are counted as
        dropped. Who erases holds the customer's row, so ask with the row in hand."""
        erased = await self._known(connection, list(dated))
        late = {fp: who for fp, (who, at) in erased.items() if dated[who] <= at}
        if late:
            await connection.execute(_COUNT, list(late))
        return frozenset(late.values())

    async def since(self, connection: Connection, dated: Mapping[str, int]) -> dict[str, int]:
        """Of customers with instants those who were erased then or later, and when: nothing is
        counted."""
        erased = await self._known(connection, list(dated))
        found: dict[str, int] = {}
        for who, at in erased.values():
            if at >= dated[who]:
                found[who] = max(at, found.get(who, at))
        return found

    async def gone(self, connection: Connection, customer_ids: Sequence[str]) -> frozenset[str]:
        """Of these ids, those of erased customers who have not come back: they are counted as
        dropped."""
        erased = await self._known(connection, customer_ids)
        if not erased:
            return frozenset()
        rows = await connection.fetch(_STORED, [who for who, _ in erased.values()])
        back = {row["customer_id"] for row in rows}
        gone = {fp: who for fp, (who, _) in erased.items() if who not in back}
        if gone:
            await connection.execute(_COUNT, list(gone))
        return frozenset(gone.values())

    async def open_notes(self, connection: Connection) -> None:
        """A place for fingerprints that nobody else sees and that goes with the connection."""
        await connection.execute(
            'create temp table noted (fingerprint bytea, customer_id text collate "C")'
        )

    async def note(self, connection: Connection, customer_ids: Sequence[str]) -> None:
        """Note whose fingerprints are whose: making them takes long where there are many."""
        records = [(each, who) for who in customer_ids for each in self.fingerprints(who)]
        await connection.copy_records_to_table("noted", records=records)

    async def noted_gone(self, connection: Connection) -> frozenset[str]:
        """`gone` of those noted."""
        rows = await connection.fetch(_NOTED_GONE)
        if rows:
            await connection.execute(_COUNT, [row["fingerprint"] for row in rows])
        return frozenset(row["customer_id"] for row in rows)

    async def _known(
        self, connection: Connection, customer_ids: Sequence[str]
    ) -> dict[bytes, tuple[str, int]]:
        """By fingerprint, whose it is and when they were erased (microseconds)."""
        whose = {fp: who for who in customer_ids for fp in self.fingerprints(who)}
        rows = await connection.fetch(_KNOWN, list(whose))
        return {
            row["fingerprint"]: (whose[row["fingerprint"]], from_datetime(row["erased_at"]))
            for row in rows
        }


async def with_fingerprint(connection: AsyncConnection, fingerprint: bytes) -> Erasure | None:
    """The erasure that a proof tells of."""
    query = select(*_COLUMNS).where(erasures.c.fingerprint == fingerprint)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else Erasure(*row)
