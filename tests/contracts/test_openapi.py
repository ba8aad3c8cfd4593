"""`openapi.yaml` is current, valid, complete, and true of real answers."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute, iter_route_contexts
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from service.api.app import HOT
from service.api.contract import openapi_yaml
from service.api.tracking import PATHS as TRACKING
from tests.contracts.conftest import ROOT
from tests.serving import Service

SEGMENT = {
    "name": "Adults",
    "condition": {
        "combinator": "and",
        "rules": [{"field": "age", "operator": ">=", "value": 18}],
    },
    "treatment": {"channels": ["email"]},
}
CUSTOMER = {"customer_id": "c-1", "traits": {"age": 31, "place": {"lat": 50.1, "lon": 14.4}}}

# Every documented operation, with a request that it takes, in an order that makes sense.
EXCHANGES: list[tuple[str, str, str, Any, int]] = [
    ("get", "/healthz", "/healthz", None, 200),
    ("get", "/readyz", "/readyz", None, 200),
    ("get", "/metrics", "/metrics", None, 200),
    ("get", "/catalog", "/catalog", None, 200),
    ("put", "/traits/{name}", "/traits/age", {"type": "number", "dimension": "demographic"}, 200),
    ("get", "/traits/{name}", "/traits/age", None, 200),
    ("get", "/traits", "/traits", None, 200),
    ("post", "/segments", "/segments", {"key": "adults", **SEGMENT}, 201),
    ("put", "/segments/{key}", "/segments/grown-ups", SEGMENT, 201),
    ("put", "/segments/{key}", "/segments/grown-ups", {**SEGMENT, "key": "grown-ups"}, 200),
    ("put", "/segments/{key}", "/segments/guests", {"name": "Guests"}, 201),
    ("patch", "/segments/{key}", "/segments/grown-ups", {"scheme": "age", "priority": 1}, 200),
    ("post", "/segments/{key}/members", "/segments/guests/members", {"add": ["c-1", "c-2"]}, 200),
    ("post", "/assign", "/assign", {**CUSTOMER, "include": ["traits", "treatment"]}, 200),
    ("post", "/assign", "/assign", {**CUSTOMER, "traits": {"age": 9}}, 200),
    ("post", "/assign", "/assign", {"traits": {"age": "old", "city": "Brno"}}, 200),
    ("post", "/assign", "/assign", {"customer_id": "c-3", "record": False}, 200),
    (
        "post", "/assign/batch", "/assign/batch",
        {"customers": [CUSTOMER, {"traits": {"a.b": 1}}], "record": True}, 200,
    ),
    ("get", "/customers", "/customers?identity=email:ann@example.com", None, 200),
    ("get", "/customers", "/customers?identity=email:nobody", None, 422),
    ("get", "/customers/{customer_id}", "/customers/c-1", None, 200),
    ("get", "/customers/{customer_id}/segments", "/customers/c-1/segments", None, 200),
    (
        "put", "/customers/{customer_id}/consent/{channel}", "/customers/c-1/consent/email",
        {"status": "subscribed", "source": "checkout form"}, 200,
    ),
    ("get", "/customers/{customer_id}/consent", "/customers/c-1/consent", None, 200),
    ("get", "/customers/{customer_id}/transitions", "/customers/c-1/transitions", None, 200),
    ("get", "/segments", "/segments?limit=2", None, 200),
    ("get", "/segments/{key}", "/segments/adults", None, 200),
    ("get", "/segments/{key}/metrics", "/segments/adults/metrics", None, 200),
    ("get", "/segments/{key}/versions", "/segments/grown-ups/versions", None, 200),
    ("get", "/segments/{key}/uses", "/segments/grown-ups/uses", None, 200),
    ("post", "/segments/{key}/rollback", "/segments/grown-ups/rollback", {"version": 1}, 200),
    ("post", "/segments/{key}/activate", "/segments/grown-ups/activate", {"notify": "none"}, 200),
    ("post", "/segments/{key}/snapshot", "/segments/adults/snapshot", {"key": "adults-now"}, 201),
    (
        "post", "/conditions/import", "/conditions/import",
        {"format": "jsonlogic", "logic": {"==": [{"var": "age"}, 18]}}, 200,
    ),
    (
        "post", "/conditions/import", "/conditions/import",
        {"format": "querybuilder", "query": SEGMENT["condition"]}, 200,
    ),
    ("get", "/segments/{key}/members", "/segments/adults/members", None, 200),
    ("put", "/segments/{key}/members", "/segments/guests/members", b"customer_id\nc-1\n", 202),
    (
        "put", "/rates", "/rates",
        {"rates": [{"currency": "EUR", "day": "2026-11-20", "rate": "1.0852"}]}, 200,
    ),
    ("put", "/rates", "/rates", b"currency,day,rate\nEUR,2026-11-21,1.09\n", 200),
    ("get", "/rates", "/rates?currency=EUR&from=2026-11-20", None, 200),
    ("post", "/imports", "/imports?dry_run=true", b"customer_id,city\nc-8,Brno\n", 200),
    ("post", "/imports", "/imports?name=some.csv", b"customer_id,city\nc-8,Brno\n", 202),
    ("get", "/imports/{job_id}/rejects", "/imports/0/rejects", None, 404),
    ("get", "/keys", "/keys", None, 200),
    # A key that was made would lock the others out: `test_scopes.py` makes some.
    (
        "post", "/keys", "/keys",
        {"name": "late", "scopes": ["read"], "expires_at": "2001-01-01T00:00:00Z"}, 422,
    ),
    ("delete", "/keys/{key_id}", "/keys/k_0", None, 404),
    ("get", "/audit", "/audit?subject=segments", None, 200),
    ("post", "/sources", "/sources", {"id": "web", "name": "Web", "type": "browser"}, 201),
    ("get", "/sources", "/sources", None, 200),
    ("get", "/sources/{source_id}", "/sources/web", None, 200),
    (
        "put", "/sources/{source_id}", "/sources/web",
        {"name": "Web shop", "type": "browser", "rate_limit": 6_000}, 200,
    ),
    ("post", "/sources/{source_id}/rotate-key", "/sources/web/rotate-key", None, 200),
    ("get", "/sources/{source_id}/rejects", "/sources/web/rejects", None, 200),
    # With a write key: tests/api/test_tracking.py.
    *(
        ("post", path, path, {"writeKey": "none"} | ({} if kind else {"batch": []}), 401)
        for path, kind in sorted(TRACKING.items())
    ),
    ("delete", "/sources/{source_id}", "/sources/web", None, 204),
    ("get", "/jobs", "/jobs", None, 200),
    ("get", "/jobs/{job_id}", "/jobs/1", None, 200),
    ("delete", "/segments/{key}", "/segments/adults", None, 204),
    ("post", "/assign", "/assign", {"customer_id": "c-21", "identities": {"shop": "21"}}, 200),
    ("post", "/assign", "/assign", {"identities": {"email": "bea@example.com"}}, 200),
    (
        "post", "/customers/{customer_id}/merge", "/customers/c-1/merge", {"from": "c-21"}, 200,
    ),
    ("get", "/customers", "/customers?identity=shop:21", None, 200),
    (
        "post", "/customers/{customer_id}/unmerge", "/customers/c-1/unmerge",
        {"from": "c-21"}, 200,
    ),
    (
        "post", "/customers/{customer_id}/unmerge", "/customers/c-1/unmerge",
        {"from": "c-21"}, 409,
    ),
    ("get", "/customers/{customer_id}/export", "/customers/c-1/export", None, 200),
    ("delete", "/customers/{customer_id}", "/customers/c-1", None, 200),
    ("post", "/erasures", "/erasures", {"customer_id": "c-9"}, 201),
    ("post", "/erasures/verify", "/erasures/verify", {"customer_id": "c-1"}, 200),
    ("post", "/erasures/verify", "/erasures/verify", {"customer_id": "c-0"}, 200),
    ("get", "/erasures/{fingerprint}", f"/erasures/{'0' * 64}", None, 404),
    ("delete", "/traits/{name}", "/traits/age", None, 204),
    ("put", "/traits/{name}", "/traits/standing", {"rank": {"of": "revenue"}}, 200),
    ("post", "/traits/{name}/refresh", "/traits/standing/refresh", None, 202),
    ("post", "/traits/refresh", "/traits/refresh", None, 202),
]  # fmt: skip


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every documented (method, path)."""
    for path, item in document["paths"].items():
        for method in item:
            yield method, path


def check(document: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    """Whether a value is what a schema of the document says."""
    Draft202012Validator.check_schema(schema)
    whole = {**schema, "components": document["components"]}
    validator = Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)
    faults = [f"{fault.json_path}: {fault.message}" for fault in validator.iter_errors(value)]
    assert faults == []


def closed(schema: Any) -> Any:
    """The schema without members that it does not name, so that no answer has a silent one."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {name: closed(value) for name, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        result.setdefault("additionalProperties", False)
    return result


def test_the_committed_document_is_what_the_code_says() -> None:
    committed = (ROOT / "openapi.yaml").read_text(encoding="utf-8")
    assert committed == openapi_yaml(), "run `make openapi`"


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()


def test_a_running_service_shows_the_document(document: dict[str, Any], service: Service) -> None:
    assert service.ask("get", "/openapi.json").json() == document


def test_every_route_is_documented(document: dict[str, Any], service: Service) -> None:
    served = {
        (method.lower(), context.path.replace(":path}", "}"))
        for context in iter_route_contexts(service.app.inner.cold.routes)
        if isinstance(context.original_route, APIRoute)
        for method in context.methods
        if method != "HEAD"  # as GET, without a body: HTTP says so for every path
    }
    assert served
    assert set(operations(document)) == served | {("post", path) for path in {*HOT, *TRACKING}}


def test_every_operation_is_tried_here(document: dict[str, Any]) -> None:
    assert {(method, path) for method, path, *_ in EXCHANGES} == set(operations(document))


def test_operations_have_names_and_sentences(document: dict[str, Any]) -> None:
    for method, path in operations(document):
        operation = document["paths"][path][method]
        assert operation["summary"], path
        assert operation["description"].endswith("."), path
    names = [
        document["paths"][path][method]["operationId"] for method, path in operations(document)
    ]
    assert len(set(names)) == len(names)


def test_real_requests_and_answers_are_as_documented(
    document: dict[str, Any], service: Service
) -> None:
    document = closed(document)
    for method, path, url, body, status in EXCHANGES:
        operation = document["paths"][path][method]
        if isinstance(body, bytes):
            assert "text/csv" in operation["requestBody"]["content"]
            headers = {"content-type": "text/csv"}
            answer = service.ask(method, url, content=body, headers=headers)
        else:
            if body is not None:
                content = operation["requestBody"]["content"]["application/json"]
                check(document, content["schema"], body)
            answer = service.ask(method, url, json=body) if body else service.ask(method, url)
        assert answer.status_code == status, (url, answer.text)
        check_answer(document, operation, answer)


def check_answer(
    document: dict[str, Any], operation: dict[str, Any], answer: httpx.Response
) -> None:
    """Whether an answer is one of those that its operation documents."""
    responses = operation["responses"]
    described = responses.get(str(answer.status_code)) or responses["default"]
    if "$ref" in described:
        described = document["components"]["responses"][described["$ref"].rpartition("/")[2]]
    content = described.get("content", {})
    if not content:
        assert answer.content == b""
        return
    media_type = answer.headers["content-type"].partition(";")[0]
    schema = content[media_type]["schema"]
    is_json = media_type.endswith("json")
    check(document, schema, answer.json() if is_json else answer.text)
    for name in described.get("headers", {}):
        assert name in answer.headers


def bodies(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every JSON body and every JSON answer that is no refusal, with what it is of."""
    for method, path in operations(document):
        operation = document["paths"][path][method]
        described = [("body", operation.get("requestBody", {}))]
        described += [(status, each) for status, each in operation["responses"].items()]
        for name, each in described:
            content = each.get("content", {}).get("application/json")
            if content is not None:
                yield f"{method.upper()} {path} {name}", content


def test_every_body_and_answer_has_an_example_that_is_one(document: dict[str, Any]) -> None:
    without = []
    for name, content in bodies(document):
        schema = content["schema"]
        named = document["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], {})
        examples = [content["example"]] if "example" in content else named.get("examples", [])
        if not examples:
            without.append(name)
        for example in examples:
            check(document, schema, example)
    assert without == []


def test_examples_of_all_schemas_are_of_them(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["ProblemDocument"]["examples"]
    for schema in schemas.values():
        for example in schema.get("examples", []):
            check(document, schema, example)


@pytest.mark.parametrize("path", sorted(HOT))
def test_the_example_of_a_hot_route_answers(
    path: str, document: dict[str, Any], service: Service
) -> None:
    operation = document["paths"][path]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    check(document, content["schema"], content["example"])
    answer = service.ask("post", path, json=content["example"])
    assert answer.status_code == 200
    check_answer(document, operation, answer)
