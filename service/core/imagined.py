"""Orders that are only asked about: what a call that stores nothing tells of them."""

from collections.abc import Sequence
from datetime import tzinfo

from service.core.events import Event
from service.core.order_messages import KINDS, OrderMessage, order_message
from service.core.orders import COMPLETED, Pending, event, event_from, settled
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
            properties = {"order_id": order.order_id, "currency": order.currency}
            assert order.placed_at is not None  # noqa: S101 - what lacks a rate was placed
            found.append(event_from(order.store, order.order_id, order.placed_at, properties))
        else:
            known = event(order)
            found += [] if known is None else [known]
    return found
