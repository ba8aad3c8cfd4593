"""Derived traits over the wire: declared, computed for everyone, changed and withdrawn."""

from typing import Any

import pytest
from sqlalchemy import text

from service.core.instants import DAY, format_instant
from tests.running import NOW, Clock, group
from tests.serving import Service

ORDERS = {"aggregate": {"event": "Order Completed", "function": "count"}}
REVENUE = {"aggregate": {"event": "Order Completed", "function": "sum", "of": "properties.net"}}
AVERAGE = {"ratio": {"numerator": "revenue", "denominator": "orders"}}


@pytest.fixture
def clock(fresh: Service) -> Clock:
    told = fresh.process.services.clock
    assert isinstance(told, Clock)
    return told


def declare(service: Service, name: str, document: dict[str, Any]) -> Any:
    answer = service.ask("put", f"/traits/{name}", json=document)
    assert answer.is_success, answer.text
    return answer.json()


def refused(service: Service, name: str, document: dict[str, Any]) -> tuple[int, Any]:
    answer = service.ask("put", f"/traits/{name}", json=document)
    return answer.status_code, [
        (fault["pointer"], fault["code"]) for fault in answer.json().get("errors", [])
    ]


def order(number: int, total: float, at: int = NOW) -> dict[str, Any]:
    return {
        "event": "Order Completed",
        "message_id": f"m-{number}",
        "timestamp": format_instant(at),
        "properties": {"order_id": f"o-{number}", "total": total},
    }


def keys(answer: Any) -> list[str]:
    return [segment["key"] for segment in answer["segments"]]


def test_traits_are_derived_from_orders_and_from_each_other(fresh: Service) -> None:
    for name, document in (("orders", ORDERS), ("revenue", REVENUE), ("average", AVERAGE)):
        assert declare(fresh, name, document)["name"] == name
    fresh.save("generous", ("average", ">=", 50))
    answer = fresh.assign("c-1", events=[order(1, 40), order(2, 70)], include=["traits"])
    assert keys(answer) == ["generous"]
    assert answer["traits"] == {"orders": 2, "revenue": 110, "average": 55}
    assert keys(fresh.assign("c-1", events=[order(3, 1)])) == []
    # Before anything was bought there is no average: nothing is divided by nothing.
    assert fresh.assign("c-2", include=["traits"])["traits"] == {"orders": 0, "revenue": 0}


def test_a_definition_made_later_decides_everyone(fresh: Service) -> None:
    fresh.assign("c-1", events=[order(1, 40)])
    declare(fresh, "orders", ORDERS)
    fresh.save("buyers", ("orders", ">=", 1))
    fresh.settle()
    assert [each["customer_id"] for each in fresh.get("/segments/buyers/members")["items"]] == [
        "c-1"
    ]
    assert fresh.get("/traits/orders")["aggregate"] == ORDERS["aggregate"]


def test_what_is_derived_can_not_be_told(fresh: Service) -> None:
    fresh.assign("c-1", traits={"orders": 7})
    declare(fresh, "orders", ORDERS)
    fresh.save("buyers", ("orders", ">=", 1))
    # What was told before stands no more.
    assert keys(fresh.assign("c-1")) == []
    answer = fresh.ask("post", "/assign", json={"customer_id": "c-1", "traits": {"orders": 3}})
    assert answer.status_code == 422
    [fault] = answer.json()["errors"]
    assert (fault["pointer"], fault["code"]) == ("/traits/orders", "derived")
    # What is only asked may be imagined.
    assert keys(fresh.assign("c-1", traits={"orders": 3}, record=False)) == ["buyers"]
    assert keys(fresh.assign(traits={"orders": 3})) == ["buyers"]
    assert keys(fresh.assign()) == []


def test_scores_and_formulas(fresh: Service, clock: Clock) -> None:
    score = {
        "points": [
            {"event": "Email Opened", "points": 10},
            {"condition": {"combinator": "and", "rules": [
                {"field": "country", "operator": "=", "value": "CZ"}]}, "points": 5},
        ],
        "half_life": "10d",
    }  # fmt: skip
    declare(fresh, "engagement", {"score": score})
    declare(fresh, "double", {"formula": "age * 2"})
    fresh.save("hot", ("engagement", ">", 10))
    fresh.save("old", ("double", ">=", 80))
    opened = {"event": "Email Opened", "message_id": "m-1", "timestamp": format_instant(NOW)}
    answer = fresh.assign("c-1", traits={"country": "CZ", "age": 40}, events=[opened])
    assert sorted(keys(answer)) == ["hot", "old"]
    # 5 held and 10 that halve in ten days: 10 in all exactly then.
    end = format_instant(NOW + 10 * DAY)
    assert answer["valid_until"] == end
    clock.now = NOW + 10 * DAY
    answer = fresh.assign("c-1")
    assert keys(answer) == ["old"]
    assert answer["exited"] == [{"key": "hot", "reason": {"kind": "time"}}]


def test_faults_are_located(fresh: Service) -> None:
    for document, place, code in (
        ({"aggregate": {"function": "count"}}, "/aggregate/event", "required"),
        ({"aggregate": {"event": "A", "function": "sum"}}, "/aggregate/of", "required"),
        ({"formula": "1 +"}, "/formula", "bad_value"),
        ({"formula": "a", "ratio": AVERAGE["ratio"]}, "/formula", "bad_value"),
        ({"formula": "a", "type": "number"}, "/type", "bad_value"),
        ({"formula": "x + 1"}, "/formula", "cycle"),
        ({"score": {"points": [], "half_life": "1mo"}}, "/score/points", "empty"),
    ):
        status, faults = refused(fresh, "x", document)
        assert status == 422, document
        assert (place, code) in faults, faults
    assert refused(fresh, "a.b", {"formula": "1"})[0] == 422


def test_what_is_read_stays(fresh: Service) -> None:
    declare(fresh, "baskets", ORDERS)
    declare(fresh, "average", {"ratio": {"numerator": "revenue", "denominator": "baskets"}})
    fresh.save("buyers", ("average", ">=", 1))
    for name in ("baskets", "average"):
        answer = fresh.ask("delete", f"/traits/{name}")
        assert answer.status_code == 409, name
        assert answer.json()["code"] == "in_use"
    # As a text it could not be compared with a number.
    last = {"aggregate": {"event": "A", "function": "last"}}
    assert refused(fresh, "average", last)[0] == 409
    fresh.ask("delete", "/segments/buyers")
    assert fresh.ask("delete", "/traits/average").status_code == 204


def test_personal_is_what_is_computed_from_personal(fresh: Service) -> None:
    declare(fresh, "born_in", {"type": "number", "personal": True})
    declare(fresh, "age", {"formula": "2026 - born_in"})
    assert "age" in fresh.process.live.served.personal.paths


def test_a_profile_shows_what_is_derived(fresh: Service) -> None:
    fresh.assign("c-1", traits={"orders": 7, "age": 31}, events=[order(1, 40)])
    for name, document in (("orders", ORDERS), ("revenue", REVENUE), ("average", AVERAGE)):
        declare(fresh, name, document)
    told = fresh.get("/customers/c-1")
    assert told["traits"].items() >= {"age": 31, "orders": 1, "revenue": 40, "average": 40}.items()
    assert told["sources"]["orders"]["source"] == "derived"
    assert told["sources"]["age"]["source"] == "assign"
    assert fresh.get("/customers/c-1/export")["profile"]["traits"] == told["traits"]


def test_an_export_of_who_is_on_lists_only_has_no_profile(fresh: Service) -> None:
    declare(fresh, "orders", ORDERS)
    fresh.save("guests")
    fresh.ask("post", "/segments/guests/members", json={"add": ["c-1"]})
    assert fresh.get("/customers/c-1/export")["profile"] is None
    fresh.assign("c-1", traits={"age": 31})
    assert fresh.get("/customers/c-1/export")["profile"]["traits"] == {"age": 31, "orders": 0}


def test_ranks_are_as_of_their_refresh(fresh: Service, clock: Clock) -> None:
    declare(fresh, "revenue", REVENUE)
    for number in range(10):
        fresh.assign(f"c-{number}", events=[order(number, 10 * number)])
    buyers = {"combinator": "and", "rules": [{"field": "revenue", "operator": ">", "value": 0}]}
    declare(fresh, "standing", {"rank": {"of": "revenue", "among": buyers}})
    fresh.save("top", ("standing", ">=", 2 / 3))
    fresh.settle()

    def top() -> list[str]:
        fresh.settle()
        return [each["customer_id"] for each in fresh.get("/segments/top/members")["items"]]

    # Nine are ranked, six of them below the best three.
    assert top() == ["c-7", "c-8", "c-9"]
    [latest, *_] = fresh.get("/customers/c-9/transitions")["items"]
    assert latest["reason"] == {"kind": "rank"} or latest["reason"] == {"kind": "definition"}
    # A purchase counts at once, among the values of then.
    assert keys(fresh.assign("c-1", events=[order(11, 500)])) == ["top"]
    assert top() == ["c-1", "c-7", "c-8", "c-9"]
    assert fresh.ask("post", "/traits/standing/refresh").status_code == 202
    assert top() == ["c-1", "c-8", "c-9"]
    [latest, *_] = fresh.get("/customers/c-7/transitions")["items"]
    assert latest["reason"] == {"kind": "rank"}
    assert fresh.ask("post", "/traits/revenue/refresh").status_code == 404
    # Another day begins, and everyone is ranked again.
    fresh.assign("c-2", events=[order(12, 600)])
    before = fresh.rows("select version from rank_cuts")
    clock.now += DAY
    fresh.runner.run(fresh.process.upkeep.look())
    fresh.settle()
    assert fresh.rows("select version from rank_cuts") > before
    assert top() == ["c-1", "c-2", "c-9"]


def test_no_segment_begins_to_read_a_refused_trait(fresh: Service) -> None:
    declare(fresh, "size", {"type": "number"})
    declare(fresh, "twice", {"formula": "size * 2"})
    fresh.save("large", ("twice", ">", 3))
    change = text("""update traits set definition = '{"type": "string"}' where name = 'size'""")

    async def break_() -> None:  # as a hand in the database can
        async with fresh.process.database.engine.begin() as connection:
            await connection.execute(change)

    fresh.runner.run(break_())
    declare(fresh, "other", {"type": "number"})
    told = {(each["kind"], each["key"]) for each in fresh.get("/catalog")["refused"]}
    assert told == {("segment", "large"), ("trait", "twice")}
    document = {"condition": group(("age", ">", 3), ("twice", ">", 5))}
    answer = fresh.ask("put", "/segments/larger", json=document)
    place = ("/condition/rules/1/field", "trait_refused")
    faults = [(fault["pointer"], fault["code"]) for fault in answer.json()["errors"]]
    assert (answer.status_code, faults) == (422, [place])
    for key, body in (("larger", {**document, "status": "draft"}), ("large", None)):
        # What is not active, and what stands already, may be described.
        answer = (
            fresh.ask("patch", f"/segments/{key}", json={"description": "Of size."})
            if body is None
            else fresh.ask("put", f"/segments/{key}", json=body)
        )
        assert answer.is_success, answer.text
        assert "trait_refused" in [each["code"] for each in answer.json()["warnings"]]


def test_a_draft_that_a_type_has_made_unreadable_can_still_be_described(fresh: Service) -> None:
    fresh.save("many", ("quantity", "=", "many"), status="draft")
    declare(fresh, "quantity", {"type": "number"})
    answer = fresh.ask("patch", "/segments/many", json={"description": "Of old."})
    assert answer.status_code == 200, answer.text
    saved = answer.json()
    assert (saved["kind"], saved["version"], saved["summary"]) == (
        "rule", 2, "Quantity is many.",
    )  # fmt: skip
    assert ("/condition/rules/0/value", "type") in [
        (each["pointer"], each["code"]) for each in saved["warnings"]
    ]
    assert fresh.ask("patch", "/segments/many", json={"status": "active"}).status_code == 422
    assert fresh.ask("delete", "/segments/many").status_code == 204
