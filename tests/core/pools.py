"""The small world that random conditions are about: its fields, and their values.

Pools are short on purpose: a comparison with a value that no profile ever has finds no mistake.
"""

from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from service.core.instants import from_datetime
from service.core.parsing import CUSTOMER_FACTS, MODEL_OUTPUTS
from service.core.traits import TraitType

T = TraitType

TYPES: dict[str, TraitType] = {
    "name": T.STRING,
    "age": T.NUMBER,
    "spent": T.MONEY,
    "vip": T.BOOLEAN,
    "seen": T.INSTANT,
    "born": T.DATE,
    "app": T.VERSION,
    "tags": T.LIST,
    "home": T.POINT,
    "info": T.OBJECT,
    "work.title": T.STRING,
    "work.pay": T.NUMBER,
}
UNDECLARED = ("a", "b", "work.since", "work.code")
BUILT_IN: dict[str, TraitType] = {
    "customer_id": T.STRING,
    "customer.last_seen": CUSTOMER_FACTS["last_seen"],
    "model:tiers.label": MODEL_OUTPUTS["label"],
    "model:tiers.confidence": MODEL_OUTPUTS["confidence"],
    "model:tiers.unusual": MODEL_OUTPUTS["unusual"],
}
FIELDS: dict[str, TraitType | None] = {**TYPES, **dict.fromkeys(UNDECLARED), **BUILT_IN}

ZONES: tuple[tzinfo, ...] = (
    UTC,
    ZoneInfo("Europe/Prague"),
    ZoneInfo("America/New_York"),
    ZoneInfo("Pacific/Kiritimati"),
    ZoneInfo("Australia/Lord_Howe"),
)

TEXTS = (
    "Brno", "BRNO", "brno", "Praha", "Straße", "STRASSE", "İzmir", "i̇zmir", "ΣΊΣΥΦΟΣ", "σίσυφος",
    "Café", "Cafe\u0301", "ﬁn", "fin", "", " ", "true", "1", "a.b", "🎉", "\u0000", "ab" * 200,
)  # fmt: skip
PARTS = ("b", "rn", "SS", "ß", "σ", "é", "e", "🎉", "fin", "1", "BRNO", "praha")
PATTERNS = ("^b", "r.o$", "[0-9]+", "(?i)PRAHA", "é", "^$", ".", "a{3}", "ß|ss")
NUMBERS: tuple[int | float, ...] = (
    0, 1, 2, 3, -1, 0.0, -0.0, 0.5, 1.0, 1.5, 2.5, 18, 17.999999999999996, 0.1, 0.30000000000000004,
    2**53, 2**53 + 1, float(2**53), -(2**53) - 1, 2**63, -(2**63), 2**64 + 1, 10**30, -(10**30),
    1e308, -1e308, 5e-324, 120.5, 1e16,
)  # fmt: skip
ODD_NUMBERS: tuple[int | float, ...] = (float("nan"), float("inf"), float("-inf"), 10**400)
AMOUNTS = (*NUMBERS, "0.1", "120.50", "99999999999999999999")
DAYS = (
    "2024-02-29", "2025-02-28", "2026-03-01", "2026-03-29", "2026-03-30", "2026-10-25",
    "2026-10-26", "2026-11-20", "2026-11-21", "2026-12-31", "2027-01-01", "1970-01-01",
    "0001-01-01", "9999-12-31",
)  # fmt: skip
INSTANTS = (
    "2026-11-20T10:00:00Z", "2026-11-20T11:00:00+01:00", "2026-11-20T23:30:00Z",
    "2026-11-21T00:00:00Z", "2026-11-20T22:59:59.999999Z", "2026-11-20T10:00:00",
    "2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z", "2026-10-25T00:30:00Z",
    "2026-10-25T01:30:00Z", "2024-02-29T12:00:00Z", "2026-03-31T08:00:00Z", "2027-06-01 08:00:00z",
    "2026-10-20T10:00:00Z", "2026-11-19T10:00:00.5Z", "9999-12-31T23:59:59Z",
)  # fmt: skip
NO_INSTANTS = ("2026-02-30", "2026-11-20T25:00:00Z", "20261120", "2026-11-20T10:00Z", "yesterday")
DATETIMES = (datetime(2026, 11, 20, 10, tzinfo=UTC), datetime(2026, 11, 20, 10))  # noqa: DTZ001
DURATIONS = (
    "1s", "30min", "12h", "1d", "2d", "7d", "1w", "30d", "400d", "1mo", "2mo", "3mo", "1y", "2y",
    "999999y",
)  # fmt: skip
VERSIONS = ("1", "1.0", "v1.0.0", "1.2", "1.10", "1.2.3", "1.2.3-beta.2", "1.2.3-beta.11",
            "1.2.3+build", "2.0.0-rc.1", "2.0.0", "0.0.0")  # fmt: skip
NO_VERSIONS = ("1.x", "", "one", "1.2.3.4.5.6.7")
ITEMS: tuple[Any, ...] = ("vip", "VIP", "new", "Straße", "strasse", 1, 1.0, 2, 2**53 + 1, 2.5, "1")
LISTS: tuple[list[Any], ...] = (
    [], ["vip"], ["VIP", "new"], [1, 2], [1.0, "1"], [True], [None, "new"], [["vip"], {"vip": 1}],
    ["Straße", "vip", "new", 2], [2**53 + 1, 2.5], ["new", float("nan")],
)  # fmt: skip
POINTS: tuple[Any, ...] = (
    {"lat": 50.0755, "lon": 14.4378}, {"lat": 49.1951, "lon": 16.6068}, {"lat": 0, "lon": 180},
    {"lat": 0, "lon": -180}, {"lat": 90, "lon": 0},
    {"lat": 49.1951, "lon": 16.6068, "city": "Brno"}, {"lat": 91, "lon": 0},
    {"lat": "50", "lon": 14}, {"lat": 50.0}, {"lat": True, "lon": 1},
)  # fmt: skip
GOOD_POINTS = POINTS[:5]
OBJECTS: tuple[Any, ...] = ({}, {"k": "V"}, {"k": "v"}, {"k": 1, "l": [1]}, {"k": True})
CUSTOMER_IDS = ("c-1", "c-2", "č-3", "", "anon_9")

NOWS = tuple(
    from_datetime(datetime.fromisoformat(text).astimezone(UTC))
    for text in (
        "2026-11-20T10:00:00+00:00", "2026-11-21T00:00:00+00:00", "2026-11-20T23:00:00+01:00",
        "2026-03-29T01:00:00+00:00", "2026-10-25T01:00:00+00:00", "2027-02-28T12:00:00+00:00",
        "2028-02-29T00:00:00+00:00", "2026-12-31T23:59:59.999999+00:00",
        "2026-04-30T08:00:00+00:00",
    )
)  # fmt: skip

VALUES_BY_TYPE: dict[TraitType, tuple[Any, ...]] = {
    T.STRING: TEXTS,
    T.NUMBER: NUMBERS + ODD_NUMBERS,
    T.MONEY: tuple(value for value in NUMBERS + ODD_NUMBERS),
    T.BOOLEAN: (True, False),
    T.INSTANT: INSTANTS + DAYS + NO_INSTANTS + DATETIMES,
    T.DATE: DAYS + INSTANTS[:4] + NO_INSTANTS + DATETIMES,
    T.VERSION: VERSIONS + NO_VERSIONS,
    T.LIST: LISTS,
    T.POINT: POINTS,
    T.OBJECT: OBJECTS + POINTS[:2],
}
ANY_VALUE = tuple(value for values in VALUES_BY_TYPE.values() for value in values)
