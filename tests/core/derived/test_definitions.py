"""Derived traits' definitions: one way each, in order, without circles."""

from datetime import UTC
from typing import Any

import pytest

from service.core.aggregates import Aggregate, Function, Series
from service.core.derived.definitions import (
    CHAIN_LIMIT,
    DerivedTrait,
    Tangled,
    kinds_in,
    misreadings,
    order_of,
    parse_definition,
)
from service.core.parsing import Invalid, Problem, Schema
from service.core.traits import TraitType

SCHEMA = Schema(UTC)


def aggregate(document: Any, schema: Schema, pointer: str) -> Aggregate:
    if document == "bad":
        raise Invalid([Problem(f"{pointer}/function", "bad_value", "bad")])
    return Aggregate(Function.COUNT, Series(("Visit",), None, None, None, "{}"))


def trait(name: str, **document: Any) -> DerivedTrait:
    return parse_definition(name, document, SCHEMA, aggregate)


def formula(name: str, text: str) -> DerivedTrait:
    return trait(name, formula=text)


def group(*rules: tuple[Any, ...]) -> dict[str, Any]:
    return {
        "combinator": "and",
        "rules": [
            {"field": rule[0], "operator": rule[1], "value": rule[2], **dict(rule[3:])}
            for rule in rules
        ],
    }


def points(condition: dict[str, Any], value: float = 1) -> dict[str, Any]:
    return {"condition": condition, "points": value}


LOYALTY = {"points": [{"event": "Visit", "points": 1}], "half_life": "30d"}


def test_each_kind_is_parsed_with_what_it_reads_and_is() -> None:
    visits = trait("visits", aggregate={"event": "Visit", "function": "count"}, type="number")
    ratio = trait("share", ratio={"numerator": "refunds", "denominator": "shop.sales"})
    due = formula("due", "last_order_at + 30d")
    loyalty = trait("loyalty", score=LOYALTY)
    engaged = trait("engaged", score={"points": [points(group(("a", ">", 1), ("b", "=", 2)))]})
    ranked = trait("ranked", rank={"of": "spent", "among": group(("orders", ">", 0))})
    assert [sorted(each.reads) for each in (visits, ratio, due, loyalty, engaged, ranked)] == [
        [], ["refunds", "shop"], ["last_order_at"], [], ["a", "b"], ["orders", "spent"],
    ]  # fmt: skip
    number, instant = TraitType.NUMBER, TraitType.INSTANT
    assert [each.type for each in (visits, ratio, due, loyalty, engaged, ranked)] == [
        number, number, instant, number, number, number,
    ]  # fmt: skip
    assert [each.decays for each in (visits, due, loyalty, engaged)] == [False, False, True, False]
    assert [len(each.conditions) for each in (due, loyalty, engaged, ranked)] == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("document", "pointers", "code"),
    [
        ({}, [""], "required"),
        ({"type": "number"}, [""], "required"),
        ({"formula": "a + 1", "score": LOYALTY, "rank": {"of": "a"}}, ["/score", "/rank"],
         "bad_value"),
        ({"formula": "a +"}, ["/formula"], "bad_value"),
        ({"aggregate": "bad"}, ["/aggregate/function"], "bad_value"),
        ({"rank": {"of": 1}}, ["/rank/of"], "required"),
    ],
)  # fmt: skip
def test_a_trait_is_derived_in_one_way(
    document: dict[str, Any], pointers: list[str], code: str
) -> None:
    with pytest.raises(Invalid) as caught:
        trait("x", **document)
    problems = caught.value.problems
    assert sorted(each.pointer for each in problems) == sorted(pointers)
    assert {each.code for each in problems} == {code}


def test_a_derived_trait_is_no_part_of_another() -> None:
    with pytest.raises(Invalid) as caught:
        formula("shop.net", "a - b")
    assert [each.pointer for each in caught.value.problems] == ["/path/name"]


def test_a_given_trait_is_derived_in_no_way() -> None:
    assert kinds_in({"type": "number", "formula": None}) == []
    assert kinds_in({"type": "number", "formula": "a"}) == ["formula"]


def test_each_stands_after_what_it_reads() -> None:
    traits = [
        formula("d", "c + a"),
        formula("c", "b * 2 + given"),
        formula("a", "given"),
        formula("b", "a / 2"),
        formula("z", "given"),
    ]
    assert order_of(traits) == ["a", "z", "b", "c", "d"]
    assert order_of(reversed(traits)) == order_of(traits)
    assert order_of([]) == []


def test_a_circle_is_refused_with_its_path_at_each_place() -> None:
    traits = [
        formula("a", "1 + c"),
        trait("b", rank={"of": "given", "among": group(("x", "=", 1), ("a", ">", 1))}),
        trait("c", score={"points": [points(group(("n", "<", "b", ("valueSource", "field"))))]}),
        formula("leans", "a + 1"),
        formula("free", "given + 1"),
    ]
    with pytest.raises(Tangled, match="in a circle: a -> c -> b -> a") as caught:
        order_of(traits)
    assert caught.value.path == ["a", "c", "b", "a"]
    assert {name: [p.pointer for p in each] for name, each in caught.value.problems.items()} == {
        "a": ["/formula"],
        "b": ["/rank/among/rules/1/field"],
        "c": ["/score/points/0/condition/rules/0/value"],
    }
    for problems in caught.value.problems.values():
        for problem in problems:
            assert problem.code == "cycle"
            assert problem.detail.endswith("a -> c -> b -> a")


def test_a_trait_that_reads_itself_is_a_circle() -> None:
    with pytest.raises(Tangled, match="a -> a"):
        order_of([formula("a", "a + 1")])
    with pytest.raises(Tangled, match="a -> a"):
        order_of([formula("a", "a.b + 1")])


def test_too_long_a_chain_is_refused_with_its_path() -> None:
    def chain(length: int) -> list[DerivedTrait]:
        return [formula(f"t{n:03}", f"t{n - 1:03} + 1") for n in range(1, length + 1)]

    assert len(order_of(chain(CHAIN_LIMIT))) == CHAIN_LIMIT
    with pytest.raises(Tangled, match=f"in a chain of more than {CHAIN_LIMIT}: ") as caught:
        order_of(chain(CHAIN_LIMIT + 1))
    assert len(caught.value.path) == CHAIN_LIMIT + 1
    assert len(caught.value.problems) == CHAIN_LIMIT


def test_a_score_that_decays_is_read_by_conditions_only() -> None:
    traits = [
        trait("loyalty", score=LOYALTY),
        trait("steady", score={"points": LOYALTY["points"]}),
        formula("f", "loyalty * 2"),
        trait("q", ratio={"numerator": "orders", "denominator": "loyalty"}),
        trait("r", rank={"of": "loyalty"}),
        trait("s", rank={"of": "spent", "among": group(("loyalty", ">", 5))}),
        trait("t", score={"points": [points(group(("loyalty", ">", 5)))]}),
        formula("u", "steady * 2 + t"),
    ]
    assert {name: [p.pointer for p in each] for name, each in misreadings(traits).items()} == {
        "f": ["/formula"],
        "q": ["/ratio/denominator"],
        "r": ["/rank/of"],
        "s": ["/rank/among/rules/0/field"],
    }


def test_two_scores_that_decay_are_not_compared() -> None:
    compared = ("loyalty", "<", "other", ("valueSource", "field"))
    number = ("loyalty", "<", "spent", ("valueSource", "field"))
    traits = [
        trait("loyalty", score=LOYALTY),
        trait("other", score={**LOYALTY, "half_life": "1d"}),
        trait("t", score={"points": [points(group(number)), points(group(number, compared))]}),
    ]
    (problem,) = misreadings(traits)["t"]
    assert problem.pointer == "/score/points/1/condition/rules/1/value"
    assert problem.detail == "loyalty and other both decay: compare each with a number"
