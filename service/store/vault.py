"""The installation's secret key: encrypts secrets at rest, and fingerprints erased identities.

`secret.key` in the data folder holds one key a line, the newest first, readable by its owner only.
The newest encrypts; all of them decrypt and recognise, so that a key can be replaced at any time.
"""

import hashlib
import hmac
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

FILE = "secret.key"


class VaultRefused(RuntimeError):
    """The key file can't be trusted or read; the message says what to do."""


class Vault:
    """Secrets at rest under the keys of one file."""

    def __init__(self, keys: Sequence[bytes], path: Path | None = None) -> None:
        """`keys`: Fernet keys, the newest first; at least one. `path`: the file they stand in,
        where somebody may replace them."""
        self._path = path
        self._stamp = None if path is None else _stamp(path)
        self._take(keys)

    def _take(self, keys: Sequence[bytes]) -> None:
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError as error:
            raise VaultRefused("a line of secret.key is no key") from error
        self._keys = [hashlib.sha256(b"segserve fingerprint\0" + key).digest() for key in keys]

    def look(self) -> None:
        """Take the keys of the file where it is another than it was: several processes share it,
        and one may use a new key before the others are started again. Raises VaultRefused, and
        keeps the keys that it has."""
        if self._path is None:
            return
        try:
            stamp = _stamp(self._path)
            if stamp == self._stamp:
                return
            self._take(_read(self._path))
        except OSError as error:
            raise VaultRefused(f"{self._path} can't be read: {error.strerror}") from error
        self._stamp = stamp

    def encrypt(self, secret: str) -> str:
        """The secret as it may be stored."""
        return self._fernet.encrypt(secret.encode()).decode()

    def decrypt(self, stored: str) -> str:
        """What was encrypted, under whichever key. Raises VaultRefused."""
        try:
            return self._fernet.decrypt(stored.encode()).decode()
        except InvalidToken:
            self.look()  # by a process that has a key which is new since
        try:
            return self._fernet.decrypt(stored.encode()).decode()
        except InvalidToken as error:
            raise VaultRefused("a stored secret fits no key of secret.key") from error

    def fingerprints(self, purpose: str, text: str) -> list[bytes]:
        """HMAC-SHA-256 of a text for a purpose, under each key: store the first, look for all."""
        message = f"{purpose}\0{text}".encode()
        return [hmac.digest(key, message, "sha256") for key in self._keys]


def open_vault(folder: Path) -> Vault:
    """The vault of a data folder; folder and key are made the first time. Raises VaultRefused.

    Several processes may start at once: the key is written whole under another name and then
    linked, so that one of them wins and all read what it wrote.
    """
    path = folder / FILE
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f"{FILE}.", dir=folder)  # of mode 0600
        fresh = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(Fernet.generate_key() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                path.hardlink_to(fresh)
        finally:
            fresh.unlink()
    return Vault(_read(path), path)


def rotate(folder: Path) -> None:
    """Put a new key before the ones there are, which go on decrypting. Raises VaultRefused."""
    path = folder / FILE
    fresh = path.with_suffix(".new")
    open_vault(folder)
    try:
        # Whoever finds it there would take the same keys and lose the other's new one.
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        detail = f"{fresh} is there: another rotation is at it, or was cut off; remove it then"
        raise VaultRefused(detail) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(b"\n".join([Fernet.generate_key(), *_read(path)]) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _stamp(path: Path) -> tuple[int, int, int]:
    """What is another once the file was replaced."""
    held = path.stat()
    return held.st_ino, held.st_mtime_ns, held.st_size


def _read(path: Path) -> list[bytes]:
    if path.stat().st_mode & 0o077:
        raise VaultRefused(f"{path} can be read by others: chmod 600 it, then start again")
    keys = path.read_bytes().split()
    if not keys:
        raise VaultRefused(f"{path} is empty: put its key back from your backup")
    return keys
