"""Every refusal has the one shape, a documented status, and a code that docs/errors.md explains."""

import ast
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contracts.conftest import ROOT
from tests.contracts.refusals import BODY_ROUTES, RULE, exchanges, group
from tests.contracts.test_openapi import check_answer
from tests.serving import Service

MEMBERS = ["type", "title", "status", "detail", "instance", "code", "message"]


@pytest.fixture(scope="module")
def populated(service: Service) -> Service:
    """With segments that use one another, a list, an archived segment, and a customer."""
    adult = {"condition": group(RULE)}
    user = {"condition": group({"field": "segment:adults", "operator": "=", "value": True})}
    bodies = {"adults": adult, "users": user, "guests": {}, "gone": adult, "archived-list": {}}
    for key, body in bodies.items():
        assert service.ask("put", f"/segments/{key}", json=body).status_code == 201
    for key in ("gone", "archived-list"):
        assert service.ask("delete", f"/segments/{key}").status_code == 204
    assert service.ask("post", "/assign", json={"customer_id": "c-1"}).status_code == 200
    return service


def shaped(answer: httpx.Response) -> dict[str, Any]:
    """The problem that an answer is; it has the documented members and no others."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem: dict[str, Any] = answer.json()
    assert list(problem)[:7] == MEMBERS
    assert set(problem) <= {*MEMBERS, "errors"}
    assert problem["status"] == answer.status_code
    assert problem["message"] == problem["detail"] != ""
    assert problem["type"] == f"urn:segserve:problem:{problem['code']}"
    for fault in problem.get("errors", []):
        assert list(fault) == ["pointer", "code", "detail"]
        # Of an uploaded list, which is no JSON document, a line.
        assert re.fullmatch(r"(?s)(/.*)?|line \d+", fault["pointer"])
        assert fault["detail"]
    assert "Traceback" not in answer.text
    return problem


def test_every_refusal_has_the_one_shape(populated: Service, document: dict[str, Any]) -> None:
    codes: set[str] = set()
    wrong: list[str] = []
    tried = 0
    for method, path, url, body in exchanges():
        headers = {"content-type": "application/json"} if body is not None else {}
        answer = populated.ask(method, url, content=body, headers=headers)
        tried += 1
        told = f"{method} {url[:60]} {(body or b'')[:80]!r}: {answer.status_code}"
        if not 400 <= answer.status_code < 500:
            wrong.append(f"{told} {answer.text[:200]}")
            continue
        problem = shaped(answer)
        operation = document["paths"][path][method]
        if str(answer.status_code) not in operation["responses"]:
            wrong.append(f"{told} is not documented")
        check_answer(document, operation, answer)
        if answer.status_code == 422 and not problem.get("errors"):
            wrong.append(f"{told} does not say where")
        codes |= {problem["code"], *(fault["code"] for fault in problem.get("errors", []))}
    assert wrong == []
    assert tried > 300
    assert codes <= documented_codes()


@pytest.mark.parametrize(
    ("method", "url", "status", "code"),
    [
        ("get", "/", 404, "not_found"),
        ("get", "/nowhere", 404, "not_found"),
        ("get", "/segments/adults/nowhere", 404, "not_found"),
        ("get", "/assign", 405, "method_not_allowed"),
        ("delete", "/assign/batch", 405, "method_not_allowed"),
        ("post", "/healthz", 405, "method_not_allowed"),
        ("put", "/segments", 405, "method_not_allowed"),
        ("patch", "/customers/c-1", 405, "method_not_allowed"),
    ],
)
def test_what_no_operation_answers_has_the_shape_too(
    populated: Service, method: str, url: str, status: int, code: str
) -> None:
    answer = populated.ask(method, url)
    problem = shaped(answer)
    assert (answer.status_code, problem["code"]) == (status, code)
    assert status != 405 or answer.headers["allow"]


@pytest.mark.parametrize(("method", "path", "url"), BODY_ROUTES)
def test_bodies_are_bounded(
    populated: Service, document: dict[str, Any], method: str, path: str, url: str
) -> None:
    size = 10_000_001 if path == "/assign/batch" else 1_000_001
    answer = populated.ask(
        method, url, content=b" " * size, headers={"content-type": "application/json"}
    )
    assert (answer.status_code, shaped(answer)["code"]) == (413, "too_large")
    check_answer(document, document["paths"][path][method], answer)


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_a_body_that_is_not_called_json_is_415(populated: Service, media_type: str) -> None:
    headers = {"content-type": media_type} if media_type else {}
    answer = populated.ask("put", "/segments/new", content=b'{"name": "New"}', headers=headers)
    assert (answer.status_code, shaped(answer)["code"]) == (415, "unsupported")


def documented_codes() -> set[str]:
    """The codes that docs/errors.md lists: the first column of its tables."""
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    return set(re.findall(r"^\| `([a-z_]+)` \|", text, re.MULTILINE))


CODES_AT = {
    "Problem": 1,
    "located": 1,
    "HttpProblem": 1,
    "Conflict": 0,
    "refuse": 1,
    "_Refused": 0,
    "Reject": 0,
    "Unreadable": 1,
    "BadOperand": None,
}


def raised_codes() -> set[str]:
    """Every code that the program text gives to an error."""
    codes: set[str] = set()
    for file in sorted(Path(ROOT / "service").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                codes |= _codes_of(node)
    return codes


def _codes_of(call: ast.Call) -> set[str]:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    given = [keyword.value for keyword in call.keywords if keyword.arg == "code"]
    at = CODES_AT.get(name)
    if at is not None and len(call.args) > at:
        given.append(call.args[at])
    return {
        argument.value
        for argument in given
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }


def test_every_code_is_documented_and_raised() -> None:
    raised = raised_codes()
    assert {"invalid", "bad_operator", "in_use", "too_large"} <= raised
    assert raised <= documented_codes()
