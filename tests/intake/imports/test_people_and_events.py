"""Rows about customers, their consent and their lists; rows that are events."""

from typing import Any

import pytest

from tests.intake.imports.reading import BEGAN, faults, pieces, told


def test_columns_of_customers_become_traits_of_the_type_they_show() -> None:
    found = told(
        "customer_id|Email|First Name|age|zip|vip|Last Order|note",
        ["c-1", "Ann@Example.com", "Ann", "31", "01234", "true", "2026-01-02", ""],
        ["c-2", "", "Bob", "", "60200", "", "", "calls"],
    )
    first, second = pieces(found)
    assert first == {
        "rows": [2], "at": "2027-01-15T08:00:00Z", "customer_id": "c-1",
        "email": "ann@example.com",
        "traits": {"email": "Ann@Example.com", "first_name": "Ann", "age": 31, "zip": "01234",
                   "vip": True, "last_order": "2026-01-02"},
    }  # fmt: skip
    assert second["traits"] == {"first_name": "Bob", "zip": "60200", "note": "calls"}
    assert found.counts == {"rows": 2, "customers": 2}


def test_types_that_were_said_go_before_what_a_column_shows() -> None:
    found = told("customer_id|number|tags", ["c-1", "7", "a,b"],
                 types={"number": "string", "tags": "list"})  # fmt: skip
    assert pieces(found)[0]["traits"] == {"number": "7", "tags": ["a", "b"]}


def test_what_is_set_is_the_same_for_every_customer() -> None:
    said = {"traits.source": "fair", "traits.stand": 7, "traits.tags": "a,b"}
    found = told("customer_id|age", ["c-1", "31"], ["c-2", ""], types={"tags": "list"}, set=said)
    same = {"source": "fair", "stand": 7, "tags": ["a", "b"]}
    assert [piece["traits"] for piece in pieces(found)] == [{"age": 31, **same}, same]


def test_what_is_set_is_the_same_for_every_event() -> None:
    day = "2026-01-02T10:00:00Z"
    said = {"event": "Met", "properties.place": "Brno"}
    found = told("customer_id|timestamp", ["c-1", day], **{"as": "events", "set": said})
    assert pieces(found)[0]["events"] == [("Met", {"place": "Brno"})]


def test_a_later_row_of_a_customer_counts_after_an_earlier_one() -> None:
    found = told("customer_id|city", ["c-1", "Brno"], ["c-1", "Praha"])
    ((first, second),) = found.pieces.values()
    assert first.at == second.at == BEGAN
    assert first.message_id < second.message_id


@pytest.mark.parametrize("column", ["at", "At", "updated_at"])
def test_when_values_were_so_may_be_told(column: str) -> None:
    found = told(f"customer_id|city|{column}", ["c-1", "Brno", "2026-01-02 10:00:00"])
    assert pieces(found)[0]["at"] == "2026-01-02T10:00:00Z"
    assert pieces(found)[0]["traits"] == {"city": "Brno"}


def test_rows_without_an_id_are_known_by_their_identities() -> None:
    found = told("email|phone|city", ["ann@example.com", "+420 777 123", "Brno"])
    (piece,) = pieces(found)
    assert "customer_id" not in piece
    assert (piece["email"], piece["phone"]) == ("ann@example.com", "+420777123")


@pytest.mark.parametrize(
    ("row", "column", "code"),
    [
        (["", "", "x"], None, "no_customer"),
        (["", "no address", "x"], "email", "bad_value"),
        (["c" * 257, "", "x"], "customer_id", "bad_value"),
    ],
)
def test_rows_that_name_nobody(row: list[str], column: str | None, code: str) -> None:
    assert faults(told("customer_id|email|city", row)) == [(2, column, code)]


def test_traits_of_json_are_merged_below_the_columns_own() -> None:
    columns = "customer_id|traits|traits.address.city"
    found = told(columns, ["c-1", {"age": 31, "address": {"zip": "1", "city": "X"}}, "Brno"],
                 ["c-2", {"a.b": 1}, ""], ["c-3", "text", ""])  # fmt: skip
    traits = {"age": 31, "address": {"zip": "1", "city": "Brno"}}
    assert pieces(found)[0]["traits"] == traits
    assert faults(found) == [(3, "traits", "bad_name"), (4, "traits", "type")]


def test_consent_by_channel_and_status() -> None:
    said = {"as": "consent"}
    found = told(
        "customer_id|channel|status|timestamp",
        ["c-1", "email", "subscribed", "2026-01-02T10:00:00Z"],
        ["c-1", "SMS", "no", "2026-01-02T10:00:00Z"],
        ["c-2", "fax", "yes", ""],
        ["c-2", "email", "perhaps", ""],
        ["c-2", "email", "", ""],
        **said,
    )
    assert [each["traits"] for each in pieces(found)] == [
        {"consent": {"email": "subscribed"}}, {"consent": {"sms": "unsubscribed"}},
    ]  # fmt: skip
    assert faults(found) == [
        (4, "channel", "bad_value"), (5, "status", "bad_value"), (6, "status", "empty"),
    ]  # fmt: skip


def test_consent_by_a_column_each_and_by_a_constant() -> None:
    found = told("customer_id|email_consent|sms", ["c-1", "yes", "no"],
                 **{"as": "consent", "map": {"consent.sms": "sms"}})  # fmt: skip
    assert pieces(found)[0]["traits"] == {"consent": {"email": "subscribed", "sms": "unsubscribed"}}
    found = told("customer_id", ["c-1"], **{"as": "consent", "set": {"consent.ads": "subscribed"}})
    assert pieces(found)[0]["traits"] == {"consent": {"ads": "subscribed"}}


def test_a_list_takes_its_members_and_nothing_else_of_them() -> None:
    found = told("customer_id|email|city", ["c-1", "ann@example.com", "Brno"], list="vip")
    (piece,) = pieces(found)
    assert piece["customer_id"] == "c-1"
    assert "traits" not in piece
    assert "events" not in piece


EVENTS = "user_id|event|timestamp|price|label"


def test_rows_are_events_with_their_other_columns_as_properties() -> None:
    found = told(EVENTS, ["c-1", "Product Viewed", "2026-01-02T10:00:00Z", "2.50", "x"])
    (piece,) = pieces(found)
    assert piece["events"] == [("Product Viewed", {"price": 2.5, "label": "x"})]
    assert piece["at"] == "2026-01-02T10:00:00Z"
    assert found.counts == {"events": 1}


def ids(*rows: Any) -> list[str]:
    return [
        piece.message_id for each in told(EVENTS, *rows).pieces.values() for piece in each
    ]  # fmt: skip


def test_an_event_is_known_by_what_it_says_and_alike_ones_by_their_place() -> None:
    row = ["c-1", "A", "2026-01-02", "1", ""]
    once, twice = ids(row), ids(row, row)
    assert once == twice[:1]
    assert twice[0] != twice[1]
    # A file that has become longer tells nothing twice.
    assert ids(row, row, ["c-1", "A", "2026-01-03", "1", ""])[:2] == twice
    assert ids(["c-2", "A", "2026-01-02", "1", ""]) != once


def test_an_event_may_bring_its_message_id() -> None:
    found = told(
        "user_id|event|timestamp|message_id|properties",
        ["c-1", "A", "2026-01-02", "m-1", {"a": 1}],
        ["c-1", "A", "2026-01-02", "m" * 101, {}],
    )
    (piece,) = pieces(found)
    assert piece["events"] == [("A", {"a": 1})]
    assert faults(found) == [(3, "message_id", "too_long")]


@pytest.mark.parametrize(
    ("row", "column", "code"),
    [
        (["", "A", "2026-01-02", "1", ""], None, "no_customer"),
        (["c-1", "", "2026-01-02", "1", ""], "event", "required"),
        (["c-1", "A", "", "1", ""], "timestamp", "required"),
        (["c-1", "A", "2099-01-02", "1", ""], "timestamp", "in_the_future"),
        (["c-1", "Order Refunded", "2026-01-02", "1", ""], None, "required"),
    ],
)
def test_events_that_are_refused(row: list[str], column: str | None, code: str) -> None:
    assert faults(told(EVENTS, row)) == [(2, column, code)]
