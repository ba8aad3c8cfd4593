"""A person's traits are what all messages come to, whichever of their ids each came with."""

from datetime import UTC
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.core.decisions import GUEST
from service.core.fragments import Fragment, joined
from service.core.identities import anonymous_customer
from service.core.merging import Merge, Written, merge
from service.core.parsing import Schema
from service.core.traits import TraitType

SCHEMA = Schema(zone=UTC, types={"b": TraitType.OBJECT})
_LEAVES = st.one_of(st.none(), st.integers(0, 2), st.just({"lat": 1, "lon": 2}), st.just([1]))
_OBJECTS = st.recursive(
    _LEAVES, lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=5
)
_PATCHES = st.dictionaries(st.sampled_from("abc"), _OBJECTS, min_size=1, max_size=3)
# Who each message is about, and when it was: messages have ids, so no two are of one moment.
_MESSAGES = st.lists(st.tuples(st.sampled_from("xyz"), st.integers(0, 3), _PATCHES), max_size=7)


def told(messages: list[tuple[int, tuple[str, int, dict[str, Any]]]]) -> Merge:
    result = Merge({}, {})
    for number, (_, at, patch) in messages:
        written = Written(at, f"m-{number}", "web")
        result = merge(result.traits, result.times, patch, written, SCHEMA)
    return result


def fragments_of(
    messages: list[tuple[int, tuple[str, int, dict[str, Any]]]],
) -> list[Fragment]:
    found = []
    for who in "xyz":
        own = told([each for each in messages if each[1][0] == who])
        found.append(Fragment(who, 0, 0, traits=own.traits, times=own.times))
    return found


@given(_MESSAGES, st.randoms(use_true_random=False))
def test_joined_is_as_if_all_had_been_told_of_one(
    messages: list[tuple[str, int, dict[str, Any]]], random: Any
) -> None:
    numbered = list(enumerate(messages))
    whole = told(numbered)
    random.shuffle(numbered)
    fragments = fragments_of(numbered)
    random.shuffle(fragments)
    traits, times = joined("x", fragments)
    assert traits == whole.traits
    assert times == whole.times


def test_what_is_joined_shares_nothing_with_the_fragments() -> None:
    one = Fragment("x", 0, 0, traits={"a": {"b": 1}}, times={"a.b": Written(1, "m-1", "web")})
    traits, _ = joined("x", [one])
    traits["a"]["b"] = 2
    assert one.traits == {"a": {"b": 1}}


def test_what_a_visitors_machine_says_is_not_said_of_whom_they_turn_out_to_be() -> None:
    visitor, guest = (anonymous_customer(each) for each in "ab")
    written = {"is_bot": Written(1, "m-1", "web"), "a": Written(1, "m-1", "web")}
    told = {"is_bot": True, "a": 1}
    anonymous = Fragment(visitor, 0, 0, traits=told, times=written)
    assert joined("x", [anonymous, Fragment("x", 0, 0)])[0] == {"a": 1}
    # Of another visitor, and of a guest, it is said.
    assert joined(guest, [anonymous, Fragment(guest, 0, 0)])[0] == told
    known = Fragment(guest, 0, 0, GUEST, told, written)
    assert joined("x", [known, Fragment("x", 0, 0)])[0] == told


def test_the_latest_counts_whoever_was_told_it() -> None:
    early = Fragment("x", 0, 0, traits={"a": 1}, times={"a": Written(1, "m-1", "web")})
    late = Fragment("y", 0, 0, traits={}, times={"a": Written(2, "m-2", "web")})
    assert joined("x", [early, late])[0] == {}
    assert joined("x", [late])[0] == {}
    assert joined("x", [early])[0] == {"a": 1}
