"""Whatever is told of an order, in any order and any number of times, comes to one thing."""

import random
from dataclasses import replace

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from service.core.events import Event
from service.core.order_facts import Facts, fold, join
from service.core.order_messages import KINDS, Kind, OrderMessage, order_message
from service.core.orders import Pending, event
from service.core.traits import is_number
from tests.core.ordering import NOON, folded, order

# Any number of messages, of any kind, few ids and instants so that they collide.

_AMOUNT = st.one_of(
    st.integers(0, 300), st.decimals(0, 300, places=2).map(str), st.sampled_from((0.1, 12.34))
)
_LINE = st.fixed_dictionaries(
    {"product_id": st.sampled_from(("p-1", "p-2", 3))},
    optional={"price": _AMOUNT, "quantity": st.integers(0, 4), "category": st.just("shoes")},
)
_PROPERTIES = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("total", "revenue", "shipping", "tax", "discount"), _AMOUNT),
        "currency": st.sampled_from(("USD", "EUR", "JPY", "CZK")),
        "products": st.lists(_LINE, max_size=3),
        "refund_id": st.sampled_from(("r-1", "r-2")),
        "coupon": st.sampled_from(("A", "B")),
        "note": st.one_of(st.booleans(), st.lists(st.integers(0, 2), max_size=2)),
    },
)


@st.composite
def _messages(draw: st.DrawFn) -> OrderMessage:
    told = Event(
        draw(st.sampled_from(sorted(KINDS))),
        NOON + draw(st.integers(0, 3)),
        {"order_id": "o-1", **draw(_PROPERTIES)},
        draw(st.sampled_from(("m-1", "m-2", "m-3"))),
        draw(st.sampled_from(("web", "server"))),
    )
    read = order_message(told, "shop", draw(st.sampled_from(("c-1", "c-2", None))))
    assert isinstance(read, OrderMessage)
    told_at = st.none() | st.integers(NOON - 3, NOON)
    # One in eight, so that most orders stay.
    cancelled = draw(told_at) if draw(st.integers(0, 7)) == 7 else None
    return replace(read, placed_at=draw(told_at), cancelled_at=cancelled)


MESSAGES = st.lists(_messages(), min_size=1, max_size=6)


@given(MESSAGES, st.randoms(use_true_random=False))
def test_any_order_and_any_repetition_come_to_the_same(
    messages: list[OrderMessage], chance: random.Random
) -> None:
    shuffled = [*messages, *chance.choices(messages, k=3)]
    chance.shuffle(shuffled)
    assert order(*shuffled) == order(*messages)


@given(MESSAGES, MESSAGES, MESSAGES)
def test_facts_join_in_any_way(
    one: list[OrderMessage], two: list[OrderMessage], three: list[OrderMessage]
) -> None:
    a, b, c = (folded(messages) for messages in (one, two, three))
    assert join(a, b) == join(b, a) == folded([*one, *two])
    assert join(join(a, b), c) == join(a, join(b, c))
    assert join(a, a) == a == join(a, Facts()) == join(Facts(), a)
    assert fold(a, one[0]) == a


@given(MESSAGES)
def test_facts_stay_what_they_are_when_they_are_stored(messages: list[OrderMessage]) -> None:
    facts = folded(messages)
    assert msgspec.json.decode(msgspec.json.encode(facts), type=Facts) == facts


@given(MESSAGES)
def test_what_an_order_comes_to_makes_sense(messages: list[OrderMessage]) -> None:
    found = order(*messages)
    told = event(found)
    assert (told is not None) == found.counts
    assert (found.pending is Pending.NO_RATE) == (found.lacks is not None)
    cancelled = [each for each in messages if each.kind is Kind.CANCELLED or each.cancelled_at]
    assert (found.cancelled_at is None) == (not cancelled)
    for amount in (found.gross, found.net, found.refunded):
        assert amount is None or amount >= 0
    if found.gross is not None:
        assert found.refunded is not None
        assert found.refunded <= found.gross
        assert found.gross != found.refunded or found.net == 0 or not found.refunded
    if told is not None:
        assert msgspec.json.decode(msgspec.json.encode(told.properties)) == told.properties
        for name in ("net", "gross", "discount", "refunded"):
            assert name not in told.properties or is_number(told.properties[name])
