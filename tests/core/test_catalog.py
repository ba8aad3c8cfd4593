"""Compiling a catalog: what can't stand is refused with its reason, the rest serves."""

from datetime import UTC
from typing import Any

import pytest

from service.core.catalog import Catalog, Definition, compile_catalog
from service.core.matching import Level
from service.core.parsing import Schema
from service.core.references import Tangled, order, users_of
from service.core.traits import TraitType

SCHEMA = Schema(zone=UTC)


def rule(field: str, operator: str = "=", value: Any = True) -> dict[str, Any]:
    return {"combinator": "and", "rules": [{"field": field, "operator": operator, "value": value}]}


def refers(*keys: str) -> dict[str, Any]:
    rules = [{"field": f"segment:{key}", "operator": "=", "value": True} for key in keys]
    return {"combinator": "and", "rules": rules}


def segment(
    key: str, condition: Any, scheme: str | None = None, priority: int | None = None
) -> Definition:
    return Definition(key, 1, key, condition, scheme, priority)


def compiled(*definitions: Definition) -> Catalog:
    return compile_catalog(definitions, SCHEMA)


def refusals(catalog: Catalog) -> dict[str, tuple[str, str, str]]:
    """For each refused key pointer, code and detail of its first problem."""
    return {
        refusal.key: (
            refusal.problems[0].pointer,
            refusal.problems[0].code,
            refusal.problems[0].detail,
        )
        for refusal in catalog.refused
    }


def members(catalog: Catalog, profile: dict[str, Any], lists: Any = frozenset()) -> set[str]:
    bits = catalog.matcher.match(profile, 0, lists)
    return {key for place, key in enumerate(catalog.keys) if bits >> place & 1}


def test_a_broken_condition_is_refused_and_the_rest_serves() -> None:
    catalog = compiled(segment("good", rule("a")), segment("bad", rule("a", "~", 1)))
    assert set(catalog.segments) == {"good"}
    pointer, code, _ = refusals(catalog)["bad"]
    assert (pointer, code) == ("/condition/rules/0/operator", "unknown_operator")
    assert members(catalog, {"a": True}) == {"good"}


def test_a_dangling_reference_takes_along_whoever_leans_on_it() -> None:
    catalog = compiled(
        segment("top", refers("middle")),
        segment("middle", refers("gone")),
        segment("apart", rule("a")),
    )
    assert refusals(catalog) == {
        "middle": (
            "/condition/rules/0/field", "unknown_segment",
            "it refers to gone, which is no active segment",
        ),
        "top": (
            "/condition/rules/0/field", "unknown_segment",
            "it refers to middle, which is refused itself",
        ),
    }  # fmt: skip
    assert set(catalog.segments) == {"apart"}


def nested(*rules: Any) -> dict[str, Any]:
    """`x and (a or b or ...)`."""
    inner = {"combinator": "or", "rules": list(rules)}
    return {"combinator": "and", "rules": [*rule("x")["rules"], inner]}


def places(catalog: Catalog) -> dict[str, list[str]]:
    """For each refused key the places of its problems below `/condition/rules/`."""
    return {
        refusal.key: [
            problem.pointer.removeprefix("/condition/rules/") for problem in refusal.problems
        ]
        for refusal in catalog.refused
    }


def test_every_rule_that_refers_to_nobody_is_told() -> None:
    rules = refers("gone", "good", "middle", "lost", "gone")["rules"]
    catalog = compiled(
        segment("top", nested(*rules)),
        segment("middle", refers("gone")),
        segment("good", rule("x")),
    )
    below = [f"1/rules/{index}/field" for index in (0, 2, 3, 4)]
    assert places(catalog) == {"top": below, "middle": ["0/field"]}
    top = next(refusal for refusal in catalog.refused if refusal.key == "top")
    assert [problem.detail for problem in top.problems] == [
        "it refers to gone, which is no active segment",
        "it refers to middle, which is refused itself",
        "it refers to lost, which is no active segment",
        "it refers to gone, which is no active segment",
    ]


def test_who_leans_on_itself_and_on_nobody_is_told_of_nobody() -> None:
    catalog = compiled(segment("a", refers("a", "gone")))
    assert places(catalog) == {"a": ["1/field"]}


def test_every_rule_that_reads_a_refused_model_is_told() -> None:
    other = {"field": "label", "operator": "=", "valueSource": "field",
             "value": "model:tiers.label"}  # fmt: skip
    reads = [*rule("model:tiers.label", "=", "gold")["rules"], other]
    reads += rule("model:scores.score", ">", 1)["rules"]
    catalog = compile_catalog(
        [segment("reads", nested(*rule("x")["rules"], *reads))],
        SCHEMA,
        missing_models={"tiers": "no such file", "scores": "wrong digest"},
    )
    assert places(catalog) == {"reads": ["1/rules/1/field", "1/rules/2/value", "1/rules/3/field"]}
    [refusal] = catalog.refused
    assert {problem.code for problem in refusal.problems} == {"model_refused"}
    assert [problem.detail for problem in refusal.problems] == [
        "it reads the model tiers, which is refused: no such file",
        "it reads the model tiers, which is refused: no such file",
        "it reads the model scores, which is refused: wrong digest",
    ]


@pytest.mark.parametrize("keys", ["abc", "cab", "bca"])
def test_a_circle_is_refused_with_its_path(keys: str) -> None:
    following = {"a": "b", "b": "c", "c": "a"}
    catalog = compiled(*(segment(key, refers(following[key])) for key in keys))
    detail = "segments refer to each other in a circle: a -> b -> c -> a"
    place = "/condition/rules/0/field"
    assert refusals(catalog) == dict.fromkeys("abc", (place, "cycle", detail))


def test_only_the_rules_of_a_circle_are_told() -> None:
    catalog = compiled(
        segment("vip", nested(*refers("good", "loyal", "good", "loyal")["rules"])),
        segment("loyal", refers("good", "vip")),
        segment("good", rule("x")),
    )
    assert places(catalog) == {"vip": ["1/rules/1/field", "1/rules/3/field"], "loyal": ["1/field"]}
    _, code, detail = refusals(catalog)["vip"]
    assert (code, detail) == (
        "cycle", "segments refer to each other in a circle: loyal -> vip -> loyal",
    )  # fmt: skip


def test_a_segment_that_refers_to_itself_is_a_circle() -> None:
    detail = "segments refer to each other in a circle: a -> a"
    place = "/condition/rules/0/field"
    assert refusals(compiled(segment("a", refers("a")))) == {"a": (place, "cycle", detail)}


def test_references_within_a_scheme_are_refused_each_at_its_rule() -> None:
    catalog = compiled(
        segment("a", refers("b", "apart", "c"), "s", 1),
        segment("b", rule("x"), "s", 2),
        segment("c", None, "s", 3),
        segment("apart", rule("x"), "t", 1),
    )
    assert set(catalog.segments) == {"b", "c", "apart"}
    assert places(catalog) == {"a": ["0/field", "2/field"]}
    [refusal] = catalog.refused
    assert [(problem.code, problem.detail) for problem in refusal.problems] == [
        ("cycle", f"segments of one scheme can't refer to each other: a -> {key}, both of s")
        for key in "bc"
    ]


def test_a_circle_through_a_scheme_shows_the_way() -> None:
    # Whether someone wins `first` depends on `second`, which asks `outside`, which asks `first`.
    catalog = compiled(
        segment("first", rule("x"), "s", 1),
        segment("second", refers("outside"), "s", 2),
        segment("outside", refers("first")),
    )
    detail = "segments refer to each other in a circle: outside -> first -> second -> outside"
    place = "/condition/rules/0/field"
    assert refusals(catalog) == dict.fromkeys(("outside", "second"), (place, "cycle", detail))
    assert set(catalog.segments) == {"first"}


def test_who_only_leans_on_a_circle_is_not_called_part_of_it() -> None:
    catalog = compiled(
        segment("a", refers("b")), segment("b", refers("a")), segment("0-leans", refers("a"))
    )
    assert {key: code for key, (_, code, _) in refusals(catalog).items()} == {
        "a": "cycle", "b": "cycle", "0-leans": "unknown_segment",
    }  # fmt: skip


@pytest.mark.parametrize("backwards", [False, True])
def test_a_chain_of_references_has_a_limit_whatever_the_order(backwards: bool) -> None:
    chain = [segment("s00", rule("x"))]
    chain += [segment(f"s{n:02}", refers(f"s{n - 1:02}")) for n in range(1, 70)]
    catalog = compiled(*(reversed(chain) if backwards else chain))
    assert set(catalog.segments) == {f"s{n:02}" for n in range(64)}
    pointer, code, detail = refusals(catalog)["s64"]
    assert (pointer, code) == ("/condition/rules/0/field", "cycle")
    assert "in a chain of more than 64: s64 -> s63 -> " in detail
    assert members(catalog, {"x": True}) == set(catalog.segments)


def test_a_long_chain_is_no_matter_of_recursion() -> None:
    chain = [segment("s0000", rule("x"))]
    chain += [segment(f"s{n:04}", refers(f"s{n - 1:04}")) for n in range(1, 3_000)]
    assert len(compiled(*reversed(chain)).segments) == 64


def test_a_priority_belongs_to_one_segment_of_a_scheme() -> None:
    catalog = compiled(
        segment("a", rule("x"), "s", 1),
        segment("b", rule("x"), "s", 1),
        segment("c", rule("x"), "t", 1),
        segment("d", rule("x"), "s", None),
    )
    assert refusals(catalog) == {
        "b": ("/priority", "conflict", "priority 1 of s is a's already"),
        "d": ("/priority", "conflict", "a segment of scheme s needs a priority"),
    }


def test_the_lowest_priority_that_is_true_wins_its_scheme() -> None:
    catalog = compiled(
        segment("gold", rule("spent", ">", 100), "tier", 10),
        segment("silver", rule("spent", ">", 10), "tier", 20),
        segment("rest", rule("spent", ">", 0), "tier", 30),
        segment("not-gold", {**refers("gold"), "not": True}),
    )
    assert catalog.schemes == {"tier": ("gold", "silver", "rest")}
    assert members(catalog, {"spent": 500}) == {"gold"}
    assert members(catalog, {"spent": 50}) == {"silver", "not-gold"}
    assert members(catalog, {"spent": 5}) == {"rest", "not-gold"}
    assert members(catalog, {}) == {"not-gold"}


def test_a_list_takes_its_place_in_a_scheme() -> None:
    catalog = compiled(
        segment("staff", None, "s", 1),
        segment("guest", None, "s", 2),
        segment("asks", refers("guest")),
    )
    assert members(catalog, {}, {"staff", "guest"}) == {"staff"}
    assert members(catalog, {}, {"guest"}) == {"guest", "asks"}
    mixed = compiled(
        segment("rule", rule("x"), "s", 1),
        segment("list", None, "s", 2),
        segment("asks", refers("list")),
    )
    assert members(mixed, {"x": True}, {"list"}) == {"rule"}
    assert members(mixed, {}, {"list"}) == {"list", "asks"}


def test_lists_and_rules_may_refer_across_a_scheme_without_a_circle() -> None:
    # The list needs nothing, but whether it wins does.
    catalog = compiled(
        segment("list", None, "s", 1),
        segment("asks", refers("list"), "s", 2),
    )
    assert refusals(catalog)["asks"][1] == "cycle"


def test_an_unread_list_is_unknown_whichever_way_it_is_asked() -> None:
    catalog = compiled(
        segment("list", None),
        segment("on", refers("list")),
        segment("off", {**refers("list"), "not": True}),
        segment("either", {"combinator": "or", "rules": [*refers("list")["rules"],
                                                         *rule("x")["rules"]]}),
    )  # fmt: skip
    assert members(catalog, {"x": True}, None) == {"either"}
    assert members(catalog, {}, None) == set()
    assert members(catalog, {}, frozenset()) == {"off"}


def test_conditions_unchanged_since_the_previous_catalog_are_kept() -> None:
    first = compiled(segment("a", rule("x")), segment("b", rule("y")))
    second = compile_catalog(
        [segment("a", rule("x")), segment("b", rule("z"))], SCHEMA, 2, previous=first
    )
    assert second.segments["a"].condition is first.segments["a"].condition
    assert second.segments["b"].condition is not first.segments["b"].condition
    other_schema = Schema(zone=UTC, types={"x": TraitType.BOOLEAN})
    third = compile_catalog([segment("a", rule("x"))], other_schema, 3, previous=first)
    assert third.segments["a"].condition is not first.segments["a"].condition


def test_order_puts_each_segment_above_what_it_refers_to() -> None:
    catalog = compiled(
        segment("c", refers("b", "a")), segment("b", refers("a")), segment("a", rule("x"))
    )
    levels = order(catalog.segments)
    assert [[key for key, _ in level.conditions] for level in levels] == [["a"], ["b"], ["c"]]
    assert all(isinstance(level, Level) for level in levels)


def test_tangled_names_the_path() -> None:
    catalog = compiled(segment("a", rule("x")))
    looped = dict(compiled(segment("a", rule("x")), segment("b", refers("a"))).segments)
    looped["a"] = looped["b"]
    with pytest.raises(Tangled) as caught:
        order(looped | {"b": looped["b"]})
    assert caught.value.path[0] == caught.value.path[-1]
    assert order(catalog.segments)


def test_users_and_models_are_told() -> None:
    catalog = compiled(
        segment("a", rule("model:tiers.label", "=", "gold")),
        segment("c", refers("a")),
        segment("b", refers("a")),
    )
    assert users_of("a", catalog.segments.values()) == ["b", "c"]
    assert users_of("b", catalog.segments.values()) == []
    assert catalog.models == {"tiers"}
