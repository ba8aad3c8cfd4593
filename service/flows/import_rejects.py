"""Rows of a file that are not imported: noted while it is read, at last written for its owner."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

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


def write_rejects(file: Any, table: Table, bad: dict[int, list[Bad]]) -> None:
    """Rows that were not imported as CSV: row, column, code and reason, then the row itself."""
    writer = csv.writer(file)
    writer.writerow(["row", "column", "code", "reason", *map(_guarded, table.columns)])
    nothing: Sequence[Any] = [""] * len(table.columns)
    for row in table.rows():
        number, cells = (row.row, nothing) if isinstance(row, Bad) else row
        for each in bad.get(number, ()):
            told = [each.row, each.column or "", each.code, each.detail, *cells]
            writer.writerow([_guarded(cell) for cell in told])


def _guarded(cell: Any) -> Any:
    """A cell that no spreadsheet runs."""
    if isinstance(cell, dict | list):
        return msgspec.json.encode(cell).decode()
    if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{cell}"
    return cell
