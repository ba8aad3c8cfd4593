"""`GET /traits`: every trait there is, who has it, and what is frequent."""

from collections.abc import Iterator
from typing import Any

import pytest

from service.core.derived.ready_made import READY_MADE
from service.core.instants import DAY, HOUR, format_instant
from service.flows import covering
from tests.api.test_personal import keyed
from tests.running import NOW, Clock
from tests.serving import Service


def count(service: Service) -> None:
    answer = service.ask("post", "/traits/refresh")
    assert answer.status_code == 202, answer.text
    service.settle()


def listed(service: Service, **query: Any) -> dict[str, Any]:
    """The traits that are there beside those that always are."""
    pages = service.pages("/traits", limit=7, **query)
    items = [item for page in pages for item in page]
    assert [item["name"] for item in items] == sorted(item["name"] for item in items)
    return {item["name"]: item for item in items if item["kind"] != "ready_made"}


@pytest.fixture
def shop(fresh: Service) -> Service:
    """With 12 customers."""
    declared = {
        "age": {"type": "number", "dimension": "demographic"},
        "unused": {"description": "Nobody has it yet"},
        "double": {"formula": "age * 2"},
    }
    for name, declaration in declared.items():
        assert fresh.ask("put", f"/traits/{name}", json=declaration).is_success
    for number in range(12):
        traits: dict[str, Any] = {
            "country": "CZ" if number < 7 else "SK",
            "email": f"p{number}@example.com",
            "address": {"city": "Brno" if number < 4 else "Praha"},
            "tags": ["new", "vip"] if number < 6 else ["new"],
        }
        if number < 9:
            traits["age"] = 30
        if number == 11:
            traits |= {"country": 7, "consent": {"email": "subscribed"}}
        fresh.assign(f"c-{number}", traits=traits)
    return fresh


def test_before_anybody_is_counted_there_is_what_is_declared(fresh: Service) -> None:
    fresh.ask("put", "/traits/age", json={"type": "number"})
    [age] = listed(fresh).values()
    assert (age["name"], age["coverage"], age["top_values"]) == ("age", None, None)
    items = fresh.get("/traits?limit=1000")["items"]
    assert {item["name"] for item in items} == {"age", *READY_MADE}


def test_traits_are_told_with_who_has_them(shop: Service) -> None:
    count(shop)
    told = listed(shop)
    assert told.keys() == {
        "address", "address.city", "age", "consent", "consent.email", "country", "double", "email",
        "tags", "unused", "reachable",
        *(f"reachable.{name}" for name in ("email", "sms", "push", "post", "phone", "ads")),
    }  # fmt: skip
    country = told["country"]
    assert {name: country[name] for name in ("type", "dimension", "kind", "declared")} == {
        "type": "string",
        "dimension": "geographic",
        "kind": "given",
        "declared": False,
    }
    assert country["coverage"] == {
        "as_of": format_instant(NOW),
        "customers": 12,
        "share": 1.0,
        "types": {"string": 11, "number": 1},
        "of": 12,
        "looked_at": 12,
        "exact": True,
    }
    # The 4 of SK, and the 1 of 7, tell of few.
    assert country["top_values"] == [{"value": "CZ", "customers": 7}]
    assert told["address.city"]["top_values"] == [{"value": "Praha", "customers": 8}]
    assert told["address.city"]["dimension"] == "geographic"
    assert told["tags"]["type"] == "list"
    assert told["tags"]["top_values"] == [
        {"value": "new", "customers": 12},
        {"value": "vip", "customers": 6},
    ]
    assert told["email"]["top_values"] == []
    assert told["age"]["coverage"]["share"] == 0.75
    assert (told["double"]["kind"], told["double"]["type"]) == ("derived", "number")
    assert told["double"]["top_values"] == [{"value": 60, "customers": 9}]
    assert told["unused"]["coverage"]["customers"] == 0
    assert told["reachable.email"]["type"] == "boolean"
    assert shop.get("/traits/country") == country
    assert shop.get("/traits/orders")["kind"] == "ready_made"
    assert shop.ask("get", "/traits/nowhere").status_code == 404


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"dimension": "geographic"}, {"address", "address.city", "country"}),
        ({"dimension": "demographic"}, {"age", "email"}),
        ({"q": "AGE"}, {"age"}),
        ({"q": "nobody has"}, {"unused"}),
        ({"q": "%"}, set()),
        ({"q": "city", "dimension": "value"}, set()),
    ],
)
def test_filters(shop: Service, query: dict[str, str], names: set[str]) -> None:
    count(shop)
    assert listed(shop, **query).keys() == names


def test_what_is_above_says_what_a_trait_is_about(shop: Service) -> None:
    shop.ask("put", "/traits/address", json={"dimension": "needs"})
    count(shop)
    assert listed(shop, dimension="needs").keys() == {"address", "address.city"}
    shop.ask("put", "/traits/address.city", json={"dimension": "value"})
    assert listed(shop, dimension="needs").keys() == {"address"}
    assert shop.ask("get", "/traits?dimension=colour").status_code == 422


def test_of_personal_traits_only_those_who_may_are_told_values(shop: Service) -> None:
    count(shop)
    read, whole = keyed(shop, "read"), keyed(shop, "read", "write", "personal")
    for name in ("address", "country"):
        assert whole("put", f"/traits/{name}", json={"personal": True}).is_success

    def names(ask: Any) -> Iterator[str]:
        for item in ask("get", "/traits?limit=1000").json()["items"]:
            if item["kind"] == "given":
                yield item["name"]

    assert "address.city" in set(names(whole))
    assert "address.city" not in set(names(read))
    assert read("get", "/traits/address.city").status_code == 404
    told = read("get", "/traits/country").json()
    assert (told["personal"], told["top_values"]) == (True, None)
    assert told["coverage"]["customers"] == 12
    assert whole("get", "/traits/country").json()["top_values"] != []
    # Counting reads everybody, and tells nothing: who may write may have it done.
    assert read("post", "/traits/refresh").status_code == 403


def test_nobody_learns_by_a_declaration_who_has_what_is_below_a_personal_trait(
    shop: Service,
) -> None:
    count(shop)
    both, whole = keyed(shop, "read", "write"), keyed(shop, "read", "write", "personal")
    assert whole("put", "/traits/address", json={"personal": True}).is_success
    declared = both("put", "/traits/address.city", json={"description": "A guess."})
    [listed_] = [
        item
        for item in both("get", "/traits?limit=1000").json()["items"]
        if item["name"] == "address.city"
    ]
    for told in (declared.json(), both("get", "/traits/address.city").json(), listed_):
        assert (told["description"], told["personal"]) == ("A guess.", True)
        assert (told["coverage"], told["top_values"], told["type"]) == (None, None, None)
    assert whole("get", "/traits/address.city").json()["coverage"]["types"] == {"string": 12}


def test_a_sample_stands_for_all(shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(covering, "SAMPLE", 6)
    count(shop)
    coverage = shop.get("/traits/country")["coverage"]
    assert coverage["of"] == 12
    assert 0 < coverage["looked_at"] < 12
    assert coverage["exact"] is False
    assert coverage["customers"] == 12
    again = shop.get("/traits/age")["coverage"]
    count(shop)
    assert shop.get("/traits/age")["coverage"] == again


def test_it_is_counted_when_the_first_are_there_and_once_a_day(shop: Service) -> None:
    clock = shop.process.services.clock
    assert isinstance(clock, Clock)
    database, live = shop.process.database, shop.process.live

    def counts() -> int:
        shop.runner.run(covering.count_if_due(database, live, clock()))
        shop.settle()
        return sum(job["kind"] == "traits" for job in shop.get("/jobs?limit=1000")["items"])

    assert counts() == 0
    clock.now = NOW + HOUR
    assert counts() == 1
    assert counts() == 1
    clock.now = NOW + DAY
    assert counts() == 2
    assert counts() == 2


def test_nobody_is_not_counted(fresh: Service) -> None:
    later = NOW + DAY
    fresh.runner.run(covering.count_if_due(fresh.process.database, fresh.process.live, later))
    assert all(job["kind"] != "traits" for job in fresh.get("/jobs")["items"])


def test_tests_and_staff_are_not_counted(shop: Service) -> None:
    shop.assign("c-test", traits={"country": "CZ", "is_test": True, "secret": 1})
    count(shop)
    coverage = shop.get("/traits/country")["coverage"]
    assert (coverage["customers"], coverage["of"], coverage["exact"]) == (12, 12, True)
    assert shop.ask("get", "/traits/secret").status_code == 404
