"""What intake makes of a request: messages for the writer, and rejects for the log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from service.core.decisions import PERSON
from service.core.events import Event
from service.core.identities import Claim, Identity
from service.core.problems import Problem

_NONE: Mapping[str, Identity] = MappingProxyType({})


class Message(NamedTuple):
    """One message about one customer. `at`: microseconds since the epoch, when it happened;
    `traits`: a patch of given traits, maybe empty; `raw`: the message as it came."""

    customer_id: str
    message_id: str
    at: int
    traits: Mapping[str, Any]
    event: Event | None
    raw: bytes
    # What it tells of who is whom, and what customer ids of identities stand for.
    claims: Sequence[Claim] = ()
    names: Mapping[str, Identity] = _NONE
    type: str = PERSON


@dataclass(frozen=True, slots=True)
class Reject:
    """A message, or the part of one at `pointer` (RFC 6901), that was not taken, and why.
    `customer_id` and `message_id`: None where the message names none; `raw`: the message as it
    came, None where it must not be kept."""

    code: str
    detail: str
    pointer: str
    raw: bytes | None
    customer_id: str | None = None
    message_id: str | None = None


class Refused(Exception):
    """The message can't be taken at all."""

    def __init__(self, code: str, detail: str, pointer: str = "") -> None:
        super().__init__(detail)
        self.problem = Problem(pointer, code, detail)


@dataclass(slots=True)
class Taken:
    """What was made of a request, in the order of its messages."""

    messages: list[Message] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
