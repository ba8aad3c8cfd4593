"""A segment's members as a file, written while they are read: NDJSON, CSV or Arrow.

CSV is quoted as RFC 4180 has it and holds ids exactly as they are. An id that a spreadsheet might
take for a formula (`=1+1`) gets no mark of ours: these files go to programs, which would then look
for a customer that there is not, and uploading an export as a list must give the same list.
"""

import csv
import io
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Protocol

import msgspec
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from service.core.instants import format_instant, from_datetime
from service.store import exports
from service.store.database import Database, Long
from service.store.exports import MemberRow

COLUMNS = ("customer_id", "since", "version")
JSON = "application/json"
# Of one piece, so that even a slow reader takes it in time.
AT_ONCE = 65_536  # bytes


class Format(Protocol):
    """Turns members into a file, piece by piece."""

    def begin(self) -> bytes:
        """What stands before the first."""

    def rows(self, rows: Sequence[MemberRow]) -> bytes:
        """Some members."""

    def end(self) -> bytes:
        """What stands after the last."""


_ndjson = msgspec.json.Encoder()


class _Ndjson:
    def begin(self) -> bytes:
        return b""

    def rows(self, rows: Sequence[MemberRow]) -> bytes:
        return _ndjson.encode_lines([dict(zip(COLUMNS, row, strict=True)) for row in rows])

    def end(self) -> bytes:
        return b""


class _Csv:
    def begin(self) -> bytes:
        return ",".join(COLUMNS).encode() + b"\r\n"

    def rows(self, rows: Sequence[MemberRow]) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text).writerows(
            (customer_id, format_instant(from_datetime(since)), version)
            for customer_id, since, version in rows
        )
        return text.getvalue().encode()

    def end(self) -> bytes:
        return b""


class _Arrow:
    """The IPC stream format: `customer_id` string, `since` timestamp[us, UTC], `version` int32."""

    def __init__(self) -> None:
        # A tenth of a second to import: only who asks for it waits.
        import pyarrow

        self._arrow = pyarrow
        self._schema = pyarrow.schema(
            [
                pyarrow.field("customer_id", pyarrow.string(), nullable=False),
                pyarrow.field("since", pyarrow.timestamp("us", tz="UTC"), nullable=False),
                pyarrow.field("version", pyarrow.int32(), nullable=False),
            ]
        )
        self._buffer = io.BytesIO()
        self._writer = pyarrow.ipc.new_stream(self._buffer, self._schema)

    def begin(self) -> bytes:
        return self._written()

    def rows(self, rows: Sequence[MemberRow]) -> bytes:
        columns = [
            self._arrow.array(values, field.type)
            for values, field in zip(zip(*rows, strict=True), self._schema, strict=True)
        ]
        self._writer.write_batch(self._arrow.record_batch(columns, schema=self._schema))
        return self._written()

    def end(self) -> bytes:
        self._writer.close()
        return self._written()

    def _written(self) -> bytes:
        written = self._buffer.getvalue()
        self._buffer.seek(0)
        self._buffer.truncate()
        return written


# By media type: the ending of the file's name, and what writes it.
FORMATS: dict[str, tuple[str, Callable[[], Format]]] = {
    "application/x-ndjson": ("ndjson", _Ndjson),
    "text/csv": ("csv", _Csv),
    "application/vnd.apache.arrow.stream": ("arrows", _Arrow),
}
OFFERED = (JSON, *FORMATS)


class Export(StreamingResponse):
    """A file of which the first piece is there. The database is let go of as soon as the client
    is done or gone."""

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes], **more: Any) -> None:
        super().__init__(_joined(first, rest), **more)
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._rest):
            await super().__call__(scope, receive, send)


async def export(
    database: Database,
    key: str,
    media_type: str,
    *,
    after: str | None,
    limit: int | None,
    channel: str | None = None,
    reader: str | None = None,
) -> Export:
    """A segment's members, or those whom a channel reaches, in one of `FORMATS`. The first have
    been read when this returns, so that what can't be read is refused and not cut off. `reader`:
    whose key it is for. Raises Crowded."""
    ending, make = FORMATS[media_type]
    pieces = _pieces(database, key, make(), after, limit, channel, reader)
    first = await anext(pieces)
    name = f'attachment; filename="{key}-members.{ending}"'
    headers = {"content-disposition": name, "vary": "accept"}
    if media_type == "text/csv":
        media_type = "text/csv; charset=utf-8; header=present"
    return Export(first, pieces, media_type=media_type, headers=headers)


async def _joined(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    for start in range(0, len(first), AT_ONCE):
        yield first[start : start + AT_ONCE]
    async for piece in rest:
        for start in range(0, len(piece), AT_ONCE):
            yield piece[start : start + AT_ONCE]


async def _pieces(
    database: Database,
    key: str,
    format_: Format,
    after: str | None,
    limit: int | None,
    channel: str | None,
    reader: str | None,
) -> AsyncGenerator[bytes]:
    async with database.long(Long.EXPORT, reader) as connection:
        begin = format_.begin()
        members = exports.members(connection, key, after=after, limit=limit, channel=channel)
        async for rows in members:
            yield begin + format_.rows(rows)
            begin = b""
        yield begin + format_.end()
