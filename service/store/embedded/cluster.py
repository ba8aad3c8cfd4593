"""A cluster on disk: where it lives, how it is made, which ones are refused.

home/
  segserve.txt         says whose it is; marks the folder as ours
  superuser.password   0600
  owner.password       0600
  data/                PostgreSQL's data directory
  log/                 the server's log, rotated by size
"""

import hashlib
import os
import re
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from service.store.embedded.accounts import (
    Account,
    current_account,
    private_folder,
    service_account,
)
from service.store.embedded.binaries import MAJOR, copied, packaged, programs
from service.store.embedded.errors import (
    EmbeddedPostgresFailed,
    EmbeddedPostgresRefused,
    remedy,
)

OWNER = "segserve"
DATABASE = "segserve"
SUPERUSER = "postgres"

# Written into postgresql.conf when the cluster is made, so that an operator can tune them there.
SETTINGS = {
    "shared_buffers": "128MB",
    "max_connections": "100",
    "fsync": "on",
    "synchronous_commit": "on",
    "wal_compression": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
    # POSIX segments fill the 64 MB /dev/shm of a container, and systemd removes a user's POSIX
    # and System V segments at logout. Files in the data folder always work.
    "dynamic_shared_memory_type": "mmap",
    "log_startup_progress_interval": "1s",
}


@dataclass(frozen=True, slots=True)
class Cluster:
    """One cluster. Paths are absolute."""

    home: Path
    account: Account
    programs: Path

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def log(self) -> Path:
        return self.home / "log"

    @property
    def owner_password(self) -> str:
        return (self.home / "owner.password").read_text()

    @property
    def superuser_password(self) -> str:
        return (self.home / "superuser.password").read_text()

    def ensure(self, *, made_for: Path) -> bool:
        """Make the cluster unless it is there; whether it was made now."""
        private_folder(self.home, self.account)
        self._refuse_what_is_not_ours()
        private_folder(self.log, self.account)
        if (self.data / "PG_VERSION").exists():
            self._refuse_another_version()
            self._refuse_lost_passwords()
            return False
        self._write("segserve.txt", f"PostgreSQL {MAJOR} of segserve, made for {made_for}\n")
        self._write("superuser.password", secrets.token_urlsafe(32))
        self._write("owner.password", secrets.token_urlsafe(32))
        self._create()
        return True

    def command(self, program: str, *arguments: str) -> list[str]:
        """The command line of one of PostgreSQL's programs."""
        return [str(self.programs / program), *arguments]

    def environment(self) -> dict[str, str]:
        """A clean environment: nothing of ours, such as DATABASE_URL, and no stray PG* variable."""
        return {name: os.environ[name] for name in ("PATH",) if name in os.environ} | {
            "LC_ALL": "C",
            "TZ": "UTC",
        }

    def _create(self) -> None:
        """`initdb`, the owner and its database: aside, then renamed, so never half done."""
        for leftover in self.home.glob("data.partial-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        # A name of its own: the initdb of a service that was killed may still be at work.
        partial = self.home / f"data.partial-{secrets.token_hex(4)}"
        self._run(
            "initdb",
            f"--pgdata={partial}",
            f"--username={SUPERUSER}",
            f"--pwfile={self.home / 'superuser.password'}",
            "--auth=scram-sha-256",
            "--locale-provider=builtin",
            "--locale=C.UTF-8",
            "--encoding=UTF8",
            "--no-instructions",
            *(f"--set={name}={value}" for name, value in SETTINGS.items()),
        )
        # Single-user mode: no socket to guard before there are passwords.
        self._run(
            *("postgres", "--single", "-D", str(partial), "-c", "exit_on_error=on", SUPERUSER),
            statements=(
                f"CREATE ROLE {OWNER} LOGIN PASSWORD '{self.owner_password}'\n"
                f"CREATE DATABASE {DATABASE} OWNER {OWNER}\n"
                f"REVOKE ALL ON DATABASE {DATABASE}, {SUPERUSER}, template1 FROM PUBLIC\n"
            ),
        )
        partial.rename(self.data)

    def _run(self, program: str, *arguments: str, statements: str = "") -> None:
        done = subprocess.run(  # noqa: S603
            self.command(program, *arguments),
            check=False,
            input=statements,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd=self.home,
            env=self.environment(),
            **self.account.identity,
        )
        if done.returncode != 0:
            output = done.stdout.replace(self.owner_password, "***").strip()
            raise EmbeddedPostgresFailed(
                f"{program} could not make a cluster in {self.home} "
                f"(exit code {done.returncode}): {output[-2000:]}\n{remedy(output)}".rstrip()
            )

    def _refuse_what_is_not_ours(self) -> None:
        if (self.home / "segserve.txt").exists() or not any(self.home.iterdir()):
            return
        raise EmbeddedPostgresRefused(
            f"{self.home} is not empty, and segserve did not make it. Move what is in it away, or "
            f"set SEGSERVE_DATA_DIR to another folder."
        )

    def _refuse_another_version(self) -> None:
        version = (self.data / "PG_VERSION").read_text().strip()
        if version != str(MAJOR):
            raise EmbeddedPostgresRefused(
                f"{self.data} was made by PostgreSQL {version}; this segserve runs PostgreSQL "
                f"{MAJOR}, which cannot read it. Start the segserve that made it, dump it with "
                f"pg_dump and restore that into a new SEGSERVE_DATA_DIR."
            )

    def _refuse_lost_passwords(self) -> None:
        for name in ("superuser.password", "owner.password"):
            if not (self.home / name).exists():
                raise EmbeddedPostgresRefused(
                    f"{self.home / name} is missing. Restore it from the backup of that folder: "
                    f"without it nobody can log in to the cluster beside it."
                )

    def _write(self, name: str, text: str) -> None:
        """A file of the account's, 0600, replaced whole. Root does not follow its symlinks."""
        path = self.home / name
        path.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        with os.fdopen(descriptor, "w") as file:
            self.account.own(file.fileno())
            file.write(text)
            file.flush()
            os.fsync(file.fileno())


def locate(data_dir: Path, system_dir: Path) -> Cluster:
    """The cluster of `data_dir`: inside it, or below `system_dir` when we are root.

    Errors: EmbeddedPostgresRefused when the folder is another account's, or holds a data
    directory that is no cluster of ours.
    """
    inside, note = data_dir / "postgres", data_dir / "embedded-postgres.txt"
    if os.geteuid() != 0:
        _refuse_what_another_made(data_dir, inside, note)
    if (data_dir / "PG_VERSION").exists():
        raise EmbeddedPostgresRefused(
            f"{data_dir} is itself a data directory of PostgreSQL. Set SEGSERVE_DATA_DIR to a "
            f"folder for segserve alone, or start that server and set DATABASE_URL."
        )
    if os.geteuid() == 0:
        if inside.exists():
            raise EmbeddedPostgresRefused(
                f"{inside} was made by user id {inside.stat().st_uid}, and PostgreSQL does not "
                f"run as root. Run segserve as that user, or set SEGSERVE_DATA_DIR to another "
                f"folder."
            )
        return _of_root(data_dir, system_dir, note)
    return Cluster(inside, current_account(), programs(packaged()))


def _refuse_what_another_made(data_dir: Path, inside: Path, note: Path) -> None:
    # Volumes belong to root and let a group write: the owner alone tells nothing.
    me = os.geteuid()
    closed = not os.access(data_dir, os.R_OK | os.W_OK | os.X_OK)
    if (
        (closed and data_dir.stat().st_uid != me)
        or note.exists()
        or (inside.exists() and inside.stat().st_uid != me)
    ):
        raise EmbeddedPostgresRefused(
            f"{data_dir} was made by another user, such as root, and this is user id {me}. Run "
            f"segserve as the user that made it, or set SEGSERVE_DATA_DIR to another folder."
        )


def _of_root(data_dir: Path, system_dir: Path, note: Path) -> Cluster:
    account = service_account(system_dir)
    private_folder(system_dir, account)
    private_folder(system_dir / "clusters", account)
    name = re.sub(r"[^A-Za-z0-9._-]", "_", data_dir.name)[:40]
    home = system_dir / "clusters" / f"{name}-{digest(data_dir)}"
    note.write_text(
        f"Started as root, segserve keeps the PostgreSQL cluster of this folder in\n{home}\n"
        f"which belongs to the account {account.name}. Delete both to start anew.\n"
    )
    return Cluster(home, account, programs(copied(system_dir)))


def digest(path: Path) -> str:
    """A short name for an absolute path."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
