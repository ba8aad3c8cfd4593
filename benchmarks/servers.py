"""Server processes that live for one measurement, each pinned to a core and ended by its id."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks.measuring import SERVER_CORE


@dataclass(frozen=True)
class Server:
    """A server that answers on this loopback port; `ready_after` is seconds since its spawn."""

    port: int
    pid: int
    ready_after: float


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def on_core(core: int, command: Sequence[str]) -> list[str]:
    """The command pinned, children included, where the system can pin."""
    if not shutil.which("taskset") or (os.cpu_count() or 1) <= core:
        return list(command)
    return ["taskset", "--cpu-list", str(core), *command]


@contextmanager
def serving(
    command: Sequence[str],
    port: int,
    *,
    environment: Mapping[str, str] | None = None,
    patience: float = 60.0,
    core: int | None = SERVER_CORE,
) -> Iterator[Server]:
    """Start it, wait for 200 from /readyz, and end it by SIGTERM, after 20 s by SIGKILL."""
    command = command if core is None else on_core(core, command)
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            env={**os.environ, **(environment or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            while not _ready(port):
                if process.poll() is not None or time.perf_counter() - started > patience:
                    output.seek(0)
                    said = output.read()[-2_000:].decode(errors="replace")
                    raise RuntimeError(f"{command[0]} did not get ready:\n{said}")
                time.sleep(0.01)
            yield Server(port, process.pid, time.perf_counter() - started)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _ready(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, ConnectionError, TimeoutError):
        return False


def empty_endpoint(port: int) -> list[str]:
    """The command of the peer, run as the service runs its own worker."""
    module = ["-m", "uvicorn", "benchmarks.peers.empty_endpoint:app"]
    how = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    return [sys.executable, *module, *how, "--host", "127.0.0.1", "--port", str(port)]
