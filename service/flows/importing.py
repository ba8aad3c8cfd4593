"""Importing files: customers, orders, events, consent and members of lists.

An import is a job. It may be cut off at any time and goes on where it was: its rows lie in buckets,
its progress in the job's detail, and whatever is told a second time is known by its message id.
Nobody is mailed because of it: what it changes has the reason `import`.
"""

import asyncio
import csv
import hashlib
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from service.core.access import Author
from service.core.decisions import Decision, Input, Patch, Undecidable
from service.core.identities import Namer
from service.core.instants import DAY, MINUTE, SECOND, to_datetime, zone_named
from service.core.merging import Written, coerced
from service.core.problems import Invalid, Problem
from service.flows.import_files import Table, digest_of, format_of, opened
from service.flows.import_spreading import (
    Rejects,
    Spread,
    bucket_path,
    read_bucket,
    read_rejects,
    spread,
)
from service.flows.jobs import Stuck
from service.flows.linking import Linker
from service.flows.lists import BeingReplaced, Lists
from service.flows.publications import Conflict, Unknown
from service.intake.identifying import Naming, Telling, identified
from service.intake.imports.events import Events
from service.intake.imports.fields import Kind
from service.intake.imports.mapping import Mapping
from service.intake.imports.orders import Orders
from service.intake.imports.people import People
from service.intake.imports.told import SOURCE, Bad, Piece, Row, Terms, Told, Who
from service.intake.imports.understanding import Plan, understand
from service.live import Live
from service.settings import Settings
from service.store import audit, jobs, segments
from service.store.batches import NotStored
from service.store.database import Database
from service.store.erasures import Erased
from service.store.jobs import JobRow
from service.store.writer import Overloaded, StoreUnavailable, Writer

KIND = "import"
FOLDER = "imports"
AHEAD = 5 * MINUTE
# Work that waits for the writer: so much that it never waits for us, and other callers' work
# not long for it.
ROWS_AT_ONCE = 12_000
CUSTOMERS_AT_ONCE = 256
ROWS_OF_ONE = 2_000
IDS_AT_ONCE = 20_000
LINKED_AT_ONCE = 250  # customers, whose rows are held together
REJECTS_TOLD = 1_000_000
UPLOADS_AT_ONCE = 2
KEPT = 7 * DAY  # rejects of uploaded files, and what of those was never imported
PATIENCE = 300  # s

NOT_NOW = (Overloaded, StoreUnavailable, Undecidable)
NEVER = (Invalid, NotStored, Erased)


class Reader(Protocol):
    """Reads the rows of one kind of file."""

    def read(self, rows: Iterable[Row]) -> Told:
        """What rows tell."""


READERS: dict[Kind, Callable[[Plan, Terms], Reader]] = {
    Kind.CUSTOMERS: People,
    Kind.ORDERS: Orders,
    Kind.EVENTS: Events,
    Kind.CONSENT: People,
    Kind.LIST: People,
}


class Detail(msgspec.Struct):
    """What an import has to know of itself: the detail of its job. `name`: of the file as its owner
    knows it, `path`: where it is; `uploaded`: whether it is ours to delete; `rejects`: where the
    rows that were not imported are to be written; `began`: when, microseconds; `done`: buckets that
    are stored."""

    name: str
    path: str
    identity: str
    began: int
    plan: Plan
    delimiter: str
    encoding: str
    author: str
    key_id: str | None = None
    uploaded: bool = False
    rejects: str | None = None
    spread: Spread | None = None
    done: int = 0
    rejected: int = 0
    counts: dict[str, int] = {}

    @classmethod
    def of(cls, job: JobRow) -> "Detail":
        return msgspec.convert(job.detail, cls)

    def document(self) -> dict[str, Any]:
        """The detail in JSON form."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


@dataclass(frozen=True, slots=True)
class Understood:
    """A file, and what it is understood to hold."""

    table: Table
    plan: Plan
    name: str


@dataclass(frozen=True, slots=True)
class Begun:
    """The job of an import; whether it is ours, or others are at it already."""

    job: int
    ours: bool


def look(path: Path, mapping: Mapping, name: str) -> Understood:
    """What a file holds, by its beginning. Raises Invalid."""
    table = opened(path, mapping.delimiter, mapping.encoding)
    return Understood(table, understand(mapping, table.sample(name)), name)


class Importer:
    """Imports files into one workspace."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        linker: Linker,
        live: Live,
        lists: Lists,
        settings: Settings,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._writer = writer
        self.linker = linker
        self.live = live
        self._lists = lists
        self._settings = settings
        self._clock = clock
        self._at_once = min(CUSTOMERS_AT_ONCE, settings.writer_queue)

        # Files that are on their way to us.
        self.uploads = asyncio.Semaphore(UPLOADS_AT_ONCE)

    @property
    def base(self) -> Path:
        """Where imports keep their files; a path that is not absolute begins here."""
        return self._settings.data_dir / FOLDER

    def folder(self, job_id: int) -> Path:
        """Where an import keeps its rows meanwhile."""
        return self.base / str(job_id)

    def rejects_path(self, job_id: int) -> Path:
        """Where the rows of an uploaded file are that were not imported."""
        return self.base / f"{job_id}.rejects.csv"

    async def upload_path(self, name: str) -> Path:
        """A place for a file that is uploaded, among others that are not too old."""
        return await asyncio.to_thread(self._place_for, name)

    def _place_for(self, name: str) -> Path:
        self.base.mkdir(mode=0o700, parents=True, exist_ok=True)
        oldest = self._clock() / SECOND - KEPT / SECOND
        for path in self.base.iterdir():
            if path.is_file() and path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)
        return self.base / name

    def terms(self, began: int, inferred: dict[str, str]) -> Terms:
        """On what terms a file is read whose import began at an instant."""
        zone = zone_named(self._settings.time_zone)
        return Terms(began, self._clock() + AHEAD, zone, inferred)

    async def begin(
        self,
        understood: Understood,
        author: Author,
        *,
        here: bool,
        uploaded: bool = False,
        rejects: str | None = None,
    ) -> Begun:
        """The job of an import: that of the same file and mapping which did not come to its end,
        else a new one. `here`: the caller runs it, and no other process is to take it up. Raises
        Invalid where there is no such list."""
        table, plan = understood.table, understood.plan
        identity = await asyncio.to_thread(_identity, understood)
        async with self._database.engine.begin() as connection:
            if plan.list is not None and plan.kind is Kind.LIST:
                await _check_list(connection, plan.list)
            before = await jobs.latest(connection, KIND, "identity", identity)
            detail = Detail(
                name=understood.name,
                # Ours may be found elsewhere by another process.
                path=table.path.name if uploaded else str(table.path),
                identity=identity,
                # Told again, a message is known by the instant that it was told at first.
                began=self._clock() if before is None else Detail.of(before).began,
                plan=plan,
                delimiter=table.delimiter,
                encoding=table.encoding,
                author=author.name,
                key_id=author.key_id,
                uploaded=uploaded,
                rejects=rejects,
            )
            if before is None or before.status == "done":
                start = jobs.begin if here else jobs.enqueue
                job_id = await start(connection, KIND, detail.document())
                about = {"file": {"after": understood.name}, "as": {"after": str(plan.kind)}}
                now = to_datetime(self._clock())
                await audit.record(connection, author, now, "import.begun", f"jobs/{job_id}", about)
                return Begun(job_id, True)
            if not await jobs.take(connection, before.id):
                return Begun(before.id, False)
            known = Detail.of(before)
            detail.spread, detail.done = known.spread, known.done
            detail.rejected, detail.counts = known.rejected, known.counts
            await jobs.note(connection, before.id, detail.document())
            if not here:
                await jobs.release(connection, before.id)
            return Begun(before.id, True)

    async def run_here(self, job_id: int) -> JobRow:
        """Do a job that `begin` gave us; how it ended. Cut off, it waits to be taken up again."""
        async with self._database.engine.connect() as connection:
            job = await jobs.get(connection, job_id)
        assert job is not None  # noqa: S101 - jobs are kept
        why = "this was cut off: import the file again, and it goes on"
        try:
            done = await self.run(job)
        except Stuck as error:
            why = str(error)
        except asyncio.CancelledError:
            await asyncio.shield(self._fail(job_id, why))
            raise
        else:
            async with self._database.engine.begin() as connection:
                await jobs.finish(connection, job_id, done)
            why = ""
        if why:
            await self._fail(job_id, why)
        async with self._database.engine.connect() as connection:
            ended = await jobs.get(connection, job_id)
        assert ended is not None  # noqa: S101
        return ended

    async def _fail(self, job_id: int, why: str) -> None:
        async with self._database.engine.begin() as connection:
            await jobs.fail(connection, job_id, why)

    async def run(self, job: JobRow) -> int:
        """Import the file of a job: how many of its rows. Raises Stuck."""
        return await _Run(self, job).run()


async def _check_list(connection: AsyncConnection, key: str) -> None:
    row = await segments.get(connection, key)
    if row is None:
        raise Invalid([Problem("/list", "not_found", f"there is no list {key}")])
    if row.kind != "list":
        detail = f"{key} is no list: its members follow from its condition"
        raise Invalid([Problem("/list", "kind", detail)])
    if row.status == "archived":
        raise Invalid([Problem("/list", "archived", f"{key} is archived; PUT revives it")])


def _identity(understood: Understood) -> str:
    """What a file with its mapping is known by."""
    digest = digest_of(understood.table.path)
    plan = msgspec.json.encode(understood.plan, order="deterministic")
    return hashlib.sha256(digest.encode() + plan).hexdigest()


class _Patience:
    """Waits longer each time, but not for ever."""

    def __init__(self) -> None:
        self._next = 0.1
        self._waited = 0.0

    async def wait(self, error: Exception) -> None:
        """Wait because of an error. Raises Stuck."""
        if self._waited > PATIENCE:
            raise Stuck(f"this could not be stored: {error}") from error
        await asyncio.sleep(self._next)
        self._waited += self._next
        self._next = min(2 * self._next, 5.0)


# Work that the writer has, and whose it is.
Waiting = tuple[Sequence[Piece], asyncio.Future[Decision | None], Naming]


class _Run:
    """One import under way."""

    def __init__(self, importer: Importer, job: JobRow) -> None:
        self._importer = importer
        self._database = importer._database
        self._writer = importer._writer
        self._job = job
        self._detail = Detail.of(job)
        self._folder = importer.folder(job.id)
        self._table = _table(self._detail, importer.base)
        self._rejects_path = importer.rejects_path(job.id)
        if self._detail.rejects is not None:
            self._rejects_path = Path(self._detail.rejects)

    async def run(self) -> int:
        detail = self._detail
        if self._table is None:
            raise Stuck(f"{detail.name} is not where it was: import it again")
        try:
            if detail.spread is None or not self._kept(detail.done, detail.spread.buckets):
                await self._spread()
            assert detail.spread is not None  # noqa: S101 - just done
            terms = self._importer.terms(detail.began, detail.spread.inferred)
            reader = READERS[detail.plan.kind](detail.plan, terms)
            coming = self._read(reader, detail.done)
            for number in range(detail.done, detail.spread.buckets):
                told = await coming
                coming = self._read(reader, number + 1)
                await self._store(number, told)
        except (OSError, Invalid) as error:
            raise Stuck(f"{detail.name} can't be read: {error}") from error
        await asyncio.to_thread(self._tidy, self._table)
        return detail.spread.rows

    def _tidy(self, table: Table) -> None:
        """Write the rows that were not imported, and leave nothing else behind."""
        detail = self._detail
        if detail.rejected:
            self._write_rejects(table, self._rejects_path)
        shutil.rmtree(self._folder, ignore_errors=True)
        if detail.uploaded:
            table.path.unlink(missing_ok=True)

    def _kept(self, done: int, buckets: int) -> bool:
        """Whether all that is left of the first pass is still there."""
        wanted = [self._folder / "unread", *(self._rejects(number) for number in range(done))]
        wanted += [bucket_path(self._folder, number) for number in range(done, buckets)]
        return all(path.exists() for path in wanted)

    def _rejects(self, number: int) -> Path:
        return self._folder / f"{number:03}.rejects"

    async def _spread(self) -> None:
        detail, table = self._detail, self._table
        assert table is not None  # noqa: S101 - asked before
        loop = asyncio.get_running_loop()

        def progress(rows: int) -> None:
            asyncio.run_coroutine_threadsafe(self._progress(0), loop).result()

        def first_pass() -> Spread:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir(parents=True, mode=0o700)
            return spread(table, detail.plan, self._folder, None, progress)

        detail.spread = await asyncio.to_thread(first_pass)
        detail.done, detail.rejected, detail.counts = 0, detail.spread.bad, {}
        await self._note()
        await self._progress(0)

    def _read(self, reader: Reader, number: int) -> asyncio.Future[Told]:
        """Begin to read a bucket; past the last there is nothing."""
        assert self._detail.spread is not None  # noqa: S101
        none = number >= self._detail.spread.buckets

        def read() -> Told:
            return Told() if none else reader.read(read_bucket(self._folder, number))

        return asyncio.ensure_future(asyncio.to_thread(read))

    async def _store(self, number: int, told: Told) -> None:
        """Store what a bucket tells, and note that it is."""
        detail = self._detail
        if detail.plan.kind is Kind.LIST:
            await self._put_on_list(told)
        else:
            await self._submit(told)
        with Rejects(self._rejects(number)) as rejects:
            for bad in told.bad:
                rejects.add(bad)
        detail.done = number + 1
        detail.rejected += len(told.bad)
        for name, count in told.counts.items():
            detail.counts[name] = detail.counts.get(name, 0) + count
        await self._note()
        assert detail.spread is not None  # noqa: S101
        await self._progress(detail.spread.rows * detail.done // detail.spread.buckets)
        bucket_path(self._folder, number).unlink(missing_ok=True)

    async def _note(self) -> None:
        async with self._database.engine.begin() as connection:
            await jobs.note(connection, self._job.id, self._detail.document())

    async def _progress(self, rows: int) -> None:
        total = None if self._detail.spread is None else self._detail.spread.rows
        async with self._database.engine.begin() as connection:
            await jobs.progress(connection, self._job.id, rows, total)

    async def _submit(self, told: Told) -> None:
        """Have everybody decided who is told of, some at a time."""
        namings = await self._link(told)
        waiting: deque[Waiting] = deque()
        rows = 0
        for who, all_pieces in told.pieces.items():
            for pieces in _portions(all_pieces):
                while len(waiting) >= self._importer._at_once or rows > ROWS_AT_ONCE:
                    rows -= await self._answered(waiting, told)
                naming = namings[who]
                answer = self._writer.touch(naming.customer_id, _input(pieces, naming.type))
                waiting.append((pieces, answer, naming))
                rows += sum(len(piece.rows) for piece in pieces)
        while waiting:
            await self._answered(waiting, told)

    async def _answered(
        self,
        waiting: deque[Waiting],
        told: Told,
    ) -> int:
        """Wait for the work that was given first; of how many rows it was."""
        pieces, answer, naming = waiting.popleft()
        try:
            decision = await self._patiently(naming, pieces, answer)
        except NEVER as error:
            if len(pieces) > 1:
                # One of them is to blame, or is too old: each by itself.
                for piece in pieces:
                    alone = self._writer.touch(naming.customer_id, _input([piece], naming.type))
                    await self._answered(deque([([piece], alone, naming)]), told)
            else:
                told.bad += _refused(pieces[0], error)
        else:
            if decision is not None and decision.problems:
                told.bad += _left_out(pieces, decision)
        return sum(len(piece.rows) for piece in pieces)

    async def _patiently(
        self,
        naming: Naming,
        pieces: Sequence[Piece],
        answer: asyncio.Future[Decision | None],
    ) -> Decision | None:
        """What work came to, given again while the store can't take it. Raises Stuck."""
        patience = _Patience()
        while True:
            try:
                return await answer
            except NOT_NOW as error:
                await patience.wait(error)
                answer = self._writer.touch(naming.customer_id, _input(pieces, naming.type))

    async def _link(self, told: Told) -> dict[Who, Naming]:
        """Whom everybody is who is told of, once what is told of who is whom is kept. Raises
        Stuck."""
        namer = self._importer.live.namer
        namings = {who: named(who, pieces[0], namer) for who, pieces in told.pieces.items()}
        telling = [who for who, each in namings.items() if each.claims or each.names]
        for start in range(0, len(telling), LINKED_AT_ONCE):
            some = telling[start : start + LINKED_AT_ONCE]
            claims = [claim for who in some for claim in namings[who].claims]
            names = {name: one for who in some for name, one in namings[who].names.items()}
            at = min(piece.at for who in some for piece in told.pieces[who])
            patience = _Patience()
            while True:
                try:
                    await self._importer.linker.tell(claims, names, at)
                    break
                except NOT_NOW as error:
                    await patience.wait(error)
        return namings

    async def _put_on_list(self, told: Told) -> None:
        """Put everybody who is told of on the list."""
        detail = self._detail
        assert detail.plan.list is not None  # noqa: S101 - asked for when it was understood
        ids = [each.customer_id for each in (await self._link(told)).values()]
        author = Author(detail.author, detail.key_id)
        for start in range(0, len(ids), IDS_AT_ONCE):
            while True:
                try:
                    await self._importer._lists.change(
                        detail.plan.list, ids[start : start + IDS_AT_ONCE], (), author=author,
                        cause="import",
                    )  # fmt: skip
                except BeingReplaced:
                    await asyncio.sleep(1)
                except Unknown as error:
                    raise Stuck(f"there is no list {error}") from error
                except Conflict as error:
                    raise Stuck(str(error)) from error
                else:
                    break

    def _write_rejects(self, table: Table, path: Path) -> None:
        """Write the rows that were not imported, with the reasons."""
        assert self._detail.spread is not None  # noqa: S101
        files = [self._folder / "unread"]
        files += [self._rejects(number) for number in range(self._detail.spread.buckets)]
        bad: dict[int, list[Bad]] = {}
        for file in files:
            for each in read_rejects(file):
                if len(bad) < REJECTS_TOLD or each.row in bad:
                    bad.setdefault(each.row, []).append(each)
        with path.open("w", encoding="utf-8", newline="") as file_:
            write_rejects(file_, table, bad)


def _table(detail: Detail, base: Path) -> Table | None:
    """The file of an import; None where it is not there any more."""
    path = base / detail.path
    if not path.is_file():
        return None
    columns = tuple(detail.plan.columns)
    return Table(path, format_of(path), columns, detail.delimiter, detail.encoding)


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


def named(who: Who, piece: Piece, namer: Namer) -> Naming:
    """The customer whom rows are about, and what they tell of who is whom: whoever has no id of the
    caller's is known by the strongest of their identities."""
    telling = Telling(piece.at, piece.message_id, SOURCE, server=True)
    given = {each.kind: each.value for each in who.identities}
    found = identified(who.customer_id, given, telling, namer)
    assert isinstance(found, Naming)  # noqa: S101 - identities are read when rows are
    return found


def _portions(pieces: Sequence[Piece]) -> Iterable[Sequence[Piece]]:
    """Pieces of one customer in portions that a transaction can take."""
    portion: list[Piece] = []
    rows = 0
    for piece in pieces:
        if portion and rows + len(piece.rows) > ROWS_OF_ONE:
            yield portion
            portion, rows = [], 0
        portion.append(piece)
        rows += len(piece.rows)
    if portion:
        yield portion


def _input(pieces: Sequence[Piece], type_: str) -> Input:
    return Input(
        traits={},
        # The earliest: whoever was erased since is not revived by what is older.
        at=min(piece.at for piece in pieces),
        source=SOURCE,
        # To stand in a file about customers is nothing that they did.
        seen=any(piece.events for piece in pieces),
        patches=[
            Patch(piece.traits, Written(piece.at, piece.message_id, SOURCE))
            for piece in pieces
            if piece.traits
        ],
        events=[event for piece in pieces for event in piece.events],
        cause=KIND,
        type=type_,
        answered=False,
    )


def _refused(piece: Piece, error: BaseException) -> list[Bad]:
    if isinstance(error, Erased):
        code, detail = "erased", str(error)
    elif isinstance(error, Invalid):
        problem: Problem = error.problems[0]
        code, detail = problem.code, problem.detail
    else:
        code, detail = "not_stored", f"the database refuses this: {error}"
    return [Bad(row, None, code, detail) for row in piece.rows]


def _left_out(pieces: Sequence[Piece], decision: Decision) -> list[Bad]:
    """Traits whose values did not fit their declared types, each with its row."""
    schema = decision.served.catalog.schema
    return [
        Bad(piece.rows[0], problem.pointer.removeprefix("/traits/"), problem.code, problem.detail)
        for piece in pieces
        for problem in coerced(piece.traits, schema)[1]
    ]
