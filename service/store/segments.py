"""Named queries on segments, their versions, lists and members."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from service.core.access import Author
from service.core.instants import parse_instant, to_datetime
from service.store import lists
from service.store.consents import reaching
from service.store.customer_tables import customers, memberships
from service.store.tables import list_members, segment_metrics, segment_versions, segments


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """A stored segment; `metrics` is the latest snapshot, with `as_of`, or None."""

    key: str
    version: int
    status: str
    kind: str
    definition: dict[str, Any]
    summary: str
    created_at: datetime
    updated_at: datetime
    metrics: dict[str, Any] | None = None


_COLUMNS = (
    segments.c.key,
    segments.c.version,
    segments.c.status,
    segments.c.kind,
    segments.c.definition,
    segments.c.summary,
    segments.c.created_at,
    segments.c.updated_at,
    segment_metrics.c.metrics,
)
_WITH_METRICS = segments.outerjoin(segment_metrics, segment_metrics.c.segment_key == segments.c.key)


async def get(
    connection: AsyncConnection, key: str, *, for_update: bool = False
) -> SegmentRow | None:
    """One segment by its key."""
    query = select(*_COLUMNS).select_from(_WITH_METRICS).where(segments.c.key == key)
    if for_update:
        # Its key stays what it is: whoever writes ids of a list holds on to that.
        query = query.with_for_update(of=segments, key_share=True)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else _shaped(SegmentRow(*row))


async def search(
    connection: AsyncConnection,
    *,
    after: str | None,
    limit: int,
    status: str | None = None,
    kind: str | None = None,
    scheme: str | None = None,
    dimension: str | None = None,
    tag: str | None = None,
    owner: str | None = None,
    q: str | None = None,
) -> list[SegmentRow]:
    """Segments by key, those after `after`, that fit every filter given."""
    document = segments.c.definition
    conditions: list[ColumnElement[bool]] = []
    if after is not None:
        conditions.append(segments.c.key > after)
    if status is not None:
        conditions.append(segments.c.status == status)
    if kind is not None:
        conditions.append(segments.c.kind == kind)
    if scheme is not None:
        conditions.append(document["scheme"].astext == scheme)
    if owner is not None:
        conditions.append(document["owner"].astext == owner)
    if dimension is not None:
        conditions.append(document["dimensions"].contains([dimension]))
    if tag is not None:
        conditions.append(document["tags"].contains([tag]))
    if q is not None:
        words = func.concat_ws(
            " ", segments.c.key, document["name"].astext, document["description"].astext
        )
        # The key's own collation would fold the case of ASCII alone.
        searched = words.collate("default")
        conditions.append(searched.ilike(f"%{_literal(q)}%", escape="\\"))
    query = (
        select(*_COLUMNS)
        .select_from(_WITH_METRICS)
        .where(and_(True, *conditions))
        .order_by(segments.c.key)
        .limit(limit)
    )
    return [_shaped(SegmentRow(*row)) for row in await connection.execute(query)]


def _shaped(row: SegmentRow) -> SegmentRow:
    """A row whose definition, which a hand may have broken, is an object."""
    return row if isinstance(row.definition, dict) else replace(row, definition={})


def _literal(pattern: str) -> str:
    return pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


async def save(connection: AsyncConnection, row: SegmentRow, author: Author) -> None:
    """Insert or replace a segment, and keep this version of it with its author."""
    values = {
        "version": row.version,
        "status": row.status,
        "kind": row.kind,
        "definition": row.definition,
        "summary": row.summary,
        "updated_at": row.updated_at,
        "expires_at": expiry(row.definition),
    }
    statement = upsert(segments).values(key=row.key, created_at=row.created_at, **values)
    await connection.execute(
        statement.on_conflict_do_update(index_elements=[segments.c.key], set_=values)
    )
    await connection.execute(
        insert(segment_versions).values(
            key=row.key,
            version=row.version,
            status=row.status,
            definition=row.definition,
            summary=row.summary,
            created_at=row.updated_at,
            author=author.name,
            reason=author.reason,
        )
    )


def expiry(definition: Mapping[str, Any]) -> datetime | None:
    """When a segment of this definition is to be archived."""
    text_ = definition.get("expires_at")
    instant = parse_instant(text_, UTC) if isinstance(text_, str) else None
    return None if instant is None else to_datetime(instant)


async def expired(connection: AsyncConnection, now: datetime) -> list[str]:
    """Keys of the segments that should be archived by now and are not."""
    query = (
        select(segments.c.key)
        .where(segments.c.expires_at <= now, segments.c.status != "archived")
        .order_by(segments.c.key)
    )
    return list((await connection.execute(query)).scalars())


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version of a segment; `author` is None where nobody asked, `summary` empty where nobody
    kept it."""

    version: int
    status: str
    definition: dict[str, Any]
    summary: str
    created_at: datetime
    author: str | None
    reason: str | None


_VERSION = (
    segment_versions.c.version,
    segment_versions.c.status,
    segment_versions.c.definition,
    segment_versions.c.summary,
    segment_versions.c.created_at,
    segment_versions.c.author,
    segment_versions.c.reason,
)


async def versions(
    connection: AsyncConnection, key: str, *, before: int | None, limit: int
) -> list[VersionRow]:
    """A segment's versions, the newest first, those older than `before`."""
    query = (
        select(*_VERSION)
        .where(segment_versions.c.key == key)
        .order_by(segment_versions.c.version.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(segment_versions.c.version < before)
    return [VersionRow(*row) for row in await connection.execute(query)]


async def version(connection: AsyncConnection, key: str, number: int) -> VersionRow | None:
    """One version of a segment."""
    query = select(*_VERSION).where(
        segment_versions.c.key == key, segment_versions.c.version == number
    )
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else VersionRow(*row)


_USERS = text("""
  select key, status, definition from segments
  where status <> 'archived' and key > :after and key <> :key
    and jsonb_path_exists(
      definition -> 'condition', 'strict $.**.field ? (@ == $field)',
      jsonb_build_object('field', cast(:field as text)), true)
  order by key limit :limit""")


async def users(
    connection: AsyncConnection, key: str, *, after: str | None, limit: int
) -> list[tuple[str, str, dict[str, Any]]]:
    """Segments whose conditions refer to one, drafts too, by key: key, status, definition."""
    rows = await connection.execute(
        _USERS, {"key": key, "field": f"segment:{key}", "after": after or "", "limit": limit}
    )
    return [(row.key, row.status, row.definition) for row in rows]


async def of_scheme(connection: AsyncConnection, scheme: str) -> list[tuple[str, int | None, str]]:
    """The segments of a scheme that are not archived, as key, priority and status, the one that
    wins first."""
    definition = segments.c.definition
    query = select(segments.c.key, definition["priority"], segments.c.status).where(
        definition["scheme"].astext == scheme, segments.c.status != "archived"
    )
    rows = [(row[0], row[1], row[2]) for row in await connection.execute(query)]
    return sorted(rows, key=lambda row: (row[1] is None, row[1], row[0]))


async def copy_members(connection: AsyncConnection, source: str, target: str) -> int:
    """Put a segment's members on a list, but who is erased meanwhile; how many those are."""
    copied = await connection.execute(
        text(
            "insert into list_members (segment_key, customer_id) "
            "select :target, customer_id from memberships where segment_key = :source "
            "order by customer_id"
        ),
        {"source": source, "target": target},
    )
    await lists.end_adding(connection)
    erased = await connection.execute(
        text(
            "delete from list_members l where segment_key = :target and not exists "
            "(select from customers c where c.customer_id = l.customer_id)"
        ),
        {"target": target},
    )
    return int(copied.rowcount) - erased.rowcount


async def changed_since(connection: AsyncConnection, versions: Mapping[str, int]) -> set[str]:
    """Keys of the segments whose definition was another at any time since that version; being
    archived or made a draft is no change of it."""
    later = text(
        "select distinct known.key from unnest(cast(:keys as text[]), cast(:versions as int[])) "
        "  as known (key, version) "
        "join segment_versions as then_ on then_.key = known.key and then_.version = known.version "
        "join segment_versions as since on since.key = known.key and since.version > known.version "
        "where since.definition <> then_.definition"
    )
    rows = await connection.execute(
        later, {"keys": list(versions), "versions": list(versions.values())}
    )
    return {row.key for row in rows}


async def delete_all(connection: AsyncConnection, keys: Sequence[str]) -> None:
    """Remove segments with their versions, lists and metrics, as if they had never been. Their
    members leave when they are next decided."""
    await connection.execute(delete(segments).where(segments.c.key == func.any(list(keys))))


async def change_list(
    connection: AsyncConnection, key: str, add: Sequence[str], remove: Sequence[str]
) -> tuple[int, int]:
    """Add and remove ids of a list; how many rows are new, and how many are gone."""
    added = removed = 0
    if remove:
        gone = await connection.execute(
            delete(list_members).where(
                list_members.c.segment_key == key,
                list_members.c.customer_id == func.any(list(remove)),
            )
        )
        removed = gone.rowcount
    if add:
        new = await connection.execute(
            text(
                "insert into list_members (segment_key, customer_id) "
                "select :key, id from unnest(cast(:ids as text[])) as new (id) "
                "on conflict do nothing"
            ),
            {"key": key, "ids": sorted(set(add))},
        )
        added = new.rowcount
    return added, removed


async def lists_of(connection: AsyncConnection, customer_ids: Sequence[str]) -> list[str]:
    """Keys of the lists that a customer is on under any of their ids, those archived left out."""
    query = (
        select(segments.c.key)
        .distinct()
        .join(list_members, list_members.c.segment_key == segments.c.key)
        .where(
            list_members.c.customer_id == func.any(list(customer_ids)),
            segments.c.status != "archived",
        )
        .order_by(segments.c.key)
    )
    return list((await connection.execute(query)).scalars())


async def members(
    connection: AsyncConnection,
    key: str,
    *,
    after: str | None,
    limit: int,
    channel: str | None = None,
) -> list[tuple[str, datetime, int]]:
    """Members by id, those after `after`, and whom a channel reaches: id, since, the definition's
    version that let them in."""
    query = (
        select(memberships.c.customer_id, memberships.c.since, memberships.c.version)
        .where(memberships.c.segment_key == key)
        .order_by(memberships.c.customer_id)
        .limit(limit)
    )
    if after is not None:
        query = query.where(memberships.c.customer_id > after)
    if channel is not None:
        same = customers.c.customer_id == memberships.c.customer_id
        query = query.join(customers, same).where(text(reaching(channel)))
    return [(row[0], row[1], row[2]) for row in await connection.execute(query)]
