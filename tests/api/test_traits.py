"""`/traits`: declarations as they come and go, and what they may not do to segments."""

from typing import Any
from urllib.parse import quote

import pytest

from tests.api.asking import refused
from tests.api.test_personal import keyed
from tests.api.test_preconditions import stale
from tests.contracts.test_errors import shaped
from tests.serving import Service


def declared(items: list[Any]) -> list[str]:
    return [item["name"] for item in items if item["declared"]]


def test_declared_traits(fresh: Service) -> None:
    declaration = {"type": "number", "dimension": "demographic", "description": "In years."}
    answer = fresh.ask("put", "/traits/age", json=declaration)
    given = dict.fromkeys(("writable_by", "aggregate", "ratio", "formula", "score", "rank"))
    told = {"name": "age", "personal": False, "masked": [], **given, **declaration}
    assert (answer.status_code, answer.json() | told) == (200, answer.json())
    assert fresh.get("/traits/age").items() >= told.items()
    for name in ("work.pay", "b", "c"):
        assert fresh.ask("put", f"/traits/{name}", json={"type": "money"}).status_code == 200
    pages = [item for page in fresh.pages("/traits", limit=3) for item in page]
    assert declared(pages) == ["age", "b", "c", "work.pay"]
    types = fresh.process.live.served.catalog.schema.types
    assert types.keys() == {"age", "work.pay", "b", "c"}
    assert fresh.assign("c-1", traits={"age": "21"}, include=["traits"])["traits"] == {"age": 21}
    assert fresh.ask("delete", "/traits/age").status_code == 204
    for method in ("get", "delete"):
        assert refused(fresh, method, "/traits/age", None, 404) == ("not_found", [])
    refusal = refused(fresh, "put", "/traits/x", {"type": "colour"})
    assert refusal == ("invalid", [("/type", "bad_value")])
    assert refused(fresh, "put", "/traits/customer.x", {})[0] == "invalid"


@pytest.mark.parametrize(
    ("name", "declaration", "what"),
    [
        ("monthly", {"formula": "salary / 12"}, ("derived", True, "number", None)),
        ("salary", {"type": "money", "personal": True}, ("given", True, "money", None)),
        ("revenue", {"description": "Net."}, ("ready_made", False, "number", "value")),
        ("country", {"description": "ISO."}, ("given", False, "string", "geographic")),
    ],
)
def test_a_declaration_is_answered_with_what_is_there_then(
    fresh: Service, name: str, declaration: dict[str, Any], what: tuple[Any, ...]
) -> None:
    fresh.ask("put", "/traits/salary", json={"type": "number", "personal": True})
    fresh.assign("c-1", traits={"country": "CZ"})
    fresh.ask("post", "/traits/refresh")
    fresh.settle()
    answer = fresh.ask("put", f"/traits/{name}", json=declaration)
    assert (answer.status_code, answer.json()) == (200, fresh.get(f"/traits/{name}"))
    told = answer.json()
    assert tuple(told[part] for part in ("kind", "personal", "type", "dimension")) == what
    # Who may not read is told no figures: nor of which type most customers have it.
    told = keyed(fresh, "write")("put", f"/traits/{name}", json=declaration).json()
    assert (told["coverage"], told["top_values"]) == (None, None)
    assert told["type"] == (None if name == "country" else what[2])


def test_a_type_that_would_break_a_segment_is_409_and_names_the_rule(fresh: Service) -> None:
    fresh.save("adult", ("city", "=", "Brno"), ("age", ">=", 18))
    answer = fresh.ask("put", "/traits/age", json={"type": "list"})
    problem = shaped(answer)
    assert (answer.status_code, problem["code"]) == (409, "in_use")
    assert problem["detail"] == "with age declared as a list, adult could not be served"
    [fault] = problem["errors"]
    assert fault["pointer"] == "/segments/adult/condition/rules/1/operator"
    assert fault["code"] == "bad_operator"
    assert declared(fresh.get("/traits")["items"]) == []
    assert fresh.get("/catalog")["refused"] == []
    assert fresh.ask("put", "/traits/age", json={"type": "number"}).status_code == 200


def test_a_declaration_that_a_segment_needs_is_not_withdrawn(fresh: Service) -> None:
    fresh.ask("put", "/traits/joined", json={"type": "date"})
    fresh.save("new", ("joined", ">", "2026-11-20"))
    for answer in (
        fresh.ask("delete", "/traits/joined"),
        fresh.ask("put", "/traits/joined", json={"description": "Untyped."}),
    ):
        problem = shaped(answer)
        assert (answer.status_code, problem["code"]) == (409, "in_use")
        assert problem["errors"][0]["pointer"] == "/segments/new/condition/rules/0/value"
    fresh.ask("delete", "/segments/new")
    assert fresh.ask("delete", "/traits/joined").status_code == 204


def test_names_may_hold_slashes_and_percent_signs(fresh: Service) -> None:
    for name in ("a/b", "share_%", "%2F", "č", "a?b#c"):
        path = f"/traits/{quote(name, safe='')}"
        assert fresh.ask("put", path, json={"type": "number"}).json()["name"] == name
        assert fresh.get(path)["name"] == name
        assert fresh.rows("select name from traits") == [(name,)]
        assert fresh.ask("delete", path).status_code == 204


def test_declarations_are_changed_by_who_has_seen_them(fresh: Service) -> None:
    only, star = {"if-none-match": "*"}, {"if-match": "*"}
    assert stale(fresh.ask("put", "/traits/x", json={"type": "number"}, headers=star))
    first = fresh.ask("put", "/traits/x", json={"type": "number"}, headers=only)
    assert first.status_code == 200
    tag = first.headers["etag"]
    assert fresh.ask("get", "/traits/x").headers["etag"] == tag
    assert stale(fresh.ask("put", "/traits/x", json={"type": "string"}, headers=only))
    # Counting customers does not change it, and another trait of the same type has another.
    fresh.assign("c-1", traits={"x": 3})
    fresh.ask("post", "/traits/refresh")
    fresh.settle()
    same = fresh.ask("get", "/traits/x", headers={"if-none-match": f'"y", {tag}'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert fresh.ask("put", "/traits/y", json={"type": "number"}).headers["etag"] != tag
    for wrong in ('"another"', f"W/{tag}"):
        for method, body in (("put", {"type": "string"}), ("delete", None)):
            answer = fresh.ask(method, "/traits/x", json=body, headers={"if-match": wrong})
            assert stale(answer), answer.text
    assert fresh.get("/traits/x")["type"] == "number"
    seen = {"if-match": tag}
    changed = fresh.ask("put", "/traits/x", json={"type": "string"}, headers=seen)
    assert (changed.status_code, changed.headers["etag"] != tag) == (200, True)
    assert stale(fresh.ask("delete", "/traits/x", headers=seen))
    now = {"if-match": changed.headers["etag"]}
    assert fresh.ask("delete", "/traits/x", headers=now).status_code == 204
    assert fresh.ask("delete", "/traits/x", headers=star).status_code == 404
    assert "etag" not in fresh.ask("get", "/traits/x").headers
    wrong_header = fresh.ask("delete", "/traits/y", headers={"if-match": "x"})
    faults = [(each["pointer"], each["code"]) for each in shaped(wrong_header)["errors"]]
    assert faults == [("/header/If-Match", "bad_value")]
