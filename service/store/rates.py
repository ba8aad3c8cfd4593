"""The table of rates: uploaded, with an entry in the audit, and listed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from service.core.access import Author
from service.core.money import text_of
from service.core.rates import Rate
from service.store.audit import record
from service.store.tables import rates as table

# Of longer uploads the audit tells how many rates of which currencies changed, and no single one.
CHANGES_TOLD = 100

_NEW = """unnest(cast(:currencies as text[]), cast(:days as date[]), cast(:rates as numeric[]))
  as new (currency, day, rate)"""

_BEFORE = text(f"""
  select new.currency, new.day, r.rate from {_NEW}
  left join rates r on r.currency = new.currency and r.day = new.day
  where r.rate is distinct from new.rate order by new.currency, new.day""")

_PUT = text(f"""
  insert into rates (currency, day, rate) select * from {_NEW}
  on conflict (currency, day) do update set rate = excluded.rate""")


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rates somebody asks for; None: all. Days `since` and later, up to `until`."""

    currency: str | None = None
    since: date | None = None
    until: date | None = None


async def put(
    connection: AsyncConnection, author: Author, at: datetime, rates: Sequence[Rate]
) -> int:
    """Insert rates, or replace those of their days; how many are not what they were. Of two for
    one currency and day the later one counts."""
    told = {(each.currency, each.day): each.rate for each in rates}
    values = {
        "currencies": [currency for currency, _ in told],
        "days": [day for _, day in told],
        "rates": list(told.values()),
    }
    # Uploads come one after the other; whoever reads rates does not wait.
    await connection.execute(text("lock table rates in share row exclusive mode"))
    before = {
        (row.currency, row.day): row.rate for row in await connection.execute(_BEFORE, values)
    }
    if before:
        await connection.execute(_PUT, values)
        difference = _difference(before, told)
        await record(connection, author, at, "rates.updated", "rates", difference)
    return len(before)


async def listed(
    connection: AsyncConnection, asked: Asked, after: tuple[str, date] | None, limit: int
) -> list[Rate]:
    """Rates by currency and day, those after `after`."""
    columns = table.c
    query = select(table).order_by(columns.currency, columns.day).limit(limit)
    if after is not None:
        query = query.where(tuple_(columns.currency, columns.day) > after)
    if asked.currency is not None:
        query = query.where(columns.currency == asked.currency)
    if asked.since is not None:
        query = query.where(columns.day >= asked.since)
    if asked.until is not None:
        query = query.where(columns.day <= asked.until)
    return [Rate(*row) for row in await connection.execute(query)]


def _difference(
    before: dict[tuple[str, date], Decimal | None], told: dict[tuple[str, date], Decimal]
) -> dict[str, dict[str, Any]]:
    """What changed, rate by rate (`EUR 2026-11-20`) or, of many, currency by currency."""
    if len(before) <= CHANGES_TOLD:
        return {
            f"{currency} {day}": {
                **({} if rate is None else {"before": text_of(rate)}),
                "after": text_of(told[currency, day]),
            }
            for (currency, day), rate in before.items()
        }
    days: dict[str, list[date]] = {}
    for currency, day in before:
        days.setdefault(currency, []).append(day)
    return {
        currency: {"after": {"rates": len(of), "from": str(min(of)), "to": str(max(of))}}
        for currency, of in days.items()
    }
