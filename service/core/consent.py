"""Consents: by which channels a customer may be written to, and what tells of it.

What customers want is the given trait `consent`, by channel; that a channel is closed, because
messages bounce or were marked as spam, the trait `suppressed`, which no caller sets as a trait.
Both are merged as all given traits are, so the latest word counts whatever the order of arrival.
What the two come to is the derived trait `reachable`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from service.core.events import Event
from service.core.problems import Problem, escape
from service.core.traits import TraitType, describe

CONSENT = "consent"
SUPPRESSED = "suppressed"
REACHABLE = "reachable"
NAMES = frozenset({CONSENT, SUPPRESSED, REACHABLE})
# The traits whose shape is the same for every caller.
SHAPED = frozenset({CONSENT, SUPPRESSED})

CHANNELS = ("email", "sms", "push", "post", "phone", "ads")


class Status(StrEnum):
    """What a customer said about a channel; who never said anything is at `never` too."""

    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"
    NEVER = "never"


class Suppression(StrEnum):
    """Why a channel is closed for good."""

    BOUNCE = "bounce"
    COMPLAINT = "complaint"


# Their types as conditions read them: of nobody a consent is unknown, or where they are reached.
TYPES: Mapping[str, TraitType] = {
    f"{name}.{channel}": TraitType.BOOLEAN if name == REACHABLE else TraitType.STRING
    for name in sorted(NAMES)
    for channel in CHANNELS
}
KNOWN_OF_ALL = frozenset(name for name in TYPES if not name.startswith(SUPPRESSED))

WORDS: Mapping[str, type[StrEnum]] = {CONSENT: Status, SUPPRESSED: Suppression}

# The events that tell of consents: ours, and those of e-mail in Segment's specification.
CHANGED = "Consent Changed"
UNSUBSCRIBED = "Unsubscribed"
BOUNCED = "Email Bounced"
COMPLAINED = "Email Marked as Spam"
KINDS = frozenset({CHANGED, UNSUBSCRIBED, BOUNCED, COMPLAINED})
# A page's write key is public: with it everyone may say no, and nothing else about anybody.
SERVER_ONLY = KINDS - {UNSUBSCRIBED}

# Where services that send e-mail say of which sort a bounce is, and their words for one for good.
_SORTS = ("bounce_type", "bounceType", "type", "severity")
_HARD = frozenset({"hard", "hardbounce", "permanent"})


@dataclass(frozen=True, slots=True)
class Told:
    """What an event tells: a patch of `consent` and `suppressed`; `source`: who says so, None
    where that is whoever sent the event."""

    patch: Mapping[str, Any]
    source: str | None = None


def told(event: Event) -> Told | list[Problem] | None:
    """What an event tells of consents: None where it changes none, or problems, with pointers into
    the event, where nobody can say what it changes."""
    if event.name not in KINDS:
        return None
    if event.name == CHANGED:
        return _changed(event.properties)
    if event.name == UNSUBSCRIBED:
        channel = event.properties.get("channel", "email")
        if channel not in CHANNELS:
            return [_no_channel("/properties/channel", channel)]
        return Told({CONSENT: {channel: Status.UNSUBSCRIBED.value}})
    if event.name == BOUNCED and not _is_hard(event.properties):
        return None
    why = Suppression.BOUNCE if event.name == BOUNCED else Suppression.COMPLAINT
    return Told({SUPPRESSED: {"email": why.value}})


def _is_hard(properties: Mapping[str, Any]) -> bool:
    sorts = (properties.get(name) for name in _SORTS)
    return any(
        isinstance(sort, str) and "".join(filter(str.isalpha, sort)).lower() in _HARD
        for sort in sorts
    )


def _changed(properties: Mapping[str, Any]) -> Told | list[Problem]:
    channel, source = properties.get("channel"), properties.get("source")
    if channel not in CHANNELS:
        return [_no_channel("/properties/channel", channel)]
    members = {CONSENT: "status", SUPPRESSED: "suppressed"}
    patch = {}
    problems = []
    for name, member in members.items():
        if member not in properties:
            continue
        try:
            patch[name] = {channel: word(name, properties[member])}
        except ValueError as error:
            problems.append(Problem(f"/properties/{member}", "bad_value", str(error)))
    if properties.get("status", Status.NEVER) is None:
        detail = "say subscribed, unsubscribed or never"
        problems.append(Problem("/properties/status", "bad_value", detail))
    if source is not None and not isinstance(source, str):
        detail = f"the source is a text, not {describe(source)}"
        problems.append(Problem("/properties/source", "type", detail))
    if not patch and not problems:
        detail = "a change of consent has a status, or says what suppresses the channel"
        problems.append(Problem("/properties/status", "required", detail))
    return problems or Told(patch, source or None)


def _no_channel(pointer: str, value: Any) -> Problem:
    detail = f"the channels are {', '.join(CHANNELS)}; this is {describe(value)}"
    return Problem(pointer, "bad_value", detail)


def field_fault(path: Sequence[str]) -> str | None:
    """Why a condition can't read a path, for people: there is no such channel."""
    if path[0] not in NAMES or len(path) == 1 or ".".join(path) in TYPES:
        return None
    known = ", ".join(f"{path[0]}.{channel}" for channel in CHANNELS)
    return f"of {path[0]} one can ask {known}"


def value_fault(path: Sequence[str], value: Any) -> str | None:
    """Why a consent is never what a condition compares it with, for people."""
    words = WORDS.get(path[0])
    if words is None or len(path) == 1 or not isinstance(value, str):
        return None
    if value.casefold() in set(words):
        return None
    return f"{'.'.join(path)} is {', '.join(list(words)[:-1])} or {list(words)[-1]}"


def word(name: str, value: Any) -> str | None:
    """A word of `consent` or `suppressed`, whatever its case; None takes back what was said.
    Raises ValueError with a detail for people."""
    words = WORDS[name]
    if value is None:
        return None
    try:
        return words(value.casefold() if isinstance(value, str) else value).value
    except ValueError as error:
        known = ", ".join(words)
        raise ValueError(f"expected one of {known}, got {describe(value)}") from error


def fitting(
    patch: Mapping[str, Any], pointer: str = "/traits"
) -> tuple[Mapping[str, Any], list[Problem]]:
    """A patch of traits whose consents are of the one shape that they have; what is not is left
    out and told."""
    kept = dict(patch)
    problems: list[Problem] = []
    for name in sorted(SHAPED & patch.keys()):
        here = f"{pointer}/{name}"
        value = patch[name]
        if value is None:
            continue
        if not isinstance(value, dict):
            detail = f"{name} is an object by channel, such as {{{_EXAMPLE[name]}}}; "
            problems.append(Problem(here, "type", f"{detail}this is {describe(value)}"))
            del kept[name]
            continue
        kept[name] = dict(_fitting(name, value, here, problems))
        if value and not kept[name]:
            del kept[name]
    return kept, problems


_EXAMPLE = {CONSENT: '"email": "subscribed"', SUPPRESSED: '"email": "bounce"'}


def _fitting(
    name: str, told_: Mapping[str, Any], pointer: str, problems: list[Problem]
) -> Iterator[tuple[str, Any]]:
    for channel, value in told_.items():
        here = f"{pointer}/{escape(channel)}"
        if channel not in CHANNELS:
            detail = f'"{channel}" is no channel; there are {", ".join(CHANNELS)}'
            problems.append(Problem(here, "bad_value", detail))
            continue
        try:
            yield channel, word(name, value)
        except ValueError as error:
            problems.append(Problem(here, "bad_value", str(error)))


def reachable(traits: Mapping[str, Any]) -> dict[str, bool]:
    """By channel, whether a customer with these traits may be written to: they subscribed, and the
    channel is not suppressed."""
    given, closed = _object(traits, CONSENT), _object(traits, SUPPRESSED)
    return {
        channel: given.get(channel) == Status.SUBSCRIBED and closed.get(channel) is None
        for channel in CHANNELS
    }


def _object(traits: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = traits.get(name)
    return value if isinstance(value, dict) else {}


_NEVER = dict.fromkeys(CHANNELS, Status.NEVER.value)
_NOWHERE = dict.fromkeys(CHANNELS, False)


def fill(profile: dict[str, Any]) -> None:
    """Say of every channel what conditions read: of nobody it is unknown. `reachable` stays where
    it is known already."""
    given = profile.get(CONSENT)
    if given is None:
        profile[CONSENT] = _NEVER
        profile.setdefault(REACHABLE, _NOWHERE)
        return
    if isinstance(given, dict):
        profile[CONSENT] = {**_NEVER, **given}
    if REACHABLE not in profile:
        profile[REACHABLE] = reachable(profile)
