"""Declaring traits: what a declaration would do to all that is active, and who may do that."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from service.core import consent
from service.core.derived.definitions import kinds_in
from service.core.derived.ready_made import READY_MADE
from service.core.exclusion import FLAGS
from service.core.parsing import Invalid, Problem
from service.core.traits import TraitType, type_english
from service.core.written import fields_written, made_of, reads_written, touches
from service.flows import following
from service.flows.publications import Conflict, MayNotPublish, Publication
from service.live import Live
from service.settings import Settings
from service.store import catalogs, jobs
from service.store.catalogs import CatalogRows

NAMED = 8  # keys in a sentence at most


class MayNotReveal(PermissionError):
    """A trait would no longer be personal, and the author may not read personal traits."""


@dataclass(frozen=True, slots=True)
class May:
    """What an author of declarations may do: read personal traits, and so say that one no longer
    is; decide who is in active segments."""

    reveal: bool
    publish: bool


@dataclass(frozen=True, slots=True)
class _Readers:
    """Who reads a trait. `direct`: segments and derived traits, as people call them; `traits`:
    those that come of it, by way of others too; `active`: whether an active segment or model reads
    any of all these."""

    direct: list[str]
    traits: Collection[str]
    active: bool


class Declarations:
    """Has the catalog follow what traits are declared as."""

    def __init__(self, live: Live, settings: Settings) -> None:
        self._live = live
        self._settings = settings

    async def follow(
        self,
        change: Publication,
        name: str,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
        may: May,
    ) -> None:
        """Have the catalog follow a declaration. Raises Invalid where a trait can't be declared so,
        Conflict where others could not be served then, MayNotReveal, MayNotPublish."""
        rows = await catalogs.read_catalog(change.connection)
        proposed = _declared(rows, name, after)
        personal = following.personal_of(proposed, self._settings, self._live.served.models)
        was_personal = self._live.served.personal
        if not may.reveal and not all(map(personal.covering, was_personal.paths)):
            raise MayNotReveal(name)
        decides = _decides(before) != _decides(after)
        # Beside the event loop: of many large conditions it takes a while.
        readers = await asyncio.to_thread(self._readers, rows, name)
        opened = before.get("writable_by") is not None and after.get("writable_by") is None
        active = readers.active or _leaves_out(name)
        if (decides or opened) and active and not may.publish:
            raise MayNotPublish(name)
        _check_own(name, after)
        if decides:
            if readers.direct and _is_gone(name, before, after):
                detail = f"{_some(readers.direct)} read {name}, and would find nothing"
                raise Conflict("in_use", detail)
            if readers.active or readers.traits or kinds_in(after):
                await self._served_with(proposed, name, before, after)
            if "rank" in after:
                await jobs.enqueue(change.connection, "ranks", {})
        if decides or personal.paths != was_personal.paths:
            change.publish("definition", name, redecide=decides)

    async def _served_with(
        self, proposed: CatalogRows, name: str, before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> None:
        """Raises Invalid where a trait can't be derived as it is declared, Conflict where what is
        served could not be then."""
        served = await asyncio.to_thread(
            following.build, proposed, self._settings, self._live.served
        )
        catalog, then = self._live.served.catalog, served.catalog
        if kinds_in(after) and name in then.refused_traits:
            raise Invalid(list(then.refused_traits[name]))
        fallen = {
            f"/segments/{each.key}": each.problems
            for each in then.refused
            if each.key not in catalog.refused_keys
        } | {
            f"/traits/{other}": problems
            for other, problems in then.refused_traits.items()
            if other not in catalog.refused_traits
        }
        if fallen:
            keys = _some([place.partition("/")[2].partition("/")[2] for place in fallen])
            detail = f"{_so(name, before, after)}, {keys} could not be served"
            problems = [
                replace(each, pointer=place + each.pointer)
                for place, faults in fallen.items()
                for each in faults
            ]
            raise Conflict("in_use", detail, problems)

    def _readers(self, rows: CatalogRows, name: str) -> _Readers:
        """Who reads a trait: by what is written, so that those which can't be served count too."""
        derived = following.derived_of(rows, self._settings)
        made = made_of([name], derived)
        known = {name, *made}
        segments_ = {
            each.key: frozenset(fields_written(each.condition)) for each in rows.definitions
        }
        return _Readers(
            direct=[
                *(f"segment {key}" for key, read in segments_.items() if touches(read, [name])),
                *(
                    f"trait {other}"
                    for other, document in derived.items()
                    if touches(reads_written(document), [name])
                ),
            ],
            traits=made,
            active=any(touches(read, known) for read in segments_.values())
            or any(touches(each.scorer.manifest.reads, known) for each in self._live.served.models),
        )


def _leaves_out(name: str) -> bool:
    """Whether a trait, or the one that it is a part of, decides who is in no segment: all active
    ones and all figures read it."""
    return name.partition(".")[0] in FLAGS


def _check_own(name: str, definition: Mapping[str, Any]) -> None:
    """Refuse what would make something else of the service's own traits: of consents, and of those
    that leave somebody out. Raises Invalid."""
    if name.partition(".")[0] in consent.NAMES:
        page = "docs/consent.md"
    elif _leaves_out(name):
        page = "docs/identities.md"
    else:
        return
    detail = f"{name} is the service's own: {page} says what it is"
    faults = [each for each in ("type", *kinds_in(definition)) if each in definition]
    if name in FLAGS and definition.get("type") == TraitType.BOOLEAN:
        faults.remove("type")
    if faults:
        raise Invalid([Problem(f"/{each}", "bad_value", detail) for each in faults])


def _declared(rows: CatalogRows, name: str, definition: Mapping[str, Any]) -> CatalogRows:
    """What a catalog is compiled from with a trait declared otherwise. Raises Invalid."""
    derived = {other: known for other, known in rows.derived.items() if other != name}
    types = {other: kind for other, kind in rows.types.items() if other != name}
    if "type" in definition:
        types[name] = definition["type"]
    if kinds_in(definition):
        if "type" in definition:
            detail = "a derived trait has the type of what it is derived from"
            raise Invalid([Problem("/type", "bad_value", detail)])
        derived[name] = definition
    personal = rows.personal - {name}
    if definition.get("personal"):
        personal |= {name}
    return replace(rows, derived=derived, types=types, personal=personal)


def _decides(definition: Mapping[str, Any]) -> dict[str, Any]:
    """What of a declaration may decide about customers; the rest only describes."""
    return {
        part: definition[part] for part in ("type", *kinds_in(definition)) if part in definition
    }


def _is_gone(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether nothing would be of a name that was a derived trait."""
    return bool(kinds_in(before)) and not kinds_in(after) and name not in READY_MADE


def _so(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """How a trait would be declared, as the beginning of a sentence."""
    if kinds_in(before) or kinds_in(after):
        return f"with {name} so"
    if "type" in after:
        return f"with {name} declared as {type_english(TraitType(after['type']))}"
    return f"without the type of {name}"


def _some(keys: list[str]) -> str:
    """Keys as people list them; of many the first."""
    if len(keys) > NAMED:
        keys = [*keys[: NAMED - 1], f"{len(keys) - NAMED + 1:,} more"]
    return keys[0] if len(keys) == 1 else f"{', '.join(keys[:-1])} and {keys[-1]}"
