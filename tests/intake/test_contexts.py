"""What a message's context tells of the device, the browser and the place."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.intake.contexts import context_traits, event_context
from service.intake.user_agents import NOBODY, ROBOT, Agent, form_told, read_hints, read_user_agent

WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
BLINK = "AppleWebKit/537.36 (KHTML, like Gecko)"
AGENTS = [
    (
        f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) {WEBKIT} Version/17.5 "
        "Mobile/15E148 Safari/604.1",
        Agent("Safari", "17.5", "iOS", "17.5", "phone"),
    ),
    (
        f"Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) {WEBKIT} CriOS/125.0.6422.80 "
        "Mobile/15E148 Safari/604.1",
        Agent("Chrome", "125.0.6422", "iOS", "16.6", "tablet"),
    ),
    (
        f"Mozilla/5.0 (Linux; Android 14; Pixel 8) {BLINK} Chrome/126.0.0.0 Mobile Safari/537.36",
        Agent("Chrome", "126.0.0", "Android", "14", "phone"),
    ),
    (
        f"Mozilla/5.0 (Linux; Android 13; SM-X700) {BLINK} Chrome/126.0.0.0 Safari/537.36",
        Agent("Chrome", "126.0.0", "Android", "13", "tablet"),
    ),
    (
        f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {BLINK} Chrome/126.0.0.0 Safari/537.36 "
        "Edg/126.0.0.0",
        Agent("Edge", "126.0.0", "Windows", "10", "desktop"),
    ),
    (
        f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {WEBKIT} Version/17.4 Safari/605.1.15",
        Agent("Safari", "17.4", "macOS", "10.15.7", "desktop"),
    ),
    (
        "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:126.0) Gecko/20100101 Firefox/126.0",
        Agent("Firefox", "126.0", "Ubuntu", None, "desktop"),
    ),
    (
        f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {BLINK} Chrome/126.0.0.0 Safari/537.36",
        Agent("Chrome", "126.0.0", "Chrome OS", "14541.0.0", "desktop"),
    ),
    (
        f"Mozilla/5.0 (SMART-TV; Linux; Tizen 7.0) {BLINK} SamsungBrowser/4.0 Chrome/94.0 TV "
        "Safari/537.36",
        Agent("Samsung Internet", "4.0", "Tizen", "7.0", "tv"),
    ),
    ("Dalvik/2.1.0 (Linux; U; Android 13; Pixel 7 Build/TQ3A)",
     Agent("Android", "13", "Android", "13", "phone")),
    # Robots are nobody's device.
    ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", ROBOT),
    ("", NOBODY),
    ("no browser at all", NOBODY),
]  # fmt: skip

CHROME = [
    {"brand": "Not/A)Brand", "version": "8"},
    {"brand": "Chromium", "version": "126"},
    {"brand": "Google Chrome", "version": "126"},
]
HINTS: list[tuple[dict[str, Any], Agent]] = [
    (
        {"brands": CHROME, "mobile": False, "platform": "Windows", "platformVersion": "15.0.0"},
        Agent("Chrome", "126", "Windows", "11", "desktop"),
    ),
    (
        {"brands": CHROME, "mobile": False, "platform": "Windows", "platformVersion": "10.0.0"},
        Agent("Chrome", "126", "Windows", "10", "desktop"),
    ),
    (
        {"brands": CHROME[:2], "mobile": True, "platform": "Android", "model": "Pixel 8"},
        Agent("Chromium", "126", "Android", None, "phone", "Pixel 8"),
    ),
    ({"mobile": False, "platform": "Android"}, Agent(None, None, "Android", None, "tablet")),
    ({"mobile": False, "platform": "macOS"}, Agent(None, None, "macOS", None, "desktop")),
    ({"brands": CHROME[:1], "platform": ""}, NOBODY),
    ({"brands": "Chrome", "mobile": "no", "platform": ["x"], "model": {}}, NOBODY),
]


@pytest.mark.parametrize(("text", "agent"), AGENTS)
def test_user_agents_are_read(text: str, agent: Agent) -> None:
    assert read_user_agent(text) == agent


@pytest.mark.parametrize(("hints", "agent"), HINTS)
def test_client_hints_are_read(hints: dict[str, Any], agent: Agent) -> None:
    assert read_hints(hints) == agent


@pytest.mark.parametrize(
    ("kind", "model", "form"),
    [
        ("ios", "iPhone15,2", "phone"),
        ("ios", "iPad13,4", "tablet"),
        ("iOS", None, "phone"),
        ("android", "SM-S918B", "phone"),
        ("Tablet", None, "tablet"),
        ("mobile", None, "phone"),
        ("fridge", None, None),
        (None, None, None),
        (7, 8, None),
    ],
)
def test_forms_that_sdks_tell(kind: Any, model: Any, form: str | None) -> None:
    assert form_told(kind, model) == form


def test_a_browser_tells_where_with_it_is() -> None:
    context = {
        "userAgent": AGENTS[0][0],
        "locale": "en-GB",
        "timezone": "Europe/Prague",
        "page": {"url": "https://shop.example/a"},
        "location": {"city": "Brno", "latitude": 49.2, "longitude": 16.6, "speed": 0},
    }
    assert context_traits(context) == {
        "browser": {"name": "Safari", "version": "17.5"},
        "os": {"name": "iOS", "version": "17.5"},
        "device": {"form": "phone", "language": "en", "country": "GB"},
        "locale": "en-GB",
        "timezone": "Europe/Prague",
        "location": {"lat": 49.2, "lon": 16.6},
    }
    assert event_context(context, None) == {
        "device": {"form": "phone"},
        "page": {"url": "https://shop.example/a"},
    }


def test_an_app_is_believed_before_its_user_agent() -> None:
    context = {
        "userAgent": "Dalvik/2.1.0 (Linux; U; Android 13; Pixel 7 Build/TQ3A)",
        "os": {"name": "Android", "version": "14"},
        "device": {"type": "android", "model": "Pixel 7", "id": "d-1"},
        "app": {"name": "Shop", "version": "3.2.0", "build": "77"},
    }
    assert context_traits(context) == {
        "browser": {"name": "Android", "version": "13"},
        "os": {"name": "Android", "version": "14"},
        "device": {"type": "android", "model": "Pixel 7", "form": "phone"},
        "app": {"name": "Shop", "version": "3.2.0", "build": "77"},
    }
    assert event_context(context, None) == {"device": {"type": "android", "form": "phone"}}


def test_hints_count_before_the_user_agent() -> None:
    # Browsers say Windows 10 in their user agent for ever; hints tell 10 and 11 apart.
    context = {"userAgent": AGENTS[4][0], "userAgentData": HINTS[0][0]}
    assert context_traits(context) == {
        "browser": {"name": "Chrome", "version": "126"},
        "os": {"name": "Windows", "version": "11"},
        "device": {"form": "desktop"},
    }
    # A hint without a version takes none away.
    context = {"userAgent": AGENTS[4][0], "userAgentData": {"platform": "Windows"}}
    assert context_traits(context)["os"] == {"name": "Windows", "version": "10"}


@pytest.mark.parametrize(
    ("locale", "found"),
    [
        ("en", {"language": "en"}),
        ("pt_BR", {"language": "pt", "country": "BR"}),
        ("zh-Hant-TW", {"language": "zh", "country": "TW"}),
        ("en-us", {"language": "en", "country": "US"}),
        ("es-419", {"language": "es"}),
        ("english", None),
        ("", None),
        (5, None),
    ],
)
def test_locales_tell_a_language(locale: Any, found: Any) -> None:
    assert context_traits({"locale": locale}).get("device") == found


@pytest.mark.parametrize(
    "location",
    [{"latitude": 91, "longitude": 0}, {"latitude": "49", "longitude": 16}, {"city": "Brno"}, "x"],
)
def test_places_that_are_none(location: Any) -> None:
    assert context_traits({"location": location}) == {}


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "model", "brand", "name", "x"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)
NAMES = [
    "userAgent", "userAgentData", "device", "os", "app", "locale", "timezone", "location", "page",
    "campaign", "brands", "platform", "platformVersion", "mobile", "latitude",
]  # fmt: skip


@given(
    st.dictionaries(
        st.sampled_from(NAMES), ANYTHING | st.dictionaries(st.sampled_from(NAMES), ANYTHING)
    )
)
def test_whatever_is_sent_is_no_error(context: dict[str, Any]) -> None:
    traits, beside = context_traits(context), event_context(context, None)
    # Told again, it is the same: what is remembered has not been changed by who got it.
    traits.get("device", {})["form"] = traits.get("os", {})["name"] = "changed"
    beside.clear()
    again = context_traits(context)
    assert "changed" not in (
        again.get("device", {}).get("form"),
        again.get("os", {}).get("name"),
    )
