"""What a message's `context` tells: traits of where and with what somebody is, and, beside an
event, what conditions on it may ask."""

from collections.abc import Mapping
from typing import Any

_OBJECTS = {
    "device": ("type", "manufacturer", "model"),
    "os": ("name", "version"),
    "app": ("name", "version", "build"),
    "campaign": ("name", "source", "medium", "term", "content"),
}
_TEXTS = ("locale", "timezone")
_FEEDING_TRAITS = frozenset({*_OBJECTS, *_TEXTS})
_BESIDE_EVENTS = frozenset({"campaign", "device", "page"})
_PAGE = ("url", "path", "referrer", "title", "search")


def context_traits(context: Mapping[str, Any]) -> dict[str, Any]:
    """`device {type, manufacturer, model}`, `os {name, version}`, `app {name, version, build}`,
    `campaign {name, source, medium, term, content}`, `locale`, `timezone`: as far as they are
    there. It never removes anything. User agents are not read."""
    traits: dict[str, Any] = {}
    if _FEEDING_TRAITS.isdisjoint(context):  # as of most that servers send
        return traits
    for name, members in _OBJECTS.items():
        found = _members(context.get(name), members)
        if found:
            traits[name] = found
    for name in _TEXTS:
        value = context.get(name)
        if _told(value):
            traits[name] = value
    return traits


def event_context(context: Mapping[str, Any], ip: str | None) -> dict[str, Any]:
    """What is kept beside an event: `campaign`, `device {type}`, `page {url}`, and the address
    `ip`, which is personal."""
    kept: dict[str, Any] = {}
    if ip is None and _BESIDE_EVENTS.isdisjoint(context):
        return kept
    campaign = _members(context.get("campaign"), _OBJECTS["campaign"])
    device = _members(context.get("device"), ("type",))
    page = _members(context.get("page"), ("url",))
    for name, value in (("campaign", campaign), ("device", device), ("page", page), ("ip", ip)):
        if value:
            kept[name] = value
    return kept


def page_properties(context: Mapping[str, Any]) -> dict[str, Any]:
    """`url, path, referrer, title, search` of `context.page`."""
    return _members(context.get("page"), _PAGE)


def _members(value: Any, names: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {}
    return {name: value[name] for name in names if _told(value.get(name))}


def _told(value: Any) -> bool:
    return (isinstance(value, str) and value != "") or type(value) in (int, float)
