"""A segment's way: activated, taken back to a version it had, kept as a list of its members."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError

from service.core.access import SYSTEM, Author
from service.core.differing import Change, changes
from service.core.instants import format_instant, from_datetime
from service.core.personal import NOBODYS, Personal
from service.flows.checking import LIST_SUMMARY, Wanted
from service.flows.publications import Conflict, Notify, Publications, Unknown
from service.flows.publishing import Publisher, Saved
from service.store import segments
from service.store.audit import difference_of
from service.store.database import Database
from service.store.segments import SegmentRow, VersionRow


async def activate(
    publisher: Publisher,
    row: SegmentRow,
    *,
    notify: Notify = Notify.NONE,
    author: Author = SYSTEM,
    hidden: Personal = NOBODYS,
) -> Saved:
    """Make a segment active as it is. `notify` belongs to the publication that this makes;
    `hidden`: what its author may not read.

    Raises Invalid, Conflict, Stale where `row` is no longer what is stored.
    """
    _not_archived(row)
    if row.status == "active" and notify is not Notify.NONE:
        detail = f"{row.key} is active already, so its activation can tell nobody"
        raise Conflict("active", detail)
    wanted = Wanted(row.key, "active", row.definition, row.version, notify=notify, theirs=False)
    [saved] = await publisher.save([wanted], author=author, hidden=hidden)
    return saved


async def roll_back(
    publisher: Publisher,
    row: SegmentRow,
    version: VersionRow,
    *,
    author: Author = SYSTEM,
    may_publish: bool = True,
    hidden: Personal = NOBODYS,
) -> Saved:
    """Make a new version of a segment with the definition of an old one; its status stays.
    `hidden`: what its author may not read.

    Raises Invalid (pointers into that definition), Conflict, Stale, MayNotPublish.
    """
    _not_archived(row)
    wanted = Wanted(
        row.key, row.status, version.definition, row.version,
        action="segment.rolled_back", theirs=False,
    )  # fmt: skip
    [saved] = await publisher.save([wanted], author=author, may_publish=may_publish, hidden=hidden)
    return saved


def _not_archived(row: SegmentRow) -> None:
    if row.status == "archived":
        raise Conflict("archived", f"{row.key} is archived; PUT revives it")


async def take_snapshot(
    database: Database,
    publications: Publications,
    source: str,
    key: str,
    name: str | None = None,
    *,
    author: Author = SYSTEM,
) -> SegmentRow:
    """Keep a segment's members of this moment as an active list with a key of its own. Raises
    Unknown, Conflict, Crowded."""
    async with database.long() as connection:
        row = await segments.get(connection, source)
        if row is None:
            raise Unknown(source)
        _not_archived(row)
        if row.status == "draft":
            raise Conflict("draft", f"{source} is a draft and has no members; activate it first")
        if await segments.get(connection, key) is not None:
            raise _taken(key)
        taken = _snapshot(row, key, name, publications.now())
        try:
            await segments.save(connection, taken, author)
        except IntegrityError as error:  # somebody has made one this moment
            raise _taken(key) from error
        # Beside the publishers, who would wait for as long: the head is ours for the end only.
        size = await segments.copy_members(connection, source, key)
        async with publications.change(author, connection) as change:
            difference = difference_of(None, {**taken.definition, "status": taken.status})
            difference["members"] = {"added": size, "of": source}
            await change.audit("segment.created", f"segments/{key}", difference)
            # As when a segment is activated, and not as when somebody is put on a list: whoever
            # is on it from the start must not be written to for that.
            change.publish("definition", key, redecide=True)
    return taken


def _taken(key: str) -> Conflict:
    return Conflict("exists", f"there is a segment {key} already")


def _snapshot(row: SegmentRow, key: str, name: str | None, at: datetime) -> SegmentRow:
    """The list that is to hold a segment's members of an instant."""
    now = format_instant(from_datetime(at))
    title = row.definition.get("name") or row.key
    definition: dict[str, Any] = {
        "name": name or f"{title[:180]} ({now[:10]})",
        "description": f"The members of {row.key} on {now}.",
        "dimensions": row.definition.get("dimensions", []),
        "tags": row.definition.get("tags", []),
    }
    return SegmentRow(key, 1, "active", "list", definition, LIST_SUMMARY, at, at)


@dataclass(frozen=True, slots=True)
class Difference:
    """What a version changed of the one before it: each member's two sides, and its condition
    rule by rule."""

    members: dict[str, dict[str, Any]]
    rules: list[Change]


def difference(before: VersionRow, after: VersionRow) -> Difference:
    """What one version changed of another."""
    one, other = ({**version.definition, "status": version.status} for version in (before, after))
    members = difference_of(one, other)
    rules: list[Change] = []
    if "condition" in members:
        rules = changes(one.get("condition"), other.get("condition"))
        # The rules tell what changed; as a whole people read it in English.
        members["condition"] = {"before": before.summary, "after": after.summary}
    return Difference(members, rules)
