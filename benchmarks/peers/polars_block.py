"""Polars, the block form: each condition one expression, all evaluated in one `select`.

Polars' own three-valued logic is the product's, so NOT is NOT. Columns are typed when the block is
loaded, outside the measured time: strings as categories (measured a fifth faster than strings),
instants and versions as sortable integers, points as radians.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from math import cos, radians
from typing import Any

import polars as pl

from benchmarks.peers.closures import EARTH_KM, UNITS_US
from benchmarks.workload import FIELDS, FLAGS, INSTANTS, NUMBERS, TEXTS, Point, Tokens, Version


def load(profiles: list[dict[str, Any]]) -> pl.DataFrame:
    """The block as typed columns; a missing value is null."""
    columns: dict[str, pl.Series] = {}
    for each in FIELDS:
        values = [profile.get(each.name) for profile in profiles]
        if isinstance(each, Point):
            for axis, name in (("lat", each.name), ("lon", f"{each.name}.lon")):
                angles = [None if value is None else radians(value[axis]) for value in values]
                columns[name] = pl.Series(angles, dtype=pl.Float64)
        elif isinstance(each, Version):
            numbers = [None if value is None else _version(value) for value in values]
            columns[each.name] = pl.Series(numbers, dtype=pl.Int64)
        elif each in INSTANTS:
            moments = [None if value is None else _instant(value) for value in values]
            columns[each.name] = pl.Series(moments, dtype=pl.Int64)
        else:
            columns[each.name] = pl.Series(values, dtype=_dtype(each))
    return pl.DataFrame(columns)


def prepare(conditions: list[dict[str, Any]], now_us: int) -> list[pl.Expr]:
    """One expression a condition, named by its index."""
    return [_expression(each, now_us).alias(str(n)) for n, each in enumerate(conditions)]


def match(block: pl.DataFrame, expressions: list[pl.Expr]) -> pl.DataFrame:
    """A column of truths (true, false, null) a condition."""
    # Lazily, so that predicates shared by conditions are computed once: twice as fast as eagerly.
    return block.lazy().select(expressions).collect()


def _dtype(each: Any) -> Any:
    if each in TEXTS:
        return pl.Categorical
    if each in FLAGS:
        return pl.Boolean
    if isinstance(each, Tokens):
        return pl.List(pl.String)
    return pl.Int64 if each in NUMBERS and each.whole else pl.Float64


def _version(value: str) -> int:
    major, minor, patch = map(int, value.split("."))
    return (major << 40) + (minor << 20) + patch


def _instant(value: str) -> int:
    return int(datetime.fromisoformat(value).astimezone(UTC).timestamp()) * 1_000_000


def _expression(rule: dict[str, Any], now_us: int) -> pl.Expr:
    if "rules" in rule:
        children = [_expression(each, now_us) for each in rule["rules"]]
        joined = (pl.all_horizontal if rule["combinator"] == "and" else pl.any_horizontal)(children)
        return ~joined if rule["not"] else joined
    column, value = pl.col(rule["field"]), rule.get("value")
    if isinstance(value, str) and rule["field"] in {each.name for each in INSTANTS}:
        if rule["operator"].endswith("Last"):
            span = int(value[:-1]) * UNITS_US[value[-1]]
            window = (column > now_us - span) & (column <= now_us)
            return window if rule["operator"] == "withinLast" else ~window
        value = _instant(value)
    return _COMPARISONS[rule["operator"]](column, value)


def _within(lat: pl.Expr, value: dict[str, float]) -> pl.Expr:
    """Great-circle distance by the haversine formula, km."""
    lon = pl.col(f"{lat.meta.output_name()}.lon")
    to_lat, to_lon = radians(value["lat"]), radians(value["lon"])
    half = ((lat - to_lat) / 2).sin() ** 2
    half += lat.cos() * cos(to_lat) * ((lon - to_lon) / 2).sin() ** 2
    return 2 * EARTH_KM * half.sqrt().arcsin() <= value["km"]


def _any_of(column: pl.Expr, values: list[str]) -> pl.Expr:
    return pl.any_horizontal([column.list.contains(each) for each in values])


_COMPARISONS: dict[str, Callable[[pl.Expr, Any], pl.Expr]] = {
    "=": lambda column, value: column == value,
    "!=": lambda column, value: column != value,
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
    "in": lambda column, value: column.is_in(value),
    "notIn": lambda column, value: ~column.is_in(value),
    "between": lambda column, value: column.is_between(*value),
    "null": lambda column, _: column.is_null(),
    "notNull": lambda column, _: column.is_not_null(),
    "contains": lambda column, value: column.cast(pl.String).str.contains(value, literal=True),
    "beginsWith": lambda column, value: column.cast(pl.String).str.starts_with(value),
    "containsAny": _any_of,
    "containsNone": lambda column, value: ~_any_of(column, value),
    "containsAll": lambda column, value: pl.all_horizontal(
        [column.list.contains(each) for each in value]
    ),
    "versionAtLeast": lambda column, value: column >= _version(value),
    "versionBelow": lambda column, value: column < _version(value),
    "withinDistance": _within,
}
