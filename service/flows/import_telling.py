"""Rows of uploaded files that were not imported, kept for whoever corrects them, but for those of
people who were erased since: of those nothing is told but that they were."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

from service.core.identities import Identity, Namer, normalised
from service.core.instants import to_datetime
from service.flows.import_files import Table
from service.flows.import_rejects import rejected_rows
from service.intake.imports.cells import Unreadable, identifier
from service.intake.imports.fields import CUSTOMER_ID, NAMES, Kind
from service.intake.imports.told import Bad
from service.intake.imports.understanding import Plan
from service.live import Live
from service.store import import_rejects
from service.store.database import Database
from service.store.erasures import Erased, Erasures
from service.store.import_rejects import RejectedRow

AT_ONCE = 1_000  # rows
ERASED = "erased"


class Whose:
    """Whom rows name, as far as they can be read."""

    def __init__(self, columns: Sequence[str], plan: Plan, namer: Namer) -> None:
        self._namer = namer
        self._places = [
            (name, columns.index(plan.fields[name])) for name in NAMES if name in plan.fields
        ]
        self._constant = plan.constants.get(CUSTOMER_ID)
        # Further rows of an order may leave out whose it is.
        group = plan.fields.get("group", plan.fields.get("order_id"))
        orders = plan.kind is Kind.ORDERS and group is not None
        self._group = columns.index(group) if orders and group is not None else None
        self._of_group: dict[str, list[str]] = {}

    def ids(self, cells: Sequence[Any]) -> list[str]:
        """All ids that a row names, also those that its addresses stand for."""
        found = {self._id(name, cells[place]) for name, place in self._places}
        found.add(self._id(CUSTOMER_ID, self._constant))
        ids = sorted(each for each in found if each is not None and "\0" not in each)
        if self._group is not None:
            group = str(cells[self._group])
            ids = ids or self._of_group.get(group, [])
            self._of_group[group] = ids
        return ids

    def _id(self, name: str, cell: Any) -> str | None:
        try:
            found = identifier(cell)
        except Unreadable:
            return None
        if found is None or name == CUSTOMER_ID:
            return found
        identity = normalised(Identity(name, found))
        return None if identity is None else self._namer.customer_of(identity)


class Rejected:
    """Keeps the rows of uploaded files that were not imported."""

    def __init__(
        self, database: Database, live: Live, erasures: Erasures, clock: Callable[[], int]
    ) -> None:
        self._database = database
        self._live = live
        self._erasures = erasures
        self._clock = clock

    async def keep(
        self, job_id: int, began: int, table: Table, plan: Plan, bad: dict[int, list[Bad]]
    ) -> None:
        """Keep the rows of a file in place of those that its import has told before. `began`: when
        the import did, microseconds."""
        whose = Whose(table.columns, plan, self._live.namer)
        found = rejected_rows(table, bad)
        async with self._database.engine.begin() as connection:
            await import_rejects.clear(connection, job_id)
        while some := await asyncio.to_thread(lambda: [*islice(found, AT_ONCE)]):
            await self._add(job_id, began, [_row(each, cells, whose) for each, cells in some])

    async def _add(self, job_id: int, began: int, rows: Sequence[RejectedRow]) -> None:
        dated = {each: began for row in rows for each in row.whose}
        async with self._database.engine.begin() as connection:
            await import_rejects.hold(connection)
            raw = (await connection.get_raw_connection()).driver_connection
            erased = await self._erasures.since(raw, dated)
            at = to_datetime(self._clock())
            await import_rejects.add(connection, job_id, at, [*_without(rows, erased)])


def _row(bad: Bad, cells: Sequence[Any] | None, whose: Whose) -> RejectedRow:
    if cells is None or bad.code == ERASED:
        return RejectedRow(bad.row, bad.column, bad.code, bad.detail, None, [])
    # What a row holds that can't be stored is why it is here.
    detail = bad.detail.replace("\0", "\ufffd")
    return RejectedRow(bad.row, bad.column, bad.code, detail, cells, whose.ids(cells))


def _without(rows: Sequence[RejectedRow], erased: Iterable[str]) -> Iterable[RejectedRow]:
    """Rows of people who were erased as what they are, and no more."""
    gone = {*erased}
    for each in rows:
        if gone.isdisjoint(each.whose):
            yield each
        else:
            yield RejectedRow(each.row, None, ERASED, str(Erased()), None, [])
