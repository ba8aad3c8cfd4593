"""Formulas: what they come to, how they read, and where they are wrong."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.derived.formula_parsing import DEPTH_LIMIT, LENGTH_LIMIT, parse_formula
from service.core.instants import Moment
from service.core.parsing import Invalid, Schema
from service.core.traits import TraitType, read

PRAGUE = ZoneInfo("Europe/Prague")
TYPES = {
    "last_order_at": TraitType.INSTANT,
    "birthday": TraitType.DATE,
    "revenue": TraitType.MONEY,
    "name": TraitType.STRING,
}
SCHEMA = Schema(PRAGUE, TYPES)
NOW = Moment(0, PRAGUE)
PROFILE: dict[str, Any] = {
    "a": 7,
    "b": 2,
    "c": 0.1,
    "d": 0.2,
    "zero": 0,
    "tiny": 5e-324,
    "huge": 1e308,
    "endless": 10**400,
    "infinite": float("inf"),
    "flag": True,
    "text": "7",
    "revenue": 120.5,
    "odd-name (x)": 3,
    "shop": {"orders": 4},
    "last_order_at": "2026-01-31T12:00:00+01:00",
    "seen": datetime(2026, 1, 1, tzinfo=UTC),
    "birthday": "1990-02-28",
    "first": "0001-01-02T00:00:00Z",
}


def value(text: str, profile: Mapping[str, Any] = PROFILE) -> Any:
    return parse_formula(text, SCHEMA).compiled()(profile, NOW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b", 9),
        ("a - b", 5),
        ("a − b", 5),
        ("a * b", 14),
        ("a × b", 14),
        ("a / b", 3.5),
        ("a ÷ b", 3.5),
        ("c + d", 0.3),
        ("c × 3", 0.3),
        ("a - b - 1", 4),
        ("a - (b - 1)", 6),
        ("a / b / 7", 0.5),
        ("a / (b / 7)", 24.5),
        ("a + b * 2", 11),
        ("(a + b) * 2", 18),
        ("-a + b", -5),
        ("- - a", 7),
        ("-(a - b) * 2", -10),
        ("a*-b", -14),
        ("revenue", 120.5),
        ("revenue * 2", 241),
        ("a / 3", 7 / 3),
        ("zero * -1", 0),
        ("`odd-name (x)` + 1", 4),
        ("`a`+1", 8),
        ("shop.orders * 0.25", 1),
        ("`shop.orders`", 4),
        ("huge * 10 / 10", 1e308),
        ("tiny / 10", 0.0),
        ("-tiny / 10", 0.0),
        ("a * 100000000000000000000", 7 * 10**20),
    ],
)
def test_golden_numbers(text: str, expected: float) -> None:
    found = value(text)
    assert found == expected
    assert str(found) == str(expected)  # 2 is not 2.0, nor 0.0 -0.0


@pytest.mark.parametrize(
    "text",
    [
        "a / zero",
        "zero / zero",
        "1 / (1 / zero) + a",
        "a + missing",
        "missing - a",
        "-missing",
        "shop.missing + 1",
        "a + flag",
        "a + text",
        "a + shop",
        "huge * 10",
        "endless + 1",
        "1 / infinite",
        "infinite - infinite",
        "missing + 30d",
        "a + 30d",
        "name_of_day + 1d",
        "first - 2d",
        "first + 999999y",
    ],
)
def test_what_has_no_value_is_missing(text: str) -> None:
    assert value(text, {**PROFILE, "name_of_day": "Monday"}) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("last_order_at + 30d", "2026-03-02T11:00:00Z"),
        ("last_order_at - 2h", "2026-01-31T09:00:00Z"),
        ("last_order_at + 1mo", "2026-02-28T11:00:00Z"),
        ("last_order_at + 2mo", "2026-03-31T10:00:00Z"),
        ("last_order_at", "2026-01-31T11:00:00Z"),
        ("(last_order_at + 1d) - 1w", "2026-01-25T11:00:00Z"),
        ("seen + 45min - 30s", "2026-01-01T00:44:30Z"),
        ("birthday + 18y", "2008-02-27T23:00:00Z"),
        ("customer.first_seen + 7d", "2026-01-08T00:00:00Z"),
    ],
)
def test_golden_instants(text: str, expected: str) -> None:
    formula = parse_formula(text, SCHEMA)
    assert formula.type is TraitType.INSTANT
    profile = {**PROFILE, "customer.first_seen": PROFILE["seen"]}
    found = formula.compiled()(profile, NOW)
    assert found == datetime.fromisoformat(expected)
    # Conditions and other formulas read it as the instant that it is.
    assert read(TraitType.INSTANT, found, UTC) == read(TraitType.INSTANT, expected, UTC)


def test_one_formula_reads_another() -> None:
    first = parse_formula("last_order_at + 30d", SCHEMA).compiled()(PROFILE, NOW)
    second = parse_formula("due - 7d", SCHEMA).compiled()({"due": first}, NOW)
    assert second == datetime.fromisoformat("2026-02-23T11:00:00Z")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("revenue-refunds*2", "Revenue − refunds × 2."),
        ("(revenue-refunds)*2", "(revenue − refunds) × 2."),
        ("a-(b-c)", "A − (b − c)."),
        ("a/(b*c)", "A ÷ (b × c)."),
        ("a/b*c", "A ÷ b × c."),
        ("-(a+b)", "−(a + b)."),
        ("last_order_at + 30d", "Last order at + 30 days."),
        ("shop.orders + `odd-name (x)`", "Shop's orders + “odd-name (x)”."),
        ("a * 0.50", "A × 0.50."),
    ],
)
def test_it_reads_as_a_sentence(text: str, sentence: str) -> None:
    assert parse_formula(text, SCHEMA).english() == sentence


@pytest.mark.parametrize(
    ("text", "code", "detail"),
    [
        (None, "type", "expected a formula such as revenue - refunds, got null"),
        ({}, "type", "expected a formula such as revenue - refunds, got an object"),
        (" ", "empty", "a formula needs something to calculate"),
        ("a" * 501, "too_long", "a formula holds 500 characters at most"),
        ("a b", "bad_value", 'column 3: expected + - * or / before "b"'),
        ("a +", "bad_value", "column 4: expected a trait, a number or a parenthesis, got the end"),
        ("* a", "bad_value", 'column 1: expected a trait, a number or a parenthesis, got "×"'),
        ("+ a", "bad_value", 'column 1: expected a trait, a number or a parenthesis, got "+"'),
        ("a ^ 2", "bad_value", 'column 3: "^" has no meaning'),
        ("(a + b", "bad_value", "column 1: this parenthesis is never closed"),
        ("((a) b)", "bad_value", 'column 6: expected + - * or / before "b"'),
        ("a)", "bad_value", "column 2: this parenthesis was never opened"),
        ("()", "bad_value", 'column 2: expected a trait, a number or a parenthesis, got ")"'),
        ("a + `b", "bad_value", "column 5: the closing backtick is missing"),
        ("``", "required", "column 1: expected a trait's name or path"),
        ("1 + 2", "bad_value", "column 1: a formula reads at least one trait"),
        ("a * 2x", "bad_value",
         "column 5: 2x: put a sign between a number and a name, such as 2 * age"),
        ("a + 30m", "bad_duration", "column 5: 30m: write min for minutes or mo for months"),
        ("a + 0d", "bad_duration",
         "column 5: 0d: a duration is a whole number above 0 and a unit, such as 30d"),
        ("a + 1.5d", "bad_duration",
         "column 5: 1.5d: a duration is a whole number above 0 and a unit, such as 30d"),
        ("30d + last_order_at", "bad_value",
         "column 1: 30d stands behind an instant and a sign, such as last_order_at + 30d"),
        ("last_order_at * 30d", "bad_value",
         "column 17: 30d stands behind an instant and a sign, such as last_order_at + 30d"),
        ("a * 2 + 30d", "type", "column 1: 30d moves an instant, and this is a number"),
        ("1 + revenue + 30d", "type", "column 1: 30d moves an instant, and this is a number"),
        ("revenue + 30d", "type", "column 1: 30d moves an instant, and this is a number"),
        ("a + last_order_at", "type",
         "column 5: this is an instant: it can only be moved by a duration, such as + 30d"),
        ("2 * (a + 30d)", "type",
         "column 5: this is an instant: it can only be moved by a duration, such as + 30d"),
        ("-birthday", "type",
         "column 2: this is an instant: it can only be moved by a duration, such as + 30d"),
        ("name + 1", "type",
         "column 1: name is text; a formula calculates with numbers and instants"),
        ("1 + `segment:vip`", "bad_value",
         "column 5: segments are decided after all traits, so no trait can read one"),
        ("1 + customer.age", "unknown_field",
         "column 5: of the customer record one can ask customer.first_seen, customer.last_seen, "
         "customer.type"),
        ("a + " + "9" * 31, "too_long", "column 5: a number has 30 digits at most"),
        ("(" * 33 + "a", "too_deep", "column 32: parentheses and signs may nest 32 deep at most"),
        ("-" * 33 + "a", "too_deep", "column 33: parentheses and signs may nest 32 deep at most"),
    ],
)  # fmt: skip
def test_faults_are_located(text: Any, code: str, detail: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_formula(text, SCHEMA)
    (problem,) = caught.value.problems
    assert (problem.pointer, problem.code, problem.detail) == ("/formula", code, detail)


def test_the_longest_and_deepest_formulas_are_calculated() -> None:
    long = "+".join(["a"] * (LENGTH_LIMIT // 2))
    assert value(long) == 7 * (LENGTH_LIMIT // 2)
    assert parse_formula(long, SCHEMA).english().count("+") == LENGTH_LIMIT // 2 - 1
    deep = "(" * (DEPTH_LIMIT - 1) + "a" + ")" * (DEPTH_LIMIT - 1)
    assert value(deep) == 7


@given(st.text("ab1.9+-*/()`×÷− d30mo\n_é", max_size=30) | st.text(max_size=30))
def test_any_text_is_a_formula_or_refused_with_its_column(text: str) -> None:
    try:
        formula = parse_formula(text, SCHEMA)
    except Invalid as fault:
        (problem,) = fault.problems
        assert problem.pointer == "/formula"
        assert problem.detail.startswith("column ") or not text.strip()
    else:
        formula.compiled()({"a": 1, "b": 0.5}, NOW)
        assert formula.english()


Tree = tuple[str, Fraction]
_FRACTIONS: Mapping[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": Fraction.__add__,
    "-": Fraction.__sub__,
    "*": Fraction.__mul__,
}
LEAVES = {"a": 7, "b": -0.25, "c": 0.1, "d": 12.75}


@st.composite
def leaves(draw: st.DrawFn) -> Tree:
    text = draw(st.sampled_from([*LEAVES, "3", "0.5"]))
    return text, Fraction(repr(LEAVES[text]) if text in LEAVES else text)


def _branches(children: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    def joined(sign: str, left: Tree, right: Tree) -> Tree:
        return f"({left[0]}{sign}{right[0]})", _FRACTIONS[sign](left[1], right[1])

    def negated(inner: Tree) -> Tree:
        return f"-({inner[0]})", -inner[1]

    return st.builds(joined, st.sampled_from(list(_FRACTIONS)), children, children) | st.builds(
        negated, children
    )


trees = st.recursive(leaves(), _branches, max_leaves=8)


@given(trees)
def test_sums_and_products_are_exact(tree: Tree) -> None:
    """Of at most 8 short decimals, so that no product has more than 34 digits."""
    text, expected = tree
    found = value(f"{text}+a-a", LEAVES)
    assert found == (expected.numerator if expected.denominator == 1 else float(expected))


@given(trees, trees)
def test_a_sentence_calculates_as_its_formula(left: Tree, right: Tree) -> None:
    """Parentheses that a sentence leaves out change nothing."""
    formula = parse_formula(f"{left[0]}/{right[0]}-a", SCHEMA)
    sentence = formula.english()
    again = parse_formula(sentence[:1].lower() + sentence[1:-1], SCHEMA)
    assert again.node == formula.node
