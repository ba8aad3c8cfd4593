"""Changing definitions: checked against everything active, then published as a new revision."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from service.core.catalog import (
    Definition,
    Segment,
    refused_under,
    segment_of,
    shared_priority,
)
from service.core.conditions import Condition, Rule, Source, located_rules, models_of
from service.core.english import summarise
from service.core.instants import to_datetime
from service.core.parsing import Invalid, Problem, parse_condition
from service.core.references import Tangled, dangling, order, own_scheme, tangling, users_of
from service.core.traits import TraitType, type_english
from service.flows.following import Follower
from service.live import Live
from service.store import catalogs, customers, jobs, models, segments, traits
from service.store.catalogs import definition_of
from service.store.database import Database
from service.store.segments import SegmentRow

# What of a definition decides who is in; the rest only describes.
DECIDING = ("condition", "scheme", "priority")
NAMED = 8  # keys in a sentence at most
LIST_SUMMARY = "Customers on an uploaded list."


class Conflict(RuntimeError):
    """The change contradicts what is there: in use (`problems` says by whom), taken, of another
    kind, archived."""

    def __init__(self, code: str, detail: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(detail)
        self.code = code
        self.problems = list(problems)


class Stale(RuntimeError):
    """The segment is no longer the version that the change was made from."""


class Unknown(LookupError):
    """There is no such segment, or no such declaration."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A segment as somebody wants it: its key, its status, its definition, and perhaps the
    version that this was made from."""

    key: str
    status: str
    definition: Mapping[str, Any]
    based_on: int | None = None


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A definition's condition, None for a list, and what it says in English."""

    condition: Condition | None
    summary: str


class _Publication:
    """One transaction that may end in a new revision."""

    def __init__(self, connection: AsyncConnection, head: int, now: datetime) -> None:
        self.connection = connection
        self.head = head
        self.now = now
        self.cause: str | None = None
        self.keys: list[str] = []
        self.redecide = False

    def publish(self, cause: str, key: str, *, redecide: bool) -> None:
        """Ask for a new revision at the end, and perhaps for everyone to be decided again."""
        self.cause = cause if self.cause in (None, cause) else "definition"
        self.keys.append(key)
        self.redecide = self.redecide or redecide


class Publisher:
    """Saves, archives and lists, each change a transaction and at most one new revision."""

    def __init__(
        self,
        database: Database,
        live: Live,
        follower: Follower,
        clock: Callable[[], int],
        wake_jobs: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._live = live
        self._follower = follower
        self._clock = clock
        self._wake_jobs = wake_jobs
        # One at a time here too: whoever waits for the head holds a connection, and the one who
        # has it needs another to catch up.
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def _publishing(self) -> AsyncIterator[_Publication]:
        """A transaction that holds the head; on leaving, the new revision is live here too."""
        async with self._turn, self._database.engine.begin() as connection:
            head = await catalogs.lock_head(connection)
            await self._follower.catch_up(head)
            change = _Publication(connection, head, to_datetime(self._clock()))
            yield change
            if change.cause is not None:
                await catalogs.publish(connection, head + 1, change.now, change.cause, change.keys)
                if change.redecide:
                    detail = {"revision": head + 1, "cause": change.cause, "segments": change.keys}
                    await jobs.enqueue(connection, "redecide", detail)
        if change.cause is not None:
            await self._follower.catch_up(change.head + 1)
            self._wake_jobs()

    async def save(self, wanted: Sequence[Wanted], *, create: bool = False) -> list[SegmentRow]:
        """Save segments, all or none. `create`: a key that is taken is a conflict.

        Raises Invalid (pointers into the one segment, or below `/INDEX` for several), Conflict,
        Stale.
        """
        async with self._publishing() as change:
            known = [await segments.get(change.connection, each.key) for each in wanted]
            for each, before in zip(wanted, known, strict=True):
                if each.based_on not in (None, before and before.version):
                    raise Stale(each.key)
            rows = []
            # Beside the event loop: a large definition takes a while. The thread shares with
            # others the catalog, which nobody changes, and the schema's remembered fields, which
            # are the same whoever reads them first.
            compiled = await asyncio.to_thread(self._check, wanted)
            for each, definition, before in zip(wanted, compiled, known, strict=True):
                if create and before is not None and before.status != "archived":
                    raise Conflict("exists", f"there is a segment {each.key} already")
                rows.append(await self._store(change, each, definition, before))
            return rows

    async def _store(
        self,
        change: _Publication,
        wanted: Wanted,
        compiled: _Compiled,
        before: SegmentRow | None,
    ) -> SegmentRow:
        kind = kind_of(compiled.condition)
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
            summary=compiled.summary,
            created_at=change.now if before is None else before.created_at,
            updated_at=change.now,
            metrics=None if before is None else before.metrics,
        )
        if before is not None and (before.status, before.definition) == (row.status, definition):
            return before
        await segments.save(change.connection, row)
        was_active = before is not None and before.status == "active"
        if was_active or row.status == "active":
            decides = (
                before is None
                or before.status != row.status
                or any(before.definition.get(name) != definition.get(name) for name in DECIDING)
            )
            change.publish("definition", row.key, redecide=decides)
        return row

    def _check(self, wanted: Sequence[Wanted]) -> list[_Compiled]:
        """Parse, and see whether all that would be active can stand together."""
        catalog = self._live.served.catalog
        prefixes = [f"/{index}" for index in range(len(wanted))] if len(wanted) > 1 else [""]
        problems: list[Problem] = []
        conditions: list[Condition | None] = []
        proposed = dict(catalog.segments)
        for each, prefix in zip(wanted, prefixes, strict=True):
            proposed.pop(each.key, None)
            document = each.definition.get("condition")
            condition = None
            if document is not None:
                try:
                    condition = parse_condition(document, catalog.schema, f"{prefix}/condition")
                except Invalid as fault:
                    problems += fault.problems
            conditions.append(condition)
            if each.status == "active":
                definition = definition_of(each.key, 0, dict(each.definition))
                proposed[each.key] = segment_of(definition, condition)
        if problems:
            raise Invalid(problems)
        for each, prefix in zip(wanted, prefixes, strict=True):
            if each.status == "active":
                problems += stands(proposed, proposed[each.key], prefix)
            else:
                self._not_in_use(each.key, proposed)
        if problems:
            raise Invalid(problems)
        try:
            order(proposed)
        except Tangled as tangle:
            problems = [
                problem
                for each, prefix in zip(wanted, prefixes, strict=True)
                if each.key in proposed
                for problem in tangling(proposed[each.key], proposed, tangle, prefix)
            ]
            raise Invalid(problems) from tangle
        return [
            _Compiled(each, LIST_SUMMARY if each is None else summarise(each))
            for each in conditions
        ]

    @staticmethod
    def _not_in_use(key: str, proposed: Mapping[str, Segment]) -> None:
        users = users_of(key, proposed.values())
        if users:
            problems = [Problem("", "used_by", user) for user in users]
            raise Conflict("in_use", f"{key} is used by {', '.join(users)}", problems)

    async def warnings(self, condition: Any) -> list[Problem]:
        """What to know of a stored condition: the negative rules that people expect to hold for
        customers without a value, and how many those are."""
        if condition is None:
            return []
        schema = self._live.served.catalog.schema
        parsed = await asyncio.to_thread(parse_condition, condition, schema)
        found = []
        async with self._database.engine.connect() as connection:
            for pointer, rule in located_rules(parsed, "/condition"):
                if not expects_absence(rule):
                    continue
                missing, total = await customers.without(connection, rule.field.path)
                if missing:
                    detail = (
                        f"{missing:,} of {total:,} customers have no {rule.field.name}, and this "
                        'rule is not met without one; "missing": true would count them in'
                    )
                    found.append(Problem(pointer, "no_value", detail))
        return found

    async def archive(self, key: str) -> None:
        """Archive a segment; its members leave. Raises Unknown, Conflict while it is used."""
        async with self._publishing() as change:
            row = await segments.get(change.connection, key, for_update=True)
            if row is None:
                raise Unknown(key)
            if row.status == "archived":
                return
            others = {k: s for k, s in self._live.served.catalog.segments.items() if k != key}
            self._not_in_use(key, others)
            await segments.set_status(
                change.connection, key, "archived", row.version + 1, change.now
            )
            if row.status == "active":
                change.publish("definition", key, redecide=True)

    async def change_list(self, key: str, add: Sequence[str], remove: Sequence[str]) -> int:
        """Add and remove ids of a list; how many that changed. Raises Unknown, Conflict."""
        async with self._publishing() as change:
            row = await segments.get(change.connection, key, for_update=True)
            if row is None:
                raise Unknown(key)
            if row.kind != "list":
                raise Conflict("kind", f"{key} is no list: its members follow from its condition")
            if row.status == "archived":
                raise Conflict("archived", f"{key} is archived; PUT revives it")
            changed = await segments.change_list(change.connection, key, add, remove)
            if changed and row.status == "active":
                change.publish("list", key, redecide=True)
            return changed

    async def declare_trait(self, name: str, definition: Mapping[str, Any]) -> None:
        """Declare a trait, or replace its declaration; values that come in are coerced to its type
        from now on. Raises Conflict where active segments could not be served with that type."""
        async with self._publishing() as change:
            before = await traits.get(change.connection, name)
            if before == definition:
                return
            await self._retype(change, name, before or {}, definition)
            await traits.declare(change.connection, name, dict(definition), change.now)

    async def withdraw_trait(self, name: str) -> None:
        """Withdraw a declaration; values stay as they are. Raises Unknown, Conflict."""
        async with self._publishing() as change:
            before = await traits.get(change.connection, name)
            if before is None:
                raise Unknown(name)
            await self._retype(change, name, before, {})
            await traits.withdraw(change.connection, name)

    async def _retype(
        self,
        change: _Publication,
        name: str,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
    ) -> None:
        if before.get("type") == after.get("type"):
            return
        kind = TraitType(after["type"]) if "type" in after else None
        catalog = self._live.served.catalog
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

    async def activate_model(
        self, name: str, version: str, digest: str, manifest: dict[str, Any]
    ) -> None:
        """Register a bundle by its digest, and serve it in place of the version before."""
        async with self.publication("model", name) as connection:
            at = to_datetime(self._clock())
            await models.register(connection, name, version, digest, manifest, at)

    @asynccontextmanager
    async def publication(self, cause: str, key: str) -> AsyncIterator[AsyncConnection]:
        """A transaction for another kind of change (a model, the demo) that ends in a new revision
        and has everyone decided again."""
        async with self._publishing() as change:
            yield change.connection
            change.publish(cause, key, redecide=True)


def _some(keys: list[str]) -> str:
    """Keys as people list them; of many the first."""
    if len(keys) > NAMED:
        keys = [*keys[: NAMED - 1], f"{len(keys) - NAMED + 1:,} more"]
    return keys[0] if len(keys) == 1 else f"{', '.join(keys[:-1])} and {keys[-1]}"


def expects_absence(rule: Rule) -> bool:
    """Whether a rule reads as if it held for customers without a value, and does not."""
    is_trait = rule.field.source is Source.TRAIT
    return rule.operator.negative and is_trait and rule.missing is None


def kind_of(condition: Condition | None) -> str:
    """list without a condition, model where a condition reads one, else rule."""
    if condition is None:
        return "list"
    return "model" if models_of(condition) else "rule"


def stands(segments_: Mapping[str, Segment], segment: Segment, prefix: str) -> list[Problem]:
    """What keeps an active segment from standing among others: references, its scheme."""
    pointer = f"{prefix}/condition"
    problems = dangling(segment, segments_, pointer=pointer)
    problems += own_scheme(segment, segments_, pointer)
    definition = segment.definition
    if definition.scheme is not None:
        holder = next(
            (
                key
                for key, other in segments_.items()
                if key != segment.key and _same_place(other.definition, definition)
            ),
            None,
        )
        if holder is not None or definition.priority is None:
            fault = shared_priority(definition, holder or "")
            problems.append(Problem(prefix + fault.pointer, fault.code, fault.detail))
    return problems


def _same_place(one: Definition, other: Definition) -> bool:
    return one.scheme == other.scheme and one.priority == other.priority
