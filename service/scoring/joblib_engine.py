"""The joblib form: the pipeline itself, in a child process that is restarted when it dies."""

import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from service.scoring.errors import BundleRefused, ScorerUnavailable
from service.scoring.features import Matrix
from service.scoring.frames import Ready, Rows, Scores, framed, packed, received, unpacked

START_TIMEOUT = 120.0  # seconds; importing scikit-learn takes two, on a loaded machine twenty
ANSWER_TIMEOUT = 10.0  # seconds a chunk
REST = 5.0  # seconds between attempts to start a child that would not start

_CHUNK = 16_384  # rows a message: the child's memory stays bounded


class _Child:
    """One child process and the socket that is its stdin and stdout."""

    def __init__(self, folder: Path, digest: str) -> None:
        self._socket, theirs = socket.socketpair()
        command = [sys.executable, "-P", "-m", "service.scoring.child", str(folder), digest]
        with theirs:
            ends = theirs.fileno()
            self.process = subprocess.Popen(  # noqa: S603 our own module
                command, stdin=ends, stdout=ends, env=_environment()
            )

    def ask(self, message: Rows) -> Scores:
        deadline = time.monotonic() + ANSWER_TIMEOUT
        self._socket.settimeout(ANSWER_TIMEOUT)
        self._socket.sendall(framed(message))
        return msgspec.msgpack.decode(self._next(deadline), type=Scores)

    def ready(self) -> Ready:
        return msgspec.msgpack.decode(self._next(time.monotonic() + START_TIMEOUT), type=Ready)

    def _next(self, deadline: float) -> bytes:
        def read(size: int) -> bytes:
            content = bytearray(size)
            view = memoryview(content)
            while view:
                self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
                count = self._socket.recv_into(view)
                if not count:
                    raise EOFError("it ended")
                view = view[count:]
            return bytes(content)

        return received(read)

    def end(self) -> None:
        """Closing its stdin is enough for a healthy child; this doesn't wait for its goodwill."""
        self._socket.close()
        self.process.kill()
        self.process.wait()


class JoblibEngine:
    """Runs a bundle's pipeline in a child process, one request at a time.

    Raises BundleRefused if the child refuses the bundle at first. Later faults are
    ScorerUnavailable: a child that died is started again and asked once more, one that is too
    slow is ended, and after a failed start there is a rest of five seconds.
    """

    form: Final = "joblib"

    def __init__(self, folder: Path, digest: str) -> None:
        self._folder = folder
        self._digest = digest
        self._lock = threading.Lock()
        self._closed = False
        self._rest_until = 0.0
        self._child: _Child | None = self._started()

    @property
    def pid(self) -> int | None:
        """The child's process id, for operators; None while there is none."""
        child = self._child
        return None if child is None else child.process.pid

    def run(self, rows: Matrix) -> Matrix:
        with self._lock:
            return np.concatenate(
                [
                    self._answer(rows[start : start + _CHUNK])
                    for start in range(0, len(rows), _CHUNK)
                ]
            )

    def run_one(self, row: list[float]) -> list[float]:
        scores: list[float] = self.run(np.array([row]))[0].tolist()
        return scores

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._end()

    def _answer(self, rows: Matrix) -> Matrix:
        message = Rows(*packed(rows))
        try:
            try:
                return unpacked(self._running().ask(message))
            except (EOFError, ConnectionError):
                self._end()
                return unpacked(self._running().ask(message))
        except (EOFError, OSError) as error:  # a time-out is an OSError; asking again won't help
            self._end()
            raise ScorerUnavailable(
                f"The scoring process of {self._folder.parent.name} did not answer: {error}."
            ) from error

    def _running(self) -> _Child:
        if self._closed:
            raise ScorerUnavailable(f"The scorer of {self._folder.parent.name} is closed.")
        if self._child is None:
            if time.monotonic() < self._rest_until:
                raise ScorerUnavailable(
                    f"The scoring process of {self._folder.parent.name} would not start."
                )
            try:
                self._child = self._started()
            except BundleRefused as refusal:
                self._rest_until = time.monotonic() + REST
                raise ScorerUnavailable(str(refusal)) from refusal
        return self._child

    def _started(self) -> _Child:
        with ExitStack() as unless_ready:
            child = _Child(self._folder, self._digest)
            unless_ready.callback(child.end)
            try:
                ready = child.ready()
            except (EOFError, OSError) as error:
                raise BundleRefused(
                    f"{self._folder.parent.name}/{self._folder.name}: "
                    f"its scoring process would not start: {error}."
                ) from error
            if ready.refused is not None:
                raise BundleRefused(ready.refused)
            unless_ready.pop_all()
        return child

    def _end(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None


def _environment() -> dict[str, str]:
    """The parent's, without its secrets, and with one thread for the numerical libraries."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name != "DATABASE_URL" and not name.startswith("SEGSERVE_")
    }
    return kept | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
