"""Orders of somebody who is not named: nothing is stored of them, and nothing is known beside."""

from collections.abc import Sequence
from datetime import tzinfo

from service.core.events import Event
from service.core.order_messages import KINDS, OrderMessage, order_message
from service.core.orders import COMPLETED, Pending, event, settled
from service.core.rates import Rates


def imagined(events: Sequence[Event], base: str, zone: tzinfo) -> list[Event]:
    """Events with the orders among them as aggregates read orders: each once, with what its
    messages come to among themselves. An order in a currency that only the table of rates could
    convert counts without its amounts. `base`: the base currency; `zone`: the workspace's."""
    if not any(each.name in KINDS for each in events):
        return list(events)
    messages: dict[tuple[str, str], list[OrderMessage]] = {}
    for each in events:
        if each.name in KINDS:
            message = order_message(each, each.store)
            if isinstance(message, OrderMessage):
                messages.setdefault(message.key, []).append(message)
    found = [each for each in events if each.name != COMPLETED]
    for told in messages.values():
        order = settled(told, Rates(base, zone))
        if order.pending is Pending.NO_RATE and order.cancelled_at is None:
            first = min(told, key=lambda message: message.at)
            properties = {"order_id": order.order_id, "currency": order.currency}
            at = order.placed_at if order.placed_at is not None else first.at
            found.append(Event(COMPLETED, at, properties, first.message_id, first.source))
        else:
            known = event(order)
            found += [] if known is None else [known]
    return found
