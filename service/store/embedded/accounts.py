"""The account that PostgreSQL runs as, and the folders only that account may enter.

PostgreSQL refuses to run as root, for good reason: a server that parses what the network sends
must not own the machine. Started as root we hand it to an unprivileged system account.
"""

import os
import pwd
import shlex
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from service.store.embedded.errors import EmbeddedPostgresRefused

SERVICE_ACCOUNT = "segserve"


class Identity(TypedDict, total=False):
    """The arguments of `subprocess` that drop every privilege of root."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Account:
    """One line of the passwd database."""

    name: str
    uid: int
    gid: int

    @property
    def identity(self) -> Identity:
        """What to pass to `subprocess`; empty when we already are that account."""
        if self.uid == os.geteuid():
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, target: int | Path) -> None:
        """Give a file or a folder, by descriptor or path, to this account."""
        if self.uid != os.geteuid():
            os.chown(target, self.uid, self.gid)


def current_account() -> Account:
    """The account of this process. Refused without a passwd entry: PostgreSQL needs one."""
    account = _by_uid(os.geteuid())
    if account is None:
        raise EmbeddedPostgresRefused(
            f"PostgreSQL needs a passwd entry for the account it runs as, and user id "
            f"{os.geteuid()} has none. Add one, run as an account that has one, or set "
            f"DATABASE_URL to a server of your own."
        )
    return account


def service_account(system_dir: Path) -> Account:
    """The unprivileged account that owns `system_dir`: its present owner, or a system account
    made for it, or `nobody` where none can be made."""
    if system_dir.exists() and (owner := system_dir.stat().st_uid) != 0:
        account = _by_uid(owner)
        if account is None:
            raise EmbeddedPostgresRefused(
                f"{system_dir} belongs to user id {owner}, which has no passwd entry here. "
                f"Add an account with that id (useradd --system --uid {owner} {SERVICE_ACCOUNT}), "
                f"or give the folder to another (chown -R)."
            )
        return account
    account = _by_name(SERVICE_ACCOUNT) or _create(system_dir) or _by_name("nobody")
    if account is None:
        raise EmbeddedPostgresRefused(
            "PostgreSQL does not run as root, and there is no account to run it as. Add one "
            f"(useradd --system {SERVICE_ACCOUNT}), run as another account than root, or set "
            "DATABASE_URL to a server of your own."
        )
    return account


def private_folder(path: Path, account: Account) -> None:
    """Make `path` the account's own, mode 0700, or check that it is.

    A folder that was there already is refused when another owns it or may enter it: whoever made
    it first could listen on our socket. A folder that root left empty, such as a fresh volume's
    mount point, is taken over by root.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=0o700)
        account.own(path)
    except FileExistsError:
        _take_over_if_empty(path, account)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise EmbeddedPostgresRefused(f"{path} should be a folder and is not one. Remove it.")
    if found.st_uid != account.uid:
        raise EmbeddedPostgresRefused(
            f"{path} belongs to user id {found.st_uid}, not to {account.name}. Remove it, or give "
            f"it to that account (chown -R {account.name} {path})."
        )
    if found.st_mode & 0o077:
        raise EmbeddedPostgresRefused(
            f"{path} can be entered by other accounts. Check what is in it, then close it "
            f"(chmod 700 {path}) or remove it."
        )


def _take_over_if_empty(path: Path, account: Account) -> None:
    found = path.lstat()
    ours = found.st_uid == os.geteuid() and found.st_uid != account.uid
    if ours and stat.S_ISDIR(found.st_mode) and not any(path.iterdir()):
        account.own(path)
        path.chmod(0o700)


def _create(system_dir: Path) -> Account | None:
    home = shlex.quote(str(system_dir))
    commands = {
        "useradd": f"--system --user-group --no-create-home --home-dir {home}"
        " --shell /usr/sbin/nologin",
        # BusyBox has only this one.
        "adduser": f"-S -D -H -h {home} -s /sbin/nologin",
    }
    for name, options in commands.items():
        program = shutil.which(name)
        if program is None:
            continue
        # A failure (a read-only /etc, a second starter that was quicker) shows in the look-up.
        command = [program, *shlex.split(options), SERVICE_ACCOUNT]
        subprocess.run(command, check=False, capture_output=True)  # noqa: S603
        if (account := _by_name(SERVICE_ACCOUNT)) is not None:
            return account
    return None


def _by_uid(uid: int) -> Account | None:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _by_name(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid) if entry.pw_uid != 0 else None
