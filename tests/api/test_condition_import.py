"""`POST /conditions/import`: conditions from elsewhere, with what differs."""

from typing import Any

import pytest

from tests.api.asking import keys, refused
from tests.serving import Service

PATH = "/conditions/import"


def imported(service: Service, **body: Any) -> Any:
    answer = service.ask("post", PATH, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_jsonlogic_becomes_a_condition_that_can_be_saved(fresh: Service) -> None:
    fresh.ask("put", "/traits/orders", json={"type": "number"})
    logic = {"and": [{">=": [{"var": "orders"}, 3]}, {"in": [{"var": "country"}, ["CZ", "SK"]]}]}
    answer = imported(fresh, format="jsonlogic", logic=logic)
    assert (
        answer["summary"]
        == "Orders is at least 3 and country is one of CZ or SK (letters' case counts)."
    )
    saved = fresh.ask("put", "/segments/s", json={"condition": answer["condition"]}).json()
    assert saved["summary"] == answer["summary"]
    assert keys(fresh.assign(traits={"orders": 3, "country": "CZ"})["segments"]) == ["s"]


def test_where_truth_differs_a_warning_leads_into_the_request(fresh: Service) -> None:
    answer = imported(
        fresh,
        format="jsonlogic",
        logic={"and": [{"==": [{"var": "n"}, 1]}, {"<": [{"var": "n"}, 9]}]},
    )
    told = {(each["pointer"], each["code"]) for each in answer["warnings"]}
    assert ("/logic/and/0", "loose_equality") in told
    assert ("/logic/and/1", "undeclared_type") in told
    assert all(each["detail"] for each in answer["warnings"])


def test_what_can_not_be_said_is_refused_where_it_stands(fresh: Service) -> None:
    body = {"format": "jsonlogic", "logic": {"and": [{"===": [{"var": "a"}, 1]}, {"%": [7, 2]}]}}
    code, faults = refused(fresh, "post", PATH, body)
    assert code == "invalid"
    assert {pointer for pointer, _ in faults} == {"/logic/and/1"}


def test_an_editors_query_is_put_in_order(fresh: Service) -> None:
    query = {
        "id": "g", "combinator": "and", "rules": [
            {"id": "r", "field": "age", "operator": ">=", "value": "18", "valueSource": "value"},
            {"combinator": "or", "rules": []},
            {"field": "size", "operator": "=", "value": "5"},
        ],
    }  # fmt: skip
    answer = imported(fresh, format="querybuilder", query=query)
    assert answer["condition"]["rules"] == [
        {"field": "age", "operator": ">=", "value": 18},
        {"field": "size", "operator": "=", "value": "5"},
    ]
    told = {(each["pointer"], each["code"]) for each in answer["warnings"]}
    assert told == {("/query/rules/1", "empty_group"), ("/query/rules/2/value", "number_as_text")}


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({}, ("/format", "required")),
        ({"format": "sql", "logic": 1}, ("/format", "bad_value")),
        ({"format": "jsonlogic"}, ("/logic", "required")),
        ({"format": "jsonlogic", "query": {}}, ("/logic", "required")),
        ({"format": "jsonlogic", "logic": True}, ("/logic", "bad_value")),
        ({"format": "querybuilder", "query": {"combinator": "and", "rules": []}},
         ("/query/rules", "empty")),
        ({"format": "querybuilder", "query": 7}, ("/query", "type")),
    ],
)  # fmt: skip
def test_what_is_no_import(fresh: Service, body: Any, fault: tuple[str, str]) -> None:
    code, faults = refused(fresh, "post", PATH, body)
    assert code == "invalid"
    assert fault in faults


def test_an_import_stores_nothing(fresh: Service) -> None:
    imported(fresh, format="jsonlogic", logic={"===": [{"var": "a"}, 1]})
    assert fresh.get("/segments")["items"] == []
    assert fresh.rows("select count(*) from audit") == [(0,)]


def alternating(pairs: int) -> Any:
    """Logic that becomes groups in groups, twice as many as pairs."""
    terms: list[Any] = []
    for n in range(pairs):
        terms += [{"==": [{"var": "n"}, str(n)]}, {">": [{"var": "m"}, n]}]
    return {"if": [*terms, False]}


def group_of(depth: int, value: Any, operator: str = "in") -> Any:
    rule: Any = {"field": "country", "operator": operator, "value": value}
    for _ in range(depth):
        rule = {"combinator": "and", "rules": [rule]}
    return rule


def test_what_import_gives_can_be_saved(fresh: Service) -> None:
    outcomes = set()
    for pairs in range(1, 16):
        answer = fresh.ask("post", PATH, json={"format": "jsonlogic", "logic": alternating(pairs)})
        if answer.status_code == 200:
            condition = answer.json()["condition"]
            saved = fresh.ask("put", "/segments/s", json={"condition": condition})
            assert saved.is_success, (pairs, saved.text)
        else:
            faults = [(each["pointer"], each["code"]) for each in answer.json()["errors"]]
            assert (answer.status_code, faults) == (422, [("/logic", "too_deep")])
        outcomes.add(answer.status_code)
    assert outcomes == {200, 422}


def test_groups_nest_as_deep_as_a_body_can_hold(fresh: Service) -> None:
    deepest = {"condition": group_of(14, ["CZ", "SK"])}
    assert fresh.ask("put", "/segments/s", json=deepest).is_success
    refusal = refused(fresh, "put", "/segments/t", {"condition": group_of(15, "CZ", "=")})
    assert refusal == ("invalid", [("/condition" + "/rules/0" * 14, "too_deep")])
