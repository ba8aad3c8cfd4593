"""Orders within the writer's transaction: what messages tell of them is folded in and settled."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo
from typing import Any

from service.core.events import Event
from service.core.order_facts import Facts, fold
from service.core.order_messages import KINDS, OrderMessage, order_message
from service.core.orders import currencies, settle
from service.store.orders import Key, lock_orders, read_rates, write_orders


def messages_of(told: Mapping[str, Sequence[Event]]) -> list[OrderMessage]:
    """What customers' events tell of orders. One that can't be understood tells nothing: it was
    refused, or put among the rejects, where it came in."""
    found = []
    for customer_id, events in told.items():
        for event in events:
            if event.name in KINDS:
                message = order_message(event, event.store, customer_id)
                if isinstance(message, OrderMessage):
                    found.append(message)
    return found


async def settle_orders(
    connection: Any,
    messages: Sequence[OrderMessage],
    unsettled: Iterable[Key],
    base: str,
    zone: tzinfo,
    now: int,
) -> dict[str, set[Key]]:
    """Fold messages into their orders, and store what those and the unsettled ones come to. Answers
    whose orders these are, and were until now: by customer id, which."""
    known = await lock_orders(connection, {message.key for message in messages} | {*unsettled}, now)
    owners = [(facts.owner, key) for key, facts in known.items()]
    facts: dict[Key, Facts] = dict(known)
    for message in messages:
        facts[message.key] = fold(facts[message.key], message)
    wanted = {each for told in facts.values() for each in currencies(told, base, zone)}
    rates = await read_rates(connection, wanted, base, zone)
    orders = [(settle(*key, told, rates), told) for key, told in facts.items()]
    await write_orders(connection, orders, now)
    owners += [(order.customer_id, (order.store, order.order_id)) for order, _ in orders]
    theirs: dict[str, set[Key]] = {}
    for owner, key in owners:
        if owner is not None:
            theirs.setdefault(owner, set()).add(key)
    return theirs
