"""`/customers`: what is stored of one customer."""

from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy.ext.asyncio import AsyncConnection

from service.api import paging
from service.api.paths import CustomerId
from service.api.problems import invalid, not_found
from service.api.schemas import (
    Customer,
    HeldMembership,
    ModelAnswer,
    TraitValue,
    Transition,
    Transitions,
)
from service.api.services import Services, WithServices
from service.core.deciding import State
from service.core.instants import to_datetime
from service.core.merging import value_at
from service.core.parsing import Problem
from service.store import customers as stored
from service.store import segments, states

# A slash in an id may be written as one, so a route with a tail comes before that which takes all.
router = APIRouter(prefix="/customers", tags=["customers"])

IdentityQuery = Annotated[
    str | None, Query(description="Not available in this version: refused with 422.")
]


def _unknown(customer_id: str) -> Exception:
    return not_found(f"there is no customer {customer_id}")


async def _state(connection: AsyncConnection, customer_id: str) -> State:
    if "\0" in customer_id:
        raise _unknown(customer_id)
    raw = (await connection.get_raw_connection()).driver_connection
    state = (await states.read(raw, [customer_id])).get(customer_id)
    if state is None:
        raise _unknown(customer_id)
    return state


def _memberships(state: State) -> list[HeldMembership]:
    return [
        HeldMembership(key=key, since=to_datetime(member.since), version=member.version)
        for key, member in sorted(state.memberships.items())
    ]


def _shaped(services: Services, state: State, lists: list[str]) -> Customer:
    sources = {
        path: TraitValue(
            value=value_at(state.traits, path),
            source=written.source,
            updated_at=to_datetime(written.at),
        )
        for path, written in sorted(state.times.items())
    }
    served = services.live.served
    outputs = served.score(state.traits)
    versions = {model.name: model.version for model in served.models}
    return Customer(
        customer_id=state.customer_id,
        type=state.type,
        first_seen=to_datetime(state.first_seen),
        last_seen=to_datetime(state.last_seen),
        traits=state.traits,
        sources={path: value for path, value in sources.items() if value.value is not None},
        segments=_memberships(state),
        lists=lists,
        models={
            name: ModelAnswer(
                version=versions[name],
                label=output.label,
                confidence=output.confidence,
                score=output.score,
                unusual=output.unusual,
            )
            for name, output in outputs.items()
        },
        valid_until=None if state.due_at is None else to_datetime(state.due_at),
        sequence=state.sequence,
        catalog_revision=state.catalog_revision,
        decided_at=None if state.decided_at is None else to_datetime(state.decided_at),
    )


@router.get("")
async def find_customer(identity: IdentityQuery = None) -> Customer:
    """Find a customer by an identity: not available in this version."""
    detail = "customers can't be found by identity in this version; GET /customers/{id} takes an id"
    raise invalid([Problem("/query/identity", "not_available", detail)])


@router.get("/{customer_id:path}/segments")
async def get_customer_segments(
    services: WithServices, customer_id: CustomerId
) -> list[HeldMembership]:
    """The segments that a customer is in."""
    async with services.database.engine.connect() as connection:
        return _memberships(await _state(connection, customer_id))


@router.get("/{customer_id:path}/transitions")
async def get_customer_transitions(
    services: WithServices,
    customer_id: CustomerId,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Transitions:
    """When and why a customer entered and left segments, the newest first."""
    before = paging.after_number(cursor)
    async with services.database.engine.connect() as connection:
        if "\0" in customer_id or not await stored.exists(connection, customer_id):
            raise _unknown(customer_id)
        rows = await stored.transitions_of(connection, customer_id, before, limit + 1)
    items = [
        Transition(
            sequence=row.sequence,
            segment=row.segment,
            type="entered" if row.entered else "exited",
            version=row.version,
            at=row.at,
            reason=row.reason,
        )
        for row in rows[:limit]
    ]
    more = items[-1].sequence if len(rows) > limit else None
    return Transitions(items=items, next_cursor=paging.cursor(more))


@router.get("/{customer_id:path}")
async def get_customer(services: WithServices, customer_id: CustomerId) -> Customer:
    """A customer's traits with their sources, memberships, and what models say."""
    async with services.database.engine.connect() as connection:
        state = await _state(connection, customer_id)
        lists = await segments.lists_of(connection, customer_id)
    return _shaped(services, state, lists)


@router.delete("/{customer_id:path}", status_code=204)
async def erase_customer(services: WithServices, customer_id: CustomerId) -> None:
    """Erase a customer everywhere."""
    if "\0" in customer_id:
        raise _unknown(customer_id)
    async with services.database.engine.begin() as connection:
        if not await stored.erase(connection, customer_id):
            raise _unknown(customer_id)
