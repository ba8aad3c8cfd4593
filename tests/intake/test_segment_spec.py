"""Messages of Segment's specification: golden cases, and what no case can say."""

import json
from pathlib import Path
from typing import Any

import pytest

from service.core.identities import Namer, anonymous_customer
from service.core.instants import SECOND
from service.intake.bodies import Envelope, envelope
from service.intake.messages import Message, Taken
from service.intake.segment_spec import MESSAGE_BYTES, Terms, take
from service.intake.traits import Withheld

NAMER = Namer(b"salt")
RECEIVED = 1_800_000_000 * SECOND  # 2027-01-15T08:00:00Z
CASES = json.loads((Path(__file__).parent / "messages.json").read_text(encoding="utf-8"))


def read(
    *messages: Any, kind: str | None = None, shared: dict[str, Any] | None = None, **terms: Any
) -> Taken:
    raws = [m if isinstance(m, bytes) else json.dumps(m).encode() for m in messages]
    whole = shared or {}
    common = Envelope(raws, whole.get("context", {}), whole.get("sentAt"), None)
    return take(raws, kind, common, Terms("shop", RECEIVED, lambda: "new", NAMER, **terms))


def one(message: dict[str, Any], **more: Any) -> Message:
    taken = read(message, **more)
    assert taken.rejects == []
    (found,) = taken.messages
    return found


def event(**more: Any) -> dict[str, Any]:
    return {"type": "track", "userId": "c-1", "event": "Opened", **more}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_golden(case: dict[str, Any]) -> None:
    taken = read(
        case["message"],
        kind=case.get("kind"),
        shared=case.get("shared"),
        browser=case.get("browser", False),
        withheld=Withheld(case.get("withheld", ())),
        ip=case.get("ip"),
    )
    assert [[each.code, each.pointer] for each in taken.rejects] == case.get("rejects", [])
    for reject in taken.rejects:
        assert reject.detail
        assert json.loads(reject.raw or b"") == case["message"]
    if "customer" not in case:
        assert taken.messages == []
        return
    (message,) = taken.messages
    assert message.customer_id == case["customer"]
    assert message.message_id == case.get("message_id", "m-1")
    assert message.at == RECEIVED + case.get("seconds", 0) * SECOND
    assert message.traits == case["traits"]
    if "event" not in case:
        assert message.event is None
        return
    told = message.event
    assert told is not None
    assert (told.name, told.properties) == (case["event"], case["properties"])
    assert (told.at, told.message_id, told.source) == (message.at, message.message_id, "shop")


def test_every_golden_case_has_a_name_of_its_own() -> None:
    assert len({case["name"] for case in CASES}) == len(CASES)


def test_one_bad_message_spoils_no_other() -> None:
    taken = read(event(messageId="m-1"), {"type": "?"}, b"{", event(messageId="m-2"))
    assert [message.message_id for message in taken.messages] == ["m-1", "m-2"]
    assert [reject.code for reject in taken.rejects] == ["unknown_type", "bad_value"]


@pytest.mark.parametrize("name", ["Order Updated", "Order Refunded", "Order Cancelled"])
def test_a_page_takes_no_order_back(name: str) -> None:
    told = event(event=name, messageId="m-1", properties={"order_id": "o-1", "total": 1})
    assert [each.event is not None for each in read(told).messages] == [True]
    taken = read(told, browser=True)
    assert (taken.messages, [each.code for each in taken.rejects]) == ([], ["server_only"])


CRAWLER = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def test_a_visitor_that_says_it_is_a_machine_is_a_bot() -> None:
    visit = {"type": "page", "messageId": "m-1", "context": {"userAgent": CRAWLER}}
    for more, browser, expected in (
        ({"anonymousId": "a-1"}, True, True),
        ({"anonymousId": "a-1"}, False, None),
        ({"userId": "c-1"}, True, None),
    ):
        [message] = read({**visit, **more}, browser=browser).messages
        assert message.traits.get("is_bot") is expected


def test_rejects_tell_whose_message_it_was() -> None:
    (reject,) = read({"type": "alias", "userId": "c-1", "messageId": "m-7"}).rejects
    assert (reject.customer_id, reject.message_id) == ("c-1", "m-7")
    (reject,) = read({"type": "alias"}).rejects
    assert (reject.customer_id, reject.message_id) == (None, None)


def test_a_message_of_more_than_32_kb_is_refused() -> None:
    def of(size: int) -> bytes:
        rest = len(json.dumps(event(messageId="m", properties={"x": ""})))
        return json.dumps(event(messageId="m", properties={"x": "y" * (size - rest)})).encode()

    assert len(of(MESSAGE_BYTES)) == MESSAGE_BYTES == 32 << 10
    assert read(of(MESSAGE_BYTES)).rejects == []
    taken = read(of(MESSAGE_BYTES + 1))
    assert taken.messages == []
    assert [reject.code for reject in taken.rejects] == ["too_large"]


@pytest.mark.parametrize("odd", [b'{"x": "\\ud800"}', b'{"x": NaN}', b'{"x": 1e999}', b"\xff"])
def test_what_can_not_be_kept_is_refused(odd: bytes) -> None:
    raw = b'{"type": "track", "userId": "c-1", "event": "E", "properties": ' + odd + b"}"
    taken = read(raw)
    assert (taken.messages, [reject.code for reject in taken.rejects]) == ([], ["bad_value"])


def test_nesting_is_bounded() -> None:
    def nested(depth: int) -> Any:
        return {"x": nested(depth - 1)} if depth else 1

    # The message itself and its properties are two levels.
    assert read(event(messageId="m", properties=nested(31))).rejects == []
    (reject,) = read(event(messageId="m", properties=nested(32))).rejects
    assert reject.code == "too_deep"
    assert read(event(messageId="m", properties={"x": [[]] * 100})).rejects == []


def test_ids_have_their_lengths() -> None:
    assert one(event(userId="c" * 256, messageId="m")).customer_id == "c" * 256
    (reject,) = read(event(userId="c" * 257)).rejects
    assert (reject.code, reject.pointer) == ("too_long", "/userId")
    (reject,) = read(event(event="e" * 257)).rejects
    assert (reject.code, reject.pointer) == ("too_long", "/event")
    assert one(event(messageId="m" * 100)).message_id == "m" * 100
    long, other = one(event(messageId="m" * 101)), one(event(messageId="m" * 102))
    assert len(long.message_id) < 100
    assert long.message_id != other.message_id
    assert one(event(messageId="m" * 101)).message_id == long.message_id


def test_a_missing_message_id_comes_from_what_is_said() -> None:
    told = event(timestamp="2027-01-15T07:00:00Z", properties={"a": 1, "b": 2})
    same = event(timestamp="2027-01-15T07:00:00Z", properties={"b": 2, "a": 1})
    assert one(told).message_id == one(same).message_id
    # Corrected by another clock it is the same message, and from another address too.
    later = one(told, shared={"sentAt": "2027-01-15T07:30:00Z"}, browser=True, ip="192.0.2.1")
    assert later.message_id == one(told).message_id
    assert later.at != one(told).at
    others = [
        {**told, "userId": "c-2"},
        {**told, "event": "Closed"},
        {**told, "timestamp": "2027-01-15T07:00:01Z"},
        {**told, "properties": {"a": 1}},
        {"type": "identify", "userId": "c-1", "timestamp": told["timestamp"], "traits": {"a": 1}},
        {"type": "identify", "userId": "c-1", "timestamp": told["timestamp"], "traits": {"a": 2}},
    ]
    ids = {one(other).message_id for other in others} | {one(told).message_id}
    assert len(ids) == len(others) + 1
    assert max(map(len, ids)) <= 100


def test_without_a_time_of_its_own_each_delivery_counts() -> None:
    assert one(event()).message_id == "new"
    assert one(event(messageId="")).message_id == "new"
    assert one(event(messageId=None, sentAt="2027-01-15T07:00:00Z")).message_id == "new"


def test_an_anonymous_customer_is_the_same_everywhere() -> None:
    found = anonymous_customer("a-1")
    assert found == "anon_ae635inswkx6vjhqtpwjmpdmg2"
    assert anonymous_customer("a-2") != found
    assert len(anonymous_customer("č" * 5_000)) == 31
    assert one({"type": "page", "anonymousId": "a-1", "messageId": "m"}).customer_id == found


def test_a_lone_surrogate_of_another_message_spoils_none() -> None:
    body = b'{"batch": [{"type": "track", "userId": "c-1", "event": "E"}, {"x": "\\ud800"}]}'
    shared = envelope(body, batch=True)
    taken = take(shared.messages, None, shared, Terms("shop", RECEIVED, lambda: "new", NAMER))
    assert [message.customer_id for message in taken.messages] == ["c-1"]
    assert [reject.code for reject in taken.rejects] == ["bad_value"]
