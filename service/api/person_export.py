"""Everything kept of a person as one JSON document, written while it is read."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import TypeVar

from pydantic import BaseModel

from service.api.customer_schemas import KeptOrder, NotImported, ToldEvent, TraitChange
from service.api.profiles import known_by, profile, transition
from service.api.services import Services
from service.api.sources import reject
from service.core.access import Author
from service.core.instants import format_instant
from service.core.personal import NOBODYS
from service.store import customers, events, identities, import_rejects, sources, states
from service.store.database import Long
from service.store.import_rejects import RejectedRow

Row = TypeVar("Row")


class NothingKept(LookupError):
    """Nothing is stored of this person."""


async def everything(services: Services, customer_id: str, author: Author) -> AsyncGenerator[bytes]:
    """The document in pieces, as of one moment; the audit has its entry before the first of them.
    Raises NothingKept, Crowded, Undecidable, each before the first."""
    async with AsyncExitStack() as stack:
        long = services.database.long(Long.PERSON, author.key_id)
        connection = await stack.enter_async_context(long)
        await connection.execution_options(isolation_level="REPEATABLE READ")
        raw = (await connection.get_raw_connection()).driver_connection
        person = (await identities.persons(raw, [customer_id])).get(customer_id, customer_id)
        others = (await identities.ids_of(raw, [person])).get(person, [])
        ids = [person, *others]
        lists = await customers.all_lists(connection, ids)
        state = (await states.read(raw, [person])).get(person)
        refused = await sources.any_reject_about(connection, ids)
        if not (state or lists or refused or await import_rejects.any_about(connection, ids)):
            raise NothingKept
        now = services.clock()
        told = "null"
        if state is not None:
            served = services.live.served
            known = {person: state}
            await events.load_histories(raw, known, served.catalog.told, -1)
            whole = await asyncio.to_thread(profile, served, state, lists, NOBODYS, now)
            whole.other_ids = others
            whole.identities = known_by(await identities.named(raw, ids))
            told = whole.model_dump_json()
        await services.eraser.note_export(person, author, now)
        head = {"customer_id": person, "exported_at": format_instant(now), "lists": lists}
        yield f'{json.dumps(head)[:-1]}, "profile": {told}, "trait_history": ['.encode()
        changes = customers.history(connection, ids)
        async for piece in _items(changes, lambda row: TraitChange(**asdict(row))):
            yield piece
        yield b'], "transitions": ['
        moves = customers.all_transitions(connection, ids)
        async for piece in _items(moves, lambda row: transition(row, NOBODYS)):
            yield piece
        yield b'], "events": ['
        told_events = customers.all_events(connection, ids)
        async for piece in _items(told_events, lambda row: ToldEvent(**asdict(row))):
            yield piece
        yield b'], "orders": ['
        orders = customers.all_orders(connection, ids)
        async for piece in _items(orders, lambda row: KeptOrder(**asdict(row))):
            yield piece
        yield b'], "rejects": ['
        rejects = sources.rejects_about(connection, ids)
        async for piece in _items(rejects, lambda row: reject(row, personal=True)):
            yield piece
        yield b'], "import_rejects": ['
        not_imported = import_rejects.about(connection, ids)
        async for piece in _items(not_imported, lambda row: _not_imported(*row)):
            yield piece
        yield b"]}"


def _not_imported(job: int, row: RejectedRow) -> NotImported:
    return NotImported(
        job=job,
        row=row.row,
        column=row.column,
        code=row.code,
        detail=row.detail,
        cells=None if row.cells is None else [*row.cells],
    )


async def _items(
    batches: AsyncIterator[list[Row]], shaped: Callable[[Row], BaseModel]
) -> AsyncIterator[bytes]:
    separator = b""
    async for rows in batches:
        yield separator + b",".join(shaped(row).model_dump_json().encode() for row in rows)
        separator = b","
