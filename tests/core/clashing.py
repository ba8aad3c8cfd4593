"""A small world of conditions and profiles in which rules often clash, or follow one another."""

from datetime import UTC
from random import Random
from typing import Any

from hypothesis import strategies as st

from service.core.catalog import Definition, compile_catalog
from service.core.parsing import Schema
from tests.core import pools, strategies

PRAGUE = {"lat": 50.0755, "lon": 14.4378}
BRNO = {"lat": 49.1951, "lon": 16.6068}

# Operands by field and operator: so few that rules meet.
_NUMBERS = {"=": (1, 2), "!=": (1, 2), "in": ([1], [1, 2], [2, 3]), "notIn": ([1], [1, 2]),
            "<": (1, 2, 3), "<=": (1, 2), ">": (1, 2), ">=": (1, 2, 3),
            "between": ([1, 2], [2, 3]), "notBetween": ([1, 2], [0, 1])}  # fmt: skip
_PRESENCE = {"null": (None,), "notNull": (None,)}
_WINDOWS = ("1d", "30d", "1mo", "2mo", "62d", "1y", "999999y")
_PARTS = ("b", "Br", "rno", "o", "pr")
OPERANDS: dict[str, dict[str, tuple[Any, ...]]] = {
    "age": _NUMBERS | _PRESENCE,
    "spent": _NUMBERS,
    "a": _NUMBERS
    | _PRESENCE
    | {
        "=": (1, "Brno", True, ["vip"], {"k": 1}),
        "!=": (1, "Brno", True),
        "in": ([1, "Brno"], ["Brno", True], [1]),
        "contains": ("r",),
        ">": (1, "2026-11-20T10:00:00Z"),
        "<=": (1, "2026-11-20T10:00:00Z"),
        "versionAtLeast": ("1.2",),
        "withinLast": ("1d",),
        "withinDistance": ({**PRAGUE, "km": 100},),
        "containsAny": (["vip"],),
    },
    "name": {
        "=": ("Brno", "BRNO", "Praha"), "!=": ("Brno", "praha"),
        "in": (["Brno"], ["brno", "Praha"]), "notIn": (["Brno", "Praha"],),
        "contains": _PARTS, "doesNotContain": _PARTS, "beginsWith": _PARTS,
        "doesNotBeginWith": _PARTS, "endsWith": _PARTS, "doesNotEndWith": _PARTS,
        "matches": ("^b", "no$"), **_PRESENCE,
    },
    "vip": {"=": (True, False), "!=": (True, False), **_PRESENCE},
    "seen": {
        "withinLast": _WINDOWS, "notWithinLast": _WINDOWS, "withinNext": _WINDOWS,
        "anniversaryWithin": ("1d", "30d", "1mo"), "<": ("2026-11-20", "2026-11-20T10:00:00Z"),
        ">=": ("2026-11-20", "2026-11-20T10:00:00Z"), "=": ("2026-11-20",), "!=": ("2026-11-20",),
        "between": (["2026-11-19", "2026-11-20"],), **_PRESENCE,
    },
    "app": {"versionAtLeast": ("1.2", "1.10"), "versionBelow": ("1.2", "1.10"), "=": ("1.2",)},
    "tags": {
        "containsAny": (["vip"], ["vip", "new"], ["NEW"]), "containsNone": (["vip"], ["new"]),
        "containsAll": (["vip"], ["vip", "new"]), "=": (["vip"], ["new"]),
    },
    "home": {"withinDistance": tuple({**at, "km": km} for at in (PRAGUE, BRNO)
                                     for km in (10, 100, 300, 1_000_000)), "=": (PRAGUE, BRNO)},
    "customer_id": {"sample": tuple({"percent": share, "salt": salt}
                                    for share in (10, 50, 100) for salt in ("", "x"))},
}  # fmt: skip
PAIRS = (("age", "work.pay"), ("spent", "age"), ("a", "b"), ("name", "a"), ("seen", "born"))
KEYS = ("list-0", "adult", "minor", "gold", "silver", "both")
VALUES: dict[str, tuple[Any, ...]] = {
    "age": (0, 1, 1.5, 2, 3, 4, "1", float("nan"), float("inf")),
    "spent": (0, 1, 1.5, 2, 3, 4, float("inf"), True),
    "a": (1, 2, 0.5, "Brno", "BRNO", "x", True, False, ["vip"], ["VIP"], {"k": 1}, PRAGUE, "1.2",
          "1.1", "2026-11-20T10:00:00Z", "2026-11-20", "2026-11-19T00:00:00Z", float("nan")),
    "b": (1, 2, "Brno", "2026-11-20T09:00:00Z", True),
    "name": ("Brno", "BRNO", "brno", "Praha", "praha", "no", "br", "", 1),
    "vip": (True, False, "true", 1),
    "seen": (*pools.INSTANTS, "2026-10-19", "2026-11-20", "2024-01-01", "2027-02-01", "x"),
    "born": ("2026-11-20", "2026-11-20T10:00:00Z", "2000-02-29"),
    "app": ("1.2", "1.2.0", "1.1", "1.10", "2", "x", 1.2),
    "tags": ([], ["vip"], ["new"], ["VIP", "New"], ["other"], "vip"),
    "home": (PRAGUE, BRNO, {"lat": 0, "lon": 180}, {"lat": 49.6, "lon": 15.5}, {}),
    "customer_id": tuple(f"c-{number}" for number in range(40)),
}  # fmt: skip
SCHEMA = Schema(zone=UTC, types=pools.TYPES)


def rule(field: str, operator: str, value: Any = None, **more: Any) -> dict[str, Any]:
    return {"field": field, "operator": operator, "value": value} | more


BASE = compile_catalog(
    [
        Definition("list-0", 1, "list-0", None),
        *(
            Definition(key, 1, key, {"combinator": "and", "rules": rules}, scheme, priority)
            for key, scheme, priority, rules in (
                ("adult", None, None, [rule("age", ">=", 2)]),
                ("minor", None, None, [rule("age", "<", 2, missing=True)]),
                ("gold", "tier", 1, [rule("spent", ">=", 3)]),
                ("silver", "tier", 2, [rule("spent", ">=", 2)]),
                ("both", None, None, [rule("segment:adult", "=", True),
                                      rule("segment:silver", "=", True)]),
            )
        ),
    ],
    SCHEMA,
)  # fmt: skip


@st.composite
def small_rules(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.integers(0, 7))
    if kind == 0:
        field, other = draw(st.sampled_from(PAIRS))
        operators = ("=", "!=") if field == "name" else ("=", "!=", "<", "<=", ">", ">=")
        found = rule(field, draw(st.sampled_from(operators)), other, valueSource="field")
    elif kind == 1:
        key = draw(st.sampled_from(KEYS))
        operator = draw(st.sampled_from(("=", "!=")))
        return rule(f"segment:{key}", operator, draw(st.booleans()))
    else:
        field = draw(st.sampled_from(list(OPERANDS)))
        operator = draw(st.sampled_from(list(OPERANDS[field])))
        found = rule(field, operator, draw(st.sampled_from(OPERANDS[field][operator])))
        if operator in _PRESENCE:
            return found
    more: dict[str, Any] = draw(
        st.sampled_from(({}, {}, {}, {"missing": True}, {"missing": False},
                         {"caseSensitive": True}))
    )  # fmt: skip
    return found | more


@st.composite
def focused(draw: st.DrawFn) -> Any:
    """A condition over a handful of rules, so that they are about the same fields."""
    pool = draw(st.lists(small_rules(), min_size=2, max_size=4))
    near = [each for each in pool if each.get("valueSource") is None]
    for each in near[:2]:
        if each["field"] in OPERANDS:
            operator = draw(st.sampled_from(list(OPERANDS[each["field"]])))
            operands = OPERANDS[each["field"]][operator]
            pool.append(rule(each["field"], operator, draw(st.sampled_from(operands))))
    for each in pool:
        if each["field"].startswith("segment:"):
            # What the segment asks itself.
            field = draw(st.sampled_from(("age", "spent")))
            pool.append(rule(field, draw(st.sampled_from((">=", "<"))), draw(st.integers(1, 4))))
            break
    return draw(strategies.groups(st.sampled_from(pool), max_leaves=6))


def small_profiles(seed: int, count: int) -> list[dict[str, Any]]:
    random = Random(seed)
    found = []
    for _ in range(count):
        profile = {
            name: random.choice(values)
            for name, values in VALUES.items()
            if name == "customer_id" or random.random() < 0.8
        }
        profile["work"] = {"pay": random.choice((0, 1, 2, 3, "x"))}
        found.append(profile)
    return found


@st.composite
def nearly_always_true(draw: st.DrawFn) -> Any:
    """Alternatives about what is known of one field and of membership."""
    field = draw(st.sampled_from(("age", "a", "name", "customer_id")))
    sample = {"percent": 100, "salt": ""}
    pool = [
        rule(field, "null"),
        rule(field, "notNull"),
        rule("customer_id", "sample", sample, missing=True),
        draw(strategies.references(["adult", "minor", "list-0"])),
        draw(strategies.references(["adult"])),
        draw(small_rules()),
    ]
    return draw(strategies.groups(st.sampled_from(pool), max_leaves=4))
