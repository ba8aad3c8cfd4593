"""A segment as a request names it, as it is served, and what keeps it from being changed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from pydantic import ValidationError

from service.api.callers import forbidden
from service.api.masking import View
from service.api.problems import conflicting, not_found
from service.api.segment_schemas import Segment
from service.api.services import Services
from service.core.access import Scope
from service.core.attention import notices
from service.core.parsing import Invalid, Problem
from service.core.references import users_of
from service.flows.publishing import Conflict, MayNotPublish, Saved, Unknown
from service.store import segments as stored
from service.store.segments import SegmentRow


def storable(key: str) -> str:
    """A key that the database can be asked about. Raises HttpProblem 404."""
    if "\0" in key:
        raise not_found(f"there is no segment {key}")
    return key


async def stored_segment(services: Services, key: str) -> SegmentRow:
    """A segment by its key. Raises HttpProblem 404."""
    async with services.database.engine.connect() as connection:
        row = await stored.get(connection, storable(key))
    if row is None:
        raise not_found(f"there is no segment {key}")
    return row


@contextmanager
def changing(key: str, told: Callable[[Sequence[Problem]], list[Problem]] = list) -> Iterator[None]:
    """Refusals of a change to a segment, as HTTP says them: 403, 404, 409. `told`: how its faults
    are told."""
    try:
        yield
    except Invalid as fault:
        raise Invalid(told(fault.problems)) from fault
    except Unknown as error:
        raise not_found(f"there is no segment {key}") from error
    except Conflict as conflict:
        raise conflicting(conflict, told(conflict.problems)) from conflict
    except MayNotPublish as error:
        raise forbidden(Scope.PUBLISH) from error


def attention(services: Services, row: SegmentRow) -> list[Problem]:
    """What the owner of a stored segment should look at now."""
    if row.status == "archived":
        return []
    catalog = services.live.served.catalog
    return notices(
        row.definition,
        row.metrics if row.status == "active" else None,
        services.clock(),
        catalog.schema.zone,
        lambda: users_of(row.key, catalog.segments.values()),
    )


def shown(services: Services, row: SegmentRow, view: View) -> Segment:
    """A stored segment as its reader may see it."""
    row = replace(row, metrics=view.metrics(row.metrics))
    return served(row, view, attention(services, row))


async def shown_saved(services: Services, saved: Saved, view: View) -> Segment:
    """A segment just saved, with all that its author should know."""
    found = view.counted(await services.publisher.warnings(saved))
    warnings = view.teller(saved.definition, theirs=False)(found)
    row = replace(saved, metrics=view.metrics(saved.metrics))
    return served(row, view, [*warnings, *attention(services, row)])


def served(row: SegmentRow, view: View, warnings: Sequence[Problem] = ()) -> Segment:
    """A stored segment in the wire's shape, its condition as the caller may see it."""
    row, masked = view.row(row)
    definition = {name: value for name, value in row.definition.items() if value is not None}
    facts = {
        "key": row.key,
        "status": row.status,
        "kind": row.kind,
        "summary": row.summary,
        "version": row.version,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "metrics": row.metrics,
        "masked": masked,
        "warnings": [
            {"pointer": each.pointer, "code": each.code, "detail": each.detail} for each in warnings
        ],
    }
    try:
        return Segment.model_validate({"name": row.key, **definition, **facts})
    except ValidationError as error:
        # A hand broke it: the catalog refuses it, and what is left of it is shown.
        faulty = {fault["loc"][0] for fault in error.errors()}
        sound = {name: value for name, value in definition.items() if name not in faulty}
        return Segment.model_validate({"name": row.key, **sound, **facts})
