"""`/traits`: declared types and dimensions of traits."""

from fastapi import APIRouter

from service.api import paging
from service.api.bodies import BodyRoute
from service.api.paths import TraitName
from service.api.problems import conflicting, invalid, not_found
from service.api.schemas import Trait, TraitDeclaration, Traits
from service.api.services import WithServices
from service.core.merging import RESERVED
from service.core.parsing import Problem
from service.flows.publishing import Conflict, Unknown
from service.store import traits as stored

router = APIRouter(prefix="/traits", tags=["traits"], route_class=BodyRoute)


def _checked(name: str) -> str:
    steps = name.split(".")
    if not all(steps) or ":" in name or "\0" in name or steps[0] in RESERVED:
        detail = "a trait's name or dotted path, without colons and reserved words"
        raise invalid([Problem("/path/name", "bad_name", detail)])
    return name


@router.get("")
async def list_traits(
    services: WithServices, limit: paging.Limit = 100, cursor: paging.Cursor = None
) -> Traits:
    """Declared traits by name."""
    async with services.database.engine.connect() as connection:
        rows = await stored.declared(connection, paging.after(cursor), limit + 1)
    items = [Trait(name=name, **definition) for name, definition in rows[:limit]]
    return Traits(
        items=items, next_cursor=paging.cursor(items[-1].name if len(rows) > limit else None)
    )


@router.get("/{name}")
async def get_trait(services: WithServices, name: TraitName) -> Trait:
    """One declared trait."""
    async with services.database.engine.connect() as connection:
        definition = await stored.get(connection, _checked(name))
    if definition is None:
        raise not_found(f"no trait {name} is declared")
    return Trait(name=name, **definition)


@router.put("/{name}")
async def declare_trait(
    services: WithServices, name: TraitName, declaration: TraitDeclaration
) -> Trait:
    """Declare a trait's type: incoming values are coerced to it from now on."""
    definition = declaration.model_dump(mode="json", exclude_none=True)
    try:
        await services.publisher.declare_trait(_checked(name), definition)
    except Conflict as conflict:
        raise conflicting(conflict) from conflict
    return Trait(name=name, **definition)


@router.delete("/{name}", status_code=204)
async def withdraw_trait(services: WithServices, name: TraitName) -> None:
    """Withdraw a declaration; values stay as they are."""
    try:
        await services.publisher.withdraw_trait(_checked(name))
    except Unknown as error:
        raise not_found(f"no trait {name} is declared") from error
    except Conflict as conflict:
        raise conflicting(conflict) from conflict
