"""Proofs are held to the interpreter: whatever is claimed is so for every profile at any instant.

Besides the general generators there is a smaller world, in which rules clash, and follow from each
other, often: a claim that is never made would prove nothing.
"""

import copy
from collections import Counter
from datetime import UTC, datetime, tzinfo
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.core import instants
from service.core.catalog import Catalog, Definition, Segment, segment_of
from service.core.comparisons import Truth
from service.core.conditions import Condition
from service.core.instants import Moment
from service.core.interpreting import evaluate
from service.core.parsing import Invalid, parse_condition
from service.core.proofs.definitions import prove
from service.core.proofs.findings import Code, Finding
from service.core.proofs.goals import NOT_TRUE, TRUE, Goal, Place
from service.core.proofs.refuting import Budget, World, refute
from service.core.proofs.schemes import prove_scheme
from service.core.proofs.times import longest, shortest
from tests.core import pools, strategies
from tests.core.clashing import BASE, SCHEMA, focused, nearly_always_true, rule, small_profiles
from tests.core.specification import members

_fuzz = settings(
    max_examples=600, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


def parsed(document: Any) -> Condition | None:
    try:
        return parse_condition(document, SCHEMA, "")
    except Invalid:
        return None


def membership(catalog: Catalog, profile: dict[str, Any], now: int, lists: Any) -> Any:
    found = members(catalog, profile, now, lists)

    def member(key: str) -> Truth:
        unreadable = lists is None and catalog.segments[key].condition is None
        return None if unreadable else key in found

    return member


def without(document: Any, part: str) -> Any:
    """The document without one part; None where its group would be empty."""
    reduced = copy.deepcopy(document)
    parent = reduced
    *steps, last = [int(step) for step in part.split("/rules/")[1:]]
    for step in steps:
        parent = parent["rules"][step]
    del parent["rules"][last]
    return reduced if parent["rules"] else None


def hold(document: Any, findings: list[Finding], customers: list[Any], now: int) -> None:
    """Asks the interpreter whether every claim is so."""
    if not findings:
        return
    moment = Moment(now, UTC)
    lists = (frozenset(), frozenset({"list-0"}), None)
    asked = [
        (profile, membership(BASE, profile, now, lists[number % 3]))
        for number, profile in enumerate(customers)
    ]

    def truths(each: Any) -> list[bool]:
        condition = parsed(each)
        assert condition is not None
        return [evaluate(condition, profile, moment, member) is True for profile, member in asked]

    found = truths(document)
    for finding in findings:
        told = (finding, document)
        match finding.code:
            case Code.CONTRADICTORY:
                assert not any(found), (told, customers[found.index(True)])
            case Code.ALWAYS_TRUE:
                assert all(found), (told, customers[found.index(False)])
            case Code.UNREACHABLE_RULE | Code.REDUNDANT_RULE:
                reduced = without(document, finding.part)
                assert reduced is None or truths(reduced) == found, told
            case _:
                raise AssertionError(finding)


def test_what_is_claimed_of_a_condition_is_so() -> None:
    claimed: Counter[str] = Counter()

    @settings(_fuzz, max_examples=1_000)
    @given(
        st.one_of(focused(), focused(), nearly_always_true()),
        st.integers(0, 2**32),
        strategies.nows(),
    )
    def held(document: Any, seed: int, now: int) -> None:
        condition = parsed(document)
        if condition is None:
            return
        findings = prove(condition, BASE.segments, "")
        claimed.update(finding.code for finding in findings)
        hold(document, findings, small_profiles(seed, 45), now)

    held()
    assert claimed[Code.CONTRADICTORY] > 40
    assert claimed[Code.ALWAYS_TRUE] > 40
    assert claimed[Code.UNREACHABLE_RULE] > 20
    assert claimed[Code.REDUNDANT_RULE] > 200


def test_what_is_claimed_of_any_condition_is_so() -> None:
    claimed = 0

    @settings(_fuzz, max_examples=400)
    @given(
        st.one_of(
            strategies.groups(strategies.rules()),
            strategies.chains(strategies.rules()),
            strategies.bushy(strategies.rules()),
        ),
        strategies.profiles(60),
        strategies.nows(),
    )
    def held(document: Any, customers: list[dict[str, Any]], now: int) -> None:
        nonlocal claimed
        condition = parsed(document)
        if condition is None:
            return
        findings = prove(condition, pointer="")
        claimed += len(findings)
        hold(document, findings, customers, now)

    held()
    assert claimed > 20


def segment(key: str, priority: int, document: Any) -> Segment:
    condition = parsed(document)
    definition = Definition(key, 1, key, document, "scheme", priority)
    return segment_of(definition, condition)


def test_what_is_claimed_of_a_scheme_is_so() -> None:
    claimed: Counter[str] = Counter()

    @settings(_fuzz, max_examples=300)
    @given(st.lists(focused(), min_size=2, max_size=4), st.integers(0, 2**32), strategies.nows())
    def held(documents: list[Any], seed: int, now: int) -> None:
        places = Random(seed).choices(range(5), k=len(documents))
        cells = [
            segment(f"s{number}", places[number], document)
            for number, document in enumerate(documents)
            if parsed(document) is not None
        ]
        found = prove_scheme(cells, BASE.segments)
        claimed.update(each.code for findings in found.values() for each in findings)
        by_key = {cell.key: cell for cell in cells}
        customers = small_profiles(seed, 45)
        for key, findings in found.items():
            for finding in findings:
                hold_in_scheme(finding, by_key[key], cells, customers, now)

    held()
    assert claimed[Code.SHADOWED_IN_SCHEME] > 8
    assert claimed[Code.SAME_PRIORITY] > 40


def hold_in_scheme(
    finding: Finding, cell: Segment, cells: list[Segment], customers: list[Any], now: int
) -> None:
    priority = cell.definition.priority
    assert priority is not None
    ahead = [each for each in cells if (each.definition.priority or 0) < priority]
    match finding.code:
        case Code.SAME_PRIORITY:
            assert any(each.definition.priority == priority for each in cells if each is not cell)
        case Code.SHADOWED_IN_SCHEME:
            for profile in customers:
                member = membership(BASE, profile, now, None)
                if holds(cell, profile, now, member):
                    assert any(holds(each, profile, now, member) for each in ahead), (
                        cells,
                        profile,
                    )
        case Code.PRIORITY_OVERLAP:
            # Shown by examples, so nothing else may be provable of the two.
            (first,) = [each for each in ahead if f"both {each.key} and" in finding.detail]
            for goals in ((TRUE, TRUE), (TRUE, NOT_TRUE), (NOT_TRUE, TRUE)):
                assert not refuted(first, cell, goals)
        case _:
            raise AssertionError(finding)


def holds(cell: Segment, profile: dict[str, Any], now: int, member: Any) -> bool:
    assert cell.condition is not None
    return evaluate(cell.condition, profile, Moment(now, UTC), member) is True


def refuted(first: Segment, second: Segment, truths: tuple[Any, Any]) -> bool:
    goals = []
    for each, wanted in zip((first, second), truths, strict=True):
        assert each.condition is not None
        goals.append(Goal(each.condition, wanted, Place("", each.key)))
    return refute(goals, World({}), Budget(10_000)) is not None


@_fuzz
@given(
    st.lists(
        st.builds(
            lambda low, more, field: rule(field, "between", [low, low + more]),
            st.integers(0, 4), st.integers(0, 3), st.sampled_from(("age", "spent")),
        ),
        min_size=2, max_size=4,
    ),
)  # fmt: skip
def test_ranges_of_one_trait_that_run_into_each_other_are_told(ranges: list[Any]) -> None:
    """Against the definition, range by range: both have whole numbers in common, and each has
    some of its own."""
    cells = [
        segment(f"s{number}", number, {"combinator": "and", "rules": [each]})
        for number, each in enumerate(ranges)
    ]
    found = prove_scheme(cells)
    halves = [
        (each["field"], {n / 2 for n in range(20) if each["value"][0] <= n / 2 <= each["value"][1]})
        for each in ranges
    ]
    shadowed = {
        key for key, each in found.items() if Code.SHADOWED_IN_SCHEME in {f.code for f in each}
    }
    for number, (field, inside) in enumerate(halves):
        mixed = any(
            other == field and ahead & inside and ahead - inside and inside - ahead
            for place, (other, ahead) in enumerate(halves[:number])
            if f"s{place}" not in shadowed
        )
        codes = {finding.code for finding in found.get(f"s{number}", ())}
        if f"s{number}" not in shadowed:
            assert (Code.PRIORITY_OVERLAP in codes) == mixed


_YEAR_200 = instants.from_datetime(datetime(200, 1, 1, tzinfo=UTC))
_YEAR_9800 = instants.from_datetime(datetime(9800, 1, 1, tzinfo=UTC))


@_fuzz
@given(
    st.one_of(st.integers(_YEAR_200, _YEAR_9800), strategies.nows()),
    st.one_of(st.integers(1, 36), st.integers(1, 999_999)),
    st.sampled_from(("mo", "y", "d")),
    st.sampled_from(pools.ZONES),
    st.sampled_from((-1, 1)),
)
def test_no_window_is_shorter_or_longer_than_proofs_take_it_for(
    now: int, count: int, unit: str, zone: tzinfo, sign: int
) -> None:
    duration = instants.parse_duration(f"{count}{unit}")
    assert duration is not None
    length = (instants.shift(now, duration, zone, sign) - now) * sign
    assert shortest(duration) <= length <= longest(duration)
    if duration.months == 1:
        assert longest(duration) - shortest(duration) < 12 * instants.DAY
