"""Bodies that hold what JSON or PostgreSQL can't: each fault is told at its place, everywhere."""

import codecs
import json
from typing import Any

import pytest

from tests.contracts.test_errors import shaped
from tests.serving import Service

JSON = {"content-type": "application/json"}
# A value as it is written, and a word of the sentence that tells what is wrong with it.
UNREPRESENTABLE = [
    ("NaN", "NaN"),
    ("Infinity", "Infinity"),
    ("-Infinity", "Infinity"),
    ("1e400", "too large"),
    ("-1e999999", "too large"),
    ("9" * 5_000, "too large"),
    (r'"\ud800"', "surrogate"),
    (r'"a\udc00b"', "surrogate"),
    (r'"a\u0000b"', "U+0000"),
]
# The routes that take bodies, with a body around the value and the value's place.
PLACES = [
    ("put", "/segments/s", '{"name": %s}', "/name"),
    ("put", "/segments/s", '{"condition": {"combinator": "and", "rules": [{"field": "a", '
     '"operator": "=", "value": %s}]}}', "/condition/rules/0/value"),
    ("put", "/segments/s", '{"condition": {"combinator": "and", "rules": [{"field": "a", '
     '"operator": "in", "value": [1, {"k~/": %s}]}]}}', "/condition/rules/0/value/1/k~0~1"),
    ("post", "/segments", '{"key": "s", "treatment": {"x": [[%s]]}}', "/treatment/x/0/0"),
    ("patch", "/segments/kept", '{"goals": {"x": %s}}', "/goals/x"),
    ("put", "/traits/t", '{"description": %s}', "/description"),
    ("post", "/segments/list/members", '{"add": ["ok", %s]}', "/add/1"),
    ("post", "/assign", '{"customer_id": %s}', "/customer_id"),
    ("post", "/assign", '{"traits": {"a": {"b": [1, %s]}}}', "/traits/a/b/1"),
]  # fmt: skip


@pytest.fixture(scope="module")
def kept(service: Service) -> Service:
    service.save("kept", ("age", ">", 1))
    service.save("list")
    return service


def faults(service: Service, method: str, path: str, body: str | bytes) -> list[Any]:
    content = body.encode() if isinstance(body, str) else body
    answer = service.ask(method, path, content=content, headers=JSON)
    assert answer.status_code == 422, answer.text
    return list(shaped(answer)["errors"])


@pytest.mark.parametrize(("method", "path", "around", "pointer"), PLACES)
@pytest.mark.parametrize(("value", "word"), UNREPRESENTABLE)
def test_what_can_not_be_is_told_at_its_place(
    kept: Service, method: str, path: str, around: str, pointer: str, value: str, word: str
) -> None:
    [fault] = faults(kept, method, path, around % value)
    assert (fault["pointer"], fault["code"]) == (pointer, "bad_value")
    assert word in fault["detail"]


def test_all_of_them_are_told_at_once(kept: Service) -> None:
    body = r'{"name": "\ud800", "goals": {"x": NaN, "y": 1, "z": 1e400}, "tags": ["\u0000"]}'
    found = faults(kept, "put", "/segments/s", body)
    assert [fault["pointer"] for fault in found] == ["/name", "/goals/x", "/goals/z", "/tags/0"]
    assert {fault["code"] for fault in found} == {"bad_value"}


def test_of_very_many_the_first_are_told(kept: Service) -> None:
    found = faults(kept, "put", "/segments/s", '{"tags": [' + ", ".join(["NaN"] * 5_000) + "]}")
    assert [fault["pointer"] for fault in found] == [f"/tags/{n}" for n in range(100)]


@pytest.mark.parametrize("name", [r"\ud800", r"a\u0000"])
def test_a_name_that_can_not_be_is_told_at_its_object(kept: Service, name: str) -> None:
    for method, path, around, pointer in (
        ("put", "/segments/s", '{"treatment": {"x": {"%s": 1}}}', "/treatment/x"),
        ("post", "/assign", '{"traits": {"x": {"%s": 1}}}', "/traits/x"),
    ):
        [fault] = faults(kept, method, path, around % name)
        assert (fault["pointer"], fault["code"]) == (pointer, "bad_value")


def test_a_member_that_is_written_twice_hides_nothing(kept: Service) -> None:
    [fault] = faults(kept, "put", "/segments/s", '{"goals": {"x": NaN, "x": 1}}')
    assert fault["pointer"] == "/goals/x"


def test_a_byte_order_mark_is_ignored(kept: Service) -> None:
    """RFC 8259, section 8.1, lets those who read JSON ignore one."""
    for method, path, body, status in (
        ("put", "/segments/marked", {"name": "Marked"}, 201),
        ("patch", "/segments/marked", {"name": "Marked again"}, 200),
        ("put", "/traits/marked", {"type": "string"}, 200),
        ("post", "/assign", {"traits": {"a": 1}}, 200),
        ("post", "/assign/batch", {"customers": [{"traits": {"a": 1}}]}, 200),
    ):
        content = codecs.BOM_UTF8 + json.dumps(body).encode()
        answer = kept.ask(method, path, content=content, headers=JSON)
        assert answer.status_code == status, answer.text
    assert kept.get("/segments/marked")["name"] == "Marked again"
    [fault] = faults(kept, "put", "/segments/s", codecs.BOM_UTF8 + b'{"goals": {"x": NaN}}')
    assert fault["pointer"] == "/goals/x"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_another_encoding_is_no_json(kept: Service, encoding: str) -> None:
    for text in ('{"name": "čaj"}' if encoding != "latin-1" else '{"name": "thé"}', '{"a": NaN}é'):
        for method, path in (("put", "/segments/s"), ("post", "/assign")):
            answer = kept.ask(method, path, content=text.encode(encoding), headers=JSON)
            assert (answer.status_code, shaped(answer)["code"]) == (400, "not_json")
