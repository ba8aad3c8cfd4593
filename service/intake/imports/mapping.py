"""How somebody says what a file holds: by a document, or by options that come to one.

    as: orders
    map: {order_id: Invoice, placed_at: InvoiceDate, item.price: Price}
    where: ["Price > 0"]

What is not said is guessed by the names of the columns, see `understanding`.
"""

from collections.abc import Mapping as Document
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from service.core.events import DEFAULT_STORE
from service.core.problems import Invalid, Problem, escape
from service.core.traits import TraitType, describe
from service.intake.imports.cells import DateOrder
from service.intake.imports.fields import Kind
from service.intake.imports.filters import Where
from service.intake.imports.presets import PRESETS

NAME_LENGTH = 256
Others = Literal["keep", "ignore"]
# What a column of traits may be said to hold; a list is divided by commas.
TYPES = (*(str(each) for each in TraitType if each not in (TraitType.POINT, TraitType.OBJECT)),)


@dataclass(frozen=True, slots=True)
class Mapping:
    """What was said of a file. `columns`: by field, the column that holds it; `constants`: fields
    that are the same in every row; `types`: of traits and properties, by their paths; `others`:
    what to do with columns that no field names; `time_zone`: of times that name none."""

    kind: Kind | None = None
    preset: str | None = None
    columns: Document[str, str] = field(default_factory=dict)
    constants: Document[str, Any] = field(default_factory=dict)
    types: Document[str, str] = field(default_factory=dict)
    where: tuple[str, ...] = ()
    others: Others | None = None
    store: str = DEFAULT_STORE
    list: str | None = None
    time_zone: str | None = None
    dates: DateOrder | None = None
    decimal: Literal[".", ","] = "."
    encoding: str | None = None
    delimiter: str | None = None

    def document(self) -> dict[str, Any]:
        """The mapping in JSON form, which `read` takes."""
        plain = asdict(self)
        plain |= {"as": plain.pop("kind"), "map": plain.pop("columns")}
        plain |= {"set": plain.pop("constants"), "where": list(self.where)}
        return {name: value for name, value in plain.items() if value not in (None, [], {})}


_NAMES = ("preset", "store", "list", "time_zone", "encoding", "delimiter")
_MEMBERS = frozenset(
    {"as", "map", "set", "types", "where", "others", "dates", "decimal", *_NAMES}
)  # fmt: skip


def read(document: Any) -> Mapping:
    """A mapping as it was written. Raises Invalid with everything that is wrong with it."""
    if not isinstance(document, dict):
        detail = f"a mapping is an object, not {describe(document)}"
        raise Invalid([Problem("", "type", detail)])
    reading = _Reading(document)
    mapping = reading.mapping()
    if reading.problems:
        raise Invalid(reading.problems)
    return mapping


class _Reading:
    def __init__(self, document: Document[str, Any]) -> None:
        self.document = document
        self.problems: list[Problem] = []

    def refuse(self, pointer: str, code: str, detail: str) -> None:
        self.problems.append(Problem(pointer, code, detail))

    def mapping(self) -> Mapping:
        for name in self.document:
            if name not in _MEMBERS:
                detail = f'"{name}" is not understood here; there are {", ".join(sorted(_MEMBERS))}'
                self.refuse(f"/{escape(name)}", "unknown_property", detail)
        named = {name: self.text(name) for name in _NAMES}
        kind = self.one_of("as", [str(each) for each in Kind])
        dates = self.one_of("dates", [str(each) for each in DateOrder])
        others = self.one_of("others", list(get_args(Others)))
        decimal = self.one_of("decimal", [".", ","])
        if named["preset"] is not None and named["preset"] not in PRESETS:
            detail = f'there is no preset "{named["preset"]}"; there are {", ".join(PRESETS)}'
            self.refuse("/preset", "bad_value", detail)
        if named["delimiter"] is not None and len(named["delimiter"]) != 1:
            self.refuse("/delimiter", "bad_value", "a delimiter is one character")
        self.check_zone(named["time_zone"])
        types = self.texts("types")
        for path, name in types.items():
            if name not in TYPES:
                detail = f'"{name}" is no type; there are {", ".join(TYPES)}'
                self.refuse(f"/types/{escape(path)}", "bad_value", detail)
        return Mapping(
            kind=None if kind is None else Kind(kind),
            preset=named["preset"],
            columns=self.texts("map"),
            constants=self.object("set"),
            types=types,
            where=self.conditions(),
            others=others,  # type: ignore[arg-type]  # one of them, or None
            store=named["store"] or DEFAULT_STORE,
            list=named["list"],
            time_zone=named["time_zone"],
            dates=None if dates is None else DateOrder(dates),
            decimal="," if decimal == "," else ".",
            encoding=named["encoding"],
            delimiter=named["delimiter"],
        )

    def text(self, name: str) -> str | None:
        value = self.document.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or not 0 < len(value) <= NAME_LENGTH or "\0" in value:
            detail = f"{name} is a text of 1 to {NAME_LENGTH} characters, not {describe(value)}"
            self.refuse(f"/{name}", "bad_value", detail)
            return None
        return value

    def one_of(self, name: str, values: list[str]) -> str | None:
        value = self.document.get(name)
        if value is None or value in values:
            return value
        detail = f"{name} is one of {', '.join(values)}, not {describe(value)}"
        self.refuse(f"/{name}", "bad_value", detail)
        return None

    def object(self, name: str) -> dict[str, Any]:
        value = self.document.get(name)
        if value is None or isinstance(value, dict):
            return value or {}
        self.refuse(f"/{name}", "type", f"{name} is an object, not {describe(value)}")
        return {}

    def texts(self, name: str) -> dict[str, str]:
        found = {}
        for key, value in self.object(name).items():
            if isinstance(value, str) and value:
                found[key] = value
            else:
                detail = f"this has to be a text, not {describe(value)}"
                self.refuse(f"/{name}/{escape(key)}", "type", detail)
        return found

    def conditions(self) -> tuple[str, ...]:
        written = self.document.get("where", [])
        if not isinstance(written, list):
            detail = f'where is a list of texts such as "Price > 0", not {describe(written)}'
            self.refuse("/where", "type", detail)
            return ()
        for place, each in enumerate(written):
            if not isinstance(each, str) or Where.of(each) is None:
                detail = 'expected a text such as "Price > 0"'
                self.refuse(f"/where/{place}", "bad_value", f"{detail}, not {describe(each)}")
        return tuple(map(str, written))

    def check_zone(self, name: str | None) -> None:
        if name is None:
            return
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            detail = f'"{name}" is not a time zone; use a name such as Europe/Prague'
            self.refuse("/time_zone", "bad_value", detail)
