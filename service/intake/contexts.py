"""What a message's `context` tells: traits of where and with what somebody is, and, beside an
event, what conditions on it may ask."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from service.core.traits import is_number
from service.intake.user_agents import (
    NOBODY,
    REMEMBERED,
    Agent,
    form_told,
    read_hints,
    read_user_agent,
)

_OBJECTS = {
    "device": ("type", "manufacturer", "model"),
    "os": ("name", "version"),
    "app": ("name", "version", "build"),
    "campaign": ("name", "source", "medium", "term", "content"),
}
_TEXTS = ("locale", "timezone")
_AGENTS = frozenset({"userAgent", "userAgentData"})
_FEEDING_TRAITS = frozenset({*_OBJECTS, *_TEXTS, *_AGENTS, "location"})
_BESIDE_EVENTS = frozenset({"campaign", "device", "page", *_AGENTS})
_PAGE = ("url", "path", "referrer", "title", "search")
# A language of two or three letters, perhaps a script, perhaps a country: en, zh-Hant-TW, pt_BR.
_LOCALE = re.compile(r"([A-Za-z]{2,3})(?:[-_][A-Za-z]{4})?(?:[-_]([A-Za-z]{2}))?(?![A-Za-z0-9])")


def context_traits(context: Mapping[str, Any]) -> dict[str, Any]:
    """`device {type, manufacturer, model, form, language, country}`, `os {name, version}`,
    `browser {name, version}`, `app {name, version, build}`, `campaign {name, source, medium, term,
    content}`, `locale`, `timezone`, `location {lat, lon}`: as far as they are there. It never
    removes anything. What is told of `os` and `device` counts before what the user agent says."""
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
    browser, os, device = _found(_agent(context), _form(context), traits.get("locale"))
    if browser:
        traits["browser"] = dict(browser)
    if os and "os" not in traits:
        traits["os"] = dict(os)
    if device:
        traits["device"] = {**device, **traits.get("device", {})}
    place = context.get("location")
    if isinstance(place, dict):
        lat, lon = place.get("latitude"), place.get("longitude")
        if is_number(lat) and is_number(lon) and abs(lat) <= 90 and abs(lon) <= 180:
            traits["location"] = {"lat": lat, "lon": lon}
    return traits


def is_robot(context: Mapping[str, Any]) -> bool:
    """Whether a page was opened by a machine that says so."""
    text = context.get("userAgent")
    return isinstance(text, str) and text != "" and read_user_agent(text).robot


def event_context(context: Mapping[str, Any], ip: str | None) -> dict[str, Any]:
    """What is kept beside an event: `campaign`, `device {type, form}`, `page {url}`, and the
    address `ip`, which is personal."""
    kept: dict[str, Any] = {}
    if ip is None and _BESIDE_EVENTS.isdisjoint(context):
        return kept
    campaign = _members(context.get("campaign"), _OBJECTS["campaign"])
    device = _members(context.get("device"), ("type",))
    form = _form_of(_form(context), _agent(context))
    if form:
        device["form"] = form
    page = _members(context.get("page"), ("url",))
    for name, value in (("campaign", campaign), ("device", device), ("page", page), ("ip", ip)):
        if value:
            kept[name] = value
    return kept


def page_properties(context: Mapping[str, Any]) -> dict[str, Any]:
    """`url, path, referrer, title, search` of `context.page`."""
    return _members(context.get("page"), _PAGE)


def _agent(context: Mapping[str, Any]) -> Agent:
    """What the browser says of itself: hints before the user agent."""
    text, hints = context.get("userAgent"), context.get("userAgentData")
    agent = read_user_agent(text) if isinstance(text, str) and text else NOBODY
    return read_hints(hints).over(agent) if isinstance(hints, dict) else agent


def _form(context: Mapping[str, Any]) -> str | None:
    """The form of the device as an app's SDK tells it."""
    device = context.get("device")
    return form_told(device.get("type"), device.get("model")) if isinstance(device, dict) else None


def _form_of(told: str | None, agent: Agent) -> str | None:
    # Of Android the user agent knows tablets, the SDKs don't.
    return agent.form if agent.form and told == "phone" else told or agent.form


Found = Mapping[str, Any]


@lru_cache(maxsize=REMEMBERED)
def _found(agent: Agent, told: str | None, locale: Any) -> tuple[Found, Found, Found]:
    """The traits `browser`, `os` and `device` as far as they are found out, and not told."""
    language, country = _language(locale) if isinstance(locale, str) else (None, None)
    return (
        _known(name=agent.browser, version=agent.browser_version),
        _known(name=agent.os, version=agent.os_version),
        _known(form=_form_of(told, agent), model=agent.model, language=language, country=country),
    )


def _known(**members: str | None) -> Found:
    return {name: value for name, value in members.items() if value}


def _language(locale: str) -> tuple[str | None, str | None]:
    """The language and the country of a locale: `en-GB` is `en` and `GB`."""
    match = _LOCALE.match(locale)
    if match is None:
        return None, None
    return match[1].lower(), None if match[2] is None else match[2].upper()


def _members(value: Any, names: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {}
    return {name: value[name] for name in names if _told(value.get(name))}


def _told(value: Any) -> bool:
    return (isinstance(value, str) and value != "") or type(value) in (int, float)
