"""Reading the rules table whole, and publishing: the catalog's revision moves here only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from service.core.catalog import Definition, Refusal
from service.core.decisions import Publication
from service.core.derived.cut_points import CutPoints
from service.core.instants import from_datetime
from service.core.parsing import Problem
from service.store import ranks
from service.store.tables import catalog_head, catalog_revisions, models

REVISIONS_REMEMBERED = 1_000

# As text: decoding ten thousand definitions is most of a start's time.
_SEGMENTS = text("select key, version, definition::text from segments where status = 'active'")
_TRAITS = text(
    "select name, definition ->> 'type' as type, "
    "  definition -> 'personal' is not distinct from 'true' as personal, "
    "  case when definition ?| array['aggregate', 'ratio', 'formula', 'score', 'rank', 'city'] "
    "    then definition::text end as derived from traits"
)

_decode = msgspec.json.decode


@dataclass(frozen=True, slots=True)
class ModelRow:
    """An active model as it is registered."""

    name: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class CatalogRows:
    """What a catalog is compiled from, read in one snapshot."""

    revision: int
    definitions: Sequence[Definition]
    # What has not even the shape of a definition.
    refused: Sequence[Refusal]
    types: dict[str, str]
    models: Sequence[ModelRow]
    publications: dict[int, Publication]
    # Paths of the traits declared personal.
    personal: frozenset[str]
    # The declarations of derived traits, by name.
    derived: Mapping[str, Mapping[str, Any]]
    # Those of the last refresh, by rank.
    cut_points: Mapping[str, CutPoints]


async def head_revision(connection: AsyncConnection) -> int:
    """The catalog's current revision."""
    revision: int = (await connection.execute(select(catalog_head.c.revision))).scalar_one()
    return revision


async def read_catalog(connection: AsyncConnection) -> CatalogRows:
    """Everything active. `connection` must be in a repeatable-read transaction."""
    revision = await head_revision(connection)
    rows = (await connection.execute(_SEGMENTS)).all()
    definitions: list[Definition] = []
    refused: list[Refusal] = []
    for key, version, definition in rows:
        document = _decode(definition)
        problem = _misshapen(document)
        if problem is None:
            definitions.append(definition_of(key, version, document))
        else:
            refused.append(Refusal(key, (problem,)))
    declared = (await connection.execute(_TRAITS)).all()
    active = await connection.execute(
        select(models.c.name, models.c.version, models.c.digest)
        .where(models.c.status == "active")
        .order_by(models.c.name)
    )
    published = await connection.execute(
        select(catalog_revisions).where(
            catalog_revisions.c.revision > revision - REVISIONS_REMEMBERED
        )
    )
    return CatalogRows(
        revision=revision,
        definitions=definitions,
        refused=refused,
        types={row.name: row.type for row in declared if row.type},
        models=[ModelRow(*row) for row in active],
        publications={
            row.revision: Publication(from_datetime(row.published_at), row.cause)
            for row in published
        },
        personal=frozenset(row.name for row in declared if row.personal),
        cut_points=await ranks.read(connection),
        derived={row.name: _decode(row.derived) for row in declared if row.derived is not None},
    )


_SHAPE: dict[str, type] = {
    "name": str,
    "condition": dict,
    "scheme": str,
    "priority": int,
    "treatment": dict,
}
_ENGLISH = {str: "a text", dict: "an object", int: "a whole number"}


def _misshapen(document: Any) -> Problem | None:
    """What keeps a document from being a definition; the routes let none in, a hand may."""
    if not isinstance(document, dict):
        return Problem("", "type", "the definition must be an object")
    for name, kind in _SHAPE.items():
        value = document.get(name)
        if value is not None and type(value) is not kind:
            return Problem(f"/{name}", "type", f"{name} must be {_ENGLISH[kind]}")
    return None


def definition_of(key: str, version: int, document: dict[str, Any]) -> Definition:
    """A stored definition as the catalog compiles it."""
    return Definition(
        key=key,
        version=version,
        name=document.get("name") or key,
        condition=document.get("condition"),
        scheme=document.get("scheme"),
        priority=document.get("priority"),
        treatment=document.get("treatment"),
    )


async def lock_head(connection: AsyncConnection) -> int:
    """Lock the catalog for publishing: others who publish wait. The current revision."""
    revision: int = (
        await connection.execute(select(catalog_head.c.revision).with_for_update())
    ).scalar_one()
    return revision


async def publish(
    connection: AsyncConnection,
    revision: int,
    at: datetime,
    cause: str,
    keys: Sequence[str],
    notify: str = "none",
) -> None:
    """Make `revision` the catalog's, with its cause; the head must be locked. `notify`: whom to
    tell of the transitions it causes, `none`, `new` or `all`."""
    await connection.execute(update(catalog_head).values(revision=revision))
    await connection.execute(
        insert(catalog_revisions).values(
            revision=revision, published_at=at, cause=cause, keys=list(keys), notify=notify
        )
    )
