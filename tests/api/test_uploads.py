"""Reading uploads of ids: however the bytes arrive, the same ids and the same faults."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.api.problems import HttpProblem
from service.api.uploads import FAULTS_TOLD, ID_LENGTH, LINE_LIMIT, Upload
from service.core.parsing import Invalid

CSV, NDJSON = "text/csv", "application/x-ndjson"
LIMIT = 1_000_000


def ids_of(body: bytes, media_type: str = CSV, piece: int = 1 << 16) -> list[str]:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), piece):
            yield body[start : start + piece]

    async def read() -> list[str]:
        upload = Upload(media_type, LIMIT)
        return [each async for batch in upload.batches(chunks()) for each in batch]

    return asyncio.run(read())


def faults_of(body: bytes, media_type: str = CSV, piece: int = 1 << 16) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as refused:
        ids_of(body, media_type, piece)
    return [(each.pointer, each.code) for each in refused.value.problems]


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        (b"", []),
        (b"customer_id\n", []),
        (b"customer_id\r\nc-1\r\nc-2\r\n", ["c-1", "c-2"]),
        (b"c-1\nc-2", ["c-1", "c-2"]),
        (b"\xef\xbb\xbfcustomer_id\nc-1\n", ["c-1"]),
        (b"\xef\xbb\xbf", []),
        (b"\xef\xbb\xbfc-1", ["c-1"]),
        (b"c-1\n\n\nc-2\n\n", ["c-1", "c-2"]),
        (b"email,Customer_ID ,city\na@x,c-1,Brno\nb@x,c-2,Praha\n", ["c-1", "c-2"]),
        (b'customer_id,note\n"c,1","two\nlines"\n"c""2",x\n', ["c,1", 'c"2']),
        (b'"customer_id"\n"c-1"\n', ["c-1"]),
        (b'"c\n1"\nc-2', ["c\n1", "c-2"]),
        ("č🎉\ne\u0301\n\u2028x\x0b\n".encode(), ["č🎉", "e\u0301", "\u2028x\x0b"]),
        (b" c-1 \n=1+1\n", [" c-1 ", "=1+1"]),
        (b"x" * ID_LENGTH, ["x" * ID_LENGTH]),
    ],
)
@pytest.mark.parametrize("piece", [1, 2, 5, 1 << 16])
def test_csv(body: bytes, ids: list[str], piece: int) -> None:
    assert ids_of(body, CSV, piece) == ids


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        (b"", []),
        (b'{"customer_id": "c-1"}\n"c-2"\n', ["c-1", "c-2"]),
        (b'\xef\xbb\xbf"c-1"\r\n\r\n  \n{"customer_id":"c-2","x":{}}', ["c-1", "c-2"]),
        (b'"\\ud83c\\udf89"', ["🎉"]),
    ],
)
@pytest.mark.parametrize("piece", [1, 3, 1 << 16])
def test_ndjson(body: bytes, ids: list[str], piece: int) -> None:
    assert ids_of(body, NDJSON, piece) == ids


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        (b"c-1\n" + b"x" * (ID_LENGTH + 1) + b"\nc-3", [("line 2", "too_long")]),
        (b'c-1\n""\n', [("line 2", "empty")]),
        (b"customer_id,x\nc-1,1\n,2\n", [("line 3", "empty")]),
        (
            b"customer_id,x\nc-1,1\nc-2\nc-3,4,5\n",
            [("line 3", "bad_value"), ("line 4", "bad_value")],
        ),
        (b"c-1\nc-2,x\n", [("line 2", "bad_value")]),
        (b"id,name\n1,2\n", [("line 1", "required")]),
        (b"customer_id,customer_id\n1,2\n", [("line 1", "bad_value")]),
        (b"customer_id;name\n1;2\n", [("line 1", "bad_value")]),
        (b"c-1\nc-\0\n", [("line 2", "bad_value")]),
        (b"c-1\n\xff\nc-2\n", [("line 2", "bad_value")]),
        (b'c-1\n"c-2\nc-3\n', [("line 2", "bad_value")]),
        (b'c-1\n"c-2"x\nc-3\n', [("line 2", "bad_value")]),
        (b"c-1\nc\r2\n", [("line 2", "bad_value")]),
        (b"customer_id\na\rb\nc\n", [("line 2", "bad_value")]),
        (
            b"customer_id,x\na\rb,1\nc,2\nd,\r\re\n",
            [("line 2", "bad_value"), ("line 4", "bad_value")],
        ),
        (b"c-1\n" + b"x" * (LINE_LIMIT + 70_000), [("line 2", "too_long")]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("piece", [12, 14, 1_000, 1 << 20])
def test_faults_of_csv(body: bytes, faults: list[tuple[str, str]], piece: int) -> None:
    assert faults_of(body, CSV, piece) == faults


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        (b'"c-1"\nc-2\n', [("line 2", "bad_value")]),
        (b'"c-1"\n\n{"id": "c-2"}\n', [("line 3", "required")]),
        (b'{"customer_id": 7}\nnull\n[]\n', [(f"line {n}", "type") for n in (1, 2, 3)]),
        (b'"c-1"\n"\\ud800"\n', [("line 2", "bad_value")]),
        (b'"c-1"\n"\\u0000"\n', [("line 2", "bad_value")]),
        (b'""\n', [("line 1", "empty")]),
        (b"[" * 100_000, [("line 1", "too_long")]),
        (b"[" * 50_000, [("line 1", "bad_value")]),
        (b'"c-1"\n"\xff"\n', [("line 2", "bad_value")]),
        (b'"c-1"\n"a" "b"\n', [("line 2", "bad_value")]),
        (b'"a" "b"\n\n', [("line 1", "bad_value")]),
        (b'{"customer_id":\n"a"}\n"b" "c"\n', [(f"line {n}", "bad_value") for n in (1, 2, 3)]),
        (b'"a""b"\n\n{"x": "c"}{"x": "d"}\n', [(f"line {n}", "bad_value") for n in (1, 3)]),
    ],
)  # fmt: skip
def test_faults_of_ndjson(body: bytes, faults: list[tuple[str, str]]) -> None:
    assert faults_of(body, NDJSON) == faults


def test_twenty_faults_are_told_at_most() -> None:
    body = b"\n".join(b"c,%d" % number for number in range(1, 101))
    assert faults_of(b"customer_id\n" + body) == [
        (f"line {number}", "bad_value") for number in range(2, 2 + FAULTS_TOLD)
    ]


def test_what_else_stands_beside_the_ids_is_told() -> None:
    async def ignored(media_type: str, body: bytes) -> list[str]:
        async def chunks() -> AsyncIterator[bytes]:
            yield body

        upload = Upload(media_type, LIMIT)
        assert [batch async for batch in upload.batches(chunks())]
        return upload.ignored

    csv_body = b"email,customer_id,City\na@x,c-1,Brno\n"
    assert asyncio.run(ignored(CSV, csv_body)) == ["email", "City"]
    assert asyncio.run(ignored(NDJSON, b'{"customer_id": "c-1", "x": 1}\n')) == ["x"]


def test_more_than_the_limit_is_413() -> None:
    with pytest.raises(HttpProblem) as refused:
        ids_of(b"c-1\n" * (LIMIT // 4 + 1))
    assert refused.value.status == 413


@pytest.mark.parametrize(
    "media_type", ["", "application/json", "text/plain", "text/csv; charset=windows-1250"]
)
def test_other_media_types_are_415(media_type: str) -> None:
    with pytest.raises(HttpProblem) as refused:
        Upload(media_type, LIMIT)
    assert refused.value.status == 415


@pytest.mark.parametrize(
    "media_type", ["text/csv;charset=UTF-8", 'TEXT/CSV; header=present; charset="utf-8"']
)
def test_media_types_with_parameters(media_type: str) -> None:
    assert ids_of(b"c-1", media_type) == ["c-1"]


text = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=20)


@settings(deadline=None)
@given(st.lists(text, max_size=30), st.integers(1, 40), st.booleans())
def test_what_others_write_is_read(ids: Sequence[str], piece: int, beside: bool) -> None:
    written = io.StringIO(newline="")
    writer = csv.writer(written)
    writer.writerow(["customer_id", "x"] if beside else ["customer_id"])
    writer.writerows([each, "1,2"] if beside else [each] for each in ids)
    assert ids_of(written.getvalue().encode(), CSV, piece) == ids
    lines = [json.dumps({"customer_id": each} if beside else each) for each in ids]
    assert ids_of("\n".join(lines).encode(), NDJSON, piece) == ids
