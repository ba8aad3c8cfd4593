"""Who may do what: scopes, and the caller of a request."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a key may be allowed to do."""

    ASSIGN = "assign"
    TRACK = "track"
    READ = "read"
    WRITE = "write"
    PUBLISH = "publish"
    PERSONAL = "personal"
    ADMIN = "admin"

    # Asked at each request: an Enum's own is a function in Python. Equal they are as texts too.
    __hash__ = str.__hash__


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request: the name and id of their key, and what it allows. `admin` allows
    everything."""

    name: str
    key_id: str | None
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        """Whether this caller is allowed to."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes something, and the reason they gave: what the audit keeps."""

    name: str
    key_id: str | None = None
    reason: str | None = None


EVERYTHING = frozenset(Scope)
# Protected mode: whoever reaches this machine's own address may do everything.
LOCAL = Caller("local", None, EVERYTHING)
# Where no key is needed, nobody is asked for one.
NOBODY = Caller("nobody", None, frozenset())
# Changes that the service or its own commands make.
SYSTEM = Author("segserve")


def scopes_of(names: Iterable[str]) -> frozenset[Scope]:
    """Scopes by name. Raises ValueError for a name that is none."""
    return frozenset(Scope(name) for name in names)
