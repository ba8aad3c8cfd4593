"""Rows of a file that are not imported: noted while it is read, at last written for its owner."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from service.flows.import_files import Table
from service.intake.imports.told import Bad

TOLD = 1_000_000  # rows


class Rejects:
    """Rows that are not imported, in a file of their own for each part of the work: a part that is
    done again writes it again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> "Rejects":
        self._file = self._path.open("wb")
        return self

    def add(self, bad: Bad) -> None:
        self._file.write(msgspec.json.encode(bad) + b"\n")

    def __exit__(self, *error: object) -> None:
        self._file.close()


def read_rejects(path: Path) -> Iterator[Bad]:
    """What `Rejects` wrote."""
    with path.open("rb") as file:
        for line in file:
            yield msgspec.json.decode(line, type=Bad)


def collected(paths: Sequence[Path]) -> dict[int, list[Bad]]:
    """What `Rejects` wrote into several files, by row; the first million rows."""
    found: dict[int, list[Bad]] = {}
    for path in paths:
        for each in read_rejects(path):
            if len(found) < TOLD or each.row in found:
                found.setdefault(each.row, []).append(each)
    return found


def rejected_rows(
    table: Table, bad: dict[int, list[Bad]]
) -> Iterator[tuple[Bad, Sequence[Any] | None]]:
    """Rows that were not imported with their cells, None where those can't be read."""
    for row in table.rows():
        number, cells = (row.row, None) if isinstance(row, Bad) else row
        for each in bad.get(number, ()):
            yield each, cells


def write_rejects(file: Any, table: Table, bad: dict[int, list[Bad]]) -> None:
    """Rows that were not imported as CSV: row, column, code and reason, then the row itself."""
    writer = csv.writer(file)
    writer.writerow(header(table.columns))
    for each, cells in rejected_rows(table, bad):
        writer.writerow(line(each, cells, len(table.columns)))


def header(columns: Sequence[str]) -> list[str]:
    """The first line of such a file."""
    return ["row", "column", "code", "reason", *map(_guarded, columns)]


class Told(Protocol):
    """A row that was not imported."""

    @property
    def row(self) -> int: ...
    @property
    def column(self) -> str | None: ...
    @property
    def code(self) -> str: ...
    @property
    def detail(self) -> str: ...


def line(told: Told, cells: Sequence[Any] | None, width: int) -> list[Any]:
    """One of its lines; `width`: how many columns the imported file has."""
    about = [told.row, told.column or "", told.code, told.detail]
    return [_guarded(cell) for cell in (*about, *([""] * width if cells is None else cells))]


def _guarded(cell: Any) -> Any:
    """A cell that no spreadsheet runs."""
    if isinstance(cell, dict | list):
        return msgspec.json.encode(cell).decode()
    if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{cell}"
    return cell
