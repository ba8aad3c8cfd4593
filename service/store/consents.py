"""What was said of a customer's consents, and by whom: the events that tell of them, and the traits
that messages gave."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.core.consent import CHANNELS, KINDS, SHAPED


def reaching(channel: str) -> str:
    """SQL: whether a row of `customers` can be reached by a channel, as `consent.reachable` has it;
    null where they were not asked."""
    if channel not in CHANNELS:
        raise ValueError(channel)
    return (
        f"(traits #>> '{{consent,{channel}}}' = 'subscribed'"
        f" and traits #>> '{{suppressed,{channel}}}' is null)"
    )


# SQL: the same of all channels, in their order. Those who were never asked, often most, cost one
# look.
ALL_REACHING = f"case when traits ? 'consent' then array[{', '.join(map(reaching, CHANNELS))}] end"


@dataclass(frozen=True, slots=True)
class SaidRow:
    """Something that was said at an instant: an event by its name and properties, or (`event` None)
    a value at a trait's path. `place`: its place among all that was said at that instant."""

    at: datetime
    source: str
    message_id: str | None
    event: str | None
    properties: Mapping[str, Any] | None
    path: str | None
    value: Any
    place: str


# A trait that an event set is told by the event, which says more.
_SAID = text("""
  with told as (
    select at, source, message_id, name as event, properties, null as path, null::jsonb as value,
      concat_ws(' ', source, message_id) collate "C" as place
    from events where customer_id = any(:ids) and name = any(:kinds)
    union all
    select at, source, message_id, null, null, path, value,
      concat_ws(' ', source, message_id, path, value::text) collate "C"
    from trait_history h
    where customer_id = any(:ids) and split_part(path, '.', 1) = any(:traits)
      and not exists (select from events e where e.customer_id = any(:ids)
        and e.message_id = h.message_id and e.name = any(:kinds)))
  select * from told
  where (cast(:at as timestamptz) is null or (at, place) < (:at, :place))
  order by at desc, place desc limit :limit""")


async def said(
    connection: AsyncConnection,
    customer_ids: Sequence[str],
    before: tuple[datetime, str] | None,
    limit: int,
) -> list[SaidRow]:
    """What was said under these ids, the newest first, and before an instant and a place."""
    at, place = before or (None, "")
    rows = await connection.execute(
        _SAID,
        {
            "ids": list(customer_ids),
            "kinds": sorted(KINDS),
            "traits": sorted(SHAPED),
            "at": at,
            "place": place,
            "limit": limit,
        },
    )
    return [SaidRow(*row) for row in rows]
