"""The block form on typed columns: the same answers as the index gives on the same profiles."""

import math
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from service.core import blocks
from service.core.bitmaps import Codes, pack, planes_of, unpack
from service.core.blocks import BlockPlan, match_block
from service.core.catalog import Catalog, Definition, compile_catalog
from service.core.columns import (
    Block,
    Booleans,
    Instants,
    Lists,
    Numbers,
    Part,
    Points,
    Texts,
)
from service.core.instants import DAY, from_datetime, to_datetime
from service.core.lines import Cells, Line, float_keys, least_float, least_integer
from service.core.parsing import Schema
from service.core.traits import TraitType

NOW = from_datetime(datetime(2026, 11, 20, 10, tzinfo=UTC))


def catalog_of(
    *rules: dict[str, Any], types: dict[str, TraitType] | None = None, zone: Any = UTC
) -> Catalog:
    """For each rule one segment as it stands (`r0`) and one negated (`n0`)."""
    definitions = []
    for number, rule in enumerate(rules):
        condition = {"combinator": "and", "rules": [rule]}
        definitions.append(Definition(f"r{number}", 1, "", condition))
        definitions.append(Definition(f"n{number}", 1, "", condition | {"not": True}))
    catalog = compile_catalog(definitions, Schema(zone=zone, types=types or {}))
    assert not catalog.refused, catalog.refused
    return catalog


def rule(field: str, operator: str, value: Any = None, **more: Any) -> dict[str, Any]:
    return {"field": field, "operator": operator, "value": value} | more


def same_as_the_index(
    catalog: Catalog, columns: dict[str, Part], profiles: list[dict[str, Any]], now: int = NOW
) -> None:
    size = len(profiles)
    typed = match_block(BlockPlan(catalog), Block.from_columns(size, columns), now)
    plan = BlockPlan(catalog)
    plain = match_block(plan, Block.from_profiles(profiles, plan.fields), now)
    for row, profile in enumerate(profiles):
        expected = catalog.matcher.match(profile, now)
        assert typed.row(row) == expected, profile
        assert plain.row(row) == expected, profile


EDGES = [
    0.0, -0.0, 1.0, -1.0, 0.1, 0.1 + 2**-56, 0.5, 2.0**53, 2.0**53 + 2, -(2.0**53), 5e-324,
    1.7976931348623157e308, -1.7976931348623157e308, math.inf, -math.inf, math.nan, 120.5,
    120.49999999999999, 120.50000000000001,
]  # fmt: skip


@pytest.mark.parametrize("kind", [None, TraitType.NUMBER, TraitType.MONEY])
def test_floats(kind: TraitType | None) -> None:
    operands = [0, 0.1, 1, 120.5, 2**53, 2**53 + 1, 1e300, -1]
    if kind is not TraitType.MONEY:
        operands += [10**400, -(10**400), math.inf, -math.inf]
    rules = [
        rule("x", operator, operand)
        for operand in operands
        for operator in ("<", "<=", ">", ">=", "=", "!=")
    ]
    catalog = catalog_of(
        *rules,
        rule("x", "in", [0, 0.1, 2**53]),
        rule("x", "notBetween", [0.1, 120.5], missing=True),
        types={} if kind is None else {"x": kind},
    )
    values = np.array([*EDGES, 7.0])
    valid = np.array([*[True] * len(EDGES), False])
    profiles: list[dict[str, Any]] = [{"x": value} for value in EDGES]
    same_as_the_index(catalog, {"x": Numbers(values, valid)}, [*profiles, {}])


@pytest.mark.parametrize("kind", [None, TraitType.MONEY])
def test_integers_of_64_bits(kind: TraitType | None) -> None:
    edges = [0, 1, -1, 2**53, 2**53 + 1, 2**63 - 1, 2**63 - 2, -(2**63), -(2**63) + 1, 10**18]
    operands = [*edges, 0.5, -0.5, 2**63, 2**64, -(2**63) - 1, 1e18, 1e300]
    rules = [
        rule("x", operator, operand)
        for operand in operands
        for operator in ("<", "<=", ">", ">=", "=")
    ]
    catalog = catalog_of(*rules, types={} if kind is None else {"x": kind})
    column = Numbers(np.array(edges, np.int64), np.ones(len(edges), bool))
    same_as_the_index(catalog, {"x": column}, [{"x": value} for value in edges])


def test_random_numbers_against_many_cuts() -> None:
    random = np.random.default_rng(7)
    for draw in (
        lambda size: random.lognormal(4, 2, size),
        lambda size: random.normal(0, 1e-3, size),
        lambda size: np.round(random.beta(2, 5, size), 2),
        lambda size: random.choice([1e-300, 1e300, 0.0, -5.0], size),
    ):
        cuts = draw(120).tolist()
        catalog = catalog_of(
            *(rule("x", "<=" if n % 2 else ">=", cut) for n, cut in enumerate(cuts))
        )
        values = np.concatenate((draw(300), cuts))
        column = Numbers(values, np.ones(len(values), bool))
        same_as_the_index(catalog, {"x": column}, [{"x": value} for value in values.tolist()])


def test_more_cuts_than_one_digit_holds() -> None:
    catalog = catalog_of(*(rule("x", ">=", cut) for cut in range(700)))
    values = np.arange(-5, 705)
    column = Numbers(values, np.ones(len(values), bool))
    same_as_the_index(catalog, {"x": column}, [{"x": value} for value in values.tolist()])


def test_texts() -> None:
    dictionary = ["Brno", "BRNO", "Straße", "", "x1", "2026-11-20", "1.2", *map(str, range(900))]
    codes = np.array([*range(len(dictionary)), -1, 3], np.int32)
    wanted = [str(number) for number in range(0, 900, 7)]
    catalog = catalog_of(
        rule("x", "=", "brno"),
        rule("x", "in", ["Brno", "STRASSE"], caseSensitive=True),
        rule("x", "notIn", ["Brno", "STRASSE"]),
        rule("x", "in", wanted),
        rule("x", "notIn", wanted, missing=True),
        rule("x", "contains", "9"),
        rule("x", "doesNotBeginWith", "b"),
        rule("x", "matches", "^[0-9]+$"),
        rule("x", ">", "2026-11-01T00:00:00Z"),
        rule("x", "versionAtLeast", "1.1"),
        rule("x", "notNull"),
        rule("x", "in", ["brno", 5, True]),
        rule("x", "<", 5),
        rule("x", "containsAny", ["brno"]),
        rule("x", "withinDistance", {"lat": 0, "lon": 0, "km": 1}),
        rule("x", "=", ["brno"]),
    )
    profiles = [{} if code < 0 else {"x": dictionary[code]} for code in codes]
    same_as_the_index(catalog, {"x": Texts(codes, dictionary)}, profiles)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Prague"])
def test_instants(zone: str) -> None:
    types = {"t": TraitType.INSTANT, "d": TraitType.DATE}
    catalog = catalog_of(
        rule("t", "=", "2026-11-20"),
        rule("t", "in", ["2026-11-20", "2026-11-21"]),
        rule("t", "<=", "2026-11-19"),
        rule("t", "withinLast", "1d"),
        rule("t", "notWithinLast", "1mo"),
        rule("t", "withinNext", "1d", missing=True),
        rule("t", "withinNext", "1y"),
        rule("t", "anniversaryWithin", "3d"),
        rule("t", ">", "d", valueSource="field"),
        rule("t", "=", "d", valueSource="field", missing=True),
        types=types,
        zone=ZoneInfo(zone),
    )
    shifts = [0, 1, -1, DAY, -DAY, DAY + 1, 1 - DAY, 31 * DAY, -31 * DAY, 365 * DAY, -400 * DAY]
    micros = np.array([NOW + shift for shift in shifts] + [0], np.int64)
    days = np.array([NOW] * len(micros), np.int64)
    valid = np.array([*[True] * len(shifts), False])
    columns: dict[str, Part] = {
        "t": Instants(micros, valid),
        "d": Instants(days, np.ones(len(micros), bool)),
    }
    profiles: list[dict[str, Any]] = [
        {"t": to_datetime(int(moment)), "d": to_datetime(NOW)} for moment in micros[:-1]
    ]
    same_as_the_index(catalog, columns, [*profiles, {"d": to_datetime(NOW)}])


def test_booleans_and_points() -> None:
    catalog = catalog_of(
        rule("b", "=", True),
        rule("b", "in", [True, False]),
        rule("b", "!=", True, missing=True),
        rule("b", "=", 1),
        rule("p", "withinDistance", {"lat": 50, "lon": 14, "km": 100}),
        rule("p", "withinDistance", {"lat": 50, "lon": 14, "km": 0.001}, missing=True),
        rule("p", "withinDistance", {"lat": 90, "lon": 0, "km": 20_016}),
        rule("p", "=", {"lat": 50, "lon": 14}),
        types={"p": TraitType.POINT},
    )
    random = np.random.default_rng(3)
    lat = np.concatenate(([50.0, 50.000008, 90.0, -90.0, 0.0], random.uniform(48, 52, 40)))
    lon = np.concatenate(([14.0, 14.0, 180.0, -180.0, 0.0], random.uniform(12, 16, 40)))
    valid = np.array([number % 9 != 8 for number in range(45)])
    flags = np.array([number % 2 == 0 for number in range(45)])
    profiles: list[dict[str, Any]] = [
        {"b": bool(flag), "p": {"lat": float(a), "lon": float(o)}} if there else {}
        for flag, a, o, there in zip(flags, lat, lon, valid, strict=True)
    ]
    columns: dict[str, Part] = {"b": Booleans(flags, valid), "p": Points(lat, lon, valid)}
    same_as_the_index(catalog, columns, profiles)


def test_points_at_the_very_rim_are_asked_of_the_rule() -> None:
    # Circles whose radius is the distance itself, so that only exact arithmetic can decide.
    rims = [1e-9, 1e-6, 0.1, 0.9999999999, 1.0000000001]
    catalog = catalog_of(
        *(rule("p", "withinDistance", {"lat": 0, "lon": 0, "km": 111.19508023353306 * rim})
          for rim in rims),
    )  # fmt: skip
    profiles = [{"p": {"lat": 0.0, "lon": lon}} for lon in (*rims, 1.0)]
    lon = np.array([*rims, 1.0])
    column = Points(np.zeros(len(lon)), lon, np.ones(len(lon), bool))
    same_as_the_index(catalog, {"p": column}, profiles)


def test_lists_ignore_what_stands_behind_a_missing_one() -> None:
    dictionary = ["vip", "VIP", "new", 1, 1.0, 2**60, *(f"t{number}" for number in range(200))]
    catalog = catalog_of(
        rule("l", "containsAny", ["vip"]),
        rule("l", "containsAny", ["vip", 1], caseSensitive=True),
        rule("l", "containsAll", ["vip", "new"]),
        rule("l", "containsNone", ["new", 2**60], missing=True),
        *(rule("l", "containsAny", [f"t{number}", "none"]) for number in range(100)),
    )
    lists = [
        [],
        [0],
        [1, 2],
        [3],
        [4, 0],
        [5],
        [2, 2, 2],
        *[[6 + n, 7 + n] for n in range(150)],
        [],
    ]
    hidden = [0, 2, 5]  # items of a row that is missing
    codes = np.array([*(code for each in lists[:3] for code in each), *hidden,
                      *(code for each in lists[3:] for code in each)], np.int32)  # fmt: skip
    lengths = [*map(len, lists[:3]), len(hidden), *map(len, lists[3:])]
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    valid = np.array([number != 3 for number in range(len(lengths))])
    profiles: list[dict[str, Any]] = [{"l": [dictionary[code] for code in each]} for each in lists]
    profiles.insert(3, {})
    same_as_the_index(catalog, {"l": Lists(offsets, codes, dictionary, valid)}, profiles)


def test_a_field_without_a_column_is_absent() -> None:
    catalog = catalog_of(
        rule("x", "=", 1, missing=True), rule("x", "null"), rule("x", "=", "y", valueSource="field")
    )
    result = match_block(BlockPlan(catalog), Block(3), NOW)
    assert [result.row(row) for row in range(3)] == [catalog.matcher.match({}, NOW)] * 3


def test_an_empty_block_and_an_empty_catalog() -> None:
    catalog = catalog_of(rule("x", "=", 1), rule("t", "withinLast", "1d"))
    plan = BlockPlan(catalog)
    result = match_block(plan, Block.from_profiles([], plan.fields), NOW)
    assert result.bitmap.shape == (4, 0)
    nothing = match_block(BlockPlan(catalog_of()), Block(2), NOW)
    assert (nothing.bitmap.shape, nothing.row(1)) == ((0, 1), 0)


def test_a_large_block_is_matched_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "LEAST_ROWS", 64)
    monkeypatch.setattr(blocks, "ROOM", 1)
    condition = {"combinator": "and", "rules": [rule("l", "containsAny", ["b"])]}
    catalog = compile_catalog(
        [
            *(Definition(s.key, 1, "", s.definition.condition)
              for s in catalog_of(rule("x", ">", 50), rule("s", "=", "a"), rule("o", "=", {"k": 1}),
                                  rule("p", "withinDistance", {"lat": 0, "lon": 0, "km": 5}),
                                  rule("b", "=", True), rule("t", "withinLast", "1d"),
                                  ).segments.values()),
            Definition("items", 1, "", condition),
            Definition("team", 1, "", None),
            Definition("asks", 1, "", {"combinator": "and",
                                       "rules": [rule("segment:team", "=", True)]}),
        ],
        Schema(zone=UTC),
    )  # fmt: skip
    plan = BlockPlan(catalog)
    assert plan.rows_at_once == 64
    profiles: list[dict[str, Any]] = [
        {"x": n, "s": "aAb"[n % 3], "o": {"k": n % 2}, "l": ["b"] if n % 5 else [], "b": n % 2 == 0,
         "p": {"lat": 0, "lon": n / 1000}, "t": to_datetime(NOW - n * DAY // 100)}
        for n in range(150)
    ]  # fmt: skip
    on_team = np.array([n % 7 == 0 for n in range(150)])
    result = match_block(plan, Block.from_profiles(profiles, plan.fields), NOW, {"team": on_team})
    for row, profile in enumerate(profiles):
        lists = {"team"} if on_team[row] else set()
        assert result.row(row) == catalog.matcher.match(profile, NOW, lists)
    assert result.members("team").tolist() == on_team.tolist()
    assert result.members("asks").tolist() == on_team.tolist()
    assert unpack(result.bitmap[list(result.keys).index("team")], 150).tolist() == on_team.tolist()
    # Bits past the last customer are clear, whatever was negated.
    assert not np.unpackbits(result.bitmap, axis=1, bitorder="little")[:, 150:].any()


@pytest.mark.parametrize("count", [1, 2, 3, 8, 9, 255, 256, 257, 512, 513, 1_500, 70_000])
def test_codes(count: int) -> None:
    random = np.random.default_rng(count)
    values = np.concatenate((random.integers(0, count, 500), [0, count - 1]))
    codes = Codes(values.astype(np.uint32 if count > 2**16 else np.uint16), count)
    some = sorted({0, 1, count // 2, count - 1, *random.integers(0, count, 6).tolist()} - {count})
    some = [code for code in some if code < count]
    for code in some:
        assert unpack(codes.at_least(code), 502).tolist() == (values >= code).tolist()
        assert unpack(codes.equal(code), 502).tolist() == (values == code).tolist()
    many = random.integers(0, count, 100).tolist()
    assert unpack(codes.any_of(many), 502).tolist() == np.isin(values, many).tolist()
    assert unpack(codes.any_of(some), 502).tolist() == np.isin(values, some).tolist()
    assert not codes.any_of([]).any()
    low, high = some[0], some[-1]
    between = unpack(codes.between([low, high]), 502).tolist()
    assert between == ((values >= low) & (values < high)).tolist()
    assert unpack(codes.between([high]), 502).tolist() == (values >= high).tolist()
    assert not codes.between([]).any()


def test_planes_and_packing() -> None:
    values = np.arange(1000, dtype=np.uint64) << np.uint64(54)
    planes = planes_of(values, 64)
    assert planes.shape == (64, 125)
    for bit in (0, 53, 54, 63):
        expected = (np.arange(1000) << 54 >> bit & 1).astype(bool)
        assert unpack(planes[bit], 1000).tolist() == expected.tolist()
    flags = np.array([True, False, True])
    assert pack(flags).tolist() == [5]


def test_the_least_float_behind_a_cut() -> None:
    assert least_float((1, 0), float) == 1.0
    assert least_float((1, 1), float) == math.nextafter(1.0, 2)
    assert least_float((2**53 + 1, 0), float) == 2.0**53 + 2
    assert least_float((2**53 + 1, 1), float) == 2.0**53 + 2
    assert least_float((0, 1), float) == 5e-324
    assert least_float((10**400, 0), float) == math.inf
    assert least_float((math.inf, 1), float) is None
    assert least_float((-(10**400), 0), float) == -1.7976931348623157e308
    assert least_integer((0.5, 0)) == 1
    assert least_integer((1, 1)) == 2
    assert least_integer((2**63, 0)) is None
    assert least_integer((-(2**70), 0)) == -(2**63)


def test_keys_are_in_the_order_of_the_floats() -> None:
    values = np.array(sorted(set(EDGES) - {math.nan}))
    values = values[~np.isnan(values)]
    keys = float_keys(values)
    assert (np.diff(keys) > 0).all()
    assert float_keys(np.array([-0.0])) == float_keys(np.array([0.0]))


def test_cells_count_thresholds_wherever_they_crowd() -> None:
    random = np.random.default_rng(1)
    extremes = [-(2**63), 2**63 - 1]
    for thresholds in (
        [5],
        list(range(300)),
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 2**62],  # all but one in a single cell
        [*extremes],
        sorted(random.integers(-(2**62), 2**62, 200).tolist()),
    ):
        keys = [
            *extremes,
            *thresholds,
            *(threshold + by for threshold in thresholds for by in (-1, 1)),
        ]
        keys = [key for key in keys if extremes[0] <= key <= extremes[1]]
        codes = Cells(thresholds, 0).codes(np.array(keys, np.int64))
        expected = [1 + sum(threshold <= key for threshold in thresholds) for key in keys]
        assert codes.tolist() == expected


def test_a_line_of_nothing_but_open_ends() -> None:
    line = Line(TraitType.NUMBER, [[(None, None)], []])
    codes = Codes(line.float_codes(np.array([1.0, 2.0])), line.count)
    assert unpack(codes.between(line.holds[0]), 2).tolist() == [True, True]
    assert unpack(codes.between(line.fails[0]), 2).tolist() == [False, False]
    assert unpack(codes.between(line.holds[1]), 2).tolist() == [False, False]
    assert unpack(codes.between(line.fails[1]), 2).tolist() == [True, True]


def test_members_of_an_unknown_segment_are_refused() -> None:
    result = match_block(BlockPlan(catalog_of(rule("x", "=", 1))), Block(1), NOW)
    with pytest.raises(ValueError, match="nobody"):
        result.members("nobody")
