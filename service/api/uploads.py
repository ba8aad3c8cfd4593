"""Uploads of ids: CSV (RFC 4180) and NDJSON, read as they arrive, every id checked.

Whole lines are taken at once where they are plain, which costs a tenth; a line is looked at alone
only where it has quotes or a fault.
"""

import csv
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, Protocol

import msgspec

from service.api.problems import HttpProblem
from service.core.parsing import Invalid, Problem

CSV = "text/csv"
NDJSON = "application/x-ndjson"
MEDIA_TYPES = (CSV, NDJSON)

COLUMN = "customer_id"
ID_LENGTH = 256  # characters
LINE_LIMIT = 65_536  # bytes
FAULTS_TOLD = 20
NAMES_TOLD = 20

_MARK = b"\xef\xbb\xbf"


class _Format(Protocol):
    def read(self, block: str, first: int) -> list[str]:
        """The ids of whole lines, of which the first is line `first`."""

    def end(self) -> None:
        """There are no more lines."""


class Upload:
    """An upload's ids, batch by batch.

    Raises Invalid, with `line 12` as the pointer of each fault, the first 20 of them; HttpProblem
    413 past `limit` bytes and 415 for other media types.
    """

    def __init__(self, content_type: str, limit: int) -> None:
        media_type, _, parameters = content_type.partition(";")
        charset = parameters.lower().replace(" ", "").replace('"', "").partition("charset=")[2]
        if charset.partition(";")[0] not in ("", "utf-8", "utf8", "us-ascii"):
            raise HttpProblem(415, "unsupported", "the ids have to be in UTF-8")
        self._faults: list[Problem] = []
        self._limit = limit
        # Columns or members beside the ids, in the order in which they were met.
        self._ignored: dict[str, None] = {}
        self._format: _Format
        match media_type.strip().lower():
            case "text/csv":
                self._format = _Csv(self._fault, self._ignored)
            case "application/x-ndjson":
                self._format = _Ndjson(self._fault, self._ignored)
            case other:
                said = f"not {other}" if other else "and to be called so"
                detail = f"a list has to be {' or '.join(MEDIA_TYPES)}, {said}"
                raise HttpProblem(415, "unsupported", detail)

    @property
    def ignored(self) -> list[str]:
        """Names of what else the upload holds, the first 20."""
        return list(self._ignored)[:NAMES_TOLD]

    async def batches(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[list[str]]:
        """Ids as they arrive; once a fault was met none are given and only faults looked for."""
        line = 1
        async for block in self._blocks(chunks):
            try:
                lines = block.decode()
            except UnicodeDecodeError as error:
                at = line + block.count(b"\n", 0, error.start)
                self._fault(at, "bad_value", "this is not UTF-8")
                break
            if "\0" in lines:
                at = line + lines.count("\n", 0, lines.index("\0"))
                self._fault(at, "bad_value", "U+0000 can't be stored in a text")
                break
            ids = self._format.read(lines, line)
            if len(self._faults) >= FAULTS_TOLD:
                break
            if ids and not self._faults:
                yield ids
            line += block.count(b"\n")
        else:
            self._format.end()
        if self._faults:
            raise Invalid(self._faults[:FAULTS_TOLD])

    async def _blocks(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """The body in blocks of whole lines."""
        size = 0
        line = 1
        rest = b""
        async for chunk in chunks:
            size += len(chunk)
            if size > self._limit:
                detail = f"an uploaded list may have {self._limit:,} bytes at most"
                raise HttpProblem(413, "too_large", detail)
            block = rest + chunk
            if size == len(block):  # nothing was given yet
                if len(block) < len(_MARK):
                    rest = block
                    continue
                block = block.removeprefix(_MARK)
            end = block.rfind(b"\n") + 1
            rest = block[end:]
            if end:
                line += block.count(b"\n")
                yield block[:end]
            if len(rest) > LINE_LIMIT:
                self._too_long(line)
                return
        if rest and (size > len(_MARK) or rest != _MARK):
            yield rest

    def _too_long(self, line: int) -> None:
        self._fault(line, "too_long", f"a line may have {LINE_LIMIT:,} bytes at most")

    def _fault(self, line: int, code: str, detail: str) -> None:
        self._faults.append(Problem(f"line {line}", code, detail))


def _plain(ids: list[str]) -> bool:
    """Whether all have the length of an id."""
    return not ids or (max(map(len, ids)) <= ID_LENGTH and min(map(len, ids)) > 0)


class _Csv:
    def __init__(self, fault: Any, ignored: dict[str, None]) -> None:
        self._fault = fault
        self._ignored = ignored
        self._place = -1  # of the ids among the columns; negative before the first line
        self._width = 0
        # Lines of a record whose quotes are still open, and the first one's number.
        self._open: list[str] = []
        self._opened = 0

    def read(self, block: str, first: int) -> list[str]:
        block = block.replace("\r\n", "\n").removesuffix("\n")
        lines = block.split("\n")
        if self._place >= 0 and not self._open and '"' not in block and "\r" not in block:
            ids = self._columns(lines)
            if ids is not None:
                return ids
        ids = []
        for number, line in enumerate(lines, first):
            ids += self._line(line, number)
        return ids

    def _columns(self, lines: list[str]) -> list[str] | None:
        """The ids of plain lines; None where one of them has to be looked at."""
        lines = [line for line in lines if line]
        if self._width == 1:
            ids = lines
            if any("," in line for line in lines):
                return None
        else:
            rows = [line.split(",") for line in lines]
            if any(len(row) != self._width for row in rows):
                return None
            ids = [row[self._place] for row in rows]
        return ids if _plain(ids) else None

    def _line(self, line: str, number: int) -> list[str]:
        if not self._open:
            if not line:
                return []
            self._opened = number
        self._open.append(line)
        if sum(each.count('"') for each in self._open) % 2:
            if sum(map(len, self._open)) > LINE_LIMIT:
                self._fault(self._opened, "bad_value", "the quote of this line never closes")
                self._open = []
            return []
        opened, self._open = self._open, []
        try:
            records = list(csv.reader([f"{each}\n" for each in opened], strict=True))
        except csv.Error:
            records = []
        if len(records) != 1:
            self._fault(self._opened, "bad_value", "this is no line of CSV: see to its quotes")
            return []
        if self._place < 0:
            return self._first(records[0])
        return self._id(records[0])

    def _first(self, cells: list[str]) -> list[str]:
        """The first line: names of columns, or the first id of a single column."""
        names = [cell.strip().casefold() for cell in cells]
        if names.count(COLUMN) == 1:
            self._place, self._width = names.index(COLUMN), len(cells)
            self._ignored.update(dict.fromkeys(c for n, c in zip(names, cells, strict=True)
                                               if n != COLUMN))  # fmt: skip
            return []
        self._place, self._width = 0, len(cells)
        if names.count(COLUMN) > 1:
            self._fault(self._opened, "bad_value", f"two columns are called {COLUMN}")
        elif len(cells) > 1:
            detail = f"the first line has to name the columns, one of them {COLUMN}"
            self._fault(self._opened, "required", detail)
        elif COLUMN in names[0] and (";" in names[0] or "\t" in names[0]):
            self._fault(self._opened, "bad_value", "columns have to be separated by commas")
        else:
            return self._id(cells)
        return []

    def _id(self, cells: list[str]) -> list[str]:
        if len(cells) != self._width:
            wanted = "1 column" if self._width == 1 else f"{self._width} columns"
            detail = f"there are {len(cells)} values on this line, and {wanted}"
            self._fault(self._opened, "bad_value", detail)
            return []
        return _checked(cells[self._place], self._opened, self._fault)

    def end(self) -> None:
        if self._open:
            self._fault(self._opened, "bad_value", "the quote of this line never closes")


class _Ndjson:
    def __init__(self, fault: Any, ignored: dict[str, None]) -> None:
        self._fault = fault
        self._ignored = ignored
        self._decoder = msgspec.json.Decoder()

    def read(self, block: str, first: int) -> list[str]:
        decode = self._decoder.decode
        try:
            # Not `decode_lines`, which takes several values of a line, and one of several lines.
            values = [decode(line) for line in block.split("\n") if line and not line.isspace()]
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            values = [None]
        ids: list[Any] = [v.get(COLUMN) if type(v) is dict else v for v in values]
        if set(map(type, ids)) <= {str} and _plain(ids) and _encodable(ids):
            self._note(values)
            return ids
        return [
            found
            for number, line in enumerate(block.split("\n"), first)
            if line.strip()
            for found in self._line(line, number)
        ]

    def _line(self, line: str, number: int) -> list[str]:
        try:
            value = self._decoder.decode(line)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            self._fault(number, "bad_value", "this line is not JSON")
            return []
        if isinstance(value, dict):
            if COLUMN not in value:
                self._fault(number, "required", f"{COLUMN} is missing")
                return []
            self._note([value])
            value = value[COLUMN]
        if not isinstance(value, str):
            self._fault(number, "type", f'an id is a text, or {{"{COLUMN}": a text}}')
            return []
        if not _encodable([value]):
            self._fault(number, "bad_value", "half of a surrogate pair can't be stored in a text")
            return []
        return _checked(value, number, self._fault)

    def _note(self, values: list[Any]) -> None:
        for value in values:
            if type(value) is dict and len(value) > 1 and len(self._ignored) <= NAMES_TOLD:
                self._ignored.update(dict.fromkeys(value.keys() - {COLUMN}))

    def end(self) -> None:
        pass


def _encodable(ids: list[str]) -> bool:
    """Whether texts that JSON may have escaped can be stored."""
    text = "".join(ids)
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _checked(customer_id: str, line: int, fault: Any) -> list[str]:
    if not customer_id:
        fault(line, "empty", "the id is empty")
    elif len(customer_id) > ID_LENGTH:
        fault(line, "too_long", f"an id has {ID_LENGTH} characters at most")
    else:
        return [customer_id]
    return []
