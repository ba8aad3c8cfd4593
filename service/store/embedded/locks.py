"""The lock of a data folder, which names its holder. The kernel frees it when the holder dies."""

import fcntl
import json
import os
import socket
import weakref
from datetime import UTC, datetime
from pathlib import Path

from service.store.embedded.errors import EmbeddedPostgresInUse


class DataFolderLock:
    """One holder a folder, by `flock` on `postgres.lock` in it."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._descriptor: int | None = None
        # A forked child shares the lock, and would keep it after we are killed.
        this = weakref.ref(self)

        def let_go() -> None:
            if (lock := this()) is not None:
                lock._close()

        os.register_at_fork(after_in_child=let_go)

    def acquire(self) -> None:
        """Take the lock and write who we are.

        Errors: EmbeddedPostgresInUse, naming the holder; OSError.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._data_dir / "postgres.lock", flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 4096, 0)
            os.close(descriptor)
            raise self._in_use(holder) from error
        self._descriptor = descriptor
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, _ourselves(), 0)

    def release(self) -> None:
        """Let the next one start. The file stays: removing it would race with a starter."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
        self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _in_use(self, holder: bytes) -> EmbeddedPostgresInUse:
        advice = "Stop it, or set SEGSERVE_DATA_DIR to another folder."
        try:
            known = json.loads(holder)
        except ValueError:
            # It holds the lock and has not written its name yet, or just removed it.
            message = f"{self._data_dir} is in use by another segserve. {advice}"
            return EmbeddedPostgresInUse(message, None, None, None)
        message = (
            f"{self._data_dir} is in use by process {known['pid']} on {known['host']} since "
            f"{known['since']}. {advice}"
        )
        return EmbeddedPostgresInUse(message, known["pid"], known["host"], known["since"])


def _ourselves() -> bytes:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since}).encode()
