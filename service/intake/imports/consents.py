"""The words by which shops and e-mail platforms tell of consent."""

from typing import Any, Final

from service.core.consent import CONSENT, SUPPRESSED, Status, Suppression
from service.core.traits import describe
from service.intake.imports.cells import Unreadable, text

_SUBSCRIBED: Final = frozenset(
    {"subscribed", "yes", "true", "1", "y", "opted in", "opt in", "accepted", "active", "granted"}
)
# Whoever said no, whether or not they ever said yes: both must not be written to.
_UNSUBSCRIBED: Final = frozenset(
    {"unsubscribed", "no", "false", "0", "n", "opted out", "opt out", "declined", "revoked",
     "archived"}
)  # fmt: skip
_NEVER: Final = frozenset(
    {"never", "never subscribed", "not subscribed", "nonsubscribed", "non subscribed",
     "transactional", "pending", "unconfirmed", "unknown"}
)  # fmt: skip
_BOUNCED: Final = frozenset({"cleaned", "bounced", "hard bounced", "bounce", "invalid"})
_COMPLAINED: Final = frozenset({"complaint", "complained", "spam", "marked as spam", "abuse"})


def consent(channel: str, cell: Any) -> dict[str, Any] | None:
    """What a cell of a column about consent tells, as a patch of traits: None where it is empty.
    Raises Unreadable."""
    found = text(cell)
    if found is None:
        return None
    word = " ".join(found.casefold().replace("_", " ").replace("-", " ").split())
    for words, status in (
        (_SUBSCRIBED, Status.SUBSCRIBED),
        (_UNSUBSCRIBED, Status.UNSUBSCRIBED),
        (_NEVER, Status.NEVER),
    ):
        if word in words:
            return {CONSENT: {channel: status.value}}
    found_suppression = _suppression(word)
    if found_suppression is None:
        detail = "expected a word such as subscribed, unsubscribed, never, yes or no"
        raise Unreadable(f"{detail}, got {describe(cell)}")
    return {SUPPRESSED: {channel: found_suppression.value}}


def suppressed(channel: str, cell: Any) -> dict[str, Any] | None:
    """What a column tells that has something in it where a channel is closed for good: why, or
    since when. None where it is empty, or says no."""
    found = text(cell)
    if found is None or found.casefold() in ("no", "false", "0", "[]"):
        return None
    why = _suppression(" ".join(found.casefold().replace("_", " ").split()))
    return {SUPPRESSED: {channel: (why or Suppression.BOUNCE).value}}


def _suppression(word: str) -> Suppression | None:
    if word in _BOUNCED:
        return Suppression.BOUNCE
    return Suppression.COMPLAINT if word in _COMPLAINED else None
