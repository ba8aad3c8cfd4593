"""Rates of exchange: which one a day has, and what is refused as one."""

from datetime import UTC, date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.instants import parse_instant
from service.core.money import money, number_of, rounded, text_of
from service.core.rates import LONGEST_HELD, Rate, Rates, read_currency, read_rate, table_of
from service.core.traits import Uncoercible

FRIDAY, MONDAY = date(2026, 11, 20), date(2026, 11, 23)
TABLE = table_of(
    [
        Rate("EUR", MONDAY, Decimal("1.09")),
        Rate("EUR", FRIDAY, Decimal("1.08")),
        Rate("CZK", FRIDAY, Decimal("0.05")),
        Rate("CZK", FRIDAY, Decimal("0.043")),
    ]
)
RATES = Rates("USD", UTC, TABLE)


@pytest.mark.parametrize(
    ("currency", "day", "rate"),
    [
        ("EUR", FRIDAY, "1.08"),
        ("EUR", date(2026, 11, 21), "1.08"),
        ("EUR", date(2026, 11, 22), "1.08"),
        ("EUR", MONDAY, "1.09"),
        ("EUR", date(2026, 12, 24), "1.09"),
        ("EUR", date(2026, 12, 25), None),
        ("EUR", date(2026, 11, 19), None),
        ("CZK", FRIDAY, "0.043"),
        ("PLN", FRIDAY, None),
        ("USD", date(1999, 1, 1), "1"),
    ],
)
def test_the_latest_rate_of_the_days_before(currency: str, day: date, rate: str | None) -> None:
    assert RATES.rate(currency, day) == (None if rate is None else Decimal(rate))


def test_the_day_is_the_workspaces() -> None:
    late = parse_instant("2026-11-22T23:30:00Z", UTC)
    assert late is not None
    assert RATES.at("EUR", late) == Decimal("1.08")
    prague = Rates("USD", ZoneInfo("Europe/Prague"), TABLE)
    assert prague.at("EUR", late) == Decimal("1.09")


_DAYS = st.dates(date(2026, 1, 1), date(2026, 4, 1))


@given(st.lists(st.tuples(_DAYS, st.integers(1, 9).map(Decimal))), _DAYS)
def test_a_rate_as_it_would_be_looked_for_one_by_one(
    told: list[tuple[date, Decimal]], day: date
) -> None:
    rates = Rates("USD", UTC, table_of([Rate("EUR", each, rate) for each, rate in told]))
    held = [each for each, _ in told if each <= day <= each + LONGEST_HELD]
    expected = [rate for each, rate in told if held and each == max(held)]
    assert rates.rate("EUR", day) == (expected[-1] if expected else None)


@pytest.mark.parametrize(
    ("text", "code"),
    [("EUR", "EUR"), (" eur ", "EUR"), ("EURO", None), ("E1R", None), ("", None), (978, None),
     ("ÉUR", None)],
)  # fmt: skip
def test_codes_of_currencies(text: Any, code: str | None) -> None:
    assert read_currency(text) == code


def test_a_rate_is_read() -> None:
    for rate in ("1.0852", 1.0852, " 1.0852 "):
        told = {"currency": "eur", "day": "2026-11-20", "rate": rate}
        assert read_rate(told, "USD", "{}") == Rate("EUR", FRIDAY, Decimal("1.0852"))


@pytest.mark.parametrize(
    ("told", "rate"),
    [(1 / 0.92, "1.08695652173913"), ("1.0869565217391304347826", "1.0869565217391304347826"),
     (2, "2"), ("0.00000000000000000001", "1E-20")],
)  # fmt: skip
def test_rates_may_have_many_digits(told: Any, rate: str) -> None:
    read = read_rate({"currency": "EUR", "day": "2026-11-20", "rate": told}, "USD", "{}")
    assert read == Rate("EUR", FRIDAY, Decimal(rate))


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        ({"currency": None}, [("currency", "required")]),
        ({"day": "", "rate": None}, [("day", "required"), ("rate", "required")]),
        ({"currency": "euro"}, [("currency", "bad_value")]),
        ({"currency": "USD"}, [("currency", "bad_value")]),
        ({"day": "20.11.2026"}, [("day", "bad_value")]),
        ({"day": "2026-02-30"}, [("day", "bad_value")]),
        ({"day": "2026-11-20T00:00:00Z"}, [("day", "bad_value")]),
        ({"day": 20261120}, [("day", "bad_value")]),
        ({"rate": 0}, [("rate", "bad_value")]),
        ({"rate": "-1"}, [("rate", "bad_value")]),
        ({"rate": 10**9}, [("rate", "bad_value")]),
        ({"rate": "1,0852"}, [("rate", "bad_value")]),
        ({"rate": True}, [("rate", "bad_value")]),
        ({"rate": "1." + "1" * 26}, [("rate", "bad_value")]),
        ({"rate": []}, [("rate", "bad_value")]),
        ({"day": "soon", "rate": "much"}, [("day", "bad_value"), ("rate", "bad_value")]),
    ],
)
def test_what_is_no_rate_is_refused(change: dict[str, Any], faults: list[tuple[str, str]]) -> None:
    told = {"currency": "EUR", "day": "2026-11-20", "rate": "1.0852", **change}
    found = read_rate(told, "USD", "{}")
    assert isinstance(found, list)
    assert [(each.pointer, each.code) for each in found] == faults


@pytest.mark.parametrize(
    ("told", "amount"),
    [("120.50", "120.5"), (120.5, "120.5"), (120, "120"), ("-0.10", "-0.1"), (0.1, "0.1"),
     ("  7 ", "7"), (1e-7, "0.0000001"), (0.1 + 0.2, "0.3"),
     (119.99999999999999, "120"), (0.12345678901234568, "0.123456789012346"),
     ("12345678901234.567890123456789", "12345678901234.567890123456789"),
     (10**15 - 1, "999999999999999")],
)  # fmt: skip
def test_amounts_are_exact(told: Any, amount: str) -> None:
    assert money(told) == Decimal(amount)
    assert text_of(money(told)) == amount


@pytest.mark.parametrize(
    "told",
    [
        "",
        "1e3",
        "1,5",
        "1" * 16,
        "0." + "1" * 16,
        "٣",
        None,
        True,
        [],
        10**15,
        -(10**15),
        1e15,
        float("inf"),
        float("nan"),
    ],
)
def test_what_is_no_amount(told: Any) -> None:
    with pytest.raises(Uncoercible):
        money(told)


@pytest.mark.parametrize(
    ("amount", "near"),
    [("0.00005", "0"), ("0.00015", "0.0002"), ("0.00025", "0.0002"), ("0.000250001", "0.0003"),
     ("120.5", "120.5")],
)  # fmt: skip
def test_rounding_to_the_even_digit(amount: str, near: str) -> None:
    assert rounded(Decimal(amount)) == Decimal(near)


def test_amounts_as_json_numbers_and_texts() -> None:
    assert [number_of(Decimal(text)) for text in ("120.00", "120.50", "-0.0")] == [120, 120.5, 0]
    assert type(number_of(Decimal("120.00"))) is int
    assert [text_of(Decimal(text)) for text in ("1E+3", "120.00", "-0.00", "0")] == [
        "1000", "120", "0", "0",
    ]  # fmt: skip
