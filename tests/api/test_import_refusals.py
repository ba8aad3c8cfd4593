"""Files that can't be imported are refused with the reason, and none as if we were to blame."""

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.api.importing import NDJSON, PARQUET, files, send
from tests.contracts.test_errors import shaped
from tests.serving import Service

PEOPLE = "customer_id,age\nx1,5\n"
FILE = ("/file", "bad_value")


def faults(service: Service, body: str | bytes, media_type: str, mapping: Any) -> Any:
    """Of a file that is refused, looked at or imported, the same."""
    told = []
    for dry_run in (True, False):
        answer = send(service.ask, body, media_type, mapping=mapping, dry_run=dry_run)
        assert answer.status_code == 422, answer.text
        told.append([(each["pointer"], each["code"]) for each in shaped(answer)["errors"]])
    assert files(service) == []
    assert told[0] == told[1]
    return told[0]


@pytest.mark.parametrize(
    "encoding", ["idna", "undefined", "punycode", "utf-16", "utf-16-le", "utf-32", "rot13", "none"]
)
def test_an_encoding_that_a_file_is_not_in(service: Service, encoding: str) -> None:
    said = {"as": "customers", "encoding": encoding}
    assert faults(service, PEOPLE, "text/csv", said) == [FILE]


def parquet(*columns: str) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({name: ["x1"] for name in columns}), sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (PEOPLE.replace("age", "a\0ge"), "text/csv"),
        (b"customer_id,\xffge\nx1,5\n", "text/csv"),
        (parquet("customer_id", "a\0ge"), PARQUET),
    ],
    ids=["NUL", "no UTF-8", "NUL in Parquet"],
)
def test_names_of_columns_that_can_not_be_kept(
    service: Service, body: str | bytes, media_type: str
) -> None:
    assert faults(service, body, media_type, {"as": "customers"}) == [FILE]


def test_members_that_can_not_be_kept_spoil_their_row_alone(service: Service) -> None:
    body = '{"customer_id": "x1"}\n{"customer_id": "x2", "a\\u0000": 1}\n'
    answer = send(service.ask, body, NDJSON, dry_run=True, mapping={"as": "customers"})
    assert answer.status_code == 200, answer.text
    assert [(each["row"], each["code"]) for each in answer.json()["rejects"]] == [(2, "bad_value")]


@pytest.mark.parametrize(
    "body",
    [b"PAR1", b"PAR1" + b"\0" * 100 + b"PAR1", parquet("customer_id")[:-30] + b"\0" * 22 + b"PAR1"],
    ids=["no end", "empty", "spoilt"],
)
def test_a_parquet_file_that_is_broken(service: Service, body: bytes) -> None:
    assert faults(service, body, PARQUET, {"as": "customers"}) == [FILE]
