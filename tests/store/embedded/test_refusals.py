"""The embedded PostgreSQL: what it does not start with, and the words that say what to do."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.store.embedded import (
    EmbeddedPostgres,
    EmbeddedPostgresFailed,
    EmbeddedPostgresInUse,
    EmbeddedPostgresRefused,
    accounts,
)
from service.store.embedded.locks import DataFolderLock
from tests.store.embedded.clusters import as_root, ask, cluster_home, started


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
