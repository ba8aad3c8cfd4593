"""Files to import: CSV, NDJSON and Parquet as rows, read a piece at a time.

Rows are numbered as a spreadsheet numbers them: the header of a CSV file is row 1. A row that can't
be read at all is told, and spoils no other.
"""

import csv
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from service.core.problems import Invalid, Problem
from service.intake.imports.cells import unguarded
from service.intake.imports.told import Bad, Row
from service.intake.imports.understanding import Sample

SAMPLED = 1_000
CELL_LIMIT = 131_072  # characters
LINE_LIMIT = 1_000_000  # bytes, of NDJSON
COLUMNS_LIMIT = 2_000
_PARQUET_ROWS = 8_192
_HASHED_AT_ONCE = 1 << 20
_DELIMITERS = ",;\t|"
_NOT_UTF8 = "this is not UTF-8; if the file is in another encoding, say which"


class Format(StrEnum):
    """What a file is written in."""

    CSV = "csv"
    NDJSON = "ndjson"
    PARQUET = "parquet"


_ENDINGS = {
    ".csv": Format.CSV, ".tsv": Format.CSV, ".txt": Format.CSV, ".ndjson": Format.NDJSON,
    ".jsonl": Format.NDJSON, ".json": Format.NDJSON, ".parquet": Format.PARQUET,
    ".pq": Format.PARQUET,
}  # fmt: skip


def format_of(path: Path) -> Format:
    """The format of a file: by its first bytes, else by its name. Raises Invalid."""
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PAR1":
        return Format.PARQUET
    found = _ENDINGS.get(path.suffix.lower())
    if found is None:
        found = Format.NDJSON if start[:1] == b"{" else Format.CSV
    return found


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_HASHED_AT_ONCE):
            digest.update(block)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Table:
    """A file as rows. `columns`: their names, in order; of NDJSON the members of its first
    rows; `delimiter`, `encoding`: of CSV."""

    path: Path
    format: Format
    columns: tuple[str, ...]
    delimiter: str = ","
    encoding: str = "utf-8-sig"

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[Row | Bad]:
        """All rows with the cells of some columns, in the order in which the file has them. Raises
        Invalid where the file can't be read on."""
        wanted = [name for name in self.columns if columns is None or name in columns]
        match self.format:
            case Format.CSV:
                return _csv_rows(self, [self.columns.index(name) for name in wanted])
            case Format.NDJSON:
                return _ndjson_rows(self.path, wanted)
            case Format.PARQUET:
                return _parquet_rows(self.path, wanted)

    def sample(self, name: str) -> Sample:
        """The beginning of the file, which goes by a name."""
        told = islice(self.rows(), SAMPLED)
        return Sample(name, self.columns, [row.cells for row in told if isinstance(row, Row)])


def opened(path: Path, delimiter: str | None = None, encoding: str | None = None) -> Table:
    """A file as a table. Raises Invalid, with the reason, for what is none."""
    kind = format_of(path)
    if kind is Format.PARQUET:
        table = Table(path, kind, _parquet_columns(path))
    elif kind is Format.NDJSON:
        table = Table(path, kind, _ndjson_columns(path))
    else:
        encoding = encoding or _encoding(path)
        with _decoding(encoding):
            delimiter = delimiter or _delimiter(path, encoding)
        table = Table(path, kind, _csv_columns(path, delimiter, encoding), delimiter, encoding)
    if not table.columns:
        raise _unreadable("this file is empty")
    if len(table.columns) > COLUMNS_LIMIT:
        raise _unreadable(f"a file may have {COLUMNS_LIMIT:,} columns at most")
    double = next((each for each in table.columns if table.columns.count(each) > 1), None)
    if double is not None:
        raise _unreadable(f'two columns are called "{double}"')
    names = "".join(table.columns)
    if "\0" in names:
        raise _unreadable("the name of a column holds U+0000, which can't be stored in a text")
    if not _encodable(names):
        raise _unreadable(f"the names of the columns: {_NOT_UTF8}")
    return table


def _unreadable(detail: str) -> Invalid:
    return Invalid([Problem("/file", "bad_value", detail)])


@contextmanager
def _decoding(encoding: str) -> Iterator[None]:
    """Whatever an encoding makes of a file that is not in it is the file's fault."""
    try:
        yield
    except LookupError as error:
        raise _unreadable(f'"{encoding}" is no encoding; name one such as cp1252') from error
    except UnicodeError as error:
        raise _unreadable(f"this file is not in the encoding {encoding}: {error}") from error


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(2)
    return "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _delimiter(path: Path, encoding: str) -> str:
    """What divides the first line most often."""
    with path.open(encoding=encoding, errors="replace", newline="") as file:
        first = file.readline(CELL_LIMIT)
    return max(_DELIMITERS, key=first.count)


def _records(path: Path, delimiter: str, encoding: str) -> Iterator[list[str] | csv.Error]:
    csv.field_size_limit(CELL_LIMIT)
    # Bytes that are none of the encoding become halves of surrogate pairs, which are told.
    with (
        _decoding(encoding),
        path.open(encoding=encoding, errors="surrogateescape", newline="") as file,
    ):
        reader = csv.reader(file, delimiter=delimiter)
        while True:
            try:
                yield next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield error


def _csv_columns(path: Path, delimiter: str, encoding: str) -> tuple[str, ...]:
    header = next(_records(path, delimiter, encoding), [])
    if isinstance(header, csv.Error):
        raise _unreadable("the first line is no line of CSV: see to its quotes")
    names = [unguarded(name).strip() for name in header]
    return tuple(name or f"column {place}" for place, name in enumerate(names, 1))


def _csv_rows(table: Table, places: list[int]) -> Iterator[Row | Bad]:
    width = len(table.columns)
    everything = places == list(range(width))
    records = _records(table.path, table.delimiter, table.encoding)
    next(records, None)
    for number, cells in enumerate(records, 2):
        if isinstance(cells, csv.Error):
            detail = f"this is no row of CSV: {cells}; see to its quotes"
            yield Bad(number, None, "bad_value", detail)
            continue
        if len(cells) != width:
            if not cells:
                continue
            detail = f"there are {len(cells)} values in this row, and {width} columns"
            yield Bad(number, None, "bad_value", detail)
            continue
        found = cells if everything else [cells[place] for place in places]
        whole = "\x1f".join(found)
        if "'" in whole:
            found = [unguarded(cell) for cell in found]
        if "\0" in whole or not (whole.isascii() or _encodable(whole)):
            detail = _NOT_UTF8
            if "\0" in whole:
                detail = "U+0000 can't be stored in a text"
            yield Bad(number, None, "bad_value", detail)
            continue
        yield Row(number, found)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _ndjson_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LINE_LIMIT + 1):
            number += 1
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                yield number, line
            if len(line) > LINE_LIMIT:
                while line and not line.endswith(b"\n"):
                    line = file.readline(LINE_LIMIT)


def _ndjson_columns(path: Path) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for number, line in islice(_ndjson_lines(path), SAMPLED):
        found = _document(number, line)
        if not isinstance(found, Bad):
            names.update(dict.fromkeys(found))
    return tuple(names)


def _document(number: int, line: bytes) -> dict[str, Any] | Bad:
    if len(line) > LINE_LIMIT:
        return Bad(number, None, "too_long", f"a row may have {LINE_LIMIT:,} bytes at most")
    try:
        found = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return Bad(number, None, "bad_value", "this line is not JSON")
    if not isinstance(found, dict):
        return Bad(number, None, "type", "a row of NDJSON is an object")
    if b"\\u" in line and (b"\\u0000" in line or not _encodable(repr(found))):
        return Bad(number, None, "bad_value", "this holds a character that can't be stored")
    return found


def _ndjson_rows(path: Path, columns: list[str]) -> Iterator[Row | Bad]:
    for number, line in _ndjson_lines(path):
        found = _document(number, line)
        if isinstance(found, Bad):
            yield found
        else:
            yield Row(number, [found.get(name) for name in columns])


@contextmanager
def _parquet(path: Path) -> Iterator[Any]:
    """A Parquet file. Raises Invalid, also for what is met while it is read."""
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            yield file
    except (ArrowException, OSError) as error:
        # Arrow tells of a broken file as of a broken disk, but for the number of the error.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise _unreadable(f"this Parquet file can't be read: {error}") from error


def _parquet_columns(path: Path) -> tuple[str, ...]:
    with _parquet(path) as file:
        return tuple(file.schema_arrow.names)


def parquet_rows(path: Path) -> int:
    """How many rows a Parquet file has."""
    with _parquet(path) as file:
        return int(file.metadata.num_rows)


def _parquet_rows(path: Path, columns: list[str]) -> Iterator[Row | Bad]:
    number = 1
    with _parquet(path) as file:
        for batch in file.iter_batches(_PARQUET_ROWS, columns=columns):
            cells = [_cells(column) for column in batch.columns]
            for row in zip(*cells, strict=True):
                yield Row(number, row)
                number += 1


def _cells(column: Any) -> list[Any]:
    """A column of Arrow as JSON has it: exact decimals, days and instants are texts."""
    from pyarrow import large_string, types

    kind = column.type
    if types.is_temporal(kind) or types.is_decimal(kind):
        column, kind = column.cast(large_string()), large_string()
    if types.is_string(kind) or types.is_large_string(kind):
        # Texts repeat themselves: each is made once.
        found = column.dictionary_encode()
        texts = [*found.dictionary.to_pylist(), None]
        return [texts[-1 if place is None else place] for place in found.indices.to_pylist()]
    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind):
        return list(column.to_pylist())
    return [*map(_plain, column.to_pylist())]


_AS_IT_IS = frozenset({str, int, float, bool, type(None)})


def _plain(cell: Any) -> Any:
    """A value within a list or a structure, as JSON has it."""
    kind = type(cell)
    if kind in _AS_IT_IS:
        return cell
    if kind is Decimal:
        return f"{cell:f}"
    if isinstance(cell, datetime | date):
        return cell.isoformat()
    if kind is bytes:
        return cell.decode(errors="replace")
    if kind is list:
        return [*map(_plain, cell)]
    if kind is dict:
        return {name: _plain(value) for name, value in cell.items()}
    return str(cell)
