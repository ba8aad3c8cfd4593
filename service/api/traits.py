"""`/traits`: declared types and dimensions of traits."""

from typing import Annotated

from fastapi import APIRouter, Path

from service.api import paging
from service.api.bodies import BodyRoute
from service.api.problems import invalid, not_found
from service.api.schemas import Trait, TraitDeclaration, Traits
from service.api.services import WithServices
from service.core.instants import to_datetime
from service.core.merging import RESERVED
from service.core.parsing import Problem
from service.store import traits as stored

router = APIRouter(prefix="/traits", tags=["traits"], route_class=BodyRoute)

Name = Annotated[str, Path(min_length=1, max_length=256)]


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
async def get_trait(services: WithServices, name: Name) -> Trait:
    """One declared trait."""
    async with services.database.engine.connect() as connection:
        definition = await stored.get(connection, _checked(name))
    if definition is None:
        raise not_found(f"no trait {name} is declared")
    return Trait(name=name, **definition)


@router.put("/{name}")
async def declare_trait(services: WithServices, name: Name, declaration: TraitDeclaration) -> Trait:
    """Declare a trait's type: incoming values are coerced to it from now on."""
    definition = declaration.model_dump(mode="json", exclude_none=True)
    async with services.publisher.publication("definition", _checked(name)) as connection:
        await stored.declare(connection, name, definition, to_datetime(services.clock()))
    return Trait(name=name, **definition)


@router.delete("/{name}", status_code=204)
async def withdraw_trait(services: WithServices, name: Name) -> None:
    """Withdraw a declaration; values stay as they are."""
    async with services.publisher.publication("definition", _checked(name)) as connection:
        if not await stored.withdraw(connection, name):
            raise not_found(f"no trait {name} is declared")
