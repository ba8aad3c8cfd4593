"""Deciding: what is settled in which order, at which instants, with which reasons."""

from collections.abc import Mapping
from datetime import UTC
from typing import Any

import pytest

from service.core.catalog import Catalog, Definition, compile_catalog
from service.core.deciding import decide
from service.core.decisions import Decision, Input, Membership, Publication, State
from service.core.events import Event
from service.core.instants import DAY, HOUR, MINUTE, SECOND, format_instant
from service.core.lookahead import BOUNDARIES_WALKED, Horizon
from service.core.merging import Written
from service.core.parsing import Schema
from service.core.traits import TraitType
from tests.core.specification import keys_of

NOW = 1_800_000_000 * SECOND
ADULT = ("age", ">=", 18)


def group(*rules: tuple[str, str, Any], combinator: str = "and") -> dict[str, Any]:
    return {
        "combinator": combinator,
        "rules": [{"field": f, "operator": o, "value": v} for f, o, v in rules],
    }


def segment(key: str, *rules: tuple[str, str, Any], version: int = 1, **more: Any) -> Definition:
    return Definition(key, version, key, group(*rules), **more)


def a_list(key: str) -> Definition:
    return Definition(key, 1, key, None)


def catalog(*definitions: Definition, revision: int = 1, **types: TraitType) -> Catalog:
    return compile_catalog(definitions, Schema(UTC, types), revision)


def newcomer(at: int = NOW, **more: Any) -> State:
    return State("c-1", at, at, **more)


def given(at: int, seen: bool = True, **traits: Any) -> Input:
    return Input(traits, at, seen=seen)


def known(served: Catalog, at: int = NOW, **traits: Any) -> State:
    """A customer whom a catalog has decided."""
    return decide(served, newcomer(at), at, given(at, **traits)).state


def moves(decision: Decision) -> list[tuple[int, str, str, int, Mapping[str, Any]]]:
    return [
        (t.sequence, "+" if t.entered else "-", t.segment, t.at, t.reason)
        for t in decision.transitions
    ]


def ago(at: int, span: int) -> str:
    return format_instant(at - span)


def test_new_traits_let_in_and_out() -> None:
    served = catalog(segment("adult", ADULT), segment("minor", ("age", "<", 18)))
    first = decide(served, newcomer(), NOW, given(NOW, age=17))
    reason = {"kind": "trait", "traits": ["age"]}
    assert moves(first) == [(1, "+", "minor", NOW, reason)]
    assert first.stored
    later = NOW + DAY
    second = decide(served, first.state, later, given(later, age=18))
    assert sorted(moves(second), key=lambda move: move[2]) == [
        (m[0], "+" if m[2] == "adult" else "-", m[2], later, reason)
        for m in sorted(moves(second), key=lambda move: move[2])
    ]
    assert {m[0] for m in moves(second)} == {2, 3}
    assert second.state.memberships == {"adult": Membership(later, 1)}
    assert second.state.sequence == 3


def test_who_is_new_is_stored_even_without_a_segment() -> None:
    decision = decide(catalog(segment("adult", ADULT)), newcomer(), NOW, given(NOW))
    assert decision.stored
    assert decision.state.decided_at == NOW
    assert decision.transitions == []


def test_nothing_changed_nothing_to_store() -> None:
    served = catalog(segment("adult", ADULT))
    state = known(served, age=20)
    again = decide(served, state, NOW + 59 * SECOND, given(NOW + 59 * SECOND, age=20))
    assert not again.stored
    assert moves(again) == []
    assert keys_of(served, again.truths) == {"adult"}


def test_being_seen_is_stored_every_minute() -> None:
    served = catalog(segment("adult", ADULT))
    state = known(served, age=20)
    assert not decide(served, state, NOW + MINUTE - 1, given(NOW + MINUTE - 1)).stored
    seen = decide(served, state, NOW + MINUTE, given(NOW + MINUTE))
    assert seen.stored
    assert seen.state.last_seen == NOW + MINUTE
    looked = decide(served, seen.state, NOW + DAY, given(NOW + DAY, seen=False))
    assert not looked.stored
    assert looked.state.last_seen == NOW + MINUTE


def test_being_seen_is_what_conditions_on_it_read() -> None:
    served = catalog(segment("idle", ("customer.last_seen", "notWithinLast", "7d")))
    state = known(served)
    later = NOW + 8 * DAY
    back = decide(served, state, later, given(later))
    # The condition was true from the seventh day until the customer came back.
    assert moves(back) == [
        (1, "+", "idle", NOW + 7 * DAY, {"kind": "time"}),
        (2, "-", "idle", later, {"kind": "trait"}),
    ]


def test_time_alone_is_settled_before_new_traits_each_change_at_its_instant() -> None:
    served = catalog(
        segment("recent", ("ordered", "withinLast", "7d")),
        segment("lately", ("ordered", "withinLast", "30d")),
        segment("adult", ADULT),
    )
    state = known(served, age=17, ordered=ago(NOW, DAY))
    now = NOW + 60 * DAY
    decision = decide(served, state, now, given(now, age=18))
    assert moves(decision) == [
        (3, "-", "recent", NOW + 6 * DAY, {"kind": "time"}),
        (4, "-", "lately", NOW + 29 * DAY, {"kind": "time"}),
        (5, "+", "adult", now, {"kind": "trait", "traits": ["age"]}),
    ]


def test_what_time_let_in_is_since_then() -> None:
    served = catalog(segment("lapsed", ("ordered", "notWithinLast", "7d")))
    state = known(served, ordered=ago(NOW, DAY))
    decision = decide(served, state, NOW + 60 * DAY)
    assert decision.stored
    assert decision.state.memberships == {"lapsed": Membership(NOW + 6 * DAY, 1)}
    assert decision.state.decided_at == NOW + 60 * DAY


def test_an_older_catalog_comes_first_then_time_then_input() -> None:
    before = catalog(segment("adult", ADULT), segment("recent", ("ordered", "withinLast", "7d")))
    state = known(before, age=20, ordered=ago(NOW, DAY))
    published = NOW + DAY
    after = catalog(
        segment("adult", ("age", ">=", 21), version=2),
        segment("recent", ("ordered", "withinLast", "7d")),
        segment("young", ("age", "<", 30)),
        revision=5,
    )
    now = NOW + 30 * DAY
    decision = decide(
        after, state, now, given(now, age=40), publication=Publication(published, "definition")
    )
    told = moves(decision)
    assert {(m[1], m[2], m[3], m[4]["kind"]) for m in told[:2]} == {
        ("-", "adult", published, "definition"),
        ("+", "young", published, "definition"),
    }
    assert told[2][1:] == ("-", "recent", NOW + 6 * DAY, {"kind": "time"})
    assert {(m[1], m[2], m[3], m[4]["kind"]) for m in told[3:]} == {
        ("+", "adult", now, "trait"),
        ("-", "young", now, "trait"),
    }
    assert [m[0] for m in told] == list(range(3, 8))
    assert decision.state.catalog_revision == 5
    assert decision.state.memberships == {"adult": Membership(now, 2)}


@pytest.mark.parametrize("cause", ["list", "model", "definition"])
def test_the_cause_of_a_publication_is_the_reason(cause: str) -> None:
    state = known(catalog(segment("adult", ADULT)), age=20)
    after = catalog(segment("adult", ("age", ">=", 30), version=2), revision=2)
    decision = decide(after, state, NOW + DAY, publication=Publication(NOW + HOUR, cause))
    assert moves(decision) == [(2, "-", "adult", NOW + HOUR, {"kind": cause})]


@pytest.mark.parametrize(
    ("published", "at"), [(NOW - DAY, NOW), (NOW + HOUR, NOW + HOUR), (NOW + 9 * DAY, NOW + DAY)]
)
def test_a_publication_takes_effect_between_the_last_decision_and_now(
    published: int, at: int
) -> None:
    state = known(catalog(segment("adult", ADULT)), age=20)
    after = catalog(revision=2)
    decision = decide(after, state, NOW + DAY, publication=Publication(published))
    assert [move[3] for move in moves(decision)] == [at]


def test_since_and_version_survive_new_versions_of_the_definition() -> None:
    state = known(catalog(segment("adult", ADULT)), age=40)
    after = catalog(segment("adult", ("age", ">=", 21), version=2), revision=2)
    decision = decide(after, state, NOW + DAY, given(NOW + DAY, age=41))
    assert moves(decision) == []
    assert decision.state.memberships == {"adult": Membership(NOW, 1)}
    assert decision.stored  # the catalog that decided is


def test_archived_segments_are_left_and_refused_ones_kept() -> None:
    state = known(catalog(segment("adult", ADULT), segment("grown", ADULT)), age=40)
    broken = Definition("grown", 2, "grown", {"combinator": "maybe", "rules": []})
    decision = decide(catalog(broken, revision=2), state, NOW + DAY)
    assert [move[1:3] for move in moves(decision)] == [("-", "adult")]
    assert decision.state.memberships == {"grown": Membership(NOW, 1)}


def test_a_list_that_is_left_and_one_that_is_joined() -> None:
    served = catalog(a_list("beta"), segment("both", ("segment:beta", "=", True), ADULT))
    state = newcomer(lists=frozenset({"beta"}))
    first = decide(served, state, NOW, given(NOW, age=20))
    assert keys_of(served, first.truths) == {"beta", "both"}
    first.state.lists = frozenset()
    second = decide(served, first.state, NOW + DAY, given(NOW + DAY))
    assert {move[2] for move in moves(second) if move[1] == "-"} == {"beta", "both"}


FLICKER = [
    segment(f"s{number}", ("ordered", "withinLast", f"{number}min")) for number in range(1, 121)
]


def test_a_hundred_overdue_instants_are_settled_and_the_rest_caught_up() -> None:
    served = catalog(*FLICKER)
    state = known(served, ordered=ago(NOW, 0))
    now = NOW + DAY
    decision = decide(served, state, now)
    told = moves(decision)
    assert [m[4]["kind"] for m in told] == ["time"] * 100 + ["catch_up"] * 20
    assert [m[3] for m in told[:100]] == [NOW + number * MINUTE for number in range(1, 101)]
    assert {m[3] for m in told[100:]} == {now}
    assert decision.state.memberships == {}
    assert decision.state.due_at is None


def test_a_hundred_overdue_instants_need_no_catching_up() -> None:
    served = catalog(*FLICKER[:100])
    decision = decide(served, known(served, ordered=ago(NOW, 0)), NOW + DAY)
    assert {m[4]["kind"] for m in moves(decision)} == {"time"}
    assert len(moves(decision)) == 100


def test_the_answer_holds_until_the_first_change_and_each_segment_until_its_own() -> None:
    served = catalog(
        segment("recent", ("ordered", "withinLast", "7d")),
        segment("lately", ("ordered", "withinLast", "30d")),
        segment("soon", ("renews", "withinNext", "3d")),
        segment("adult", ADULT),
    )
    decision = decide(
        served,
        newcomer(),
        NOW,
        given(NOW, age=20, ordered=ago(NOW, DAY), renews=format_instant(NOW + 5 * DAY)),
    )
    horizon = decision.horizon
    ends = {served.keys[position]: end for position, end in horizon.by_position.items()}
    # Somebody enters "soon" in two days; "recent" ends in six.
    assert horizon.valid_until == NOW + 2 * DAY
    assert ends == {"recent": NOW + 6 * DAY, "lately": NOW + 29 * DAY}
    assert decision.state.due_at == NOW + 2 * DAY


def test_what_time_does_not_touch_holds_for_ever() -> None:
    served = catalog(segment("adult", ADULT))
    assert decide(served, newcomer(), NOW, given(NOW, age=20)).horizon == Horizon()


def test_a_horizon_that_is_not_walked_to_its_end_is_a_lower_bound() -> None:
    many = [
        segment(f"s{number}", ("ordered", "withinLast", f"{number}d"))
        for number in range(1, 2 * BOUNDARIES_WALKED)
    ]
    served = catalog(*many)
    decision = decide(served, newcomer(), NOW, given(NOW, ordered=ago(NOW, 0)))
    assert decision.horizon.valid_until == NOW + DAY
    for position, end in decision.horizon.by_position.items():
        days = int(served.keys[position][1:])
        assert end == NOW + min(days, BOUNDARIES_WALKED) * DAY
    assert len(decision.horizon.by_position) == len(many)


def test_a_boundary_where_nothing_changes_is_no_end() -> None:
    served = catalog(
        Definition(
            "either", 1, "either",
            group(("ordered", "withinLast", "7d"), ("age", ">", 1), combinator="or"),
        )
    )  # fmt: skip
    decision = decide(served, newcomer(), NOW, given(NOW, age=2, ordered=ago(NOW, 0)))
    assert decision.horizon.valid_until is None
    assert decision.horizon.by_position == {}


def test_of_a_scheme_the_first_that_is_true_stands() -> None:
    served = catalog(
        segment("gold", ("spent", ">", 100), scheme="tier", priority=1),
        segment("silver", ("spent", ">", 10), scheme="tier", priority=2),
    )
    state = known(served, spent=50)
    decision = decide(served, state, NOW + DAY, given(NOW + DAY, spent=500))
    assert {move[1:3] for move in moves(decision)} == {("-", "silver"), ("+", "gold")}


def test_a_value_older_than_the_one_known_changes_nothing() -> None:
    served = catalog(segment("adult", ADULT))
    state = known(served, age=20)
    decision = decide(served, state, NOW + SECOND, Input({"age": 10}, NOW - DAY))
    assert not decision.stored
    assert decision.state.traits == {"age": 20}
    assert decision.state.times == {"age": Written(NOW, None, "assign")}


def test_values_that_do_not_fit_are_told_and_left_out() -> None:
    served = catalog(segment("adult", ADULT), age=TraitType.NUMBER)
    decision = decide(served, newcomer(), NOW, given(NOW, age="old"))
    assert [problem.pointer for problem in decision.problems] == ["/traits/age"]
    assert decision.state.traits == {}


def test_looking_again_at_somebody_whom_nobody_decided_yet() -> None:
    served = catalog(segment("none", ("age", "null", None)))
    decision = decide(served, newcomer(), NOW)
    assert moves(decision) == [(1, "+", "none", NOW, {"kind": "trait"})]
    assert decision.stored


def test_looking_again_when_nothing_is_due_stores_nothing_and_answers() -> None:
    served = catalog(segment("recent", ("ordered", "withinLast", "7d")))
    state = known(served, ordered=ago(NOW, DAY))
    decision = decide(served, state, NOW + DAY)
    assert not decision.stored
    assert keys_of(served, decision.truths) == {"recent"}
    assert decision.horizon.valid_until == NOW + 6 * DAY
    assert decision.state.decided_at == NOW


def test_what_an_import_changes_has_that_reason_and_dates_who_was_seen() -> None:
    rule = {"field": "event:A", "operator": ">=", "value": 2, "aggregate": {"function": "count"}}
    condition = {"combinator": "and", "rules": [rule]}
    served = catalog(segment("adult", ADULT), Definition("twice", 1, "twice", condition))
    events = [Event("A", NOW - days * DAY, {}, str(days), "import") for days in (9, 2)]
    told = Input({"age": 30}, NOW - 9 * DAY, source="import", events=events, cause="import")
    decision = decide(served, newcomer(NOW - 9 * DAY), NOW, told)
    assert {t.segment: t.reason for t in decision.transitions} == {
        "adult": {"kind": "import"}, "twice": {"kind": "import"},
    }  # fmt: skip
    assert (decision.state.first_seen, decision.state.last_seen) == (NOW - 9 * DAY, NOW - 2 * DAY)
