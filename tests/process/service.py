"""The command `segserve serve`, or `run`, as a process of its own, and a quick client for it."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx
import psutil

PATIENCE = 60.0  # s


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Service:
    """One service. Leaving the block kills what is left of it."""

    def __init__(
        self, folder: Path, data_dir: Path, command: str = "serve", **environment: str
    ) -> None:
        self.port = free_port()
        self.errors = folder / f"stderr-{self.port}"
        usual = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        settings = {
            "SEGSERVE_DATA_DIR": str(data_dir),
            "SEGSERVE_PORT": str(self.port),
            "SEGSERVE_LOG_FORMAT": "json",
        }
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service", command],
                env=usual | settings | environment,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                # Ctrl-C goes to a terminal's whole group: a test can send it so.
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        family = self.family()
        for each in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        self.process.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def stderr(self) -> str:
        return self.errors.read_text()

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=PATIENCE, trust_env=False)

    def ready(self) -> Self:
        """Wait until it is."""
        until = time.monotonic() + PATIENCE
        with self.client() as client:
            while True:
                assert self.process.poll() is None, self.stderr
                assert time.monotonic() < until, self.stderr
                with contextlib.suppress(httpx.TransportError):
                    if client.get("/readyz").status_code == 200:
                        return self
                time.sleep(0.05)

    def family(self) -> list[psutil.Process]:
        """The process and everything it started, PostgreSQL and all."""
        try:
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(PATIENCE)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Caller:
    """One connection that posts JSON, with as little as that takes."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def post(self, path: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        """Status and body. Raises OSError or EOFError when the other side is gone."""
        content = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(content)}\r\n"
        self._writer.write(f"{head}content-type: application/json\r\n\r\n".encode() + content)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        status, _, headers = answer.decode().lower().partition("\r\n")
        length = headers.partition("content-length: ")[2].partition("\r\n")[0]
        return int(status.split()[1]), json.loads(await self._reader.readexactly(int(length)))
