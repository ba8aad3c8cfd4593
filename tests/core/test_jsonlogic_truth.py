"""JSONLogic comes in with the truth that its reference implementation gives it, or with a warning.

tests/cases/jsonlogic/README.md says how its cases are made.
"""

import json
from collections.abc import Iterator
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from service.core.importing.draft import Imported
from service.core.importing.jsonlogic import from_jsonlogic
from service.core.instants import Moment
from service.core.interpreting import evaluate
from service.core.parsing import Invalid, Schema
from service.core.traits import TraitType, kind_of
from tests.core.jsonlogic import SCHEMA, var

CASES = Path(__file__).parents[1] / "cases" / "jsonlogic" / "cases.jsonl"
MIXED = ("a", "b", "labels", "work.code")
NOW = Moment(0, UTC)


@cache
def shared() -> dict[str, Any]:
    with CASES.open(encoding="utf-8") as lines:
        return dict(json.loads(next(lines)))


def types() -> dict[str, TraitType]:
    return {name: TraitType(kind) for name, kind in shared()["types"].items()}


def cases() -> Iterator[dict[str, Any]]:
    with CASES.open(encoding="utf-8") as lines:
        next(lines)
        yield from map(json.loads, lines)


def differences(case: dict[str, Any], imported: Imported, profiles: list[int]) -> list[Any]:
    """The profiles of whom JSONLogic and the condition say different things."""
    found = []
    for place in profiles:
        profile = shared()["profiles"][place]
        member = evaluate(imported.parsed, profile, NOW, lambda key: None) is True
        if member != (case["truths"][place] == "1"):
            found.append((case["logic"], imported.condition, profile))
    return found


def everyone() -> list[int]:
    return list(range(len(shared()["profiles"])))


def taken(schema: Schema) -> Iterator[tuple[dict[str, Any], Imported]]:
    for case in cases():
        try:
            yield case, from_jsonlogic(case["logic"], schema)
        except Invalid:
            continue


def test_without_a_warning_truth_is_the_same() -> None:
    sure = 0
    for case, imported in taken(Schema(zone=UTC, types=types())):
        if not imported.warnings:
            assert differences(case, imported, everyone()) == []
            sure += 1
    assert sure > 1_000


def held(profile: dict[str, Any], path: str) -> Any:
    value: Any = profile
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


@pytest.mark.parametrize("kind", ["string", "number", "boolean", "list"])
def test_with_a_declared_type_both_agree(kind: str) -> None:
    """What the warnings advise: of customers whose values have the type, truth is the same."""
    schema = Schema(zone=UTC, types=types() | dict.fromkeys(MIXED, TraitType(kind)))
    sure = 0
    for case, imported in taken(schema):
        named = [name for name in MIXED if f'"{name}"' in json.dumps(case["logic"])]
        if named and not imported.warnings:
            profiles = [
                place
                for place, profile in enumerate(shared()["profiles"])
                if all(kind_of(held(profile, name)) in (None, TraitType(kind)) for name in named)
            ]
            assert differences(case, imported, profiles) == []
            sure += 1
    assert sure > 100


def test_each_warning_is_of_a_difference() -> None:
    needed: dict[str, int] = {}
    for case, imported in taken(Schema(zone=UTC, types=types())):
        given_codes = {each.code for each in imported.warnings}
        if len(given_codes) == 1 and differences(case, imported, everyone()):
            (code,) = given_codes
            needed[code] = needed.get(code, 0) + 1
    assert set(needed) == set(WARNED)


def test_most_of_what_is_asked_for_is_taken() -> None:
    refused = sum(1 for _ in cases()) - sum(1 for _ in taken(Schema(zone=UTC, types=types())))
    assert refused < 150


# For each warning: where it is due, and the same where it is not.
WARNED: dict[str, tuple[list[tuple[Any, list[str]]], list[Any]]] = {
    "loose_equality": (
        [
            ({"==": [var("plan"), 5]}, [""]),
            ({"or": [{"==": [var("plan"), "5"]}, {"==": [var("plan"), 6]}]}, ["/or/0"]),
            ({"==": [var("plan"), True]}, [""]),
            ({"==": [var("country"), 5]}, [""]),
            ({"==": [var("plan"), var("nick")]}, ["", ""]),
            ({"some": [var("tags"), {"==": [var(""), 5]}]}, [""]),
        ],
        [{"===": [var("plan"), 5]}, {"==": [var("plan"), "x"]}, {"==": [var("age"), 5]}],
    ),
    "undeclared_type": (
        [
            ({"<": [var("plan"), 5]}, [""]),
            ({"and": [var("vip"), {"!=": [var("plan"), "x"]}]}, ["/and/1"]),
            ({"!": {"in": [var("plan"), ["x"]]}}, ["/!"]),
            ({"none": [var("plan"), {"==": [var(""), "x"]}]}, [""]),
        ],
        [{"in": [var("plan"), ["x"]]}, {"<": [var("age"), 5]}, {"!": var("plan")}],
    ),
    "compared_as_text": (
        [
            ({">": [var("seen"), "2026-11-20T00:00:00Z"]}, [""]),
            ({"<=": ["2026-11-19", var("seen"), "2026-11-20"]}, [""]),
            ({"!": {"==": [var("app"), "1.2"]}}, ["/!"]),
        ],
        [{"!!": var("seen")}, {"==": [var("app"), None]}],
    ),
    "read_as_declared": (
        [
            ({"===": [var("age"), "5"]}, [""]),
            ({"in": [var("country"), ["x", 5]]}, [""]),
            ({"==": [var("vip"), "true"]}, [""]),
        ],
        [{"==": [var("age"), "5"]}, {"===": [var("vip"), True]}],
    ),
    "missing_compared": (
        [({"startsWith": [var("country"), var("country")]}, [""])],
        [{"startsWith": [var("country"), "x"]}],
    ),
    "empty_text": (
        [({"!": {"missing": ["plan"]}}, ["/!"])],
        [{"missing": ["plan"]}, {"!": {"missing": ["country", "age"]}}],
    ),
    "default": (
        [({"<": [var("age", 5), 3]}, ["/</0/var/0"]), (var("vip", True), ["/var/0"])],
        [{"<": [var("age", 5), 9]}, {"<": [var("age", None), 9]}, var("vip", False)],
    ),
}


@pytest.mark.parametrize("code", WARNED)
def test_each_difference_is_warned_of_where_it_is(code: str) -> None:
    due, not_due = WARNED[code]
    for logic, pointers in due:
        warnings = from_jsonlogic(logic, SCHEMA).warnings
        assert [each.pointer for each in warnings if each.code == code] == pointers, logic
    for logic in not_due:
        assert code not in {each.code for each in from_jsonlogic(logic, SCHEMA).warnings}, logic
