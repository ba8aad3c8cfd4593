"""What the columns of a file may be said to hold, by what the file is about."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from service.core.consent import CHANNELS
from service.core.merging import check_names


class Kind(StrEnum):
    """What a file is about: what one of its rows tells of."""

    CUSTOMERS = "customers"
    ORDERS = "orders"
    EVENTS = "events"
    CONSENT = "consent"
    LIST = "list"


CUSTOMER_ID: Final = "customer_id"
# Kinds of identities that columns hold; vendors' are namespaced by their names.
IDENTITIES: Final = ("email", "phone", "shopify", "woocommerce", "klaviyo", "mailchimp")
NAMES: Final = (CUSTOMER_ID, *IDENTITIES)

AMOUNTS: Final = ("total", "revenue", "shipping", "tax", "discount", "refunded")
_ALONE: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.CUSTOMERS: ("at", "traits"),
    Kind.ORDERS: (
        "order_id", "group", "placed_at", "cancelled_at", "status", *AMOUNTS, "currency", "coupon",
        "products", "properties", "traits",
    ),
    Kind.EVENTS: ("event", "timestamp", "message_id", "properties", "traits"),
    Kind.CONSENT: ("channel", "status", "at"),
    Kind.LIST: (),
}  # fmt: skip
# Fields that have a name of the user's own behind a dot.
_NAMED: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.CUSTOMERS: ("traits", "consent", "suppressed"),
    Kind.ORDERS: ("item", "properties", "traits", "consent"),
    Kind.EVENTS: ("properties", "traits", "consent"),
    Kind.CONSENT: ("consent", "suppressed"),
    Kind.LIST: (),
}
REQUIRED: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.CUSTOMERS: (),
    Kind.ORDERS: ("order_id", "placed_at"),
    Kind.EVENTS: ("event", "timestamp"),
    Kind.CONSENT: (),
    Kind.LIST: (),
}
# Whose value is an object or a list of JSON as it stands.
WHOLE: Final = frozenset({"traits", "properties", "products"})

_SEPARATE = re.compile(r"[^0-9a-z]+")


def known(kind: Kind) -> tuple[str, ...]:
    """The fields of a kind of file, as its users are told of them."""
    named = tuple(f"{name}.NAME" for name in _NAMED[kind])
    return (*NAMES, *_ALONE[kind], *named)


def fault(kind: Kind, field: str) -> str | None:
    """Why a file of a kind has no such field; None where it has it."""
    if field in NAMES or field in _ALONE[kind]:
        return None
    name, dot, rest = field.partition(".")
    if not dot or name not in _NAMED[kind]:
        return f'{kind} have no field "{field}"; there are {", ".join(known(kind))}'
    if not rest:
        return f'"{field}" lacks a name behind its dot'
    if name in ("consent", "suppressed"):
        if rest not in CHANNELS:
            return f'"{rest}" is no channel; there are {", ".join(CHANNELS)}'
        return None
    if name == "item" and "." in rest:
        return f'"{field}": what an item has is named without a dot'
    for place, step in enumerate(rest.split(".")):
        pointer = "/traits" if name == "traits" and not place else ""
        problems = check_names({step: None}, pointer)
        if problems:
            return f'"{field}": {problems[0].detail}'
    return None


def snake(column: str) -> str:
    """A column's name as that of a trait or a property: `Country / Region` is country_region."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", column).lower()
    return _SEPARATE.sub("_", words).strip("_")


def folded(column: str) -> str:
    """A column's name as it is compared: `Order ID`, `order_id` and `OrderId` are one."""
    return _SEPARATE.sub("", column.lower())


# How columns are called that plainly hold a field, folded; the better name first.
SYNONYMS: Final[Mapping[Kind, Mapping[str, tuple[str, ...]]]] = {
    Kind.ORDERS: {
        "order_id": (
            "orderid", "ordernumber", "orderno", "order", "invoice", "invoiceno", "invoiceid",
            "invoicenumber", "transactionid", "basketid",
        ),
        "placed_at": (
            "placedat", "orderedat", "orderdate", "createdat", "invoicedate", "purchasedate",
            "purchasedat", "transactiondate", "transactiontimestamp", "timestamp", "datetime",
            "date",
        ),
        "cancelled_at": ("cancelledat", "canceledat"),
        "status": ("status", "orderstatus", "financialstatus", "paymentstatus"),
        "total": ("total", "ordertotal", "grandtotal", "totalprice", "totalamount"),
        "revenue": ("revenue", "subtotal", "ordersubtotal", "netsales"),
        "shipping": ("shipping", "shippingtotal", "shippingcost"),
        "tax": ("tax", "taxes", "taxtotal", "totaltax", "vat"),
        "discount": ("discount", "discounttotal", "discountamount", "totaldiscount"),
        "refunded": ("refunded", "refundedamount", "amountrefunded"),
        "currency": ("currency", "currencycode", "ordercurrency"),
        "coupon": ("coupon", "couponcode", "discountcode"),
        "products": ("products",),
        "properties": ("properties",),
        "item.product_id": ("productid", "itemid"),
        "item.sku": ("sku", "stockcode", "itemsku", "lineitemsku", "productcode"),
        "item.name": ("productname", "itemname", "lineitemname", "description", "product"),
        "item.category": ("category", "productcategory", "itemcategory"),
        "item.brand": ("brand", "productbrand"),
        "item.variant": ("variant", "productvariant"),
        "item.quantity": ("quantity", "qty", "itemquantity", "lineitemquantity"),
        "item.price": ("unitprice", "price", "itemprice", "lineitemprice", "productprice"),
    },
    Kind.EVENTS: {
        "event": ("event", "eventname", "eventtype", "action"),
        "timestamp": (
            "timestamp", "eventtime", "eventtimestamp", "occurredat", "time", "datetime", "date",
        ),
        "message_id": ("messageid", "eventid"),
        "properties": ("properties", "eventproperties"),
        "traits": ("traits", "userproperties"),
    },
    Kind.CUSTOMERS: {
        "at": ("at", "updatedat", "lastmodified", "lastchanged"),
        "traits": ("traits",),
    },
    Kind.CONSENT: {
        "channel": ("channel",),
        "status": ("status", "consent", "consentstatus", "state"),
        "at": ("at", "timestamp", "updatedat", "changedat", "consentedat", "date"),
    },
    Kind.LIST: {},
}  # fmt: skip

# The same in every kind of file.
WHO: Final[Mapping[str, tuple[str, ...]]] = {
    CUSTOMER_ID: (
        "customerid",
        "userid",
        "clientid",
        "customernumber",
        "customerno",
        "memberid",
        "householdid",
        "customer",
    ),
    "email": ("email", "emailaddress", "customeremail", "billingemail", "useremail"),
    "phone": ("phone", "phonenumber", "mobile", "mobilephone", "billingphone"),
}
