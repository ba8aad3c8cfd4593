"""`/segments` and its neighbours: definitions, keys, bodies, paths and queries that are refused."""

from typing import Any

import pytest

from tests.api.asking import refused
from tests.contracts.test_errors import shaped
from tests.running import group
from tests.serving import Service

ADULT = group(("age", ">=", 18))


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"condition": group(("age", "about", 1))}, ["/condition/rules/0/operator"]),
        ({"condition": {"combinator": "and", "rules": []}}, ["/condition/rules"]),
        ({"condition": []}, ["/condition"]),
        ({"condition": group(("segment:nobody", "=", True))}, ["/condition/rules/0/field"]),
        ({"condition": group(("segment:s", "=", True))}, ["/condition/rules/0/field"]),
        ({"condition": ADULT, "scheme": "tier"}, ["/priority"]),
        ({"condition": ADULT, "priority": 1}, [""]),
        ({"condition": ADULT, "priority": -1, "scheme": "tier"}, ["/priority"]),
        ({"condition": ADULT, "status": "archived"}, ["/status"]),
        ({"condition": ADULT, "dimensions": ["magic"]}, ["/dimensions/0"]),
        ({"condition": ADULT, "name": ""}, ["/name"]),
        ({"condition": ADULT, "min_dwell": "1d"}, ["/min_dwell"]),
        ({"condition": ADULT, "nonsense": 1}, ["/nonsense"]),
        ({"condition": ADULT, "review_by": "soon"}, ["/review_by"]),
        ({"condition": ADULT, "review_by": 86_400}, ["/review_by"]),
        ({"condition": ADULT, "review_by": "2027-02-30"}, ["/review_by"]),
        ({"condition": ADULT, "goals": {"x": 10**400, "y": -(10**400)}}, ["/goals/x", "/goals/y"]),
        ({"condition": ADULT, "limits": {"min_size": 10**400}}, ["/limits/min_size"]),
        (
            {"condition": ADULT, "goals": {"x": True, "y": "1", "z": None}},
            ["/goals/x", "/goals/y", "/goals/z"],
        ),
        ({"condition": ADULT, "review_by": "2027-03-01T00:00:00Z"}, ["/review_by"]),
        ({"condition": ADULT, "priority": True, "scheme": "tier"}, ["/priority"]),
        ({"condition": ADULT, "priority": "1", "scheme": "tier"}, ["/priority"]),
        ({"condition": ADULT, "persona": {"age": 3}}, ["/persona/age"]),
        ({"condition": ADULT, "name": "\0"}, ["/name"]),
        ({"condition": ADULT, "treatment": {"a": ["\0"]}}, ["/treatment/a/0"]),
    ],
)
def test_definitions_that_are_refused(
    service: Service, body: dict[str, Any], pointers: list[str]
) -> None:
    code, faults = refused(service, "put", "/segments/s", body)
    assert (code, [pointer for pointer, _ in faults]) == ("invalid", pointers)
    assert service.ask("get", "/segments/s").status_code == 404


@pytest.mark.parametrize("key", ["UPPER", "-a", "a" * 65, "a.b", "č", "preview", "overlap"])
def test_keys_that_are_refused(service: Service, key: str) -> None:
    code, [(pointer, _)] = refused(service, "put", f"/segments/{key}", {"condition": ADULT})
    assert (code, pointer) in (("invalid", "/path/key"), ("invalid", "/key"))
    code, [(pointer, _)] = refused(service, "post", "/segments", {"key": key, "condition": ADULT})
    assert (code, pointer) == ("invalid", "/key")


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 400),
        (b'{"limits": {"min_share": NaN}}', 422),
        (b'{"limits": {"min_share": 1e400}}', 422),
        (b'{"treatment": {"a": "\\ud800"}}', 422),
        (b'{"name": "\\udfff"}', 422),
        (b'{"treatment": ' + b'{"a": ' * 300 + b"1" + b"}" * 301, 422),
        (b'{"treatment": ' + b'{"a": ' * 50_000 + b"1" + b"}" * 50_001, 422),
        (b'{"description": "' + b"x" * 1_100_000 + b'"}', 413),
        (b"[]", 422),
        (b"null", 422),
    ],
)
def test_bodies_that_are_refused(service: Service, content: bytes, status: int) -> None:
    for method, path in (("put", "/segments/s"), ("patch", "/segments/s"), ("post", "/segments")):
        headers = {"content-type": "application/json"}
        answer = service.ask(method, path, content=content, headers=headers)
        assert answer.status_code == status, answer.text
        shaped(answer)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/segments/%00"),
        ("PUT", "/segments/%00"),
        ("PATCH", "/segments/a%00b"),
        ("DELETE", "/segments/%00"),
        ("GET", "/segments/%00/members"),
        ("POST", "/segments/%00/members"),
        ("GET", "/segments/%00/metrics"),
        ("GET", "/segments?q=%00"),
        ("GET", "/segments?tag=%00"),
        ("GET", "/segments?cursor=%00"),
        ("GET", "/segments?cursor=%C4%8D"),
        ("GET", "/segments?cursor=AAAA"),
        ("GET", "/segments?limit=0"),
        ("GET", "/segments?limit=1001"),
        ("GET", "/segments?status=gone"),
        ("GET", "/customers/%00"),
        ("DELETE", "/customers/%00"),
        ("GET", "/customers/%00/transitions"),
        ("GET", "/customers/%00/segments"),
        ("GET", "/customers/nobody/transitions?cursor=bm9uZQ=="),
        ("GET", "/traits/%00"),
        ("PUT", "/traits/%00"),
        ("DELETE", "/traits/a:b"),
        ("GET", "/jobs/0"),
        ("GET", "/jobs/99999999999999999999"),
        ("GET", "/jobs/x"),
        ("GET", "/nowhere"),
        ("PUT", "/healthz"),
    ],
)
def test_paths_and_queries_that_are_refused(service: Service, method: str, path: str) -> None:
    body = {"json": {}} if method in ("PUT", "PATCH", "POST") else {}
    answer = service.ask(method, path, **body)
    assert answer.status_code in (404, 405, 422), answer.text
    shaped(answer)


@pytest.mark.parametrize(
    ("document", "code", "detail"),
    [
        ({"colour": 1}, "unknown_property", '"colour" is unknown here'),
        ({"priority": 1}, "bad_value", "a priority is a place in a scheme: name the scheme"),
        ({"goals": {"x": "a"}}, "type", "this has to be a number"),
        ({"name": 5}, "type", "this has to be a text"),
        ({"name": ""}, "empty", "this must not be empty"),
        ({"name": "n" * 201}, "too_long", "this may have 200 characters at most"),
        ({"tags": ["x"] * 51}, "too_many", "there may be 50 at most"),
        ({"tags": "x"}, "type", "this has to be a list"),
        ({"condition": []}, "type", "this has to be an object"),
        ({"persona": 1}, "type", "this has to be an object"),
        ({"priority": 1.5, "scheme": "s"}, "type", "this has to be a whole number"),
        ({"priority": -1, "scheme": "s"}, "bad_value", "this has to be 0 at least"),
        ({"status": "archived"}, "bad_value", "this has to be 'draft' or 'active'"),
        ({"review_by": "2027-02-30"}, "bad_value", "the calendar has no such day"),
        ({"scheme": "A B"}, "bad_value",
         "a key has a-z, 0-9, _ and -, 64 characters at most, and begins with a letter or digit"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["put", "patch"])
def test_faults_are_told_in_plain_words(
    service: Service, method: str, document: dict[str, Any], code: str, detail: str
) -> None:
    service.save("plain")
    answer = service.ask(method, "/segments/plain", json=document)
    [fault] = shaped(answer)["errors"]
    assert (answer.status_code, fault["code"], fault["detail"]) == (422, code, detail)


@pytest.mark.parametrize("encoding", ["gzip", "identity, br", "zstd"])
def test_encoded_bodies_are_415(service: Service, encoding: str) -> None:
    service.save("encoded")
    for method, path in (("put", "/segments/encoded"), ("post", "/segments"),
                         ("put", "/segments/encoded/members")):  # fmt: skip
        kind = "text/csv" if path.endswith("members") else "application/json"
        headers = {"content-type": kind, "content-encoding": encoding}
        answer = service.ask(method, path, content=b"{}", headers=headers)
        assert (answer.status_code, shaped(answer)["code"]) == (415, "unsupported")
    headers = {"content-type": "application/json", "content-encoding": "Identity"}
    assert service.ask("put", "/segments/encoded", content=b"{}", headers=headers).is_success
