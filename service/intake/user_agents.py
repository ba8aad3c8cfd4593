"""What a browser says of itself: the browser, the operating system, and the form of the device.

Browsers say it in two ways: the user agent, a text that grew over thirty years, and client hints
(`navigator.userAgentData`), which are exact where they are there. The first is read by the rules of
ua-parser, which are part of its package: nothing is asked of the network.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

# A few thousand strings are most of the traffic of a large site; each is read once.
REMEMBERED = 10_000
# What is behind so many characters says nothing more.
LENGTH = 512
BRANDS = 10

_MOBILE = re.compile(r" ?\b(?:Mobile|iOS)\b ?")
_SYSTEMS = {"Mac OS X": "macOS", "Chromium OS": "Chrome OS"}
_DESKTOPS = frozenset(
    {
        "Windows", "macOS", "Linux", "Chrome OS", "Ubuntu", "Debian", "Fedora", "Red Hat", "SUSE",
        "FreeBSD", "OpenBSD", "NetBSD", "Solaris",
    }
)  # fmt: skip
_TELEVISION = re.compile(
    r"\b(?:smart-?tv|googletv|appletv|hbbtv|crkey|roku|bravia|aft\w+)\b|\btv\b"
)
_PLACEHOLDER = re.compile(r"not.{0,3}a.{0,3}brand", re.IGNORECASE)
_BRANDS = {"Google Chrome": "Chrome", "Microsoft Edge": "Edge"}


class Agent(NamedTuple):
    """What is known of a browser or an app, each None where it is not. `form`: `phone`, `tablet`,
    `desktop`, `tv` or `watch`."""

    browser: str | None = None
    browser_version: str | None = None
    os: str | None = None
    os_version: str | None = None
    form: str | None = None
    model: str | None = None
    # A machine that says so: a crawler, or a browser that nobody looks at.
    robot: bool = False

    def over(self, other: "Agent") -> "Agent":
        """What this one knows, and of the rest what the other does. A version is that of the name
        beside it."""
        browser = self if self.browser else other
        system = self if self.os and (self.os_version or self.os != other.os) else other
        return Agent(
            browser.browser,
            browser.browser_version,
            system.os,
            system.os_version,
            self.form or other.form,
            self.model or other.model,
            self.robot or other.robot,
        )


NOBODY = Agent()
ROBOT = Agent(robot=True)


def read_user_agent(text: str) -> Agent:
    """What a user agent says. Of what it does not say, nothing; of robots that they are."""
    return _read(text[:LENGTH])


@lru_cache(maxsize=REMEMBERED)
def _read(text: str) -> Agent:
    from ua_parser import parse  # its rules take a tenth of a second to load

    found = parse(text)
    if found.device is not None and found.device.family == "Spider":
        return ROBOT
    browser, system = found.user_agent, found.os
    os = None if system is None else _SYSTEMS.get(system.family, system.family)
    return Agent(
        None if browser is None else _MOBILE.sub(" ", browser.family).strip() or browser.family,
        None if browser is None else _version(browser.major, browser.minor, browser.patch),
        os,
        None if system is None else _version(system.major, system.minor, system.patch),
        _form(os, text.lower()),
        robot="HeadlessChrome" in text,
    )


def _version(*parts: str | None) -> str | None:
    known = []
    for part in parts:
        if part is None:
            break
        known.append(part)
    return ".".join(known) or None


def _form(os: str | None, text: str) -> str | None:
    if _TELEVISION.search(text) or os in ("tvOS", "Tizen", "webOS"):
        return "phone" if os == "Tizen" and "mobile" in text else "tv"
    if os == "watchOS" or "watch" in text:
        return "watch"
    if "ipad" in text or "tablet" in text:
        return "tablet"
    if os == "Android" and "mobile" not in text and "mozilla" in text:
        return "tablet"  # browsers on phones say that they are mobile; apps say nothing of it
    if os in _DESKTOPS:
        return "desktop"
    if os in ("iOS", "Android") or "mobile" in text:
        return "phone"
    return None


def read_hints(hints: Mapping[str, Any]) -> Agent:
    """What client hints say: `{brands: [{brand, version}], mobile, platform, platformVersion,
    model}`."""
    brands = hints.get("fullVersionList") or hints.get("brands")
    told = tuple(
        (each.get("brand"), each.get("version"))
        for each in (brands[:BRANDS] if isinstance(brands, list) else ())
        if isinstance(each, dict)
    )
    others = tuple(map(hints.get, ("platform", "platformVersion", "mobile", "model")))
    try:
        return _hints(told, *others)
    except TypeError:  # what can't be remembered is not what it should be
        return NOBODY


@lru_cache(maxsize=REMEMBERED)
def _hints(
    brands: tuple[tuple[Any, Any], ...],
    platform: Any,
    platform_version: Any,
    mobile: Any,
    model: Any,
) -> Agent:
    os = _SYSTEMS.get(platform, platform) if isinstance(platform, str) and platform else None
    form = None
    if mobile is True:
        form = "phone"
    elif mobile is False and os is not None:
        form = "tablet" if os == "Android" else "desktop" if os in _DESKTOPS else None
    brand, version = _brand(brands)
    return Agent(
        brand,
        version,
        os,
        None if os is None else _os_version(os, platform_version),
        form,
        model if isinstance(model, str) and model else None,
    )


def _os_version(os: str, told: Any) -> str | None:
    if not isinstance(told, str) or not told:
        return None
    if os != "Windows":
        return told
    # Windows counts its parts: from 13 on it is Windows 11, from 1 on Windows 10.
    major = told.partition(".")[0]
    if not major.isdecimal() or major == "0":
        return None
    return "11" if int(major) >= 13 else "10"


def _brand(told: tuple[tuple[Any, Any], ...]) -> tuple[str | None, str | None]:
    """The browser among brands: neither the placeholder nor, if another is there, the engine."""
    brands = [
        (name, version)
        for name, version in told
        if isinstance(name, str) and name and not _PLACEHOLDER.search(name)
    ]
    brands.sort(key=lambda each: each[0] == "Chromium")  # stable: the engine comes last
    if not brands:
        return None, None
    name, version = brands[0]
    return _BRANDS.get(name, name), version if isinstance(version, str) and version else None


_TOLD_FORMS = {
    "phone": "phone", "mobile": "phone", "smartphone": "phone", "handset": "phone",
    "tablet": "tablet", "desktop": "desktop", "pc": "desktop", "tv": "tv", "watch": "watch",
}  # fmt: skip
_APPLE = (("iPhone", "phone"), ("iPod", "phone"), ("iPad", "tablet"), ("Watch", "watch"),
          ("AppleTV", "tv"), ("Mac", "desktop"))  # fmt: skip


def form_told(kind: Any, model: Any) -> str | None:
    """The form of a device by what an app's SDK tells: `type`, which is `ios` or `android` with
    most, and `model`."""
    if isinstance(model, str):
        for start, form in _APPLE:
            if model.startswith(start):
                return form
    if not isinstance(kind, str):
        return None
    kind = kind.casefold()
    return "phone" if kind in ("ios", "android") else _TOLD_FORMS.get(kind)
