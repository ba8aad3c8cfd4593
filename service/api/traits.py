"""`/traits`: declared types and dimensions of traits, and which are personal."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from service.api import paging, preconditions
from service.api.bodies import BodyRoute
from service.api.callers import WithAuthor, WithCaller, forbidden
from service.api.masking import View, WithView
from service.api.paths import TraitName
from service.api.preconditions import TAGGED, IfChanged, IfMatch, IfNoneMatch
from service.api.problems import conflicting, invalid, not_found
from service.api.schemas import Text
from service.api.services import Services, WithServices
from service.api.trait_schemas import RankRefresh, Trait, TraitCount, TraitDeclaration, Traits
from service.api.trait_views import ABOUT, trait
from service.core.access import Caller, Scope
from service.core.derived.ready_made import READY_MADE
from service.core.merging import RESERVED
from service.core.personal import NOBODYS
from service.core.problems import Invalid, Problem
from service.core.traits import Dimension
from service.flows import covering
from service.flows.publishing import Conflict, MayNotPublish, MayNotReveal, Unknown
from service.store import coverage, jobs
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
    services: WithServices,
    who: WithCaller,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
    dimension: Dimension | None = None,
    q: Annotated[
        Text | None,
        Query(
            max_length=200,
            description="A part of its name or description, in any letter case.",
        ),
    ] = None,
) -> Traits:
    """Every trait there is, by name: declared, ready-made, and met with customers; those below
    others by their dotted paths. With how many customers have it and its frequent values, as of the
    last count. What is below a personal trait is told to those who may read it."""
    served = services.live.served
    personal = NOBODYS if who.may(Scope.PERSONAL) else served.personal
    async with services.database.engine.connect() as connection:
        counted = await coverage.counted(connection)
        rows = await coverage.page(
            connection,
            READY_MADE,
            ABOUT,
            after=paging.after(cursor),
            limit=limit + 1,
            dimension=dimension,
            q=q,
            hidden=personal.paths,
        )
    items = [trait(row, counted, served, personal) for row in rows[:limit]]
    return Traits(
        items=items, next_cursor=paging.cursor(items[-1].name if len(rows) > limit else None)
    )


@router.post("/refresh", status_code=202)
async def count_traits(services: WithServices) -> TraitCount:
    """Count anew who has which traits, as a job. It happens by itself once a day, and where
    customers have become many more."""
    async with services.database.engine.begin() as connection:
        job = await jobs.enqueue(connection, covering.KIND, {})
    services.jobs.wake()
    return TraitCount(job=job)


@router.get(
    "/{name}",
    response_model=Trait,
    responses={200: TAGGED, 304: {"description": "It is still declared the same.", **TAGGED}},
)
async def get_trait(
    services: WithServices,
    name: TraitName,
    who: WithCaller,
    response: Response,
    if_changed: IfChanged,
) -> Trait | Response:
    """One trait that is declared, ready-made, or known of a customer. Where it is declared it has
    an ETag, of that alone: counts change without it."""
    told, tag = await _told(services, _checked(name), who)
    if tag is not None:
        if if_changed is not None and preconditions.unchanged(tag, if_changed):
            return Response(status_code=304, headers={"etag": tag})
        response.headers["etag"] = tag
    return told


@router.put("/{name}", responses={200: TAGGED})
async def declare_trait(
    services: WithServices,
    name: TraitName,
    declaration: TraitDeclaration,
    view: WithView,
    who: WithCaller,
    author: WithAuthor,
    response: Response,
    if_match: IfMatch,
    if_none_match: IfNoneMatch,
) -> Trait:
    """Declare a trait: with a type, to which incoming values are coerced from now on; or how it is
    derived from events or other traits. What active segments read of it needs the scope `publish`.
    Values of a personal trait are masked for callers without the scope `personal`, which taking the
    mark off needs. Without the scope `read` the answer has no figures."""
    definition = declaration.model_dump(mode="json", exclude_none=True)
    if not declaration.personal:
        del definition["personal"]
    view.check_trait(definition)
    with _refusals(name, view):
        await services.publisher.declare_trait(
            _checked(name),
            definition,
            author=author,
            may_reveal=who.may(Scope.PERSONAL),
            may_publish=who.may(Scope.PUBLISH),
            expect=_expecting(services, name, if_match, if_none_match),
        )
    told, tag = await _told(services, name, who)
    if tag is not None:
        response.headers["etag"] = tag
    return told


@router.post("/{name}/refresh", status_code=202)
async def refresh_rank(services: WithServices, name: TraitName) -> RankRefresh:
    """Rank everyone anew, by all ranks, as a job. It happens by itself when a day begins, and when
    a rank is defined."""
    async with services.database.engine.begin() as connection:
        definition = await stored.get(connection, _checked(name))
        if definition is None or "rank" not in definition:
            raise not_found(f"there is no rank {name}")
        job = await jobs.enqueue(connection, "ranks", {})
    services.jobs.wake()
    return RankRefresh(job=job)


@router.delete("/{name}", status_code=204)
async def withdraw_trait(
    services: WithServices,
    name: TraitName,
    view: WithView,
    who: WithCaller,
    author: WithAuthor,
    if_match: IfMatch,
) -> None:
    """Withdraw a declaration; values stay as they are. A type that active segments read needs the
    scope `publish`."""
    with _refusals(name, view):
        await services.publisher.withdraw_trait(
            _checked(name),
            author=author,
            may_reveal=who.may(Scope.PERSONAL),
            may_publish=who.may(Scope.PUBLISH),
            expect=_expecting(services, name, if_match),
        )


def _expecting(
    services: Services, name: str, if_match: str | None, if_none_match: str | None = None
) -> Callable[[Mapping[str, Any] | None], None]:
    """Holds what is declared against what a request asks of it. Raises HttpProblem 412, 422."""

    def expect(declared: Mapping[str, Any] | None) -> None:
        tag = None
        if declared is not None:
            tag = preconditions.declaration_tag(services.vault, name, declared)
        preconditions.check_tag(tag, if_match, if_none_match)

    return expect


async def _told(services: Services, name: str, who: Caller) -> tuple[Trait, str | None]:
    """One trait as this caller may read it, and the ETag of its declaration. Raises HttpProblem
    404."""
    served = services.live.served
    personal = NOBODYS if who.may(Scope.PERSONAL) else served.personal
    async with services.database.engine.connect() as connection:
        counted = await coverage.counted(connection)
        row = await coverage.one(connection, name, READY_MADE, ABOUT)
    if row is None or (row.definition is None and personal.covering(name) not in (None, name)):
        raise not_found(f"no trait {name} is declared, or known of a customer")
    tag = None
    if row.definition is not None:
        tag = preconditions.declaration_tag(services.vault, name, row.definition)
    return trait(row, counted, served, personal, figures=who.may(Scope.READ)), tag


@contextmanager
def _refusals(name: str, view: View) -> Iterator[None]:
    """What speaks against a change of a declaration, as callers see it."""
    try:
        yield
    except Unknown as error:
        raise not_found(f"no trait {name} is declared") from error
    except Invalid as error:
        raise invalid(error.problems) from error
    except Conflict as conflict:
        raise conflicting(conflict, view.of_others(conflict.problems)) from conflict
    except MayNotReveal as error:
        raise forbidden(Scope.PERSONAL) from error
    except MayNotPublish as error:
        raise forbidden(Scope.PUBLISH) from error
