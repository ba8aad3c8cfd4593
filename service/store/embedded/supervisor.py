"""`EmbeddedPostgres`: starts PostgreSQL, keeps it running, stops it."""

import logging
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from service.store.embedded import postmaster
from service.store.embedded.accounts import private_folder
from service.store.embedded.cluster import DATABASE, OWNER, SUPERUSER, Cluster, digest, locate
from service.store.embedded.errors import (
    EmbeddedPostgresError,
    EmbeddedPostgresFailed,
    EmbeddedPostgresRefused,
    explained,
    remedy,
)
from service.store.embedded.locks import DataFolderLock

SYSTEM_DIR = Path("/var/lib/segserve")
PORT = 5432
SOCKET_PATH_LIMIT = 103  # bytes; Linux takes 107, macOS 103
LOG_FILES, LOG_FILE_SIZE = 5, "10MB"
LOG_PRUNING = 60.0  # s
FIRST_DELAY, LONGEST_DELAY = 0.2, 30.0  # s, between restarts
STEADY = 60.0  # s; one that ran so long starts again with the first delay
LEFTOVERS = 60.0  # s, for the children of a postmaster that was killed to notice it

log = logging.getLogger(__name__)

Progress = Callable[[str], None]


class EmbeddedPostgres:
    """PostgreSQL for one data folder, supervised by a thread of this process.

    `start` blocks until the server takes connections, however long its recovery lasts. From then
    on a postmaster that dies is started again, until `stop`. Signals are the caller's: on SIGINT
    or SIGTERM drain, then call `stop`. A service that is killed leaves its postmaster running
    without clients; the next `start` for that folder shuts it down first.

    The server listens on a unix socket only. `system_dir` is where root keeps programs and
    clusters; `options` are settings of PostgreSQL that win over those of the cluster.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        system_dir: Path = SYSTEM_DIR,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self._data_dir = Path(data_dir).absolute()
        self._system_dir = Path(system_dir).absolute()
        self._options = dict(options or {})
        self._lock: DataFolderLock | None = None
        self._cluster: Cluster | None = None
        self._socket_dir: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._launching = threading.Lock()
        self._stopping = threading.Event()

    def start(self, progress: Progress | None = None) -> str:
        """Start the server, making its cluster the first time; its DSN.

        `progress` gets a sentence whenever something takes long enough to be told.

        The DSN is `postgresql://segserve:PASSWORD@/segserve?host=FOLDER&port=5432`, which asyncpg
        takes as it is; SQLAlchemy takes it as `postgresql+asyncpg://`. The role owns the database
        and nothing else.

        Errors: EmbeddedPostgresInUse, EmbeddedPostgresRefused, EmbeddedPostgresFailed.
        """
        if self._lock is not None:
            return self.dsn
        say = progress or log.info
        self._stopping = threading.Event()
        try:
            with explained():
                self._prepare(say)
            self._launch_after_leftovers(say)
        except BaseException:
            self.stop()
            raise
        self._watcher = threading.Thread(target=self._watch, name="embedded-postgres", daemon=True)
        self._watcher.start()
        return self.dsn

    def stop(self) -> None:
        """Shut the server down and free the data folder. Harmless when it is not running."""
        self._stopping.set()
        with self._launching:
            process, self._process = self._process, None
        if process is not None:
            postmaster.shut_down_child(process)
        if self._watcher is not None:
            self._watcher.join()
            self._watcher = None
        if self._socket_dir is not None:
            with suppress(OSError):
                self._socket_dir.rmdir()
            self._socket_dir = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        self._cluster = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def dsn(self) -> str:
        """The DSN of the database's owner."""
        return self._dsn(OWNER, self._running.owner_password, DATABASE)

    @property
    def superuser_dsn(self) -> str:
        """The DSN of the superuser: for administration, never for the service."""
        return self._dsn(SUPERUSER, self._running.superuser_password, SUPERUSER)

    @property
    def is_running(self) -> bool:
        """Whether the server takes connections at this moment."""
        process, cluster = self._process, self._cluster
        if process is None or cluster is None or process.poll() is not None:
            return False
        return postmaster.read_pid_file(cluster.data) == (process.pid, "ready")

    @property
    def pid(self) -> int | None:
        """The pid of the postmaster; None when stopped."""
        return self._process.pid if self._process is not None else None

    @property
    def log_dir(self) -> Path:
        """The folder of the server's log files."""
        return self._running.log

    @property
    def _running(self) -> Cluster:
        if self._cluster is None:
            raise RuntimeError("start() comes first")
        return self._cluster

    def _dsn(self, role: str, password: str, database: str) -> str:
        # The port too: without it PGPORT in the environment would decide.
        where = f"host={self._socket_dir}&port={PORT}"
        return f"postgresql://{role}:{password}@/{database}?{where}"

    def _prepare(self, say: Progress) -> None:
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._data_dir = self._data_dir.resolve()
        cluster = locate(self._data_dir, self._system_dir)
        lock = DataFolderLock(self._data_dir)
        lock.acquire()
        self._lock = lock
        if not cluster.data.exists():
            say(f"Making a PostgreSQL cluster in {cluster.home}")
        cluster.ensure(made_for=self._data_dir)
        self._cluster = cluster
        self._end_orphan(cluster, say)
        self._socket_dir = self._make_socket_dir(cluster)

    def _end_orphan(self, cluster: Cluster, say: Progress) -> None:
        found = postmaster.read_pid_file(cluster.data)
        if found is None:
            return
        pid, _ = found
        if postmaster.is_postmaster(pid, cluster.data):
            say(f"Stopping PostgreSQL (process {pid}), which a killed segserve left running")
            if not postmaster.shut_down_orphan(pid, cluster.data):
                raise EmbeddedPostgresFailed(
                    f"PostgreSQL (process {pid}) of {cluster.data} does not stop, not even when "
                    f"killed: its disk may hang. Restart the machine."
                )
        if postmaster.is_alive(pid):
            # Another process has that pid now, or nobody has reaped the one that was killed.
            # PostgreSQL would take it for a postmaster and not start; a pid that is dead it sorts
            # out by itself.
            (cluster.data / "postmaster.pid").unlink(missing_ok=True)

    def _make_socket_dir(self, cluster: Cluster) -> Path:
        for base in self._socket_bases(cluster):
            folder = base / digest(cluster.home)
            if len(os.fsencode(folder / f".s.PGSQL.{PORT}")) > SOCKET_PATH_LIMIT:
                continue
            try:
                private_folder(base, cluster.account)
                private_folder(folder, cluster.account)
            except OSError:
                # Such as the read-only /tmp of a hardened container.
                continue
            # Of a server that was killed. No other uses this folder: we hold the lock.
            for leftover in folder.glob(".s.PGSQL.*"):
                leftover.unlink()
            return folder
        raise EmbeddedPostgresRefused(
            "There is no folder for PostgreSQL's socket: XDG_RUNTIME_DIR and /tmp cannot be "
            "written, and the path of the data folder is too long. Set SEGSERVE_DATA_DIR to one of "
            "at most 60 characters."
        )

    def _socket_bases(self, cluster: Cluster) -> Iterator[Path]:
        runtime = os.environ.get("XDG_RUNTIME_DIR")
        if os.geteuid() == 0:
            yield self._system_dir / "run"
        elif runtime and Path(runtime).is_dir() and Path(runtime).stat().st_uid == os.geteuid():
            yield Path(runtime) / "segserve"
        # Not TMPDIR, which may be long. `private_folder` refuses what others put there.
        yield Path("/tmp") / f"segserve-{cluster.account.uid}"  # noqa: S108
        yield cluster.home / "run"

    def _launch_after_leftovers(self, say: Progress) -> None:
        until = time.monotonic() + LEFTOVERS
        while True:
            try:
                return self._launch(say)
            except EmbeddedPostgresFailed as error:
                still_used = "pre-existing shared memory block" in str(error)
                if not still_used or time.monotonic() > until:
                    raise
            say("Waiting for processes of a PostgreSQL that was killed to end")
            time.sleep(0.5)

    def _launch(self, say: Progress) -> None:
        """Start the postmaster and wait until it takes connections, or until `stop`."""
        cluster = self._running
        # What it says before its log collector runs. The account could replace a named file.
        with tempfile.TemporaryFile(dir=self._data_dir) as words:
            since, told = time.time(), ""
            with self._launching:
                if self._stopping.is_set():
                    return
                with explained():
                    process = self._spawn(cluster, words)
                self._process = process
            while not self._stopping.is_set() and not self.is_running:
                if process.poll() is not None:
                    raise _failure(cluster, process.returncode, words, since)
                if time.time() - since > 1 and (last := _last_line(cluster, since)) != told:
                    say(f"PostgreSQL is starting: {last}")
                    told = last
                time.sleep(postmaster.POLL)

    def _spawn(self, cluster: Cluster, words: IO[bytes]) -> subprocess.Popen[bytes]:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": f'"{self._socket_dir}"',
            "unix_socket_permissions": "0700",
            "port": str(PORT),
            "cluster_name": "segserve",
            "log_destination": "stderr",
            "logging_collector": "on",
            "log_directory": str(cluster.log),
            "log_filename": "postgresql-%Y%m%d-%H%M%S.log",
            "log_rotation_age": "0",
            "log_rotation_size": LOG_FILE_SIZE,
            **self._options,
        }
        arguments = [f"--{name}={value}" for name, value in settings.items()]
        # A session of its own: Ctrl-C in a terminal goes to the whole foreground group, and we
        # must be able to drain first.
        return subprocess.Popen(  # noqa: S603
            cluster.command("postgres", "-D", str(cluster.data), *arguments),
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            cwd=cluster.home,
            env=cluster.environment(),
            start_new_session=True,
            **cluster.account.identity,
        )

    def _watch(self) -> None:
        """The supervising thread: the only one that starts a postmaster again."""
        delay = FIRST_DELAY
        while (process := self._process) is not None:
            since = time.monotonic()
            self._wait(process)
            if self._stopping.is_set():
                return
            if time.monotonic() - since > STEADY:
                delay = FIRST_DELAY
            log.error(
                "PostgreSQL ended with code %s; starting it in %s s", process.returncode, delay
            )
            if self._stopping.wait(delay):
                return
            delay = min(delay * 2, LONGEST_DELAY)
            try:
                self._launch(log.warning)
            except (EmbeddedPostgresError, OSError):
                log.exception("PostgreSQL did not start again")

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        while True:
            try:
                process.wait(LOG_PRUNING)
            except subprocess.TimeoutExpired:
                _prune(self._running.log)
            else:
                return


def running_dsn(data_dir: Path, system_dir: Path = SYSTEM_DIR) -> str | None:
    """The DSN of the server that another process runs for a data folder; None when none does.

    For commands beside a running service, of the same account.
    """
    postgres = EmbeddedPostgres(data_dir.resolve(), system_dir=system_dir)
    cluster = locate(data_dir.resolve(), system_dir)
    for base in postgres._socket_bases(cluster):
        folder = base / digest(cluster.home)
        if (folder / f".s.PGSQL.{PORT}").exists():
            postgres._cluster, postgres._socket_dir = cluster, folder
            return postgres.dsn
    return None


def _failure(cluster: Cluster, code: int, words: IO[bytes], since: float) -> EmbeddedPostgresFailed:
    words.seek(0)
    logged = "".join(path.read_text(errors="replace") for path in _logs(cluster, since))
    output = f"{logged[-2000:]}{words.read().decode(errors='replace')[-2000:]}"
    return EmbeddedPostgresFailed(
        f"PostgreSQL did not start (exit code {code}). Its log is in {cluster.log}, and ends:\n"
        f"{output.strip()}\n{remedy(output)}".rstrip()
    )


def _last_line(cluster: Cluster, since: float) -> str:
    lines = [
        line
        for path in _logs(cluster, since)
        for line in path.read_text(errors="replace").splitlines()
    ]
    return lines[-1].rpartition("LOG:  ")[2] if lines else "it has not said anything yet"


def _logs(cluster: Cluster, since: float) -> list[Path]:
    """The log files written since then, oldest first."""
    files = cluster.log.glob("postgresql-*.log")
    return sorted(path for path in files if path.stat().st_mtime >= since)


def _prune(folder: Path) -> None:
    # A disk that went read-only must not end the supervision.
    with suppress(OSError):
        for path in sorted(folder.glob("postgresql-*.log"))[:-LOG_FILES]:
            path.unlink(missing_ok=True)
