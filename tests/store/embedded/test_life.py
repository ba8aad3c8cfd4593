"""The embedded PostgreSQL from its start to its stop, with real servers and real kills."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from service.store.embedded import EmbeddedPostgres, postmaster, supervisor
from tests.store.embedded.clusters import (
    ROOT,
    SERVICE,
    ask,
    cluster_home,
    eventually,
    gone,
    socket_dir,
    started,
)


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
