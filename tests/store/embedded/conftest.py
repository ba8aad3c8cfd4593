"""One cluster for all of these tests, made once in a session."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.store.embedded import EmbeddedPostgres, postmaster
from tests.postgres import scratch_root
from tests.store.embedded.clusters import SERVICE, ask, cluster_home


@pytest.fixture(scope="session")
def system_dir() -> Iterator[Path]:
    """Where root keeps programs and clusters: the service's account must pass its parents."""
    parent = Path(tempfile.mkdtemp(prefix="segserve-system-", dir=scratch_root()))
    parent.chmod(0o711)
    yield parent / "system"
    shutil.rmtree(parent)


@pytest.fixture(scope="session")
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
