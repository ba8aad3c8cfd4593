"""Changing definitions: checked against everything active, then published as a new revision."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from service.core.access import SYSTEM, Author
from service.core.conditions import signed_rules
from service.core.instants import from_datetime
from service.core.parsing import Invalid, Problem, parse_condition
from service.core.personal import NOBODYS, Personal
from service.core.sameness import same
from service.flows.checking import (
    Checked,
    Wanted,
    check,
    decides_anew,
    expects_absence,
    not_in_use,
)
from service.flows.declaring import Declarations, May, MayNotReveal
from service.flows.following import Follower
from service.flows.publications import (
    Conflict,
    MayNotPublish,
    Notify,
    Publication,
    Publications,
    Stale,
    Unknown,
)
from service.live import Live
from service.settings import Settings
from service.store import customers, models, segments, traits
from service.store.audit import difference_of
from service.store.database import Database
from service.store.segments import SegmentRow

__all__ = [
    "Conflict",
    "MayNotPublish",
    "MayNotReveal",
    "Notify",
    "Publisher",
    "Saved",
    "Stale",
    "Unknown",
    "Wanted",
]

# What else of an active segment is for those who may publish: what answers about its members hold,
# and its end.
REACHING = ("name", "treatment", "expires_at")
# Traits of one condition that are looked for among all customers, each of which takes a while.
TRAITS_COUNTED = 20


def _anything(_before: Mapping[str, Any] | None) -> None:
    """Expects nothing of what is declared so far."""


@dataclass(frozen=True, slots=True)
class Saved(SegmentRow):
    """A segment just saved, and what its author should know."""

    warnings: tuple[Problem, ...] = ()

    @classmethod
    def of(cls, row: SegmentRow, warnings: tuple[Problem, ...]) -> "Saved":
        """A stored row with its warnings."""
        columns = {column.name: getattr(row, column.name) for column in fields(SegmentRow)}
        return cls(**columns, warnings=warnings)


class Publisher:
    """Saves, archives and lists, each change a transaction and at most one new revision."""

    def __init__(
        self,
        database: Database,
        live: Live,
        follower: Follower,
        clock: Callable[[], int],
        settings: Settings,
        wake_jobs: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._live = live
        self._declarations = Declarations(live, settings)
        self.publications = Publications(database, follower, clock, wake_jobs)

    async def save(
        self,
        wanted: Sequence[Wanted],
        *,
        author: Author = SYSTEM,
        create: bool = False,
        may_publish: bool = True,
        hidden: Personal = NOBODYS,
    ) -> list[Saved]:
        """Save segments, all or none. `create`: a key that is taken is a conflict; `may_publish`:
        whether the author may decide who is in active segments; `hidden`: what they may not read.

        Raises Invalid (pointers into the one segment, or below `/INDEX` for several), Conflict,
        Stale, MayNotPublish.
        """
        async with self.publications.change(author) as change:
            known = [await segments.get(change.connection, each.key) for each in wanted]
            for each, before in zip(wanted, known, strict=True):
                if each.based_on not in (None, 0 if before is None else before.version):
                    raise Stale(each.key)
            # Beside the event loop: a large definition takes a while. The thread shares with
            # others the catalog, which nobody changes, and the schema's remembered fields, which
            # are the same whoever reads them first.
            now = from_datetime(change.now)
            catalog = self._live.served.catalog
            checked = await asyncio.to_thread(check, catalog, wanted, known, now, hidden)
            saved = []
            for each, definition, before in zip(wanted, checked, known, strict=True):
                if create and before is not None and before.status != "archived":
                    raise Conflict("exists", f"there is a segment {each.key} already")
                row = await _store(change, each, definition, before, may_publish)
                saved.append(Saved.of(row, definition.warnings))
            return saved

    async def warnings(self, saved: Saved) -> list[Problem]:
        """What to know of a segment just saved: what was proved of it, and the negative rules
        that people expect to hold for customers without a value, and how many those are."""
        found = list(saved.warnings)
        condition = saved.definition.get("condition")
        if condition is None:
            return found
        schema = self._live.served.catalog.schema
        try:
            parsed = await asyncio.to_thread(parse_condition, condition, schema)
        except Invalid:
            return found  # a draft of before: what is wrong with it is among these
        counted: dict[tuple[str, ...], tuple[int, int]] = {}
        async with self._database.engine.connect() as connection:
            for pointer, rule, negated in signed_rules(parsed, "/condition"):
                path = rule.field.path
                if not expects_absence(rule, negated) or (
                    path not in counted and len(counted) == TRAITS_COUNTED
                ):
                    continue
                if path not in counted:
                    counted[path] = await customers.without(connection, path)
                missing, total = counted[path]
                if missing:
                    why = (
                        'this rule, negated, passes over them; "missing": false'
                        if negated
                        else 'this rule is not met without one; "missing": true'
                    )
                    detail = (
                        f"{missing:,} of {total:,} customers have no {rule.field.name}, and {why} "
                        "would count them in"
                    )
                    found.append(Problem(pointer, "no_value", detail))
        return found

    async def archive(
        self,
        key: str,
        *,
        author: Author = SYSTEM,
        based_on: int | None = None,
        may_publish: bool = True,
    ) -> None:
        """Archive a segment; its members leave. Raises Unknown, Conflict while it is used, Stale,
        MayNotPublish."""
        async with self.publications.change(author) as change:
            row = await segments.get(change.connection, key, for_update=True)
            if row is None:
                raise Unknown(key)
            if based_on not in (None, row.version):
                raise Stale(key)
            if row.status == "archived":
                return
            if row.status == "active" and not may_publish:
                raise MayNotPublish(key)
            others = {k: s for k, s in self._live.served.catalog.segments.items() if k != key}
            not_in_use(key, others)
            gone = replace(row, status="archived", version=row.version + 1, updated_at=change.now)
            await segments.save(change.connection, gone, author)
            await change.audit("segment.archived", f"segments/{key}", _difference(row, gone))
            if row.status == "active":
                change.publish("definition", key, redecide=True)

    async def declare_trait(
        self,
        name: str,
        definition: Mapping[str, Any],
        *,
        author: Author = SYSTEM,
        may_reveal: bool = True,
        may_publish: bool = True,
        expect: Callable[[Mapping[str, Any] | None], None] = _anything,
    ) -> None:
        """Declare a trait, or replace its declaration; values that come in are coerced to its type
        from now on. `may_reveal`: whether the author may read personal traits, and so say that
        one no longer is; `may_publish`: whether they may decide who is in active segments, which a
        type that those read does, by way of derived traits and models too. Raises Invalid where it
        can't be derived so, Conflict where others could not be served then, MayNotReveal,
        MayNotPublish, and what `expect` raises of the declaration that it would replace."""
        async with self.publications.change(author) as change:
            before = await traits.get(change.connection, name)
            expect(before)
            if before == definition:
                return
            may = May(reveal=may_reveal, publish=may_publish)
            await self._declarations.follow(change, name, before or {}, definition, may)
            await traits.declare(change.connection, name, dict(definition), change.now)
            difference = difference_of(before, definition)
            await change.audit("trait.declared", f"traits/{name}", difference)

    async def withdraw_trait(
        self,
        name: str,
        *,
        author: Author = SYSTEM,
        may_reveal: bool = True,
        may_publish: bool = True,
        expect: Callable[[Mapping[str, Any] | None], None] = _anything,
    ) -> None:
        """Withdraw a declaration; values stay as they are. Raises Unknown, Conflict,
        MayNotReveal, MayNotPublish, and what `expect` raises of it."""
        async with self.publications.change(author) as change:
            before = await traits.get(change.connection, name)
            if before is None:
                raise Unknown(name)
            expect(before)
            may = May(reveal=may_reveal, publish=may_publish)
            await self._declarations.follow(change, name, before, {}, may)
            await traits.withdraw(change.connection, name)
            await change.audit("trait.withdrawn", f"traits/{name}", difference_of(before, None))

    async def activate_model(
        self,
        name: str,
        version: str,
        digest: str,
        manifest: dict[str, Any],
        *,
        author: Author = SYSTEM,
    ) -> None:
        """Register a bundle by its digest, and serve it in place of the version before."""
        async with self.publications.change(author) as change:
            await models.register(change.connection, name, version, digest, manifest, change.now)
            difference = {"digest": {"after": digest}}
            await change.audit("model.activated", f"models/{name}/{version}", difference)
            change.publish("model", name, redecide=True)

    @asynccontextmanager
    async def publication(self, cause: str, key: str) -> AsyncIterator[AsyncConnection]:
        """A transaction for another kind of change (the demo) that ends in a new revision and has
        everyone decided again."""
        async with self.publications.change() as change:
            yield change.connection
            change.publish(cause, key, redecide=True)


async def _store(
    change: Publication,
    wanted: Wanted,
    checked: Checked,
    before: SegmentRow | None,
    may_publish: bool,
) -> SegmentRow:
    kind = checked.kind
    if before is not None and (before.kind == "list") != (kind == "list"):
        raise Conflict(
            "kind", f"{wanted.key} is a {before.kind}; make another segment with another key"
        )
    definition = dict(wanted.definition)
    row = SegmentRow(
        key=wanted.key,
        version=1 if before is None else before.version + 1,
        status=wanted.status,
        kind=kind,
        definition=definition,
        summary=checked.summary,
        created_at=change.now if before is None else before.created_at,
        updated_at=change.now,
        metrics=None if before is None else before.metrics,
    )
    if before is not None and before.status == row.status and same(before.definition, definition):
        return before
    decides = decides_anew(wanted, before)
    concerns_active = row.status == "active" or (before is not None and before.status == "active")
    if concerns_active and not may_publish and (decides or _reaches_customers(row, before)):
        raise MayNotPublish(row.key)
    await segments.save(change.connection, row, change.author)
    action = wanted.action or _action(row, before)
    await change.audit(action, f"segments/{row.key}", _difference(before, row))
    if concerns_active:
        change.publish("definition", row.key, redecide=decides, notify=wanted.notify)
    return row


def _reaches_customers(row: SegmentRow, before: SegmentRow | None) -> bool:
    """Whether more than the description of a segment differs from what was."""
    was = {} if before is None else before.definition
    return any(not same(was.get(name), row.definition.get(name)) for name in REACHING)


def _action(row: SegmentRow, before: SegmentRow | None) -> str:
    """What the audit calls a change, by its outcome."""
    if before is None:
        return "segment.created"
    if before.status == "archived":
        return "segment.revived"
    if before.status != row.status:
        return "segment.activated" if row.status == "active" else "segment.deactivated"
    return "segment.updated"


def _difference(before: SegmentRow | None, after: SegmentRow) -> dict[str, dict[str, Any]]:
    was = None if before is None else {**before.definition, "status": before.status}
    return difference_of(was, {**after.definition, "status": after.status})
