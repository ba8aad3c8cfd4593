"""Random conditions, catalogs and profiles over a small world in which values often meet."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from decimal import Decimal
from random import Random
from typing import Any

from hypothesis import strategies as st

from service.core.catalog import Catalog, Definition, compile_catalog
from service.core.instants import DAY, parse_instant
from service.core.operands import INCOMPARABLE, common_kind
from service.core.operators import OPERATORS, Operand, Operator
from service.core.parsing import Schema
from service.core.traits import TraitType
from tests.core.pools import (
    AMOUNTS,
    ANY_VALUE,
    CUSTOMER_IDS,
    DAYS,
    DURATIONS,
    FIELDS,
    GOOD_POINTS,
    INSTANTS,
    ITEMS,
    LISTS,
    NOWS,
    NUMBERS,
    OBJECTS,
    PARTS,
    PATTERNS,
    TEXTS,
    TYPES,
    VALUES_BY_TYPE,
    VERSIONS,
    ZONES,
    T,
)


def _pool(kind: TraitType | None) -> tuple[Any, ...]:
    """Values of a trait: mostly of its type, sometimes of another, null or missing (Ellipsis)."""
    usual = NUMBERS + TEXTS + INSTANTS if kind is None else VALUES_BY_TYPE[kind]
    rest = ANY_VALUE + (None, ...) * 8
    return usual * max(1, 3 * len(rest) // len(usual)) + rest


_VALUES = {
    name: CUSTOMER_IDS if name == "customer_id" else _pool(kind) for name, kind in FIELDS.items()
}


def profiles(count: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Customers' traits, facts and model outputs as `match` gets them.

    One number decides them all: drawn value by value they would take longer than all the rest.
    """
    return st.builds(
        lambda seed: [_profile(Random(f"{seed} {number}")) for number in range(count)],
        st.integers(0, 2**32),
    )


def _profile(random: Random) -> dict[str, Any]:
    profile: dict[str, Any] = {}
    work: dict[str, Any] = {}
    for name, pool in _VALUES.items():
        value = random.choice(pool)
        if value is ...:
            continue
        if name.startswith("work."):
            work[name.removeprefix("work.")] = value
        else:
            profile[name] = value
    place = random.randrange(15)
    if place > 2:
        profile["work"] = work
    elif place > 0:
        profile["work"] = ("freelance", None)[place - 1]
    return profile


_OPERAND_OF_TYPE: dict[TraitType | None, st.SearchStrategy[Any]] = {
    T.STRING: st.sampled_from(TEXTS),
    T.NUMBER: st.sampled_from(NUMBERS),
    T.MONEY: st.sampled_from(
        tuple(
            value
            for value in AMOUNTS
            if value not in (1e308, -1e308, 5e-324)
            # Of more digits a number is refused.
            and (type(value) is not float or float(f"{value:.15g}") == value)
        )
    ),
    T.BOOLEAN: st.booleans(),
    T.INSTANT: st.sampled_from(INSTANTS + DAYS),
    T.DATE: st.sampled_from(DAYS + INSTANTS[:4]),
    T.VERSION: st.sampled_from(VERSIONS),
    T.LIST: st.sampled_from(LISTS),
    T.POINT: st.sampled_from(GOOD_POINTS),
    T.OBJECT: st.sampled_from(OBJECTS),
    None: st.one_of(
        st.sampled_from(NUMBERS), st.sampled_from(TEXTS), st.booleans(), st.sampled_from(LISTS),
        st.sampled_from(OBJECTS),
    ),
}  # fmt: skip
_ORDER_OPERANDS = (st.sampled_from(NUMBERS), st.sampled_from(INSTANTS))


def _lowest_first(pair: tuple[Any, Any]) -> list[Any]:
    def place(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        instant = parse_instant(value, UTC)
        if instant is not None:
            return instant
        return Decimal(value) if value[0] in "0123456789-" and value.count(".") < 2 else value

    try:
        return sorted(pair, key=place)
    except TypeError:
        return list(pair)


def _operand(operator: Operator, kind: TraitType | None) -> st.SearchStrategy[Any]:
    one = _OPERAND_OF_TYPE[kind]
    ordered = st.one_of(*_ORDER_OPERANDS) if kind is None else one
    match operator.operand:
        case Operand.SCALAR:
            return ordered if operator.interval or operator.name in (">", ">=") else one
        case Operand.LIST if T.LIST in operator.types and len(operator.types) == 1:
            return st.lists(st.sampled_from(ITEMS), min_size=1, max_size=5)
        case Operand.LIST:
            return st.lists(one, min_size=1, max_size=4)
        case Operand.PAIR:
            sides = _ORDER_OPERANDS if kind is None else (one,)
            return st.one_of(*(st.tuples(side, side).map(_lowest_first) for side in sides))
        case Operand.TEXT:
            return st.sampled_from(PARTS)
        case Operand.PATTERN:
            return st.sampled_from(PATTERNS)
        case Operand.DURATION:
            return st.sampled_from(DURATIONS)
        case Operand.VERSION:
            return st.sampled_from(VERSIONS)
        case Operand.DISTANCE:
            # 184.76 km is about the way from Prague to Brno.
            km = st.sampled_from((0.001, 184, 184.8, 200, 20_100))
            return st.builds(lambda at, far: {**at, "km": far}, st.sampled_from(GOOD_POINTS), km)
        case Operand.SAMPLE:
            percent = st.sampled_from((0.5, 10, 50, 99.9, 100))
            return st.builds(lambda share, salt: {"percent": share, "salt": salt}, percent,
                             st.sampled_from(("", "x")))  # fmt: skip
        case Operand.NONE:
            return st.just(None)
    raise AssertionError(operator.operand)


@dataclass(frozen=True)
class Shape:
    """A rule that parses: a field, an operator of its type, the field to compare with or None."""

    field: str
    operator: Operator
    other: str | None = None


def _shapes() -> list[Shape]:
    found = []
    for name, kind in FIELDS.items():
        for operator in OPERATORS.values():
            if kind is not None and kind not in operator.types:
                continue
            if operator.operand is Operand.SAMPLE and name != "customer_id":
                continue
            found.append(Shape(name, operator))
    return found


def _pairs() -> list[Shape]:
    found = []
    for shape in SHAPES:
        if not shape.operator.fields:
            continue
        for other, kind in FIELDS.items():
            common = common_kind(FIELDS[shape.field], kind)
            if common is INCOMPARABLE or (common and common not in shape.operator.types):
                continue
            found.append(Shape(shape.field, shape.operator, other))
    return found


SHAPES = _shapes()
PAIRS = _pairs()
_policy: st.SearchStrategy[dict[str, bool]] = st.sampled_from(
    (
        *({},) * 6, {"missing": True}, {"missing": False}, {"caseSensitive": True},
        {"caseSensitive": True, "missing": True},
    )
)  # fmt: skip
_OPERANDS = {
    (shape.field, shape.operator.name): _operand(shape.operator, FIELDS[shape.field])
    for shape in SHAPES
}


@st.composite
def rules(draw: st.DrawFn, shapes: Sequence[Shape] = (*SHAPES * 2, *PAIRS[::4])) -> Any:
    """A rule in wire format that parses (but for a few pairs that enclose nothing)."""
    shape = draw(st.sampled_from(shapes))
    rule: dict[str, Any] = {"field": shape.field, "operator": shape.operator.name}
    if shape.operator.operand is Operand.NONE:
        return rule
    if shape.other is not None:
        rule |= {"value": shape.other, "valueSource": "field"}
    else:
        rule["value"] = draw(_OPERANDS[shape.field, shape.operator.name])
    return rule | draw(_policy)


def references(keys: list[str]) -> st.SearchStrategy[Any]:
    """A rule that asks about membership of one of these segments."""
    return st.builds(
        lambda key, operator, value: {
            "field": f"segment:{key}",
            "operator": operator,
            "value": value,
        },
        st.sampled_from(keys),
        st.sampled_from(("=", "!=")),
        st.booleans(),
    )


def groups(leaves: st.SearchStrategy[Any], max_leaves: int = 8) -> st.SearchStrategy[Any]:
    """A condition in wire format with these leaves."""

    def group(children: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[Any]:
        return st.builds(
            lambda combinator, negated, rules: {
                "combinator": combinator,
                "not": negated,
                "rules": rules,
            },
            st.sampled_from(("and", "or")),
            st.booleans(),
            st.lists(children, min_size=1, max_size=most),
        )

    return group(st.recursive(leaves, lambda inner: group(inner, 3), max_leaves=max_leaves), 3)


@st.composite
def bushy(draw: st.DrawFn, leaves: st.SearchStrategy[Any]) -> Any:
    """A condition of more clauses than the index expands: (a or b) and (c or d) and ..."""
    width = draw(st.integers(5, 6))
    pairs = [
        {"combinator": "or", "not": False, "rules": [draw(leaves), draw(leaves)]}
        for _ in range(width)
    ]
    return {"combinator": "and", "not": draw(st.booleans()), "rules": pairs}


@st.composite
def chains(draw: st.DrawFn, leaves: st.SearchStrategy[Any]) -> Any:
    """A deep condition: groups within groups, each perhaps negated."""
    node = draw(leaves)
    for _ in range(draw(st.integers(5, 30))):
        node = {
            "combinator": draw(st.sampled_from(("and", "or"))),
            "not": draw(st.booleans()),
            "rules": [node, draw(leaves)] if draw(st.integers(0, 3)) == 0 else [node],
        }
    return node


SEGMENTS = 10
LIST_KEYS = ["list-0", "list-1"]


@st.composite
def definitions(draw: st.DrawFn, zone: tzinfo = UTC) -> list[Definition]:
    """Lists, and segments that refer to lists and to segments before them; some in a scheme."""
    found = [
        Definition(key, 1, key, None, scheme, priority)
        for key, scheme, priority in (("list-0", None, None), ("list-1", *_place(draw, 100)))
    ]
    keys = list(LIST_KEYS)
    plain = rules()
    for place in range(SEGMENTS):
        key = f"s{place}"
        leaves = st.one_of(plain, plain, plain, plain, references(list(keys)))
        kind = draw(st.integers(0, 7))
        condition = draw(bushy(leaves) if kind == 0 else chains(leaves) if kind == 1
                         else groups(leaves))  # fmt: skip
        scheme, priority = _place(draw, place)
        found.append(Definition(key, 1, key, condition, scheme, priority))
        keys.append(key)
    return found


def _place(draw: st.DrawFn, place: int) -> tuple[str | None, int | None]:
    scheme = draw(st.sampled_from((None, None, None, None, "lifecycle", "tier")))
    # Priorities run against the order of definition in one scheme, with it in the other.
    return scheme, None if scheme is None else place if scheme == "tier" else 1_000 - place


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    """A compiled catalog in one of the zones; definitions that can't stand are left out by it."""
    zone = draw(st.sampled_from(ZONES))
    return compile_catalog(draw(definitions()), Schema(zone=zone, types=TYPES))


def nows() -> st.SearchStrategy[int]:
    """Instants of evaluation: edges of days, months and daylight saving, and near them."""
    shifts = st.sampled_from((0, 0, 1, -1, 3_600_000_000, -DAY, 29 * DAY))
    return st.builds(lambda now, by: now + by, st.sampled_from(NOWS), shifts)


def lists_read() -> st.SearchStrategy[frozenset[str]]:
    """The lists a customer is on."""
    return st.sampled_from(
        (frozenset(), frozenset({"list-0"}), frozenset({"list-1"}), frozenset(LIST_KEYS))
    )
