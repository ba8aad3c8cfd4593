"""The measurements rest on their workload: it is what its docstring says."""

from collections.abc import Iterator
from datetime import UTC
from typing import Any

import pytest

from benchmarks.peers import closures
from benchmarks.workload import FIELDS, NOW_US, make_conditions, make_profiles
from service.core.instants import Moment
from service.core.interpreting import evaluate
from service.core.parsing import Schema, parse_condition
from service.core.traits import TraitType

SHAPES: list[dict[str, bool]] = [{}, {"third_time": True}, {"peers": True}]
TYPES = {
    "signed_up_at": TraitType.INSTANT,
    "last_order_at": TraitType.INSTANT,
    "last_seen_at": TraitType.INSTANT,
    "app_version": TraitType.VERSION,
}


def leaves(rule: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "rules" not in rule:
        yield rule
        return
    for child in rule["rules"]:
        yield from leaves(child)


def branches(rule: dict[str, Any]) -> bool:
    if "rules" not in rule:
        return False
    return rule["not"] or rule["combinator"] == "or" or any(map(branches, rule["rules"]))


def test_the_same_seed_gives_the_same_workload() -> None:
    assert make_conditions(50) == make_conditions(50)
    assert make_profiles(50) == make_profiles(50)
    assert make_conditions(50) != make_conditions(50, seed=2)


def test_profiles_have_28_fields_a_tenth_of_them_missing() -> None:
    profiles = make_profiles(500)
    assert len(FIELDS) == 28
    present = sum(len(profile) for profile in profiles) / (28 * len(profiles))
    assert present == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_conditions_are_as_the_docstring_says(shape: dict[str, bool]) -> None:
    conditions = make_conditions(4_000, **shape)
    predicates = [rule for condition in conditions for rule in leaves(condition)]
    windows = sum(rule["operator"].endswith("Last") for rule in predicates) / len(predicates)
    wanted = 1 / 3 if "third_time" in shape else 0 if "peers" in shape else 0.04
    assert len(predicates) / len(conditions) == pytest.approx(3.4, abs=0.1)
    assert sum(map(branches, conditions)) / len(conditions) == pytest.approx(0.3, abs=0.03)
    assert windows == pytest.approx(wanted, abs=0.02)

    match = closures.prepare(conditions, NOW_US)
    share = sum(len(match(profile)) for profile in make_profiles(20)) / (20 * len(conditions))
    assert 0.01 < share < 0.06


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_compiled_closures_agree_with_the_interpreter(shape: dict[str, bool]) -> None:
    conditions = make_conditions(300, **shape)
    match = closures.prepare(conditions, NOW_US)
    trees = [parse_condition(each, Schema(zone=UTC, types=TYPES)) for each in conditions]
    moment = Moment(NOW_US, UTC)
    for profile in make_profiles(40):
        truths = [evaluate(tree, profile, moment, lambda _: None) for tree in trees]
        assert match(profile) == [index for index, truth in enumerate(truths) if truth]
