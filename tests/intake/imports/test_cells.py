"""Cells: texts, exact amounts, instants, consents."""

from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from service.core.instants import format_instant
from service.intake.imports import consents
from service.intake.imports.cells import (
    Amounts,
    DateOrder,
    Instants,
    Unreadable,
    amount,
    date_order,
    identifier,
    text,
    unguarded,
)
from service.intake.imports.values import Inference, value

PRAGUE = ZoneInfo("Europe/Prague")


@pytest.mark.parametrize(
    ("cell", "read"),
    [
        ("'=1+2", "=1+2"), ("'+420", "+420"), ("'-5", "-5"), ("'@a", "@a"), ("'\tx", "\tx"),
        ("'\rx", "\rx"), ("'tis", "'tis"), ("'", "'"), ("''=1", "''=1"), ("=1", "=1"),
        ("'75008", "75008"), ("'6940095564", "6940095564"), ("'90s", "'90s"),
    ],
)  # fmt: skip
def test_the_quote_before_a_formula_goes(cell: str, read: str) -> None:
    assert unguarded(cell) == read


@pytest.mark.parametrize(
    ("cell", "read"),
    [(" a ", "a"), ("", None), ("  ", None), (None, None), (float("nan"), None), (17, "17"),
     (17.0, "17"), (1.5, "1.5"), (True, "true"), (0, "0")],
)  # fmt: skip
def test_texts(cell: Any, read: str | None) -> None:
    assert text(cell) == read


def test_what_is_no_text_and_ids_that_are_too_long_are_refused() -> None:
    with pytest.raises(Unreadable, match="a text or a number, got a list"):
        text([1])
    with pytest.raises(Unreadable, match="256 characters at most"):
        identifier("x" * 257)


@pytest.mark.parametrize(
    ("cell", "decimal", "read"),
    [
        ("12.50", ".", "12.5"),
        (" 0.10 ", ".", "0.1"),
        ("-3", ".", "-3"),
        (".5", ".", "0.5"),
        ("1,234.50", ".", "1234.5"),
        ("1,234,567", ".", "1234567"),
        ("$12.00", ".", "12"),
        ("12.00 EUR", ".", "12"),
        ("EUR 12", ".", "12"),
        ("1.234,50", ",", "1234.5"),
        ("1 234,50", ",", "1234.5"),
        ("12,5", ",", "12.5"),
        # What no double holds: it never was one.
        ("0.123456789012345", ".", "0.123456789012345"),
        ("100000000000000.01", ".", "100000000000000.01"),
        (2.55, ".", "2.55"),
        (0.30000000000000004, ".", "0.3"),
        (6, ".", "6"),
        (None, ".", None),
        ("", ".", None),
        (float("nan"), ".", None),
    ],
)
def test_amounts_are_exact(cell: Any, decimal: str, read: str | None) -> None:
    assert amount(cell, decimal) == read
    if isinstance(cell, str):
        assert [Amounts(decimal)[cell] for _ in range(2)] == [read] * 2


@pytest.mark.parametrize("cell", ["x", "1,23", "1.2.3", "12,5", "1e5", True, [1], "1" * 16])
def test_what_is_no_amount_is_refused(cell: Any) -> None:
    with pytest.raises(Unreadable, match="expected a number"):
        amount(cell)


def test_one_and_true_are_told_apart_whichever_comes_first() -> None:
    assert amount(1) == "1"
    with pytest.raises(Unreadable):
        amount(True)


@pytest.mark.parametrize(
    ("cell", "order", "read"),
    [
        ("2026-11-20T10:00:00Z", None, "2026-11-20T10:00:00Z"),
        ("2026-11-20T10:00:00.25+01:00", None, "2026-11-20T09:00:00.250000Z"),
        # A time that names no zone is in that of the file, a date is a day of the workspace.
        ("2026-11-20 10:00:00", None, "2026-11-20T10:00:00Z"),
        ("2026-11-20 10:00", None, "2026-11-20T10:00:00Z"),
        ("2026-11-20", None, "2026-11-19T23:00:00Z"),
        ("2025-10-07 09:50:26 +0200", None, "2025-10-07T07:50:26Z"),
        ("2025-10-07 09:50:26 UTC", None, "2025-10-07T09:50:26Z"),
        ("2025-10-07 09:50:26 -05:00", None, "2025-10-07T14:50:26Z"),
        ("12/1/2010 8:26", DateOrder.MONTH, "2010-12-01T08:26:00Z"),
        ("12/1/2010 8:26", DateOrder.DAY, "2010-01-12T08:26:00Z"),
        ("1.12.2010", DateOrder.DAY, "2010-11-30T23:00:00Z"),
        ("9/6/2016 06:29:30 PM", DateOrder.MONTH, "2016-09-06T18:29:30Z"),
        ("9/6/2016 12:29 am", DateOrder.MONTH, "2016-09-06T00:29:00Z"),
    ],
)
def test_instants(cell: str, order: DateOrder | None, read: str) -> None:
    found = Instants(PRAGUE, UTC, order).read(cell)
    assert found is not None
    assert format_instant(found) == read


def test_times_without_a_zone_are_in_that_of_the_file() -> None:
    found = Instants(PRAGUE, PRAGUE).read("2026-07-01 10:00:00")
    assert found is not None
    assert format_instant(found) == "2026-07-01T08:00:00Z"
    assert Instants(UTC).read("  ") is None


@pytest.mark.parametrize(
    ("cell", "order", "said"),
    [
        ("3/4/2026", None, "day or the month first"),
        ("31/4/2026", DateOrder.DAY, "expected a date"),
        ("13/13/2026", DateOrder.MONTH, "expected a date"),
        ("13/2/2026 13:00 PM", DateOrder.DAY, "expected a date"),
        ("yesterday", None, "expected a date"),
        ("2026-13-01 10:00:00", None, "expected a date"),
        (5, None, "expected a date"),
    ],
)
def test_what_is_no_instant_is_refused(cell: Any, order: DateOrder | None, said: str) -> None:
    with pytest.raises(Unreadable, match=said):
        Instants(UTC, UTC, order).read(cell)


def test_the_order_of_dates_is_seen_where_one_can_be_only_one() -> None:
    assert date_order(["1/2/2026", "13/2/2026"]) is DateOrder.DAY
    assert date_order(["1/2/2026", "2/13/2026 10:00"]) is DateOrder.MONTH
    assert date_order(["1/2/2026", None, "2026-01-02"]) is None


@pytest.mark.parametrize(
    ("word", "patch"),
    [
        ("SUBSCRIBED", {"consent": {"email": "subscribed"}}),
        ("yes", {"consent": {"email": "subscribed"}}),
        (True, {"consent": {"email": "subscribed"}}),
        ("no", {"consent": {"email": "unsubscribed"}}),
        ("NEVER_SUBSCRIBED", {"consent": {"email": "never"}}),
        ("not-subscribed", {"consent": {"email": "never"}}),
        ("cleaned", {"suppressed": {"email": "bounce"}}),
        ("marked as spam", {"suppressed": {"email": "complaint"}}),
        ("", None),
    ],
)
def test_words_of_consent(word: Any, patch: Any) -> None:
    assert consents.consent("email", word) == patch


def test_an_unknown_word_of_consent_is_refused() -> None:
    with pytest.raises(Unreadable, match="subscribed, unsubscribed, never, yes or no"):
        consents.consent("email", "perhaps")


@pytest.mark.parametrize(
    ("cell", "patch"),
    [("2024-01-01 10:00:00", "bounce"), ("SPAM", "complaint"), ("", None), ("false", None)],
)
def test_a_column_of_suppressions(cell: str, patch: str | None) -> None:
    expected = None if patch is None else {"suppressed": {"email": patch}}
    assert consents.suppressed("email", cell) == expected


def inferred(path: str, *cells: Any) -> str | None:
    inference = Inference([path])
    for cell in cells:
        inference.look(path, cell)
    return inference.types().get(path)


@pytest.mark.parametrize(
    ("path", "cells", "kind"),
    [
        ("age", ["31", "", "40"], "number"),
        ("age", ["31", "old"], None),
        ("code_name", ["007", "12"], None),
        ("zip", ["60200"], None),
        ("address.postal_code", ["60200"], None),
        ("vip", ["true", "FALSE"], "boolean"),
        ("born", ["1990-02-03"], "date"),
        ("seen", ["2026-01-02T10:00:00Z"], "instant"),
        ("empty", ["", " "], None),
        ("typed", [31, 40], None),
        ("score", ["-1.50", "0.25"], "number"),
        ("long", ["1234567890123456"], None),
    ],
)
def test_types_that_columns_show(path: str, cells: list[Any], kind: str | None) -> None:
    assert inferred(path, *cells) == kind


@pytest.mark.parametrize(
    ("cell", "kind", "read"),
    [
        ("1.50", "number", 1.5),
        ("3", "number", 3),
        ("yes", "boolean", True),
        ('"VIP","Blog"', "list", ["VIP", "Blog"]),
        ("a, b,,", "list", ["a", "b"]),
        ('["a", 1]', "list", ["a", 1]),
        ("2026-01-02 10:00:00 +0100", "instant", "2026-01-02T09:00:00Z"),
        ("1990-02-03", "date", "1990-02-03"),
        (60200, "string", "60200"),
        (" x ", None, "x"),
        ({"a": 1}, None, {"a": 1}),
        ("", "number", None),
    ],
)
def test_values_of_a_type(cell: Any, kind: str | None, read: Any) -> None:
    assert value(cell, kind, Instants(UTC)) == read


@pytest.mark.parametrize(
    ("cell", "kind"), [("x", "number"), ("perhaps", "boolean"), ("soon", "instant"), ("x", "date")]
)
def test_values_that_are_not_of_their_type(cell: str, kind: str) -> None:
    with pytest.raises(Unreadable, match="expected"):
        value(cell, kind, Instants(UTC))
