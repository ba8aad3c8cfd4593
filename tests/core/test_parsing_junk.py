"""Parsing: whatever comes in, it is a condition with a sentence or refused where it is."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.core.english import summarise
from service.core.operators import OPERATORS
from service.core.parsing import (
    GROUP_PROPERTIES,
    RULE_PROPERTIES,
    Invalid,
    Problem,
    Schema,
    parse_condition,
)
from tests.core import pools, strategies
from tests.core.reading import SCHEMA, TYPES, group, points_into

_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
    st.sampled_from((*OPERATORS, "and", "or", "a", "age", "seen", "segment:x", "customer_id",
                     "model:x.label", "2026-11-20", "1d", "field", 10**400, "\ud800", "\x00")),
)  # fmt: skip
_names = st.one_of(
    st.sampled_from(sorted(GROUP_PROPERTIES | RULE_PROPERTIES | {"lat", "lon", "km", "percent"})),
    st.text(max_size=4),
)
junk = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(_names, inner, max_size=6)
    ),
    max_leaves=12,
)
_fuzz = settings(
    max_examples=200,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def refusals(document: Any, schema: Schema = SCHEMA) -> list[Problem]:
    """The problems of a document, none if it parses. No other exception may come of it."""
    try:
        parse_condition(document, schema)
    except Invalid as fault:
        found = fault.problems
    else:
        return []
    assert found
    assert all(points_into(document, problem.pointer) for problem in found)
    return found


@_fuzz
@given(junk)
def test_junk_is_refused_and_nothing_worse(document: Any) -> None:
    refusals(document)


@_fuzz
@given(
    st.fixed_dictionaries(
        {"field": _scalars, "operator": st.sampled_from(sorted(OPERATORS)), "value": junk},
        optional={"missing": junk, "caseSensitive": junk, "valueSource": junk},
    )
)
def test_rules_with_junk_in_them_are_refused_and_nothing_worse(document: Any) -> None:
    refusals(group(document))


@_fuzz
@given(strategies.groups(strategies.rules()), st.data())
def test_conditions_broken_in_one_place(document: Any, data: st.DataObject) -> None:
    """Put junk somewhere into a condition that parses."""
    places: list[tuple[Any, Any]] = []
    stack = [document]
    while stack:
        node = stack.pop()
        places.extend((node, key) for key in node)
        stack.extend(node.get("rules", ()))
    node, key = data.draw(st.sampled_from(places))
    node[key] = data.draw(junk)
    refusals(document)


@_fuzz
@given(strategies.groups(strategies.rules()), st.sampled_from(pools.ZONES))
def test_what_parses_has_a_sentence(document: Any, zone: Any) -> None:
    schema = Schema(zone=zone, types=TYPES)
    found = refusals(document, schema)
    assert {problem.code for problem in found} <= {"empty"}
    if not found:
        text = summarise(parse_condition(document, schema))
        assert text[0] == text[0].upper()
        assert text.endswith(".")


def test_most_random_conditions_parse() -> None:
    parsed = refused = 0

    @_fuzz
    @given(strategies.groups(strategies.rules()))
    def count(document: Any) -> None:
        nonlocal parsed, refused
        if refusals(document):
            refused += 1
        else:
            parsed += 1

    count()
    assert parsed > 10 * refused
