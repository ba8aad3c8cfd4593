"""`/customers?identity=`, `/customers/{id}/merge` and `/unmerge`: who is who."""

from typing import Annotated

from fastapi import APIRouter, Query

from service.api.bodies import BodyRoute
from service.api.callers import WithAuthor, WithCaller, require
from service.api.customer_schemas import Customer, Customers, MergeRequest, PersonIds
from service.api.customers import record
from service.api.paths import CustomerId
from service.api.problems import HttpProblem, invalid, not_found
from service.api.recording import NOT_RECORDED, not_recorded
from service.api.services import Services, WithServices
from service.core.access import Caller, Scope
from service.core.identities import EMAIL, PHONE, Identity, normalised
from service.core.problems import Problem
from service.flows.linking import NoCustomer, NotMerged
from service.store import identities, states

# Before the routes of customers, one of which takes all ids.
router = APIRouter(prefix="/customers", tags=["customers"], route_class=BodyRoute)

IdentityQuery = Annotated[
    str,
    Query(
        description="A kind and a value, such as `email:ann@example.com`. E-mail addresses and "
        "phone numbers need the scope `personal`.",
        max_length=400,
        pattern="^[^:]+:.+$",
    ),
]
# Of one address, whoever said it was theirs.
MOST = 100


@router.get("")
async def find_customers(
    services: WithServices, who: WithCaller, identity: IdentityQuery
) -> Customers:
    """Find customers by what they are known by: first whose it is, then who only said so in a
    browser."""
    kind, _, value = identity.partition(":")
    if kind.rpartition("/")[2] in (EMAIL, PHONE):
        require(who, Scope.PERSONAL)
    wanted = normalised(Identity(kind, value))
    if wanted is None or "\0" in identity:
        raise invalid([Problem("/query/identity", "bad_value", f"this is no {kind}")])
    own = services.live.namer.customer_of(wanted)
    async with services.database.engine.connect() as connection:
        raw = (await connection.get_raw_connection()).driver_connection
        told = [own, *(await identities.claimants(raw, own))][:MOST]
        persons = await identities.persons(raw, told)
        ids = list(dict.fromkeys(persons.get(each, each) for each in told))
        found = await states.read(raw, ids)
        items = [
            await record(services, connection, found[each], who) for each in ids if each in found
        ]
    return Customers(items=items, next_cursor=None)


@router.post("/{customer_id:path}/merge")
async def merge_customers(
    services: WithServices,
    customer_id: CustomerId,
    wanted: MergeRequest,
    who: WithCaller,
    author: WithAuthor,
) -> Customer | PersonIds:
    """Have another customer be this one too: what came with either counts for both. It can be
    undone. Without the scope `read` the answer has their ids only."""
    _check(customer_id)
    if wanted.from_ == customer_id:
        detail = "a customer can't be merged with themselves"
        raise invalid([Problem("/from", "bad_value", detail)])
    try:
        await services.linker.merge(customer_id, wanted.from_, author)
    except NoCustomer as error:
        if error.customer_id == customer_id:
            raise not_found(f"there is no customer {customer_id}") from error
        detail = f"there is no customer {error.customer_id}"
        raise invalid([Problem("/from", "no_customer", detail)]) from error
    except NOT_RECORDED as error:
        raise not_recorded(error) from error
    return await _told(services, customer_id, who)


@router.post("/{customer_id:path}/unmerge")
async def unmerge_customers(
    services: WithServices,
    customer_id: CustomerId,
    wanted: MergeRequest,
    who: WithCaller,
    author: WithAuthor,
) -> Customer | PersonIds:
    """Undo a merge, or what gave this customer an anonymous id or another identity: it takes with
    it all that came with it, and no message joins the two again. Without the scope `read` the
    answer has their ids only."""
    _check(customer_id)
    try:
        await services.linker.unmerge(customer_id, wanted.from_, author)
    except NotMerged as error:
        detail = f"{wanted.from_} is none of this customer's other ids, or not by itself"
        raise HttpProblem(409, "not_merged", detail) from error
    except NOT_RECORDED as error:
        raise not_recorded(error) from error
    return await _told(services, customer_id, who)


def _check(customer_id: str) -> None:
    if "\0" in customer_id:
        raise not_found(f"there is no customer {customer_id}")


async def _told(services: Services, customer_id: str, who: Caller) -> Customer | PersonIds:
    async with services.database.engine.connect() as connection:
        raw = (await connection.get_raw_connection()).driver_connection
        person = (await identities.persons(raw, [customer_id])).get(customer_id, customer_id)
        state = (await states.read(raw, [person])).get(person)
        if state is None:
            raise not_found(f"there is no customer {customer_id}")
        if who.may(Scope.READ):
            return await record(services, connection, state, who)
        others = (await identities.ids_of(raw, [person])).get(person, [])
        return PersonIds(customer_id=person, other_ids=others)
