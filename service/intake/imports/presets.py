"""The exports of shops and e-mail platforms, as their columns are called.

Of each field the column that holds it, the first of several that is there. `Orders` of Shopify
have a row for each line item, of which only the first tells of the order itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from service.intake.imports.fields import Kind, folded

Columns = Mapping[str, str | tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Preset:
    """An export. `signature`: columns by which it is known, all of them; `file`: how its files'
    names begin, where its columns alone don't tell it; `unplaced`: orders' statuses, as `status`
    folds them, of what was never placed; `blank`: values of a field that stand for none."""

    name: str
    title: str
    kind: Kind
    signature: tuple[str, ...]
    columns: Columns
    constants: Mapping[str, Any] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    others: str = "ignore"
    ignored: tuple[str, ...] = ()
    file: str | None = None
    unplaced: tuple[str, ...] = ()
    blank: Mapping[str, str] = field(default_factory=dict)

    def fits(self, columns: list[str]) -> bool:
        """Whether a file with these columns may be such an export."""
        return {folded(each) for each in self.signature} <= {folded(each) for each in columns}


_SHOPIFY_ORDERS = Preset(
    name="shopify-orders",
    title="orders of Shopify",
    kind=Kind.ORDERS,
    signature=("Name", "Financial Status", "Lineitem quantity", "Lineitem price"),
    columns={
        "group": "Name",
        "order_id": ("Id", "Name"),
        "email": "Email",
        "phone": "Phone",
        "placed_at": "Created at",
        "cancelled_at": "Cancelled at",
        "status": "Financial Status",
        "currency": "Currency",
        "revenue": "Subtotal",
        "shipping": "Shipping",
        "tax": "Taxes",
        "total": "Total",
        "coupon": "Discount Code",
        "discount": "Discount Amount",
        "refunded": "Refunded Amount",
        "item.name": "Lineitem name",
        "item.sku": "Lineitem sku",
        "item.quantity": "Lineitem quantity",
        "item.price": "Lineitem price",
        "item.brand": "Vendor",
        "properties.order_number": "Name",
    },
    unplaced=("expired",),
)

_SHOPIFY_CUSTOMERS = Preset(
    name="shopify-customers",
    title="customers of Shopify",
    kind=Kind.CUSTOMERS,
    signature=("First Name", "Last Name", "Email", "Accepts Email Marketing"),
    columns={
        "shopify": "Customer ID",
        "email": "Email",
        "phone": ("Phone", "Default Address Phone"),
        "traits.email": "Email",
        "traits.phone": ("Phone", "Default Address Phone"),
        "traits.first_name": "First Name",
        "traits.last_name": "Last Name",
        "traits.company.name": ("Default Address Company", "Company"),
        "traits.address.street": ("Default Address Address1", "Address1"),
        "traits.address.city": ("Default Address City", "City"),
        "traits.address.state": ("Default Address Province Code", "Province Code", "Province"),
        "traits.address.country": ("Default Address Country Code", "Country Code", "Country"),
        "traits.address.postal_code": ("Default Address Zip", "Zip"),
        "traits.tags": "Tags",
        "traits.tax_exempt": "Tax Exempt",
        "consent.email": "Accepts Email Marketing",
        "consent.sms": "Accepts SMS Marketing",
    },
    types={"tags": "list", "address.postal_code": "string", "phone": "string"},
)

_WOOCOMMERCE_ORDERS = Preset(
    name="woocommerce-orders",
    title="orders of WooCommerce",
    kind=Kind.ORDERS,
    signature=("order_id", "order_date", "status", "order_total"),
    columns={
        "order_id": "order_id",
        "woocommerce": ("customer_id", "customer_user"),
        "email": ("billing_email", "customer_email"),
        "phone": "billing_phone",
        "placed_at": "order_date",
        "status": "status",
        "currency": "order_currency",
        "shipping": "shipping_total",
        "tax": "tax_total",
        "discount": "discount_total",
        "refunded": "refunded_total",
        "total": "order_total",
        "coupon": "coupons",
        "item.product_id": "item_product_id",
        "item.name": "item_name",
        "item.sku": "item_sku",
        "item.quantity": "item_quantity",
        "item.total": "item_total",
        "properties.order_number": "order_number",
    },
    # Carts that were never paid for, and what an administrator threw away.
    unplaced=("pending", "pendingpayment", "failed", "checkoutdraft", "autodraft", "draft",
              "trash"),
    blank={"woocommerce": "0"},
)  # fmt: skip

_WOOCOMMERCE_CUSTOMERS = Preset(
    name="woocommerce-customers",
    title="customers of WooCommerce",
    kind=Kind.CUSTOMERS,
    signature=("Name", "Username", "Email", "Total spend", "AOV"),
    columns={
        "email": "Email",
        "traits.email": "Email",
        "traits.name": "Name",
        "traits.username": "Username",
        "traits.created_at": ("Sign up", "Date registered"),
        "traits.address.country": "Country / Region",
        "traits.address.state": "Region",
        "traits.address.city": "City",
        "traits.address.postal_code": "Postal code",
    },
    types={"address.postal_code": "string"},
)

_KLAVIYO_PROFILES = Preset(
    name="klaviyo-profiles",
    title="profiles of Klaviyo",
    kind=Kind.CUSTOMERS,
    signature=("Email", "Klaviyo ID"),
    columns={
        "klaviyo": "Klaviyo ID",
        "email": "Email",
        "phone": "Phone Number",
        "traits.email": "Email",
        "traits.phone": "Phone Number",
        "traits.first_name": "First Name",
        "traits.last_name": "Last Name",
        "traits.title": "Title",
        "traits.company.name": "Organization",
        "traits.address.street": "Address",
        "traits.address.city": "City",
        "traits.address.state": "State / Region",
        "traits.address.country": "Country",
        "traits.address.postal_code": "Zip Code",
        "consent.email": "Email Marketing Consent",
        "consent.sms": ("SMS Marketing Consent", "SMS Consent"),
        "suppressed.email": ("Email Suppressions", "Email Suppression"),
    },
    types={"address.postal_code": "string", "phone": "string"},
    # Whatever else a profile has is a property that its owner made.
    others="keep",
    ignored=(
        "Address 2", "Email Marketing Consent Timestamp", "SMS Marketing Consent Timestamp",
        "IP Address", "Latitude", "Longitude", "Source", "Initial Source", "Date Added",
        "First Active", "Last Active", "Profile Created On",
    ),
)  # fmt: skip


def _mailchimp(name: str, at: str, **told: Any) -> Preset:
    return Preset(
        name=f"mailchimp-{name}",
        title=f"{name} contacts of a Mailchimp audience",
        kind=Kind.CUSTOMERS,
        signature=("Email Address", "MEMBER_RATING", "OPTIN_TIME", "EUID"),
        columns={
            "mailchimp": "EUID",
            "email": "Email Address",
            "phone": "Phone Number",
            "at": (at, "LAST_CHANGED"),
            "traits.email": "Email Address",
            "traits.phone": "Phone Number",
            "traits.first_name": "First Name",
            "traits.last_name": "Last Name",
            "traits.birthday": "Birthday",
            "traits.member_rating": "MEMBER_RATING",
            "traits.tags": "TAGS",
        },
        types={"tags": "list", "phone": "string", "birthday": "string"},
        constants=told,
        file=f"{name}_",
    )


# An audience comes as a file each of those who want mail and those who do not.
_MAILCHIMP = (
    _mailchimp("subscribed", "LAST_CHANGED", **{"consent.email": "subscribed"}),
    _mailchimp("unsubscribed", "UNSUB_TIME", **{"consent.email": "unsubscribed"}),
    _mailchimp("cleaned", "CLEAN_TIME", **{"suppressed.email": "bounce"}),
    _mailchimp("nonsubscribed", "LAST_CHANGED", **{"consent.email": "never"}),
)

PRESETS: Final[Mapping[str, Preset]] = {
    each.name: each
    for each in (
        _SHOPIFY_ORDERS,
        _SHOPIFY_CUSTOMERS,
        _WOOCOMMERCE_ORDERS,
        _WOOCOMMERCE_CUSTOMERS,
        _KLAVIYO_PROFILES,
        *_MAILCHIMP,
    )
}
