"""Consents as messages carry them: in the shapes that vendors document, and what of them may come
from a page.

A page's write key is public, and names whom it likes: with it everyone may say no for anyone, and
yes for nobody.
"""

from collections.abc import Mapping
from typing import Any

from service.core.consent import CHANNELS, CONSENT, Status
from service.core.parsing import Problem, escape

# Segment's identify calls: context.messaging_subscriptions[{key, type, status}].
_SUBSCRIPTIONS = "messaging_subscriptions"
# Shopify's customers: {state, opt_in_level, consent_updated_at}.
_MARKETING = {"email": "email_marketing_consent", "sms": "sms_marketing_consent"}
_SHAPES = frozenset(_MARKETING.values())
# Their words for ours, without signs between them. A subscription that awaits its confirmation is
# none yet.
_WORDS = {
    "subscribed": Status.SUBSCRIBED,
    "unsubscribed": Status.UNSUBSCRIBED,
    "didnotsubscribe": Status.NEVER,
    "notsubscribed": Status.NEVER,
    "pending": Status.NEVER,
}


def with_consents(traits: dict[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
    """Traits with the consents that the message tells in vendors' shapes; its `consent` counts
    before these, channel by channel."""
    if _SUBSCRIPTIONS not in context and _SHAPES.isdisjoint(traits):
        return traits
    found = dict(_subscriptions(context.get(_SUBSCRIPTIONS)))
    for channel, name in _MARKETING.items():
        value = traits.get(name)
        status = _status(value.get("state")) if isinstance(value, dict) else None
        if status is not None:
            found[channel] = status
    own = traits.get(CONSENT, {})
    if not found or not isinstance(own, dict):
        return traits
    return {**traits, CONSENT: {**found, **own}}


def _subscriptions(told: Any) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for each in told if isinstance(told, list) else ():
        if not isinstance(each, dict):
            continue
        channel, status = str(each.get("type")).lower(), _status(each.get("status"))
        if channel not in CHANNELS or status is None:
            continue
        # Of two addresses one may be written to only where both may.
        if found.get(channel) != Status.UNSUBSCRIBED:
            found[channel] = status
    return found


def _status(value: Any) -> str | None:
    word = "".join(filter(str.isalpha, value)).lower() if isinstance(value, str) else ""
    status = _WORDS.get(word)
    return None if status is None else status.value


def withdrawals(traits: dict[str, Any], pointer: str, faults: list[Problem]) -> dict[str, Any]:
    """Traits with no other consents than those that are taken back, as far as they are of the
    right shape; the others are told as `faults`."""
    told = traits.get(CONSENT)
    if CONSENT not in traits or (told is not None and not isinstance(told, dict)):
        return traits
    kept = {}
    for channel, value in ({} if told is None else told).items():
        if isinstance(value, str) and value.casefold() == Status.UNSUBSCRIBED:
            kept[channel] = value
        else:
            where = f"{pointer}/{CONSENT}/{escape(channel)}"
            faults.append(_refused(where))
    if told is None:
        faults.append(_refused(f"{pointer}/{CONSENT}"))
    rest = {name: value for name, value in traits.items() if name != CONSENT}
    return {**rest, CONSENT: kept} if kept else rest


def _refused(pointer: str) -> Problem:
    detail = "from a page consents can only be taken back: have your server tell that one was given"
    return Problem(pointer, "server_only", detail)
