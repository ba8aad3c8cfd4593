"""Definitions as code: how files differ from what is stored, whom that would move, and applying it
whole or not at all."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sqlalchemy.ext.asyncio import AsyncConnection

from service.core.access import SYSTEM, Author
from service.core.blocks import BlockPlan, match_block
from service.core.catalog import Catalog, Segment
from service.core.columns import Block, Flags
from service.core.decisions import State
from service.core.exclusion import excluded
from service.core.parsing import Invalid
from service.core.personal import Personal
from service.core.profiles import derived_of, profile_of
from service.core.sameness import same
from service.flows import following
from service.flows.checking import DECIDING, Wanted, check
from service.flows.publishing import Conflict, Publisher, Saved, Unknown
from service.live import Live, Served
from service.settings import Settings
from service.store import catalogs, events, exports, segments, states
from service.store.audit import Difference
from service.store.catalogs import definition_of
from service.store.database import Database
from service.store.segments import SegmentRow

# Members of a definition that mean the same whether they are empty or not there.
OPTIONAL = ("description", "dimensions", "tags")

AT_ONCE = 1_000

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Moves:
    """How many customers would enter a segment and how many would leave it."""

    entering: int = 0
    leaving: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """What applying would do about one segment. `action`: created, changed, revived, archived or
    unchanged; `summary` is its condition in plain English, before (None: there was none) and
    after."""

    wanted: Wanted
    action: str
    difference: Difference
    summary: tuple[str | None, str]


@dataclass(frozen=True, slots=True)
class Plan:
    """What applying would do. `moves`: by segment, those that files don't name too, where somebody
    would move; `moving`: customers who would enter or leave any, among all `customers`."""

    steps: tuple[Step, ...]
    moves: Mapping[str, Moves]
    moving: int
    customers: int

    @property
    def changes(self) -> list[Step]:
        """The steps that change something."""
        return [step for step in self.steps if step.action != "unchanged"]


class Applier:
    """Compares definitions with the stored ones, and puts them in their place."""

    def __init__(
        self,
        database: Database,
        live: Live,
        publisher: Publisher,
        settings: Settings,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._live = live
        self._publisher = publisher
        self._settings = settings
        self._clock = clock

    async def plan(
        self,
        wanted: Sequence[Wanted],
        *,
        prune: bool = False,
        progress: Progress = lambda done, total: None,
    ) -> Plan:
        """What putting these segments in place would do; with `prune` all others are archived.

        Raises Invalid (pointers below `/INDEX` of `wanted`, or into the only one) and Conflict.
        """
        async with self._database.engine.connect() as connection:
            known = [await segments.get(connection, each.key) for each in wanted]
            named = {each.key for each in wanted}
            stored = await _stored(connection) if prune else []
        others = [row for row in stored if row.key not in named]
        steps = [_step(each, before) for each, before in zip(wanted, known, strict=True)]
        steps += [_archiving(row) for row in others]
        whole = [step.wanted for step in steps]
        rows = [*known, *others]
        now = self._clock()
        catalog = self._live.served.catalog
        _no_masks(wanted, self._live.served.personal)
        checked = await asyncio.to_thread(check, catalog, whole, rows, now)
        for before, after in zip(rows, checked, strict=True):
            if before is not None and (before.kind == "list") != (after.kind == "list"):
                detail = f"{before.key} is a {before.kind}; make another segment with another key"
                raise Conflict("kind", detail)
        steps = [
            replace(step, summary=(None if before is None else before.summary, after.summary))
            for step, before, after in zip(steps, rows, checked, strict=True)
        ]
        deciding = [
            step.wanted
            for step, before in zip(steps, rows, strict=True)
            if step.action != "unchanged" and _decides(step, before)
        ]
        effect = _Effect()
        if deciding:
            effect = await self._effect(deciding, now, progress)
        return Plan(tuple(steps), effect.moves(), effect.moving, effect.customers)

    async def apply(self, plan: Plan, *, author: Author = SYSTEM) -> list[Saved]:
        """Do it, in one transaction and one revision. Raises Stale where somebody has changed one
        of these segments since the plan was made; Invalid and Conflict as they do who save."""
        return await self._publisher.save([step.wanted for step in plan.steps], author=author)

    async def _effect(self, deciding: Sequence[Wanted], now: int, progress: Progress) -> "_Effect":
        """Whom the changes move: everyone stored is matched against the catalog as it would be."""
        async with self._database.long() as connection:
            await exports.at_one_instant(connection)
            served = await self._proposed(connection, deciding)
            catalog = served.catalog
            concerned = _concerned(
                {each.key for each in deciding}, self._live.served.catalog, catalog
            )
            total = await exports.count(connection)
            effect = _Effect(concerned - catalog.refused_keys)
            plan = BlockPlan(catalog)
            async for batch in exports.customers(connection):
                raw = (await connection.get_raw_connection()).driver_connection
                known = {state.customer_id: state for state in batch}
                # Under a revision that nobody was decided under: what is lacking is made.
                await events.load_histories(raw, known, served.derivations, -1)
                on_lists: dict[str, Flags] = {}
                if served.has_lists:
                    on_lists = await _on_lists(connection, batch)
                await asyncio.to_thread(effect.add, served, plan, batch, now, on_lists)
                progress(effect.customers, total)
        return effect

    async def _proposed(self, connection: AsyncConnection, deciding: Sequence[Wanted]) -> Served:
        rows = await catalogs.read_catalog(connection)
        definitions = {each.key: each for each in rows.definitions}
        for wanted in deciding:
            before = definitions.pop(wanted.key, None)
            if wanted.status == "active":
                version = 1 if before is None else before.version + 1
                definitions[wanted.key] = definition_of(
                    wanted.key, version, dict(wanted.definition)
                )
        rows = replace(rows, definitions=list(definitions.values()))
        return await asyncio.to_thread(following.build, rows, self._settings, self._live.served)


def _no_masks(wanted: Sequence[Wanted], personal: Personal) -> None:
    """Raises Invalid where files hold what answers show in place of personal values."""
    faults = [
        fault
        for index, each in enumerate(wanted)
        for fault in personal.masks(
            each.definition.get("condition"),
            "/condition" if len(wanted) == 1 else f"/{index}/condition",
        )
    ]
    if faults:
        raise Invalid(faults)


class _Effect:
    """Counts who would enter and leave the segments concerned."""

    def __init__(self, concerned: Iterable[str] = ()) -> None:
        self.customers = 0
        self.moving = 0
        self._entering = dict.fromkeys(sorted(concerned), 0)
        self._leaving = dict.fromkeys(self._entering, 0)

    def add(
        self,
        served: Served,
        plan: BlockPlan,
        batch: Sequence[State],
        now: int,
        on_lists: Mapping[str, Flags],
    ) -> None:
        """Count a batch of customers."""
        derived = [derived_of(served.catalog, state, now) for state in batch]
        known = [{**state.traits, **more} for state, more in zip(batch, derived, strict=True)]
        outputs = served.score_many(known)
        profiles = [
            profile_of(served.catalog, state, output, more)
            for state, output, more in zip(batch, outputs, derived, strict=True)
        ]
        result = match_block(plan, Block.from_profiles(profiles, plan.fields), now, on_lists)
        counted = np.fromiter((not excluded(each) for each in known), bool, len(batch))
        moved = np.zeros(len(batch), dtype=bool)
        nobody = np.zeros(len(batch), dtype=bool)
        for key in self._entering:
            was = np.fromiter((key in state.memberships for state in batch), bool, len(batch))
            is_ = result.members(key) & counted if key in served.catalog.segments else nobody
            self._entering[key] += int((is_ & ~was).sum())
            self._leaving[key] += int((was & ~is_).sum())
            moved |= was ^ is_
        self.customers += len(batch)
        self.moving += int(moved.sum())

    def moves(self) -> dict[str, Moves]:
        """The segments in which somebody would move."""
        return {
            key: Moves(entering, self._leaving[key])
            for key, entering in self._entering.items()
            if entering or self._leaving[key]
        }


async def _on_lists(connection: AsyncConnection, batch: Sequence[State]) -> dict[str, Flags]:
    """For each list that one of the customers is on, which of them are."""
    raw: Any = (await connection.get_raw_connection()).driver_connection
    await states.load_lists(raw, {state.customer_id: state for state in batch})
    flags: dict[str, Flags] = {}
    for row, state in enumerate(batch):
        for key in state.lists or ():
            if key not in flags:
                flags[key] = np.zeros(len(batch), dtype=bool)
            flags[key][row] = True
    return flags


async def _stored(connection: AsyncConnection) -> list[SegmentRow]:
    """All stored segments by key, those archived left out."""
    rows: list[SegmentRow] = []
    after: str | None = None
    while page := await segments.search(connection, after=after, limit=AT_ONCE):
        rows += page
        after = page[-1].key
    return [row for row in rows if row.status != "archived"]


async def exported(
    connection: AsyncConnection, keys: Sequence[str] = (), status: str | None = None
) -> list[dict[str, Any]]:
    """Stored segments as files hold them: those of `keys`, else all. Raises Unknown."""
    rows = {row.key: row for row in await _stored(connection)}
    for key in keys:
        if key not in rows:
            raise Unknown(key)
    return [
        {"key": key, **shown(rows[key].definition, rows[key].status)}
        for key in (keys or rows)
        if status in (None, rows[key].status)
    ]


def _step(wanted: Wanted, before: SegmentRow | None) -> Step:
    """What one definition comes to beside the stored one."""
    was = {} if before is None else shown(before.definition, before.status)
    difference = _difference(was, shown(wanted.definition, wanted.status))
    if before is None:
        return Step(replace(wanted, based_on=0), "created", difference, (None, ""))
    wanted = replace(wanted, based_on=before.version)
    if before.status == "archived":
        return Step(wanted, "revived", difference, (None, ""))
    if difference:
        return Step(wanted, "changed", difference, (None, ""))
    # As it is stored, word for word: saving it again is then no new version.
    wanted = replace(wanted, definition=before.definition)
    return Step(wanted, "unchanged", difference, (None, ""))


def _archiving(row: SegmentRow) -> Step:
    wanted = Wanted(row.key, "archived", row.definition, row.version, "segment.archived")
    difference = {"status": {"before": row.status, "after": "archived"}}
    return Step(wanted, "archived", difference, (row.summary, row.summary))


def shown(definition: Mapping[str, Any], status: str) -> dict[str, Any]:
    """A definition with its status, without what is as good as absent."""
    shown = {name: held for name, held in definition.items() if name not in OPTIONAL or held}
    persona = shown.get("persona")
    if isinstance(persona, dict):
        shown["persona"] = {part: held for part, held in persona.items() if held}
    return {"status": status, **{name: held for name, held in shown.items() if held is not None}}


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> Difference:
    """Member by member what changes; a side that is missing has no entry."""
    nothing = object()
    return {
        name: {
            side: document[name]
            for side, document in (("before", before), ("after", after))
            if name in document
        }
        for name in dict.fromkeys((*after, *before))
        if not same(before.get(name, nothing), after.get(name, nothing))
    }


def _decides(step: Step, before: SegmentRow | None) -> bool:
    """Whether a step changes who is in an active segment."""
    was_active = before is not None and before.status == "active"
    is_active = step.wanted.status == "active"
    return was_active is not is_active or (
        is_active and not step.difference.keys().isdisjoint(DECIDING)
    )


def _concerned(changed: Collection[str], before: Catalog, after: Catalog) -> frozenset[str]:
    """Changed segments with those that refer to them and those that share a scheme with them."""
    links: dict[str, set[str]] = {}

    def link(segment: Segment, scheme_of: Mapping[str, tuple[str, ...]]) -> None:
        for reference in segment.references:
            links.setdefault(reference, set()).add(segment.key)
        scheme = segment.definition.scheme
        if scheme is not None:
            links.setdefault(segment.key, set()).update(scheme_of.get(scheme, ()))

    for catalog in (before, after):
        for segment in catalog.segments.values():
            link(segment, catalog.schemes)
    concerned: set[str] = set()
    waiting = list(changed)
    while waiting:
        key = waiting.pop()
        if key not in concerned:
            concerned.add(key)
            waiting += links.get(key, ())
    return frozenset(concerned)
