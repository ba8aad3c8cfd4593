"""The golden cases: one table of expected truths, and every evaluator held to it.

A file of `tests/cases` holds `cases` and what they share (`zone`, `types`, `now`). A case is one of

- `rule` with `values` ([value, truth] of its field), `absent` (the truth without a value) or
  `pairs` ([value, other field's value, truth]; null is no value there),
- `condition` with `profile` and `truth`,
- `tree` over the file's `named` rules, with `truth`,
- `segments` with `answers`: profile, lists (null: they can't be read) and the members.

Truth is true, false or null for unknown. An evaluator that knows members alone shows unknown as a
condition that holds neither as it stands nor negated.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from service.core.blocks import BlockPlan, match_block
from service.core.catalog import Catalog, Definition, compile_catalog
from service.core.columns import Block
from service.core.instants import parse_instant
from service.core.operators import OPERATORS
from service.core.parsing import Schema
from service.core.traits import TraitType
from tests.core.specification import keys_of, members

CASES = Path(__file__).parents[1] / "cases"
NOW = "2026-11-20T10:00:00Z"

Lists = frozenset[str] | None


class Question(NamedTuple):
    """One profile put to a catalog."""

    catalog: Catalog
    profile: dict[str, Any]
    now: int
    lists: Lists
    expected: frozenset[str]


def by_interpreter(question: Question) -> frozenset[str]:
    return members(question.catalog, question.profile, question.now, question.lists)


def by_index(question: Question) -> frozenset[str]:
    catalog = question.catalog
    found = catalog.matcher.match(question.profile, question.now, question.lists)
    return keys_of(catalog, found)


def by_block(question: Question) -> frozenset[str]:
    """The profile in the middle of a block, whose other rows are empty."""
    catalog, lists = question.catalog, question.lists
    plan = BlockPlan(catalog)
    block = Block.from_profiles([{}, question.profile, {}], plan.fields)
    on_lists = None if lists is None else {key: np.array([False, True, False]) for key in lists}
    return keys_of(catalog, match_block(plan, block, question.now, on_lists).row(1))


EVALUATORS: dict[str, Callable[[Question], frozenset[str]]] = {
    "interpreter": by_interpreter,
    "index": by_index,
    "block": by_block,
}


def catalog_of(shared: dict[str, Any], segments: list[dict[str, Any]]) -> Catalog:
    zone = ZoneInfo(shared["zone"]) if "zone" in shared else UTC
    types = {name: TraitType(kind) for name, kind in shared.get("types", {}).items()}
    definitions = []
    for each in segments:
        condition = each.get("condition")
        if "rule" in each:
            condition = {"combinator": "and", "rules": [each["rule"]]}
        definitions.append(
            Definition(
                each["key"], 1, each["key"], condition, each.get("scheme"), each.get("priority")
            )
        )
    catalog = compile_catalog(definitions, Schema(zone=zone, types=types))
    assert not catalog.refused, [str(refusal.problems) for refusal in catalog.refused]
    return catalog


def tree_of(named: dict[str, Any], tree: Any) -> dict[str, Any]:
    if isinstance(tree, str):
        return named[tree]  # type: ignore[no-any-return]
    combinator, *children = tree
    return {
        "combinator": "and" if combinator == "not" else combinator,
        "not": combinator == "not",
        "rules": [tree_of(named, child) for child in children],
    }


def truths(case: dict[str, Any]) -> Iterator[tuple[dict[str, Any], bool | None]]:
    """The profiles of a case, each with the truth expected."""
    if "profile" in case:
        yield case["profile"], case["truth"]
    name = case.get("rule", {}).get("field")
    if "absent" in case:
        yield {}, case["absent"]
    for value, truth in case.get("values", ()):
        yield {name: value}, truth
    for value, other, truth in case.get("pairs", ()):
        yield {name: value, case["rule"]["value"]: other}, truth


def questions(shared: dict[str, Any], case: dict[str, Any]) -> Iterator[Question]:
    settings = shared | {key: case[key] for key in ("zone", "now", "types") if key in case}
    now = parse_instant(settings.get("now", NOW), UTC)
    assert now is not None
    if "segments" in case:
        catalog = catalog_of(settings, case["segments"])
        for answer in case["answers"]:
            lists = answer.get("lists", [])
            yield Question(
                catalog,
                answer["profile"],
                now,
                None if lists is None else frozenset(lists),
                frozenset(answer["members"]),
            )
        return
    if "tree" in case:
        inner = tree_of(shared["named"], case["tree"])
        case = case | {"profile": shared["profile"]}
    else:
        inner = case.get("rule") or case["condition"]
    as_is = {"combinator": "and", "rules": [inner]}
    catalog = catalog_of(
        settings,
        [{"key": "true", "condition": as_is}, {"key": "false", "condition": as_is | {"not": True}}],
    )
    for profile, truth in truths(case):
        expected = () if truth is None else ("true",) if truth else ("false",)
        yield Question(catalog, profile, now, frozenset(), frozenset(expected))


def all_cases() -> Iterator[Any]:
    for path in sorted(CASES.glob("*.json")):
        shared = json.loads(path.read_text(encoding="utf-8"))
        for number, case in enumerate(shared.pop("cases")):
            yield pytest.param(shared, case, id=f"{path.stem}-{number}")


@pytest.mark.parametrize("evaluator", EVALUATORS)
@pytest.mark.parametrize(("shared", "case"), list(all_cases()))
def test_case(shared: dict[str, Any], case: dict[str, Any], evaluator: str) -> None:
    asked = list(questions(shared, case))
    assert asked
    for question in asked:
        found = EVALUATORS[evaluator](question)
        assert found == question.expected, (question.profile, question.lists)


def test_there_are_hundreds_of_cases_and_none_is_left_out() -> None:
    asked = 0
    for param in all_cases():
        asked += sum(1 for _ in questions(*param.values))
    assert asked > 800


def test_every_operator_has_golden_cases_of_every_truth() -> None:
    seen: dict[str, set[bool | None]] = {name: set() for name in OPERATORS}
    for param in all_cases():
        _, case = param.values
        if "rule" in case:
            seen[case["rule"]["operator"]] |= {truth for _, truth in truths(case)}
    two_valued = {"null", "notNull"}
    lacking = {
        name: expected - truths_seen
        for name, truths_seen in seen.items()
        if (expected := {True, False} if name in two_valued else {True, False, None}) - truths_seen
    }
    assert not lacking
