"""Bodies as SDKs send them: packed or not, whatever they are called."""

import gzip
import json
import tracemalloc
import zlib

import pytest

from service.intake.bodies import Envelope, Unreadable, envelope, unpacked
from service.intake.write_keys import presented

LIMIT = 1_000
GZIP = [(b"content-encoding", b"gzip")]


@pytest.mark.parametrize("header", [b"gzip", b"GZIP", b" gzip ", b"x-gzip"])
def test_gzip_is_unpacked_by_its_header(header: bytes) -> None:
    packed = gzip.compress(b"hello", mtime=0)
    assert unpacked(packed, [(b"content-encoding", header)], LIMIT) == b"hello"
    assert unpacked(packed, [], LIMIT) == packed


def test_members_one_after_the_other_are_one_file() -> None:
    packed = (
        gzip.compress(b"hel", mtime=0) + gzip.compress(b"", mtime=0) + gzip.compress(b"lo", mtime=0)
    )
    assert unpacked(packed, GZIP, LIMIT) == b"hello"


def test_what_is_said_to_be_plain_is() -> None:
    assert unpacked(b"x", [(b"content-encoding", b"identity")], LIMIT) == b"x"
    assert unpacked(b"x", [(b"content-encoding", b"")], LIMIT) == b"x"


@pytest.mark.parametrize(
    "body",
    [b"{}", zlib.compress(b"x"), gzip.compress(b"x" * 50, mtime=0)[:-9],
     gzip.compress(b"x", mtime=0) + b"trash",
     gzip.compress(b"x" * 50, mtime=0)[:-4] + b"0000"],
)  # fmt: skip
def test_what_is_no_gzip_is_refused(body: bytes) -> None:
    with pytest.raises(Unreadable) as refused:
        unpacked(body, GZIP, LIMIT)
    assert (refused.value.status, refused.value.problem.code) == (400, "not_gzip")


@pytest.mark.parametrize("encoding", [b"br", b"deflate", b"gzip, gzip"])
def test_other_packings_are_refused(encoding: bytes) -> None:
    with pytest.raises(Unreadable) as refused:
        unpacked(b"x", [(b"content-encoding", encoding)], LIMIT)
    assert refused.value.status == 415


@pytest.mark.parametrize("parts", [1, 3])
def test_the_cap_is_on_what_is_unpacked(parts: int) -> None:
    exact = b"".join(gzip.compress(b"x" * (LIMIT // parts), mtime=0) for _ in range(parts))
    assert len(unpacked(exact, GZIP, LIMIT)) == LIMIT // parts * parts
    with pytest.raises(Unreadable) as refused:
        unpacked(exact + gzip.compress(b"xx", mtime=0), GZIP, LIMIT)
    assert (refused.value.status, refused.value.problem.code) == (413, "too_large")


def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(200_000_000), mtime=0)
    tracemalloc.start()
    try:
        with pytest.raises(Unreadable):
            unpacked(bomb, GZIP, 100_000)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_a_batch_is_taken_apart() -> None:
    body = {"batch": [{"a": 1}, 2], "context": {"ip": "x"}, "sentAt": "then", "writeKey": "k",
            "integrations": {}}  # fmt: skip
    shared = envelope(json.dumps(body).encode(), batch=True)
    assert [json.loads(message) for message in shared.messages] == [{"a": 1}, 2]
    assert (shared.context, shared.sent_at, shared.write_key) == ({"ip": "x"}, "then", "k")


def test_a_single_message_is_its_body() -> None:
    body = b'{"writeKey": "k", "userId": "c-1"}'
    shared = envelope(body, batch=False)
    assert (shared.messages, shared.write_key) == ([body], "k")


def test_odd_members_of_a_batch_are_as_none() -> None:
    shared = envelope(b'{"batch": [], "context": 5, "writeKey": 7}', batch=True)
    assert (shared.messages, shared.context, shared.write_key) == ([], {}, None)


def test_a_byte_order_mark_is_ignored() -> None:
    assert envelope(b"\xef\xbb\xbf" + b'{"batch": []}', batch=True).messages == []


@pytest.mark.parametrize("odd", ['{"x": NaN}', '{"x": "\\ud800"}', '{"x": -Infinity}'])
def test_what_json_has_no_word_for_stays_with_its_message(odd: str) -> None:
    body = f'{{"batch": [{{"userId": "c-1"}}, {odd}], "sentAt": "then", "writeKey": "k"}}'.encode()
    shared = envelope(body, batch=True)
    assert len(shared.messages) == 2
    assert json.loads(shared.messages[0]) == {"userId": "c-1"}
    assert (shared.sent_at, shared.write_key) == ("then", "k")
    assert envelope(odd.encode(), batch=False).messages


@pytest.mark.parametrize("odd", ["NaN", '"\\ud800"', "-Infinity", "1e999"])
def test_a_context_that_can_not_be_kept_is_none(odd: str) -> None:
    def shared(locale: str) -> Envelope:
        body = (
            f'{{"batch": [{{"userId": "c-1"}}, {{"x": NaN}}], "context": {{"locale": {locale}}}}}'
        )
        return envelope(body.encode(), batch=True)

    assert (len(shared(odd).messages), shared(odd).context) == (2, {})
    assert shared('"cs"').context == {"locale": "cs"}


@pytest.mark.parametrize("batch", [True, False])
@pytest.mark.parametrize(
    "body", [b"", b"{", b"nonsense", b"\xff\xfe", b"[NaN]", b"[" * 100_000, b'{"a":' * 100_000]
)
def test_what_is_no_json_is_400(body: bytes, batch: bool) -> None:
    with pytest.raises(Unreadable) as refused:
        envelope(body, batch=batch)
    assert (refused.value.status, refused.value.problem.code) == (400, "not_json")


@pytest.mark.parametrize(
    ("body", "batch", "pointer"),
    [
        (b"[]", True, ""), (b"5", False, ""), (b"null", True, ""), (b'"x"', False, ""),
        (b"{}", True, "/batch"), (b'{"batch": {}}', True, "/batch"),
        (b'{"batch": null}', True, "/batch"),
    ],
)  # fmt: skip
def test_another_shape_is_422(body: bytes, batch: bool, pointer: str) -> None:
    with pytest.raises(Unreadable) as refused:
        envelope(body, batch=batch)
    assert (refused.value.status, refused.value.problem.pointer) == (422, pointer)


@pytest.mark.parametrize(
    ("header", "key"),
    [
        (b"Basic c2d3Xzo=", b"sgw_"),
        (b"basic   c2d3Xzo=", b"sgw_"),
        (b"Basic c2d3XzpzZWNyZXQ=", b"sgw_"),
        (b"Basic c2d3Xw==", b"sgw_"),
        (b"Bearer sgw_", b"sgw_"),
        (b"BEARER  sgw_ ", b"sgw_"),
        (b"Basic !!!", None),
        (b"Basic Og==", None),
        (b"Bearer ", None),
        (b"Digest x", None),
        (b"", None),
    ],
)
def test_how_a_write_key_is_shown(header: bytes, key: bytes | None) -> None:
    assert presented([(b"host", b"x"), (b"authorization", header)]) == key
