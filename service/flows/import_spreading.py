"""The first pass over a file that is imported: its rows, put into buckets by whom they are about.

All rows of a customer, and so of an order, come to lie in one bucket, wherever in the file they
stand; a bucket fits into memory, however large the file is. The buckets of a file are always the
same, so that an import that was cut off goes on with those that are left.
"""

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from service.flows.import_files import Format, Table, parquet_rows
from service.flows.import_rejects import Rejects
from service.intake.imports.fields import NAMES, Kind
from service.intake.imports.filters import Where
from service.intake.imports.told import Bad, Row
from service.intake.imports.understanding import Plan
from service.intake.imports.values import Inference

ROWS_OF_A_BUCKET = 40_000
BYTES_OF_A_ROW = 120  # more or less
MOST_BUCKETS = 200
BUFFERED = 50_000  # rows
REMEMBERED = 65_536  # customers
LOOKED_AT = 5_000  # rows between two looks whether to go on

_BLOCK = 4  # bytes of a block's length
_encode = msgspec.msgpack.encode
_rows = msgspec.msgpack.Decoder(list[Row])


class Spread(msgspec.Struct):
    """What the first pass found. `rows`: all of the file, `left_out`: those that were not meant;
    `inferred`: types of columns of traits and properties."""

    buckets: int
    rows: int = 0
    left_out: int = 0
    bad: int = 0
    inferred: dict[str, str] = {}


def buckets_of(table: Table) -> int:
    """How many buckets the rows of a file are put into."""
    if table.format is Format.PARQUET:
        rows = parquet_rows(table.path)
    else:
        rows = table.path.stat().st_size // BYTES_OF_A_ROW
    return min(max(rows // ROWS_OF_A_BUCKET, 1), MOST_BUCKETS)


def spread(
    table: Table,
    plan: Plan,
    folder: Path,
    most: int | None = None,
    progress: Callable[[int], None] = lambda rows: None,
) -> Spread:
    """Put the rows of a file (`most`: the first so many) into the buckets of a folder, and those
    that can't be read into its `unread`. `progress(rows)` is told how far it is; what it raises
    ends the pass."""
    found = Spread(buckets_of(table))
    rows = _Rows(plan)
    with _Buckets(folder, found.buckets) as buckets, Rejects(folder / "unread") as rejects:
        for row in table.rows(plan.needed):
            if most is not None and found.rows >= most:
                break
            found.rows += 1
            if found.rows % LOOKED_AT == 0:
                progress(found.rows)
            if isinstance(row, Bad):
                found.bad += 1
                rejects.add(row)
            elif not rows.meant(row.cells):
                found.left_out += 1
            else:
                buckets.add(rows.place(row.cells, found.buckets), row)
    found.inferred = rows.inference.types() if rows.inferring else {}
    return found


class _Rows:
    """Tells which rows are meant, and whom they are about; looks at what columns hold."""

    def __init__(self, plan: Plan) -> None:
        needed = plan.needed
        places = {name: needed.index(column) for name, column in plan.fields.items()}
        self._who = [places[name] for name in NAMES if name in places]
        group = "group" if "group" in places else "order_id"
        self._group = places.get(group) if plan.kind is Kind.ORDERS else None
        # The group and the bucket of the row before.
        self._last: tuple[Any, int] = (None, 0)
        self._known: dict[str, int] = {}
        wheres = [Where.of(each) for each in plan.where]
        self._tests = [
            (needed.index(each.column), each.test(plan.decimal))
            for each in wheres
            if each is not None
        ]
        looked_at = {
            name.partition(".")[2]: place
            for name, place in places.items()
            if name.startswith(("traits.", "properties."))
        }
        self._looked_at = [(path, at) for path, at in looked_at.items() if path not in plan.types]
        self.inference = Inference(path for path, _ in self._looked_at)
        self.inferring = bool(self._looked_at)

    def meant(self, cells: Sequence[Any]) -> bool:
        """Whether a row is to be imported."""
        for place, test in self._tests:
            if not test(cells[place]):
                return False
        for path, place in self._looked_at:
            self.inference.look(path, cells[place])
        return True

    def place(self, cells: Sequence[Any], buckets: int) -> int:
        """The bucket of a row. Further rows of an order may leave out whose it is."""
        found = None
        for place in self._who:
            found = cells[place]
            if found is not None and found != "":
                break
        group = None if self._group is None else cells[self._group]
        if found is None or found == "":
            if group is not None and group == self._last[0]:
                return self._last[1]
            return zlib.crc32(str(group).encode(errors="replace")) % buckets
        key = found if type(found) is str else str(found)
        bucket = self._known.get(key)
        if bucket is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            folded = key.strip().lower().encode(errors="replace")
            bucket = self._known[key] = zlib.crc32(folded) % buckets
        self._last = group, bucket
        return bucket


class _Buckets:
    def __init__(self, folder: Path, count: int) -> None:
        self._files: list[BinaryIO] = []
        self._paths = [bucket_path(folder, number) for number in range(count)]
        self._waiting: list[list[tuple[int, Sequence[Any]]]] = [[] for _ in range(count)]
        self._buffered = 0

    def __enter__(self) -> "_Buckets":
        self._files = [path.open("wb") for path in self._paths]
        return self

    def add(self, bucket: int, row: Row) -> None:
        self._waiting[bucket].append(row)
        self._buffered += 1
        if self._buffered >= BUFFERED:
            self._flush()

    def _flush(self) -> None:
        for file, rows in zip(self._files, self._waiting, strict=True):
            if rows:
                block = _encode(rows)
                file.write(len(block).to_bytes(_BLOCK))
                file.write(block)
                rows.clear()
        self._buffered = 0

    def __exit__(self, *error: object) -> None:
        self._flush()
        for file in self._files:
            file.close()


def bucket_path(folder: Path, number: int) -> Path:
    """Where the rows of a bucket are."""
    return folder / f"{number:03}.rows"


def read_bucket(folder: Path, number: int) -> list[Row]:
    """The rows of a bucket, in the order of the file."""
    found: list[Row] = []
    with bucket_path(folder, number).open("rb") as file:
        while length := file.read(_BLOCK):
            found += _rows.decode(file.read(int.from_bytes(length)))
    return found
