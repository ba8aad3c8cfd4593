"""Messages of Segment's specification, as its SDKs and RudderStack's send them.

One message is one JSON object. What is wrong with one is told as a reject and spoils no other; of
a message that can be taken in part, the rest is taken.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from service.core import consent
from service.core.events import DEFAULT_STORE, Event
from service.core.exclusion import IS_BOT
from service.core.identities import Identity, Namer
from service.core.order_messages import CHANGES, KINDS, order_message
from service.core.parsing import Problem, escape
from service.intake.bodies import Envelope
from service.intake.clocks import instant_of, true_time
from service.intake.consents import with_consents, withdrawals
from service.intake.contexts import context_traits, event_context, is_robot, page_properties
from service.intake.identifying import (
    Naming,
    Telling,
    address,
    alias,
    claims_of,
    merging,
    naming_of,
    nobodys,
    user_id,
)
from service.intake.messages import Message, Refused, Reject, Taken
from service.intake.traits import NOTHING_WITHHELD, Withheld, fitting, folded, folded_company

MESSAGE_BYTES = 32_768
MESSAGE_ID_LENGTH = 100
EVENT_NAME_LENGTH = 256

_VIEWS = {"page": "Page Viewed", "screen": "Screen Viewed"}
_ALIASES = {"Completed Order": "Order Completed"}
_TAKEN = frozenset({"identify", "track", "page", "screen", "group", "alias", "merge"})
# Where a group message has what becomes these traits.
_GROUP_PLACES = {"group_id": "/groupId", "company": "/traits"}
_NUL = b"\\u0000"  # JSON holds it in no other form

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder(order="deterministic").encode


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a source's messages are taken. `source`: its id; `received_at`: microseconds
    since the epoch; `new_id()`: an id that no message had before; `namer`: names who tells no id
    of the caller's; `withheld`: what the source may not write; `store`: whose orders it tells of;
    `ip`: of a browser, the address that the request came from."""

    source: str
    received_at: int
    new_id: Callable[[], str]
    namer: Namer
    withheld: Withheld = NOTHING_WITHHELD
    browser: bool = False
    store: str = DEFAULT_STORE
    ip: str | None = None
    depth: int = 32


def take(messages: Sequence[bytes], kind: str | None, shared: Envelope, terms: Terms) -> Taken:
    """Messages read, all of `kind`, or (None) each of the type that it names; `shared`: what they
    came in."""
    taken = Taken()
    sent_at = shared.sent_at
    for raw in messages:
        reading = _Reading(raw, terms)
        try:
            message = reading.message(kind, shared.context, sent_at)
        except Refused as refused:
            reading.faults = [refused.problem]
        else:
            taken.messages.append(message)
        taken.rejects += [
            Reject(
                fault.code, fault.detail, fault.pointer, raw,
                reading.customer_id, reading.message_id,
            )
            for fault in reading.faults
        ]  # fmt: skip
    return taken


class _Reading:
    """One message while it is read."""

    def __init__(self, raw: bytes, terms: Terms) -> None:
        self.raw = raw
        self.terms = terms
        self.faults: list[Problem] = []
        self.customer_id: str | None = None
        self.message_id: str | None = None

    def message(self, kind: str | None, context: Mapping[str, Any], sent_at: Any) -> Message:
        """The message. Raises Refused."""
        body = self.document()
        self.message_id = _given_id(body.get("messageId"))
        self.customer_id = _candidate(body, self.terms.namer)
        kind = self.kind(kind or body.get("type"))
        own = self.object(body, "context")
        if context:
            own = {**context, **own}
        # What the sender says, and not what we make of it, names a message that has no id.
        told = body.get("originalTimestamp") or body.get("timestamp")
        at = self.instant(told, body.get("sentAt") or sent_at)
        event = properties = None
        if kind in ("track", *_VIEWS):
            properties = self.object(body, "properties")
            event = _event_name(kind, body)
        guest = self.guest(event, properties or {}, own)
        if kind != "merge":
            if guest is not None or self.customer_id is None:
                self.customer_id = naming_of(body, guest, self.terms.namer)
            self.faults += nobodys(body)
        traits = self.traits(kind, body, own)
        if self.message_id is None:
            content = properties or traits or body.get("previousId") or body.get("mergeProperties")
            self.message_id = self.derived(event or kind, told, content)
        naming = self.naming(kind, body, own, traits, guest, at)
        self.customer_id = naming.customer_id
        told_event = None
        if event is not None and properties is not None:
            whole = self.completed(kind, body, properties, own)
            told_event = Event(
                event, at, whole, self.message_id, self.terms.source, self.terms.store
            )
            self.consenting(told_event)
            if event in CHANGES and self.terms.browser:
                raise Refused("server_only", f"only servers may tell of {event}", "/event")
            if event in KINDS:
                order = order_message(told_event, self.terms.store, self.customer_id)
                if isinstance(order, list):
                    # The event stands, and counts as none of the orders.
                    self.faults += order
        return Message(
            self.customer_id, self.message_id, at, traits, told_event, self.raw,
            naming.claims, naming.names, naming.type,
        )  # fmt: skip

    def guest(
        self, event: str | None, properties: Mapping[str, Any], context: Mapping[str, Any]
    ) -> Identity | None:
        """The e-mail address that a server tells with an order."""
        if self.terms.browser or event not in KINDS:
            return None
        return address(properties) or address(_object(context.get("traits")))

    def naming(
        self,
        kind: str,
        body: Mapping[str, Any],
        context: Mapping[str, Any],
        traits: Mapping[str, Any],
        guest: Identity | None,
        at: int,
    ) -> Naming:
        """Whom the message is about, with what it tells of who is whom."""
        terms, message_id = self.terms, self.message_id
        assert message_id is not None  # noqa: S101 - told, or derived by now
        told = Telling(at, message_id, terms.source, not terms.browser)
        if kind == "merge":
            return merging(body, told, terms.namer)
        assert self.customer_id is not None  # noqa: S101 - named by now
        naming = Naming(self.customer_id)
        beside = guest or traits or kind == "alias" or "anonymousId" in body
        if not beside and "externalIds" not in context:
            return naming  # as most that servers send
        claims_of(naming, body, context, traits, guest, told, terms.namer)
        if kind == "alias":
            alias(naming, body, told, terms.namer)
        return naming

    def document(self) -> dict[str, Any]:
        """The message as an object that can be stored."""
        if len(self.raw) > MESSAGE_BYTES:
            raise Refused("too_large", f"a message has {MESSAGE_BYTES:,} bytes at most")
        try:
            body = _decode(self.raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            misshapen = isinstance(error, msgspec.ValidationError)
            if misshapen and not self.raw.lstrip().startswith(b"{"):
                raise Refused("type", "a message has to be an object") from error
            raise Refused("bad_value", f"this can't be read as JSON: {error}") from error
        deep = self.raw.count(b"{") + self.raw.count(b"[") > self.terms.depth
        if deep or _NUL in self.raw:
            _look_through(body, "", 0, self.terms.depth)
        return body

    @staticmethod
    def kind(kind: Any) -> str:
        """The type of message, one that is taken."""
        if not isinstance(kind, str) or kind not in _TAKEN:
            raise Refused("unknown_type", f"the types are {', '.join(sorted(_TAKEN))}", "/type")
        return kind

    def object(self, body: Mapping[str, Any], name: str) -> dict[str, Any]:
        """A member that is an object; empty where it is missing, or told to be something else."""
        value = body.get(name)
        if isinstance(value, dict):
            return value
        if value is not None:
            self.faults.append(Problem(f"/{name}", "type", f"{name} has to be an object"))
        return {}

    def instant(self, told: Any, sent_at: Any) -> int:
        """When it happened."""
        timestamp = instant_of(told)
        if timestamp is None and told is not None:
            detail = "this is no instant of ISO 8601; the instant of receipt was taken"
            self.faults.append(Problem("/timestamp", "bad_value", detail))
        return true_time(timestamp, instant_of(sent_at), self.terms.received_at)

    def traits(
        self, kind: str, body: Mapping[str, Any], context: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The traits that a message gives: of its context, then its own over them."""
        result = self.fit(context_traits(context), "/context")
        told = context.get("traits")
        if isinstance(told, dict):
            result |= self.fit(folded(told), "/context/traits")
        if kind == "identify":
            result |= self.fit(folded(self.object(body, "traits")), "/traits")
        elif kind == "group":
            result |= self.company(body)
        result = self.consents(result, context)
        if self.terms.browser and user_id(body) is None and is_robot(context):
            # Of who signs in one machine on their behalf says nothing.
            result[IS_BOT] = True
        return result

    def consents(self, traits: dict[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
        """Traits with consents that are told in vendors' shapes; from a page, what it may tell."""
        if not self.terms.browser:
            return with_consents(traits, context)
        given = with_consents(withdrawals(traits, "/traits", self.faults), context)
        return self.terms.withheld.without(withdrawals(given, "", []), "", [])

    def consenting(self, event: Event) -> None:
        """Tell what is wrong with an event of consents, which stands and changes none then. Raises
        Refused where a page may not tell of it."""
        said = consent.told(event)
        if isinstance(said, list):
            self.faults += said
        if not self.terms.browser or event.name not in consent.KINDS:
            return
        withheld: list[Problem] = []
        if isinstance(said, consent.Told):
            self.terms.withheld.without(dict(said.patch), "", withheld)
        if withheld or event.name in consent.SERVER_ONLY:
            raise Refused("server_only", f"only servers may tell of {event.name}", "/event")

    def company(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The traits that a group message gives."""
        given: dict[str, Any] = {"group_id": _group(body)}
        company = folded_company(self.object(body, "traits"))
        if company:
            given["company"] = company
        told = len(self.faults)
        given = self.fit(given, "")
        self.faults[told:] = [
            Problem(_GROUP_PLACES[step] + rest, fault.code, fault.detail)
            for fault in self.faults[told:]
            for step, rest in [_first_step(fault.pointer)]
        ]
        return given

    def fit(self, traits: dict[str, Any], pointer: str) -> dict[str, Any]:
        """Traits without those that can't be or may not be written here."""
        if not traits:
            return traits
        traits = fitting(traits, pointer, self.faults)
        return self.terms.withheld.without(traits, pointer, self.faults)

    def completed(
        self,
        kind: str,
        body: Mapping[str, Any],
        properties: dict[str, Any],
        context: Mapping[str, Any],
    ) -> dict[str, Any]:
        """An event's properties with what the message tells elsewhere, where they lack it."""
        ip = None
        if self.terms.browser:
            # Pages may tell another address, such as 0.0.0.0, to have none kept.
            ip = context.get("ip") if isinstance(context.get("ip"), str) else self.terms.ip
        beside: dict[str, Any] = {}
        kept = event_context(context, ip)
        if kept:
            beside["context"] = kept
        if kind in _VIEWS:
            beside |= page_properties(context)
            for name in ("name", "category"):
                if isinstance(body.get(name), str):
                    beside[name] = body[name]
        return {**beside, **properties} if beside else properties

    def derived(self, name: str, told: Any, content: Any) -> str:
        """An id for a message without one: the same whenever it is sent again. Without a time of
        its own each delivery is a message."""
        if told is None:
            return self.terms.new_id()
        digest = hashlib.sha256(_encode([self.customer_id, name, told, content])).digest()
        return "derived-" + _text(digest)


def _text(digest: bytes) -> str:
    return base64.b32encode(digest)[:26].decode().lower()


def _given_id(value: Any) -> str | None:
    """A message's own id; of a longer one, what it comes to."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value:
        return None
    if len(value) <= MESSAGE_ID_LENGTH:
        return value
    return "long-" + _text(hashlib.sha256(value.encode()).digest())


def _candidate(body: Mapping[str, Any], namer: Namer) -> str | None:
    """Whom a message seems to be about, for the log of rejects."""
    try:
        return naming_of(body, None, namer)
    except Refused:
        return None


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _first_step(pointer: str) -> tuple[str, str]:
    step, slash, rest = pointer[1:].partition("/")
    return step, slash + rest


def _group(body: Mapping[str, Any]) -> str:
    group_id = body.get("groupId")
    if isinstance(group_id, int) and not isinstance(group_id, bool):
        group_id = str(group_id)
    if not isinstance(group_id, str) or not group_id:
        raise Refused("required", "a group message names its groupId", "/groupId")
    return group_id


def _event_name(kind: str, body: Mapping[str, Any]) -> str:
    if kind in _VIEWS:
        return _VIEWS[kind]
    name = body.get("event")
    if not isinstance(name, str) or not name:
        raise Refused("required", "a track message names its event", "/event")
    if len(name) > EVENT_NAME_LENGTH:
        detail = f"an event's name has {EVENT_NAME_LENGTH} characters at most"
        raise Refused("too_long", detail, "/event")
    return _ALIASES.get(name, name)


def _look_through(value: Any, pointer: str, depth: int, limit: int) -> None:
    """Refuse what JSON can hold and PostgreSQL can't, and what is nested too deep."""
    if isinstance(value, str):
        if "\0" in value:
            raise Refused("bad_value", "U+0000 can't be stored in a text", pointer)
        return
    if not isinstance(value, dict | list):
        return
    if depth == limit:
        raise Refused("too_deep", "the JSON is nested too deep", pointer)
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, item in items:
        if isinstance(name, str) and "\0" in name:
            raise Refused("bad_value", "U+0000 can't be stored in a name", pointer)
        _look_through(item, f"{pointer}/{escape(name)}", depth + 1, limit)
