"""What is said of a file, what its export is known for, what its columns make plain."""

from typing import Any

import pytest

from service.core.problems import Invalid
from service.intake.imports.cells import DateOrder
from service.intake.imports.fields import Kind, fault, snake
from service.intake.imports.filters import Where
from service.intake.imports.mapping import read
from service.intake.imports.presets import PRESETS
from tests.intake.imports.reading import faults, pieces, plan_of, told


def problems(columns: str, file: str = "file.csv", rows: Any = (), **said: Any) -> dict[str, str]:
    """By place, the code of everything that is wrong."""
    with pytest.raises(Invalid) as invalid:
        plan_of(columns.split("|"), rows, file, **said)
    return {each.pointer: each.code for each in invalid.value.problems}


@pytest.mark.parametrize(
    ("columns", "kind", "fields"),
    [
        (
            "InvoiceNo|StockCode|Description|Quantity|InvoiceDate|UnitPrice|CustomerID|Country",
            Kind.ORDERS,
            {"order_id": "InvoiceNo", "placed_at": "InvoiceDate", "customer_id": "CustomerID",
             "item.sku": "StockCode", "item.name": "Description", "item.quantity": "Quantity",
             "item.price": "UnitPrice"},
        ),
        (
            "order id|user_id|created at|total|currency|item.colour",
            Kind.ORDERS,
            {"order_id": "order id", "customer_id": "user_id", "placed_at": "created at",
             "total": "total", "currency": "currency", "item.colour": "item.colour"},
        ),
        (
            "userId|event|timestamp|page",
            Kind.EVENTS,
            {"customer_id": "userId", "event": "event", "timestamp": "timestamp",
             "properties.page": "page"},
        ),
        (
            "email|channel|status|date",
            Kind.CONSENT,
            {"email": "email", "channel": "channel", "status": "status", "at": "date"},
        ),
        (
            "Customer ID|E-mail|City of birth|Accepts Email Marketing",
            Kind.CUSTOMERS,
            {"customer_id": "Customer ID", "email": "E-mail", "traits.email": "E-mail",
             "consent.email": "Accepts Email Marketing", "traits.city_of_birth": "City of birth"},
        ),
    ],
)  # fmt: skip
def test_plain_columns_are_guessed_and_told(
    columns: str, kind: Kind, fields: dict[str, str]
) -> None:
    plan = plan_of(columns.split("|"), [], "file.csv")
    assert plan.kind is kind
    assert plan.fields == fields
    assert {*plan.guessed} == {*fields} - {"traits.email"}
    assert plan.ignored == [each for each in columns.split("|") if each not in fields.values()]


def test_what_was_said_goes_before_what_is_guessed() -> None:
    plan = plan_of(
        ["id", "day", "who", "date", "amount"], [], "f.csv",
        **{"as": "orders", "map": {"order_id": "ID", "placed_at": "day", "customer_id": "who",
                                   "total": "amount"}},
    )  # fmt: skip
    assert plan.fields["order_id"] == "id"
    assert plan.guessed == []
    assert plan.ignored == ["date"]


def test_others_may_be_ignored_and_constants_set() -> None:
    said = {"as": "events", "map": {"timestamp": "at"}, "set": {"event": "A"}}
    plan = plan_of(["user_id", "at", "x"], [], "f.csv", others="ignore", **said)
    assert plan.ignored == ["x"]
    assert plan.constants == {"event": "A"}


@pytest.mark.parametrize(
    ("columns", "said", "expected"),
    [
        ("a|b", {"as": "orders"},
         {"/map/customer_id": "required", "/map/order_id": "required",
          "/map/placed_at": "required"}),
        ("customer_id|b", {"map": {"traits.x": "c"}}, {"/map/traits.x": "not_found"}),
        ("customer_id|b", {"map": {"nonsense": "b"}}, {"/map/nonsense": "unknown_field"}),
        ("customer_id|b", {"set": {"consent.fax": "yes"}}, {"/set/consent.fax": "unknown_field"}),
        ("customer_id|b", {"where": ["c > 1"]}, {"/where/0": "not_found"}),
        ("customer_id", {"as": "list"}, {"/list": "required"}),
        ("customer_id", {"as": "consent"},
         {"/map/channel": "required", "/map/status": "required"}),
        ("customer_id", {"as": "events", "set": {"event": "A"}}, {"/map/timestamp": "required"}),
        # It would be one order, whoever the rows name.
        ("customer_id", {"as": "orders", "set": {"order_id": "1", "placed_at": "2026-01-02"}},
         {"/set/order_id": "bad_value"}),
    ],
)  # fmt: skip
def test_what_is_missing_or_unknown_is_refused(
    columns: str, said: Any, expected: dict[str, str]
) -> None:
    assert problems(columns, **said) == expected


@pytest.mark.parametrize(
    ("document", "pointer", "code"),
    [
        ([], "", "type"),
        ({"what": 1}, "/what", "unknown_property"),
        ({"as": "people"}, "/as", "bad_value"),
        ({"map": []}, "/map", "type"),
        ({"map": {"a": 1}}, "/map/a", "type"),
        ({"preset": "magento"}, "/preset", "bad_value"),
        ({"where": "a > 1"}, "/where", "type"),
        ({"where": ["a"]}, "/where/0", "bad_value"),
        ({"where": ["a > b"]}, "/where/0", "bad_value"),
        ({"types": {"a": "text"}}, "/types/a", "bad_value"),
        ({"dates": "ymd"}, "/dates", "bad_value"),
        ({"time_zone": "Prague"}, "/time_zone", "bad_value"),
        ({"delimiter": "::"}, "/delimiter", "bad_value"),
        ({"store": "x" * 257}, "/store", "bad_value"),
    ],
)
def test_mappings_that_are_none(document: Any, pointer: str, code: str) -> None:
    with pytest.raises(Invalid) as invalid:
        read(document)
    assert [(each.pointer, each.code) for each in invalid.value.problems] == [(pointer, code)]


def test_a_mapping_and_its_document_are_the_same() -> None:
    document = {
        "as": "orders", "map": {"order_id": "a"}, "set": {"currency": "EUR"}, "where": ["a > 1"],
        "store": "eu", "dates": "dmy", "decimal": ",", "time_zone": "Europe/Prague",
        "types": {"zip": "string"}, "others": "ignore",
    }  # fmt: skip
    assert read(document).document() == document
    assert read(read(document).document()) == read(document)


@pytest.mark.parametrize(
    ("written", "cells"),
    [
        ("Price > 0", {"0.01": True, "0": False, "-1": False, "": False, "x": False}),
        ("Price>=1.5", {"1.50": True, "1.4": False}),
        ("a != 0", {"0": False, "0.0": False, "1": True, "": True}),
        ("status = paid", {"paid": True, " paid ": True, "Paid": False, "": False}),
        ("status != ", {"": False, "x": True}),
        ("long name < 3", {"2": True, "3": False}),
    ],
)
def test_conditions_on_rows(written: str, cells: dict[str, bool]) -> None:
    where = Where.of(written)
    assert where is not None
    test = where.test(".")
    assert {cell: test(cell) for cell in cells} == cells


def test_dates_with_slashes_are_seen_by_those_that_can_be_only_one() -> None:
    columns = ["customer_id", "event", "date"]
    plan = plan_of(columns, [["c", "A", "1/2/2026"], ["c", "A", "1/22/2026"]], "f.csv")
    assert plan.dates is DateOrder.MONTH
    found = told("customer_id|event|date", ["c", "A", "1/2/2026"])
    assert faults(found) == [(2, "date", "bad_value")]
    assert "dmy or mdy" in found.bad[0].detail


@pytest.mark.parametrize(
    ("column", "name"),
    [("Country / Region", "country_region"), ("customerId", "customer_id"), ("AOV", "aov"),
     ("Día", "d_a"), ("  x  ", "x")],
)  # fmt: skip
def test_columns_names_as_traits(column: str, name: str) -> None:
    assert snake(column) == name


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_presets_name_fields_that_there_are(preset: Any) -> None:
    for field in (*preset.columns, *preset.constants):
        assert fault(preset.kind, field) is None


SHOPIFY_ORDERS = (
    "Name|Email|Financial Status|Paid at|Accepts Marketing|Currency|Subtotal|Shipping|Taxes|Total|"
    "Discount Code|Discount Amount|Created at|Lineitem quantity|Lineitem name|Lineitem price|"
    "Lineitem sku|Vendor|Cancelled at|Refunded Amount|Id|Phone"
)


def test_orders_of_shopify() -> None:
    found = told(
        SHOPIFY_ORDERS,
        ["#1001", "ann@example.com", "paid", "2025-10-07 09:50:26 +0200", "yes", "EUR", "53.91",
         "0.00", "0.00", "53.91", "WELCOME", "5.99", "2025-10-07 09:50:26 +0200", "3", "Mask",
         "19.97", "m-1", "Leaf", "", "0.00", "7410991464714", "+33610826417"],
        ["#1001", "ann@example.com", *[""] * 11, "1", "Cream", "0.00", "c-1", "Leaf", *[""] * 4],
        ["#1002", "", "expired", *[""] * 4, "", "", "9", "", "", "2025-10-08 09:50:26 +0200", "1",
         "Mask", "9", "m-1", "Leaf", "", "", "7410991464715", "+33610826417"],
    )  # fmt: skip
    (piece,) = pieces(found)
    assert piece["email"] == "ann@example.com"
    assert piece["phone"] == "+33610826417"
    assert piece["at"] == "2025-10-07T07:50:26Z"
    name, properties = piece["events"][0]
    assert name == "Order Completed"
    assert properties["order_id"] == "7410991464714"
    assert properties["order_number"] == "#1001"
    assert (properties["revenue"], properties["total"]) == ("53.91", "53.91")
    assert [line["name"] for line in properties["products"]] == ["Mask", "Cream"]
    assert len(piece["events"]) == 1
    assert faults(found) == [(4, "Financial Status", "not_placed")]


def test_customers_of_shopify() -> None:
    found = told(
        "Customer ID|First Name|Last Name|Email|Accepts Email Marketing|Default Address City|"
        "Default Address Zip|Phone|Accepts SMS Marketing|Total Spent|Tags",
        ["6940095564", "Ann", "Lee", "Ann@example.com", "yes", "Brno", "60200", "", "no",
         "120.00", "vip, wholesale"],
    )  # fmt: skip
    (piece,) = pieces(found)
    assert (piece["shopify"], piece["email"]) == ("6940095564", "ann@example.com")
    assert piece["traits"] == {
        "email": "Ann@example.com", "first_name": "Ann", "last_name": "Lee",
        "address": {"city": "Brno", "postal_code": "60200"}, "tags": ["vip", "wholesale"],
        "consent": {"email": "subscribed", "sms": "unsubscribed"},
    }  # fmt: skip


def test_orders_of_woocommerce() -> None:
    found = told(
        "order_id|order_number|order_date|status|shipping_total|tax_total|discount_total|"
        "order_total|order_currency|customer_id|billing_email|item_name|item_sku|item_quantity|"
        "item_total",
        ["17", "17", "2026-01-02 06:29:00", "wc-completed", "5", "2", "0", "27", "EUR", "0",
         "ann@example.com", "Hat", "h-1", "2", "20"],
        ["18", "18", "2026-01-03 06:29:00", "wc-cancelled", "0", "0", "0", "10", "EUR", "5",
         "bob@example.com", "Hat", "h-1", "1", "10"],
        ["19", "19", "2026-01-03 06:29:00", "pending", "0", "0", "0", "10", "EUR", "5",
         "bob@example.com", "Hat", "h-1", "1", "10"],
    )  # fmt: skip
    first, second = pieces(found)
    assert "woocommerce" not in first  # a guest
    assert first["events"][0][1]["products"][0]["price"] == "10"
    assert second["woocommerce"] == "5"
    assert [name for name, _ in second["events"]] == ["Order Completed", "Order Cancelled"]
    assert faults(found) == [(4, "status", "not_placed")]


def test_customers_of_woocommerce() -> None:
    found = told(
        "Name|Username|Last active|Sign up|Email|Orders|Total spend|AOV|Country / Region|City|"
        "Region|Postal code",
        ["Ann Lee", "ann", "2026-01-02 10:00:00", "2025-01-02 10:00:00", "ann@example.com", "3",
         "120", "40", "CZ", "Brno", "", "602 00"],
    )  # fmt: skip
    (piece,) = pieces(found)
    assert piece["email"] == "ann@example.com"
    assert piece["traits"]["address"] == {"country": "CZ", "city": "Brno", "postal_code": "602 00"}
    assert "total_spend" not in piece["traits"]


def test_profiles_of_klaviyo() -> None:
    found = told(
        "Email|Klaviyo ID|First Name|Phone Number|City|Email Marketing Consent|Email Suppressions|"
        "Skin type|Date Added",
        ["ann@example.com", "01ABC", "Ann", "", "Brno", "SUBSCRIBED", "", "dry", "2024-01-01"],
        ["bob@example.com", "01DEF", "Bob", "", "", "NEVER_SUBSCRIBED", "HARD_BOUNCE", "", ""],
    )
    first, second = pieces(found)
    assert first["klaviyo"] == "01ABC"
    assert first["traits"]["skin_type"] == "dry"
    assert first["traits"]["consent"] == {"email": "subscribed"}
    assert "date_added" not in first["traits"]
    assert second["traits"]["consent"] == {"email": "never"}
    assert second["traits"]["suppressed"] == {"email": "bounce"}


MAILCHIMP = (
    "Email Address|First Name|Last Name|MEMBER_RATING|OPTIN_TIME|CONFIRM_TIME|LAST_CHANGED|LEID|"
    "EUID|NOTES|TAGS"
)
CONTACT = ["ann@example.com", "Ann", "Lee", "2", "", "2020-02-03 04:06:00", "2021-01-01 00:00:00",
           "123", "abc", "", '"VIP","Blog"']  # fmt: skip


@pytest.mark.parametrize(
    ("file", "more", "at", "told_of"),
    [
        ("subscribed_members_export_1.csv", "", "2021-01-01T00:00:00Z",
         {"consent": {"email": "subscribed"}}),
        ("nonsubscribed_members_export_1.csv", "", "2021-01-01T00:00:00Z",
         {"consent": {"email": "never"}}),
        ("unsubscribed_members_export_1.csv", "UNSUB_TIME", "2022-05-06T07:08:09Z",
         {"consent": {"email": "unsubscribed"}}),
        ("cleaned_members_export_1.csv", "CLEAN_TIME", "2022-05-06T07:08:09Z",
         {"suppressed": {"email": "bounce"}}),
    ],
)  # fmt: skip
def test_audiences_of_mailchimp(file: str, more: str, at: str, told_of: Any) -> None:
    columns = MAILCHIMP + (f"|{more}" if more else "")
    row = [*CONTACT, *(["2022-05-06 07:08:09"] if more else [])]
    (piece,) = pieces(told(columns, row, file=file))
    assert (piece["mailchimp"], piece["email"], piece["at"]) == ("abc", "ann@example.com", at)
    traits = piece["traits"]
    assert traits["tags"] == ["VIP", "Blog"]
    assert traits["member_rating"] == 2
    assert {name: traits[name] for name in told_of} == told_of
    assert not {"consent", "suppressed"} - told_of.keys() & traits.keys()


def test_an_audience_whose_files_name_says_nothing_is_asked_about() -> None:
    assert problems(MAILCHIMP, "audience.csv")["/preset"] == "required"
    plan = plan_of(MAILCHIMP.split("|"), [], "audience.csv", preset="mailchimp-subscribed")
    assert plan.constants == {"consent.email": "subscribed"}
