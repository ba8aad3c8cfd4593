"""`/customers`: what is stored of one customer."""

import asyncio
from typing import Any

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncConnection

from service.api import paging
from service.api.callers import WithAuthor, WithCaller
from service.api.customer_schemas import Customer, Erased, HeldMembership, PersonExport, Transitions
from service.api.erasures import erased
from service.api.exports import Export
from service.api.paths import CustomerId
from service.api.person_export import NothingKept, everything
from service.api.problems import not_found, unavailable
from service.api.profiles import known_by, memberships, profile, transition
from service.api.services import Services, WithServices
from service.core.access import Caller, Scope
from service.core.decisions import State
from service.core.personal import NOBODYS, Personal
from service.flows.erasing import NobodyErased
from service.store import customers as stored
from service.store import events, identities, segments, states
from service.store.database import Crowded

# A slash in an id may be written as one, so a route with a tail comes before that which takes all.
router = APIRouter(prefix="/customers", tags=["customers"])


def _unknown(customer_id: str) -> Exception:
    return not_found(f"there is no customer {customer_id}")


async def _state(connection: AsyncConnection, customer_id: str) -> State:
    """The customer whose id this is, maybe one among others."""
    if "\0" in customer_id:
        raise _unknown(customer_id)
    raw = (await connection.get_raw_connection()).driver_connection
    person = (await identities.persons(raw, [customer_id])).get(customer_id, customer_id)
    state = (await states.read(raw, [person])).get(person)
    if state is None:
        raise _unknown(customer_id)
    return state


def _hidden(services: Services, who: Caller) -> Personal:
    """What this caller may not read."""
    return NOBODYS if who.may(Scope.PERSONAL) else services.live.served.personal


@router.get("/{customer_id:path}/segments")
async def get_customer_segments(
    services: WithServices, customer_id: CustomerId
) -> list[HeldMembership]:
    """The segments that a customer is in."""
    async with services.database.engine.connect() as connection:
        return memberships(await _state(connection, customer_id))


@router.get("/{customer_id:path}/transitions")
async def get_customer_transitions(
    services: WithServices,
    customer_id: CustomerId,
    who: WithCaller,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Transitions:
    """When and why a customer entered and left segments, the newest first."""
    before = paging.after_number(cursor)
    async with services.database.engine.connect() as connection:
        await _state(connection, customer_id)
        # Of an id that was joined to another's, those until then: they were told under it.
        rows = await stored.transitions_of(connection, customer_id, before, limit + 1)
    personal = _hidden(services, who)
    items = [transition(row, personal) for row in rows[:limit]]
    more = items[-1].sequence if len(rows) > limit else None
    return Transitions(items=items, next_cursor=paging.cursor(more))


@router.get("/{customer_id:path}/export", response_model=PersonExport)
async def export_customer(
    services: WithServices, customer_id: CustomerId, author: WithAuthor
) -> Any:
    """Everything kept of a person, for their request: one JSON document, written while it is
    read. The audit tells of it, and names nobody."""
    if "\0" in customer_id:
        raise _unknown(customer_id)
    pieces = everything(services, customer_id, author)
    try:
        first = await anext(pieces)
    except NothingKept as error:
        raise _unknown(customer_id) from error
    except Crowded as error:
        raise unavailable(str(error)) from error
    headers = {
        "content-disposition": 'attachment; filename="customer.json"',
        "cache-control": "no-store",
    }
    return Export(first, pieces, media_type="application/json", headers=headers)


@router.get("/{customer_id:path}")
async def get_customer(
    services: WithServices, customer_id: CustomerId, who: WithCaller
) -> Customer:
    """A customer's traits with their sources, memberships, and what models say. Personal traits
    are masked without the scope `personal`."""
    async with services.database.engine.connect() as connection:
        state = await _state(connection, customer_id)
        return await record(services, connection, state, who)


async def record(
    services: Services, connection: AsyncConnection, state: State, who: Caller
) -> Customer:
    """All that this caller may read of a stored customer."""
    served = services.live.served
    raw = (await connection.get_raw_connection()).driver_connection
    known = {state.customer_id: state}
    await events.load_histories(raw, known, served.catalog.told, -1)
    others = (await identities.ids_of(raw, list(known))).get(state.customer_id, [])
    lists = await segments.lists_of(connection, [state.customer_id, *others])
    hidden = _hidden(services, who)
    # In a thread: the first who is told where a city is waits for the table of them.
    told = await asyncio.to_thread(profile, served, state, lists, hidden, services.clock())
    told.other_ids = others
    if who.may(Scope.PERSONAL):
        told.identities = known_by(await identities.named(raw, [state.customer_id, *others]))
    return told


@router.delete("/{customer_id:path}")
async def erase_customer(
    services: WithServices, customer_id: CustomerId, author: WithAuthor
) -> Erased:
    """Erase a customer everywhere. The answer is the proof, which holds nothing personal; it is
    given again to whoever asks again."""
    if "\0" in customer_id:
        raise _unknown(customer_id)
    try:
        return Erased(erasure=await erased(services, customer_id, author))
    except NobodyErased as error:
        raise _unknown(customer_id) from error
