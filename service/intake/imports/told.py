"""What rows of a file come to: pieces of news about somebody, and the rows that tell none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any, NamedTuple

from service.core.events import Event
from service.core.identities import Identity

# The source of all that files tell.
SOURCE = "import"


class Row(NamedTuple):
    """A row by its number in the file, as a spreadsheet counts them, with the cells that are
    read."""

    number: int
    cells: Sequence[Any]


class Who(NamedTuple):
    """Whom a row is about: by the caller's own id, or by how they are known beside it."""

    customer_id: str | None
    identities: tuple[Identity, ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """What some rows tell of one customer. `at`: microseconds since the epoch; `traits`: a patch;
    `message_id`: of the patch."""

    rows: Sequence[int]
    at: int
    message_id: str
    traits: Mapping[str, Any] = field(default_factory=dict)
    events: Sequence[Event] = ()


@dataclass(frozen=True, slots=True)
class Bad:
    """A row that was not imported, the column that is to blame if it is one, and why."""

    row: int
    column: str | None
    code: str
    detail: str


@dataclass(slots=True)
class Told:
    """What rows tell, by whom they are about, in the order of the file."""

    pieces: dict[Who, list[Piece]] = field(default_factory=dict)
    bad: list[Bad] = field(default_factory=list)
    # How many of each there are: orders, refunds, events ...
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, who: Who, piece: Piece) -> None:
        self.pieces.setdefault(who, []).append(piece)

    def count(self, name: str, more: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + more


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a file is read. `began`: when its import began, microseconds: a file that is
    imported again has what it had, and of two files the later tells what counts; `zone`: of dates;
    `latest`: instants after it are refused; `inferred`: types of columns, by trait or property."""

    began: int
    latest: int
    zone: tzinfo = UTC
    inferred: Mapping[str, str] = field(default_factory=dict)
