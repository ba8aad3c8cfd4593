"""Whether one field can have a value for which its rules have the truths that are demanded.

A value is taken by what it can be read as: a rule that compares another type is unknown on it,
whatever it asks. For each such reading the demands are put on the line, or in the sets, in which
values of the type are compared. Where a type says too little the answer is yes.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC
from functools import partial
from itertools import combinations, product

from service.core.comparisons import TIMES, Interval
from service.core.conditions import Rule
from service.core.constraints import equality_intervals
from service.core.geography import EARTH_RADIUS_KM, Circle, vector
from service.core.instants import Moment
from service.core.interpreting import absent_truth
from service.core.lanes import complement
from service.core.operators import OPERATORS, Family
from service.core.proofs.goals import Demand, Want
from service.core.proofs.lines import covers
from service.core.proofs.texts import (
    COMPARED,
    TRIED,
    equality_possible,
    list_possible,
    text_possible,
    tokens_of,
)
from service.core.proofs.times import ages_out, gaps_out
from service.core.traits import TraitType

Reading = frozenset[TraitType]

T = TraitType
# What one value can be read as, date like instant. A `datetime` is an instant and nothing else;
# NaN is nothing; infinity is a number and no amount; a text can be an instant and a version both
# ("2026-11-20": version 2026, pre-release 11-20).
_READINGS: tuple[Reading, ...] = tuple(
    frozenset(kinds)
    for kinds in (
        (),
        (T.STRING,), (T.STRING, T.INSTANT), (T.STRING, T.VERSION),
        (T.STRING, T.INSTANT, T.VERSION),
        (T.INSTANT,),
        (T.NUMBER,), (T.NUMBER, T.MONEY),
        (T.BOOLEAN,),
        (T.LIST,),
        (T.OBJECT,), (T.OBJECT, T.POINT),
    )
)  # fmt: skip
_ANNIVERSARY = OPERATORS["anniversaryWithin"]
# Circles that come this near to touching are not told apart: what rounding may do at an antipode.
_MARGIN_KM = 0.01
_TIMELESS = Moment(0, UTC)


def possible(demands: Sequence[Demand]) -> bool:
    """Whether a field can be absent, or have a value, so that all demands on it are met. Rules
    that compare it with another field say only what its absence means."""
    if absence_possible(demands):
        return True
    alone = [(each, _kinds(each.rule)) for each in demands if each.rule.other is None]
    asked = frozenset[TraitType]().union(*(kinds for _, kinds in alone))
    readings = {reading & asked for reading in _READINGS}
    if any(demand.rule.field.name == "customer_id" for demand in demands):
        readings = {frozenset({T.STRING}) & asked}
    return any(_readable(alone, reading) for reading in readings)


def absence_possible(demands: Iterable[Demand]) -> bool:
    """Whether a field without a value meets all demands."""
    return all(absent_truth(demand.rule) in demand.truths for demand in demands)


def _kinds(rule: Rule) -> Reading:
    """The types as which a rule reads its field."""
    match rule.operator.family:
        case Family.PRESENCE:
            return frozenset()
        case Family.EQUALITY:
            return frozenset(_date_as_instant(kind) for kind, _ in rule.operand)
        case _:
            return frozenset() if rule.kind is None else frozenset({_date_as_instant(rule.kind)})


def _date_as_instant(kind: TraitType) -> TraitType:
    return T.INSTANT if kind in TIMES else kind


def _readable(demands: Sequence[tuple[Demand, Reading]], reading: Reading) -> bool:
    """Whether a value that can be read as these types, and no others, meets all demands, each
    given with the types that its rule reads."""
    wants: dict[TraitType, list[Want]] = {kind: [] for kind in reading}
    for (rule, truths, *_), asked in demands:
        operator = rule.operator
        if operator.family is Family.PRESENCE:
            if operator.test(True, None, rule, _TIMELESS) not in truths:
                return False
            continue
        kinds = asked & reading
        if not kinds:
            if None not in truths:
                return False
            continue
        told = truths - {None}
        if not told:
            return False
        if len(told) == 2 or len(kinds) > 1:
            continue
        (kind,), (wanted,) = kinds, told
        assert wanted is not None  # noqa: S101 - None was taken out; mypy does not see it
        base = OPERATORS[operator.negates] if operator.negates else operator
        values = (
            tuple(value for each, value in rule.operand if _date_as_instant(each) is kind)
            if operator.family is Family.EQUALITY
            else ()
        )
        wants[kind].append(Want(rule, base, wanted is (operator.negates is None), values))
    return all(_kind_possible(kind, asked) for kind, asked in wants.items() if asked)


def _kind_possible(kind: TraitType, wants: Sequence[Want]) -> bool:
    answers: dict[object, bool] = {}
    for want in wants:
        if (
            want.operator.family is not Family.EQUALITY
            and answers.setdefault(want.question, want.wanted) is not want.wanted
        ):
            return False
    return _POSSIBLE[kind](wants)


def _on_line(kind: TraitType, wants: Sequence[Want]) -> bool:
    """Whether a value on a line lies where it is wanted: the stretches ruled out leave some."""
    outs: list[Interval] = []
    ages: list[Interval] = []
    gaps: list[Interval] = []
    for want in wants:
        rule, operator = want.rule, want.operator
        if operator.family is Family.AGE:
            ages += ages_out(operator, rule.operand, want.wanted)
        elif operator is _ANNIVERSARY:
            gaps += gaps_out(rule.operand, want.wanted)
        else:
            if operator.family is Family.EQUALITY:
                holds = equality_intervals(kind, list(want.values))
            else:
                assert operator.interval is not None  # noqa: S101 - every order operator has one
                holds = [operator.interval(rule.operand)]
            outs += complement(holds) if want.wanted else holds
    return not any(map(covers, (outs, ages, gaps)))


def _truth_possible(wants: Sequence[Want]) -> bool:
    return any(all((value in want.values) is want.wanted for want in wants) for value in _BOTH)


_BOTH = (True, False)


def _place_possible(wants: Sequence[Want]) -> bool:
    """Whether a point can lie in, and outside of, these circles."""
    circles = [want for want in wants if isinstance(want.rule.operand, Circle)]
    allowed, forbidden = tokens_of(wants, case_sensitive=False)
    exact, _ = tokens_of(wants, case_sensitive=True)
    if allowed is not None and exact is not None:
        allowed &= exact
    allowed = exact if allowed is None else allowed
    if allowed is not None:
        return len(allowed) * len(circles) > TRIED or any(
            all(want.rule.operand.contains(vector(place)) is want.wanted for want in circles)
            for place in allowed - forbidden
        )
    near = [want.rule.operand for want in circles if want.wanted][:COMPARED]
    far = [want.rule.operand for want in circles if not want.wanted][:COMPARED]
    return (
        all(_apart(one, other) <= one.km + other.km + _MARGIN_KM
            for one, other in combinations(near, 2))
        and not any(_apart(one, other) + one.km + _MARGIN_KM < other.km
                    for one, other in product(near, far))
        and math.inf not in [each.chord for each in far]
    )  # fmt: skip


def _apart(one: Circle, other: Circle) -> float:
    """Kilometres between the centres of two circles."""
    (ax, ay, az), (bx, by, bz) = one.to, other.to
    chord = math.dist((ax, ay, az), (bx, by, bz))
    return 2 * EARTH_RADIUS_KM * math.asin(min(chord / 2, 1.0))


_POSSIBLE: dict[TraitType, Callable[[Sequence[Want]], bool]] = {
    **{kind: partial(_on_line, kind) for kind in (T.NUMBER, T.MONEY, T.INSTANT, T.VERSION)},
    T.STRING: text_possible,
    T.BOOLEAN: _truth_possible,
    T.LIST: list_possible,
    T.OBJECT: equality_possible,
    T.POINT: _place_possible,
}
