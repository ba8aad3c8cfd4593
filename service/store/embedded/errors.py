"""What can go wrong, each with a message that says what to do.

EmbeddedPostgresError
├── EmbeddedPostgresInUse     another process serves this data folder
├── EmbeddedPostgresRefused   a folder, an account or a disk cannot be used as it is
└── EmbeddedPostgresFailed    a program of PostgreSQL failed; its last words are in the message
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

REMEDIES = {
    errno.ENOSPC: "Free some space on that disk, or set SEGSERVE_DATA_DIR to a folder on another.",
    errno.EDQUOT: "Raise that quota, or set SEGSERVE_DATA_DIR to a folder on another disk.",
    errno.EROFS: "That disk is read-only: set SEGSERVE_DATA_DIR to a folder that can be written.",
    errno.EACCES: "Give this account access to it, or set SEGSERVE_DATA_DIR to another folder.",
    errno.EPERM: "Give this account access to it, or set SEGSERVE_DATA_DIR to another folder.",
    errno.ENOTDIR: "A file is where a folder should be: set SEGSERVE_DATA_DIR to another folder.",
    errno.EEXIST: "A file is where a folder should be: set SEGSERVE_DATA_DIR to another folder.",
}


class EmbeddedPostgresError(RuntimeError):
    """The embedded PostgreSQL cannot serve."""


class EmbeddedPostgresInUse(EmbeddedPostgresError):
    """Another process serves this data folder. What is not known of it is None."""

    def __init__(self, message: str, pid: int | None, host: str | None, since: str | None) -> None:
        super().__init__(message)
        self.pid = pid
        self.host = host
        self.since = since


class EmbeddedPostgresRefused(EmbeddedPostgresError):
    """A folder, an account or a disk cannot be used as it is."""


class EmbeddedPostgresFailed(EmbeddedPostgresError):
    """A program of PostgreSQL failed."""


def remedy(output: str) -> str:
    """What to do about the error of the operating system that a program's output quotes."""
    return next((text for code, text in REMEDIES.items() if os.strerror(code) in output), "")


@contextmanager
def explained() -> Iterator[None]:
    """Turn an error of the operating system into a refusal that says what to do."""
    try:
        yield
    except OSError as error:
        advice = REMEDIES.get(error.errno or 0, "Set SEGSERVE_DATA_DIR to another folder.")
        raise EmbeddedPostgresRefused(
            f"The embedded PostgreSQL cannot use {error.filename or 'its folders'}: "
            f"{error.strerror or error}. {advice}"
        ) from error
