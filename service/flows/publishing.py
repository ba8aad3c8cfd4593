"""Changing definitions: checked against everything active, then published as a new revision."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from service.core import consent
from service.core.access import SYSTEM, Author
from service.core.catalog import Catalog, Segment, refused_under
from service.core.conditions import Source, rules_of, signed_rules
from service.core.derived.definitions import kinds_in
from service.core.derived.ready_made import READY_MADE
from service.core.instants import from_datetime
from service.core.parsing import Invalid, Problem, parse_condition
from service.core.sameness import same
from service.core.traits import TraitType, type_english
from service.flows import following
from service.flows.checking import (
    Checked,
    Wanted,
    check,
    decides_anew,
    expects_absence,
    kind_of,
    not_in_use,
)
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
from service.store import catalogs, customers, jobs, models, segments, traits
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
NAMED = 8  # keys in a sentence at most
# Traits of one condition that are looked for among all customers, each of which takes a while.
TRAITS_COUNTED = 20


class MayNotReveal(PermissionError):
    """The trait would no longer be personal, and the author may not read personal traits."""


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
        self._settings = settings
        self.publications = Publications(database, follower, clock, wake_jobs)

    async def save(
        self,
        wanted: Sequence[Wanted],
        *,
        author: Author = SYSTEM,
        create: bool = False,
        may_publish: bool = True,
    ) -> list[Saved]:
        """Save segments, all or none. `create`: a key that is taken is a conflict; `may_publish`:
        whether the author may decide who is in active segments.

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
            checked = await asyncio.to_thread(check, self._live.served.catalog, wanted, known, now)
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
        parsed = await asyncio.to_thread(parse_condition, condition, schema)
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
    ) -> None:
        """Declare a trait, or replace its declaration; values that come in are coerced to its type
        from now on. `may_reveal`: whether the author may read personal traits, and so say that
        one no longer is; `may_publish`: whether they may decide who is in active segments, which a
        type that those read does. Raises Conflict where active segments could not be served with
        that type, MayNotReveal, MayNotPublish."""
        async with self.publications.change(author) as change:
            before = await traits.get(change.connection, name)
            if before == definition:
                return
            _fixed(name, definition)
            _mark(change, name, before or {}, definition, may_reveal)
            await self._retype(change, name, before or {}, definition, may_publish)
            await self._derive(change, name, before or {}, definition, may_publish)
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
    ) -> None:
        """Withdraw a declaration; values stay as they are. Raises Unknown, Conflict,
        MayNotReveal, MayNotPublish."""
        async with self.publications.change(author) as change:
            before = await traits.get(change.connection, name)
            if before is None:
                raise Unknown(name)
            _mark(change, name, before, {}, may_reveal)
            await self._retype(change, name, before, {}, may_publish)
            await self._derive(change, name, before, {}, may_publish)
            await traits.withdraw(change.connection, name)
            await change.audit("trait.withdrawn", f"traits/{name}", difference_of(before, None))

    async def _retype(
        self,
        change: Publication,
        name: str,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
        may_publish: bool,
    ) -> None:
        if before.get("type") == after.get("type"):
            return
        kind = TraitType(after["type"]) if "type" in after else None
        catalog = self._live.served.catalog
        if not may_publish and any(_reads(each, name) for each in catalog.segments.values()):
            raise MayNotPublish(name)
        refused = await asyncio.to_thread(refused_under, catalog, name, kind)
        if refused:
            how = f"without the type of {name}"
            if kind is not None:
                how = f"with {name} declared as {type_english(kind)}"
            problems = [
                Problem(f"/segments/{key}{problem.pointer}", problem.code, problem.detail)
                for key, faults in refused.items()
                for problem in faults
            ]
            raise Conflict("in_use", f"{how}, {_some(list(refused))} could not be served", problems)
        change.publish("definition", name, redecide=True)

    async def _derive(
        self,
        change: Publication,
        name: str,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
        may_publish: bool,
    ) -> None:
        """Publish how a trait is derived, if that changes. Raises Invalid where it can't be,
        Conflict where what is active could not be served then."""
        kinds = kinds_in(after)
        catalog = self._live.served.catalog
        readers = _readers(catalog, name)
        if kinds == kinds_in(before) and all(before[kind] == after[kind] for kind in kinds):
            retyped = before.get("type") != after.get("type")
            if not retyped or not (readers or name in READY_MADE):
                return
        if readers and not may_publish:
            raise MayNotPublish(name)
        if kinds_in(before) and not kinds and readers and name not in READY_MADE:
            raise Conflict("in_use", f"{_some(readers)} read {name}, and would find nothing")
        rows = await catalogs.read_catalog(change.connection)
        derived = {other: known for other, known in rows.derived.items() if other != name}
        types = {other: kind for other, kind in rows.types.items() if other != name}
        if "type" in after:
            types[name] = after["type"]
        if kinds:
            if "type" in after:
                detail = "a derived trait has the type of what it is derived from"
                raise Invalid([Problem("/type", "bad_value", detail)])
            derived[name] = after
        proposed = replace(rows, derived=derived, types=types)
        served = await asyncio.to_thread(
            following.build, proposed, self._settings, self._live.served
        )
        problems = served.catalog.refused_traits.get(name)
        if problems is not None:
            raise Invalid(list(problems))
        fallen = [
            Problem(f"/segments/{each.key}{problem.pointer}", problem.code, problem.detail)
            for each in served.catalog.refused
            if each.key not in catalog.refused_keys
            for problem in each.problems
        ]
        fallen += [
            Problem(f"/traits/{other}{problem.pointer}", problem.code, problem.detail)
            for other, faults in served.catalog.refused_traits.items()
            if other not in catalog.refused_traits
            for problem in faults
        ]
        if fallen:
            raise Conflict("in_use", f"with {name} so, others could not be served", fallen)
        change.publish("definition", name, redecide=True)
        if "rank" in kinds:
            await jobs.enqueue(change.connection, "ranks", {})

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


def _fixed(name: str, definition: Mapping[str, Any]) -> None:
    """Refuse what would make something else of the traits of consent. Raises Invalid."""
    if name.partition(".")[0] not in consent.NAMES:
        return
    detail = f"{name} is the service's own: docs/consent.md says what it is"
    faults = [each for each in ("type", *kinds_in(definition)) if each in definition]
    if faults:
        raise Invalid([Problem(f"/{each}", "bad_value", detail) for each in faults])


async def _store(
    change: Publication,
    wanted: Wanted,
    checked: Checked,
    before: SegmentRow | None,
    may_publish: bool,
) -> SegmentRow:
    kind = kind_of(checked.condition)
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


def _readers(catalog: Catalog, name: str) -> list[str]:
    """The active segments, and the derived traits, that read a trait."""
    plan = catalog.derivations.plan
    traits_ = () if plan is None else plan.traits.values()
    return [
        *(f"segment {key}" for key, each in catalog.segments.items() if _reads(each, name)),
        *(f"trait {trait.name}" for trait in traits_ if name in trait.reads),
    ]


def _reads(segment: Segment, name: str) -> bool:
    """Whether a condition reads a trait, or what is above or below it."""
    steps = tuple(name.split("."))
    return segment.condition is not None and any(
        all(one == other for one, other in zip(field.path, steps, strict=False))
        for rule in rules_of(segment.condition)
        for field in (rule.field, rule.other)
        if field is not None and field.source is Source.TRAIT
    )


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


def _mark(
    change: Publication,
    name: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    may_reveal: bool,
) -> None:
    """Have every process know whether a trait is personal. Raises MayNotReveal."""
    was, will = before.get("personal", False), after.get("personal", False)
    if was and not will and not may_reveal:
        raise MayNotReveal(name)
    if was != will:
        change.publish("definition", name, redecide=False)


def _some(keys: list[str]) -> str:
    """Keys as people list them; of many the first."""
    if len(keys) > NAMED:
        keys = [*keys[: NAMED - 1], f"{len(keys) - NAMED + 1:,} more"]
    return keys[0] if len(keys) == 1 else f"{', '.join(keys[:-1])} and {keys[-1]}"
