"""What tests ask of an embedded PostgreSQL, and a service of its own that holds one."""

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import psutil
import pytest

from service.store.embedded import supervisor

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


def cluster_home(data_dir: Path, system_dir: Path) -> Path:
    if not ROOT:
        return data_dir / "postgres"
    return next((system_dir / "clusters").glob(f"{data_dir.name}-{supervisor.digest(data_dir)}"))


def started(service: subprocess.Popen[str]) -> tuple[str, int]:
    line = json.loads(service.stdout.readline())
    return line["dsn"], line["postmaster"]
