"""One import as a job: its file is spread into buckets, and bucket by bucket read and stored. Where
it is cut off, the job's detail says with which bucket it goes on."""

import asyncio
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec

from service.core.access import Author
from service.core.problems import Invalid
from service.flows.import_files import Table, format_of, opened
from service.flows.import_rejects import Rejects, collected, write_rejects
from service.flows.import_spreading import Spread, bucket_path, read_bucket, spread
from service.flows.import_storing import Pace, Storing
from service.flows.import_telling import Rejected
from service.flows.jobs import Stuck
from service.intake.imports.events import Events
from service.intake.imports.fields import Kind
from service.intake.imports.mapping import Mapping
from service.intake.imports.orders import Orders
from service.intake.imports.people import People
from service.intake.imports.told import Bad, Row, Terms, Told
from service.intake.imports.understanding import Plan, understand
from service.store import jobs
from service.store.database import CANT_READ, Database
from service.store.jobs import JobRow

FOLDER = "imports"
# Whoever stops, or loses the store, leaves the work to others.
TAKEN_UP_AGAIN: tuple[type[BaseException], ...] = (asyncio.CancelledError, *CANT_READ)


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
    rows that were not imported are to be written; `began`: when, microseconds; `request`:
    its author's own name for it; `done`: buckets that are stored."""

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
    request: str | None = None
    spread: Spread | None = None
    done: int = 0
    rejected: int = 0
    counts: dict[str, int] = {}

    @classmethod
    def of(cls, job: JobRow) -> "Detail":
        return msgspec.convert(job.detail, cls)

    def forget(self) -> None:
        """Let go of what was said of the rows, which may name people: jobs are kept for good."""
        self.plan = msgspec.structs.replace(self.plan, where=[], constants={})

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


def look(path: Path, mapping: Mapping, name: str) -> Understood:
    """What a file holds, by its beginning. Raises Invalid."""
    table = opened(path, mapping.delimiter, mapping.encoding)
    return Understood(table, understand(mapping, table.sample(name)), name)


class Places:
    """Where imports keep their files."""

    def __init__(self, data_dir: Path) -> None:
        # A path that is not absolute begins here.
        self.base = data_dir / FOLDER

    def folder(self, job_id: int) -> Path:
        """Where an import keeps its rows meanwhile."""
        return self.base / str(job_id)


class Run:
    """One import under way."""

    def __init__(
        self,
        database: Database,
        storing: Storing,
        places: Places,
        terms: Callable[[int, dict[str, str]], Terms],
        job: JobRow,
        pace: Pace,
        rejected: Rejected,
    ) -> None:
        """`terms`: by when the import began, and the types that columns show; `rejected`: keeps
        what is not imported of uploaded files."""
        self._database = database
        self._storing = storing
        self._terms = terms
        self._job = job
        self._pace = pace
        self._detail = Detail.of(job)
        self._folder = places.folder(job.id)
        self._table = _table(self._detail, places.base)
        self._rejected = rejected

    async def run(self) -> int:
        """How many rows the file has, once they are imported. Raises Stuck."""
        goes_on = False
        try:
            return await self._import()
        except TAKEN_UP_AGAIN:
            goes_on = True
            raise
        finally:
            if not goes_on:
                await self._leave()

    async def _import(self) -> int:
        detail = self._detail
        if self._table is None:
            raise Stuck("the file is not where it was: import it again")
        try:
            if detail.spread is None or not self._kept(detail.done, detail.spread.buckets):
                await self._spread()
            assert detail.spread is not None  # noqa: S101 - just done
            terms = self._terms(detail.began, detail.spread.inferred)
            reader = READERS[detail.plan.kind](detail.plan, terms)
            coming = self._read(reader, detail.done)
            for number in range(detail.done, detail.spread.buckets):
                told = await coming
                coming = self._read(reader, number + 1)
                await self._store(number, told)
        except OSError as error:
            # Its whole text has a path of this machine.
            raise Stuck(f"the file can't be read: {error.strerror}") from error
        except Invalid as error:
            raise Stuck(f"the file can't be read: {error.problems[0].detail}") from error
        if detail.rejected:
            await self._tell_rejects(self._table)
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        return detail.spread.rows

    async def _leave(self) -> None:
        """Keep nothing of what the work was done with: what was uploaded would be uploaded again.
        Only a file of the caller's own is gone on with where it was."""
        if self._detail.uploaded:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
            if self._table is not None:
                await asyncio.to_thread(self._table.path.unlink, missing_ok=True)
        self._detail.forget()
        await self._note()

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
        if detail.plan.kind is Kind.LIST and detail.plan.list is not None:
            author = Author(detail.author, detail.key_id)
            await self._storing.put_on_list(told, detail.plan.list, author)
        else:
            await self._storing.store(told, self._pace)
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

    async def _tell_rejects(self, table: Table) -> None:
        """Tell the rows that were not imported, with the reasons: those of a caller's own file
        beside it, those of an upload to who asks."""
        detail = self._detail
        assert detail.spread is not None  # noqa: S101
        files = [self._folder / "unread"]
        files += [self._rejects(number) for number in range(detail.spread.buckets)]
        bad = await asyncio.to_thread(collected, files)
        if detail.rejects is None:
            await self._rejected.keep(self._job.id, detail.began, table, detail.plan, bad)
        else:
            await asyncio.to_thread(_write_rejects, Path(detail.rejects), table, bad)


def _write_rejects(path: Path, table: Table, bad: dict[int, list[Bad]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        write_rejects(file, table, bad)


def _table(detail: Detail, base: Path) -> Table | None:
    """The file of an import; None where it is not there any more."""
    path = base / detail.path
    if not path.is_file():
        return None
    columns = tuple(detail.plan.columns)
    return Table(path, format_of(path), columns, detail.delimiter, detail.encoding)
