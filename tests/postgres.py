"""One embedded PostgreSQL for a whole test run, and a database of its own for each test.

The first process of a run that needs a database starts a keeper, which makes the cluster and the
template, and stops when the last process of the run has let go of its shared lock. The kernel
frees the locks of processes that crash or are killed, so nothing is left running.
"""

import asyncio
import fcntl
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from service.store.database import Database
from service.store.embedded import EmbeddedPostgres
from service.store.migrating import migrate

RUN = "PYTEST_SEGSERVE_RUN"
TEMPLATE = "template_segserve"
# A crash of the machine may ruin these clusters, and nothing else may.
OPTIONS = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}


def prepare_template(url: str) -> None:
    """Give the empty template database the schema; `url` is its owner's, plain postgresql://."""

    async def migrated() -> None:
        database = Database(url)
        await migrate(database.engine)
        await database.close()

    asyncio.run(migrated())


def database_of(dsn: str, name: str) -> str:
    """The same DSN with another database."""
    server, _, rest = dsn.rpartition("/segserve?")
    if not server:
        server, _, rest = dsn.rpartition("/postgres?")
    return f"{server}/{name}?{rest}"


class Databases:
    """Makes and drops databases on the run's server, over one connection."""

    def __init__(self, dsn: str, superuser_dsn: str) -> None:
        self._dsn = dsn
        self._numbers = itertools.count()
        self._runner = asyncio.Runner()
        self._connection = self._runner.run(asyncpg.connect(superuser_dsn))

    @contextmanager
    def database(self, template: str = TEMPLATE) -> Iterator[str]:
        """A new copy of the template, dropped afterwards whoever is still connected: its URL."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        # Copying files takes 20 ms without fsync, the default strategy 140 ms.
        self._execute(
            f"create database {name} template {template} owner segserve strategy file_copy"
        )
        try:
            yield database_of(self._dsn, name)
        finally:
            self._execute(f"drop database {name} with (force)")

    def close(self) -> None:
        self._runner.run(self._connection.close())
        self._runner.close()

    def _execute(self, statement: str) -> None:
        self._runner.run(self._connection.execute(statement))


def scratch_root() -> Path:
    """Where clusters of tests go: in memory if there is room, which makes a new database in
    20 ms where a busy disk takes 500. Programs are copied there too, so they must be let run.
    """
    memory = Path("/dev/shm")  # noqa: S108 - what goes there has names of its own
    if memory.is_dir() and os.access(memory, os.W_OK):
        facts = os.statvfs(memory)
        if facts.f_bavail * facts.f_frsize > 2 * 2**30 and not facts.f_flag & os.ST_NOEXEC:
            return memory
    return Path(tempfile.gettempdir())


def run_dir() -> Path:
    """The run's folder; it is gone when the run's server is."""
    return scratch_root() / f"segserve-tests-{os.environ[RUN]}"


@contextmanager
def shared_server() -> Iterator[Databases]:
    """The run's server, for as long as this process needs it."""
    folder = run_dir()
    descriptor = _join(folder)
    try:
        with (folder / "starting").open("w") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            if not (folder / "dsns").exists():
                _start_keeper(folder)
        databases = Databases(*(folder / "dsns").read_text().split())
        try:
            yield databases
        finally:
            databases.close()
    finally:
        os.close(descriptor)


def _join(folder: Path) -> int:
    """Hold the run's shared lock. Blocks while a keeper stops, which then removes the folder."""
    while True:
        # Root's server runs as an unprivileged account, which passes through this folder.
        folder.mkdir(mode=0o711, exist_ok=True)
        descriptor = os.open(folder / "users", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if os.fstat(descriptor).st_nlink > 0:
            return descriptor
        os.close(descriptor)


def _start_keeper(folder: Path) -> None:
    with (folder / "keeper.log").open("wb") as log:
        keeper = subprocess.Popen(
            [sys.executable, __file__, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C ends the tests; the keeper ends when they have.
            start_new_session=True,
        )
    while not (folder / "dsns").exists():
        if keeper.poll() is not None:
            raise RuntimeError((folder / "keeper.log").read_text())
        time.sleep(0.01)


def keep(folder: Path) -> None:
    """The keeper: serve until nobody holds the run's lock."""
    users = os.open(folder / "users", os.O_RDWR)
    server = EmbeddedPostgres(folder / "data", system_dir=folder / "system", options=OPTIONS)
    with server:
        asyncio.run(_create_template(server.superuser_dsn))
        prepare_template(database_of(server.dsn, TEMPLATE))
        partial = folder / "dsns.partial"
        partial.touch(mode=0o600)
        partial.write_text(f"{server.dsn}\n{server.superuser_dsn}\n")
        partial.rename(folder / "dsns")
        fcntl.flock(users, fcntl.LOCK_EX)
    shutil.rmtree(folder)


async def _create_template(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"create database {TEMPLATE} owner segserve")
    await connection.close()


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
