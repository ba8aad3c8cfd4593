"""Importing files: customers, orders, events, consent and members of lists.

An import is a job. It may be cut off at any time and goes on where it was: its rows lie in buckets,
its progress in the job's detail, and whatever is told a second time is known by its message id.
Nobody is mailed because of it: what it changes has the reason `import`.
"""

import asyncio
import hashlib
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from service.core.access import Author
from service.core.instants import DAY, HOUR, MINUTE, SECOND, to_datetime, zone_named
from service.core.problems import Invalid, Problem
from service.flows.import_files import digest_of
from service.flows.import_running import Detail, Places, Run, Understood
from service.flows.import_storing import ALONE, BESIDE_OTHERS, Pace, Storing
from service.flows.import_telling import Rejected
from service.flows.jobs import Stuck
from service.flows.linking import Linker
from service.flows.lists import Lists
from service.intake.imports.fields import Kind
from service.intake.imports.told import Terms
from service.live import Live
from service.settings import Settings
from service.store import audit, jobs, segments
from service.store.database import Database
from service.store.erasures import Erasures
from service.store.jobs import JobRow
from service.store.writer import Writer

KIND = "import"
AHEAD = 5 * MINUTE
UPLOADS_AT_ONCE = 2
KEPT = 7 * DAY  # what an import has left that was cut off
ON_ITS_WAY = HOUR  # a file that is uploaded, since its last byte came


@dataclass(frozen=True, slots=True)
class Begun:
    """The job of an import; whether it is ours, or others are at it already."""

    job: int
    ours: bool


class Importer:
    """Imports files into one workspace."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        linker: Linker,
        live: Live,
        lists: Lists,
        erasures: Erasures,
        settings: Settings,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._storing = Storing(writer, linker, live, lists)
        self._rejected = Rejected(database, live, erasures, clock)
        self._places = Places(settings.data_dir)
        self._erasures = erasures
        self._settings = settings
        self._clock = clock

        # Files that are on their way to us.
        self.uploads = asyncio.Semaphore(UPLOADS_AT_ONCE)

    @property
    def folder(self) -> Path:
        """Where files lie that are uploaded and not imported yet."""
        return self._places.base

    async def upload_path(self, name: str) -> Path:
        """A place for a file that is uploaded."""
        await asyncio.to_thread(self.folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        return self.folder / name

    async def tidy(self) -> None:
        """Remove what imports have left here that nobody goes on with: of a process that went
        away, and of files that were cut off and not begun again in time."""
        found = await asyncio.to_thread(_left, self.folder)
        if not found:
            return
        async with self._database.engine.connect() as connection:
            wanted = await jobs.unfinished(connection, KIND)
        at_it = {str(job.id) for job in wanted} | {Detail.of(job).path for job in wanted}
        for path, age in found.items():
            if path.name in at_it:
                continue
            if not path.is_dir():
                # One that is on its way to us is no job's yet.
                if age > ON_ITS_WAY:
                    await asyncio.to_thread(path.unlink, missing_ok=True)
            elif age > KEPT or not await self._goes_on(path):
                await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)

    async def _goes_on(self, folder: Path) -> bool:
        """Whether an import that was cut off may go on with what it has left: its job, by whose id
        the folder is called, has failed, and nobody who may be in it was erased since."""
        async with self._database.engine.connect() as connection:
            job = await jobs.get(connection, int(folder.name)) if folder.name.isdecimal() else None
            if job is None or job.status == "done":
                return False
            began = to_datetime(Detail.of(job).began)
            return not await self._erasures.any(connection, began)

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
        request: str | None = None,
    ) -> Begun:
        """The job of an import: that of the same file and mapping which did not come to its end,
        else a new one. `here`: the caller runs it, and no other process is to take it up;
        `request`: the author's name for this request, which sent again begins nothing. Raises
        Invalid where there is no such list."""
        table, plan = understood.table, understood.plan
        identity = await asyncio.to_thread(_identity, understood)
        async with self._database.engine.begin() as connection:
            if plan.list is not None and plan.kind is Kind.LIST:
                await _check_list(connection, plan.list)
            before = await jobs.latest(connection, KIND, "identity", identity)
            if before is not None and before.status == "done" and request is not None:
                known = Detail.of(before)
                if (known.request, known.author, known.key_id) == (
                    request, author.name, author.key_id,
                ):  # fmt: skip
                    return Begun(before.id, False)
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
                request=request,
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
            done = await self._run(job, ALONE)
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
            job = await jobs.get(connection, job_id)
            assert job is not None  # noqa: S101 - jobs are kept
            detail = Detail.of(job)
            detail.forget()
            await jobs.note(connection, job_id, detail.document())
            await jobs.fail(connection, job_id, why)

    async def run(self, job: JobRow) -> int:
        """Import the file of a job, beside all else that this process does: how many of its rows.
        Raises Stuck."""
        return await self._run(job, BESIDE_OTHERS)

    async def _run(self, job: JobRow, pace: Pace) -> int:
        run = Run(
            self._database, self._storing, self._places, self.terms, job, pace, self._rejected
        )
        return await run.run()


def _left(base: Path) -> dict[Path, float]:
    """What lies in a folder, and for how long nobody has written it, microseconds by the clock
    that files have theirs from."""
    if not base.is_dir():
        return {}
    now = time.time()
    found = {}
    for path in base.iterdir():
        with suppress(FileNotFoundError):
            found[path] = (now - path.stat().st_mtime) * SECOND
    return found


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
