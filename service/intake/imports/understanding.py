"""What a file holds: as somebody said, as its export is known to be, and else as the names of its
columns make plain. What was guessed is told, so that a dry run shows it."""

from collections.abc import Mapping as Document
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from service.core.consent import CHANNELS
from service.core.problems import Invalid, Problem, escape
from service.intake.imports.cells import DateOrder, date_order
from service.intake.imports.fields import (
    NAMES,
    REQUIRED,
    SYNONYMS,
    WHO,
    Kind,
    fault,
    folded,
    snake,
)
from service.intake.imports.filters import Where
from service.intake.imports.mapping import Mapping
from service.intake.imports.presets import PRESETS, Preset

_DATES = frozenset({"placed_at", "cancelled_at", "timestamp", "at"})
# Kinds in which a column that no field names is a trait or a property.
_KEEPING: Document[Kind, str] = {Kind.CUSTOMERS: "traits", Kind.EVENTS: "properties"}


class Plan(msgspec.Struct, frozen=True):
    """What a file is understood to hold. `columns`: all of the file; `fields`: by field its column,
    `constants`: by field its value; `guessed`: fields whose column nobody named; `ignored`:
    columns that are not read; `unplaced`, `blank`: see `Preset`."""

    kind: Kind
    columns: list[str]
    fields: dict[str, str]
    constants: dict[str, Any]
    guessed: list[str]
    ignored: list[str]
    types: dict[str, str]
    where: list[str]
    store: str
    preset: str | None = None
    list: str | None = None
    time_zone: str | None = None
    dates: DateOrder | None = None
    decimal: str = "."
    unplaced: tuple[str, ...] = ()
    blank: dict[str, str] = {}

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns that are read, in the order in which they stand."""
        wanted = {*self.fields.values(), *(_where(each).column for each in self.where)}
        return tuple(each for each in self.columns if each in wanted)


@dataclass(frozen=True, slots=True)
class Sample:
    """The beginning of a file: its name, its columns, and its first rows."""

    file: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


def understand(mapping: Mapping, sample: Sample) -> Plan:
    """What a file holds. Raises Invalid with what nobody said and nothing makes plain."""
    understanding = _Understanding(mapping, sample)
    plan = understanding.plan()
    if understanding.problems:
        raise Invalid(understanding.problems)
    return plan


def _where(written: str) -> Where:
    found = Where.of(written)
    assert found is not None  # noqa: S101 - a mapping is read with its conditions
    return found


class _Understanding:
    def __init__(self, mapping: Mapping, sample: Sample) -> None:
        self.mapping = mapping
        self.sample = sample
        self.problems: list[Problem] = []
        self.by_name: dict[str, str] = {}
        for column in sample.columns:
            self.by_name.setdefault(folded(column), column)
        self.preset: Preset | None = None
        self.fields: dict[str, str] = {}
        self.guessed: list[str] = []

    def refuse(self, pointer: str, code: str, detail: str) -> None:
        self.problems.append(Problem(pointer, code, detail))

    def plan(self) -> Plan:
        mapping = self.mapping
        self.preset = self._preset()
        kind = self._kind()
        self._say(kind)
        constants = {**(self.preset.constants if self.preset else {}), **mapping.constants}
        constants = {name: each for name, each in constants.items() if name not in self.fields}
        for name in mapping.constants:
            self._check_field(kind, name, f"/set/{escape(name)}")
        if self.preset is None:
            self._guess(kind, constants)
        others = mapping.others or (self.preset.others if self.preset else "keep")
        if others == "keep" and kind in _KEEPING:
            self._keep(kind, _KEEPING[kind])
        if "group" in self.fields and "order_id" not in self.fields:
            self.fields["order_id"] = self.fields["group"]
        where = self._filters()
        self._check(kind, constants)
        used = {*self.fields.values(), *(_where(each).column for each in where)}
        preset_types = self.preset.types if self.preset else {}
        return Plan(
            kind=kind,
            preset=self.preset.name if self.preset else None,
            columns=list(self.sample.columns),
            fields=dict(self.fields),
            constants=constants,
            guessed=self.guessed,
            ignored=[each for each in self.sample.columns if each not in used],
            types={**preset_types, **mapping.types},
            where=where,
            store=mapping.store,
            list=mapping.list,
            time_zone=mapping.time_zone,
            dates=self._dates(),
            decimal=mapping.decimal,
            unplaced=self.preset.unplaced if self.preset else (),
            blank=dict(self.preset.blank) if self.preset else {},
        )

    def column(self, name: str) -> str | None:
        """The file's column of a name, as it is written there."""
        return name if name in self.sample.columns else self.by_name.get(folded(name))

    def _preset(self) -> Preset | None:
        if self.mapping.preset is not None:
            return PRESETS[self.mapping.preset]
        if self.mapping.columns or self.mapping.kind in (Kind.LIST, Kind.CONSENT, Kind.EVENTS):
            return None
        fitting = [each for each in PRESETS.values() if each.fits(list(self.sample.columns))]
        fitting = [each for each in fitting if self.mapping.kind in (None, each.kind)]
        named = [each for each in fitting if each.file and self.sample.file.startswith(each.file)]
        if named:
            return named[0]
        if any(each.file for each in fitting):
            names = ", ".join(each.name for each in fitting)
            detail = f"which export of an audience is this? Say one of the presets {names}"
            self.refuse("/preset", "required", detail)
        return fitting[0] if fitting else None

    def _kind(self) -> Kind:
        if self.mapping.kind is not None:
            return self.mapping.kind
        if self.preset is not None:
            return self.preset.kind
        for kind in (Kind.ORDERS, Kind.EVENTS):
            if all(self._synonym(kind, each) for each in REQUIRED[kind]):
                return kind
        if self.mapping.list is not None:
            return Kind.LIST
        if self._synonym(Kind.CONSENT, "channel") and self._synonym(Kind.CONSENT, "status"):
            return Kind.CONSENT
        return Kind.CUSTOMERS

    def _synonym(self, kind: Kind, field: str) -> str | None:
        """The column that plainly holds a field; what somebody said of it goes before."""
        if field in self.mapping.columns:
            return self.mapping.columns[field]
        names = SYNONYMS[kind].get(field) or WHO.get(field, ())
        return next((self.by_name[name] for name in names if name in self.by_name), None)

    def _say(self, kind: Kind) -> None:
        """Take over what was said, or is known of the export."""
        for field, names in (self.preset.columns if self.preset else {}).items():
            alternatives = (names,) if isinstance(names, str) else names
            found = next((each for each in map(self.column, alternatives) if each), None)
            if found is not None and field not in self.mapping.constants:
                self.fields[field] = found
        for field, name in self.mapping.columns.items():
            pointer = f"/map/{escape(field)}"
            if not self._check_field(kind, field, pointer):
                continue
            column = self.column(name)
            if column is None:
                known = ", ".join(self.sample.columns)[:1_000]
                detail = f'the file has no column "{name}"; it has {known}'
                self.refuse(pointer, "not_found", detail)
            else:
                self.fields[field] = column

    def _check_field(self, kind: Kind, field: str, pointer: str) -> bool:
        why = fault(kind, field)
        if why is not None:
            self.refuse(pointer, "unknown_field", why)
        return why is None

    def _guess(self, kind: Kind, constants: Document[str, Any]) -> None:
        """Find the columns of fields that nobody named."""
        taken = set(self.fields.values())
        for column in self.sample.columns:
            # Named as the field itself.
            free = column not in taken and column not in self.fields
            if free and "." in column and fault(kind, column) is None:
                self._found(column, column, taken)
        for field in (*WHO, *SYNONYMS[kind]):
            if field in self.fields or field in constants:
                continue
            names = WHO.get(field) or SYNONYMS[kind][field]
            if kind is Kind.LIST and field != NAMES[0] and NAMES[0] in self.fields:
                continue
            for name in names:
                guess = self.by_name.get(name)
                if guess is not None and guess not in taken:
                    self._found(field, guess, taken)
                    break
        if kind in (Kind.CUSTOMERS, Kind.CONSENT) and "channel" not in self.fields:
            for channel in CHANNELS:
                self._guess_consent(channel, taken)
        if kind is Kind.CUSTOMERS:
            for name in ("email", "phone"):
                if name in self.fields and f"traits.{name}" not in self.fields:
                    self.fields[f"traits.{name}"] = self.fields[name]

    def _guess_consent(self, channel: str, taken: set[str]) -> None:
        names = [
            f"{channel}consent", f"consent{channel}", f"{channel}marketingconsent",
            f"accepts{channel}marketing", f"{channel}optin", f"{channel}subscribed",
        ]  # fmt: skip
        names += ["acceptsmarketing", "newsletter"] if channel == "email" else []
        for name in names:
            column = self.by_name.get(name)
            if column is not None and column not in taken:
                self._found(f"consent.{channel}", column, taken)
                return

    def _found(self, field: str, column: str, taken: set[str]) -> None:
        self.fields[field] = column
        self.guessed.append(field)
        taken.add(column)

    def _keep(self, kind: Kind, below: str) -> None:
        taken = {folded(each) for each in self.fields.values()}
        taken |= {folded(each) for each in (self.preset.ignored if self.preset else ())}
        for column in self.sample.columns:
            field = f"{below}.{snake(column)}"
            if folded(column) in taken or field in self.fields or fault(kind, field) is not None:
                continue
            self.fields[field] = column
            self.guessed.append(field)

    def _filters(self) -> list[str]:
        found = []
        for place, written in enumerate(self.mapping.where):
            where = _where(written)
            column = self.column(where.column)
            if column is None:
                detail = f'the file has no column "{where.column}"'
                self.refuse(f"/where/{place}", "not_found", detail)
            else:
                found.append(f"{column} {where.sign} {where.value}")
        return found

    def _check(self, kind: Kind, constants: Document[str, Any]) -> None:
        """Refuse a file that lacks what its kind needs."""
        if not any(name in self.fields for name in NAMES):
            detail = f"which column says who it is? Map one of {', '.join(NAMES)}"
            self.refuse("/map/customer_id", "required", detail)
        for field in REQUIRED[kind]:
            if field not in self.fields and field not in constants:
                detail = f"which column holds {field}? Say it: map {field}, or set it"
                self.refuse(f"/map/{escape(field)}", "required", detail)
        if kind is Kind.ORDERS and "order_id" in constants:
            detail = "all rows would be one order: map the column that holds its id"
            self.refuse("/set/order_id", "bad_value", detail)
        told = [*self.fields, *constants]
        if kind is Kind.LIST and self.mapping.list is None:
            self.refuse("/list", "required", "which list do these customers go on? Say its key")
        if kind is Kind.CONSENT and not any(
            each.startswith(("consent.", "suppressed.")) for each in told
        ):
            for field in ("channel", "status"):
                if field not in told:
                    detail = f"which column holds the {field}? Map it, or map consent.CHANNEL"
                    self.refuse(f"/map/{field}", "required", detail)

    def _dates(self) -> DateOrder | None:
        if self.mapping.dates is not None:
            return self.mapping.dates
        places = [self.sample.columns.index(self.fields[each]) for each in _DATES & {*self.fields}]
        return date_order([row[place] for row in self.sample.rows for place in places])
