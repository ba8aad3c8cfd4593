"""`/customers`: what is told of one customer, and that erasing leaves nothing."""

import re
from typing import Any
from urllib.parse import quote

import pytest

from service.api.scopes import ROUTES
from service.core.instants import DAY, format_instant
from tests.contracts.test_errors import shaped
from tests.running import NOW, Clock
from tests.serving import Service

ODD_IDS = [
    "a/b", "/", "a/", "segments/x", "a b?c#d%2F", "🐈/é", "...", "a//b", "a/segments",
    "a/transitions", "segments", "a/segments/segments", "/segments", "a%2Fsegments", "%", "%25",
    "%zz", "..", "../customers/x", ".", "a;b=c&d", "a+b", "é", "e\u0301", "\u2028", "\t", "\ufffd",
    "\n", "a\n", "\na", "a\nb", "a\n\n", "a\n/", "a\n/segments", "a\r\n", "a\x85", "\x7f", "%0A",
]  # fmt: skip


def at(customer_id: str) -> str:
    """The path of a customer, dots too: clients leave out the steps `.` and `..`."""
    return f"/customers/{quote(customer_id, safe='').replace('.', '%2E')}"


def test_traits_with_their_sources(fresh: Service) -> None:
    clock = fresh.process.services.clock
    assert isinstance(clock, Clock)
    fresh.assign("c-1", traits={"age": 31, "address": {"city": "Brno", "zip": "60200"}, "old": 1})
    clock.now = NOW + DAY
    fresh.assign("c-1", traits={"address": {"city": "Praha"}, "old": None, "tags": ["vip"]})
    customer = fresh.get("/customers/c-1")
    assert customer["traits"] == {
        "age": 31, "address": {"city": "Praha", "zip": "60200"}, "tags": ["vip"],
    }  # fmt: skip
    first, second = format_instant(NOW), format_instant(NOW + DAY)
    assert customer["sources"] == {
        "address.city": {"value": "Praha", "source": "assign", "updated_at": second},
        "address.zip": {"value": "60200", "source": "assign", "updated_at": first},
        "age": {"value": 31, "source": "assign", "updated_at": first},
        "tags": {"value": ["vip"], "source": "assign", "updated_at": second},
    }
    assert (customer["first_seen"], customer["last_seen"]) == (first, second)
    assert (customer["type"], customer["models"]) == ("person", {})


def test_memberships_lists_and_how_long_they_hold(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    fresh.save("recent", ("ordered", "withinLast", "7d"))
    fresh.save("guests")
    fresh.ask("post", "/segments/guests/members", json={"add": ["c-1", "c-2"]})
    answer = fresh.assign("c-1", traits={"age": 20, "ordered": format_instant(NOW - DAY)})
    customer = fresh.get("/customers/c-1")
    now = format_instant(NOW)
    held = [{"key": key, "since": now, "version": 1} for key in ("adult", "guests", "recent")]
    assert customer["segments"] == held
    assert fresh.get("/customers/c-1/segments") == held
    assert customer["lists"] == ["guests"]
    assert customer["valid_until"] == answer["valid_until"] == format_instant(NOW + 6 * DAY)
    assert customer["sequence"] == answer["sequence"] == 3
    assert customer["catalog_revision"] == answer["catalog_revision"]
    assert customer["decided_at"] == now


def test_transitions_are_told_newest_first_with_reasons(fresh: Service) -> None:
    clock = fresh.process.services.clock
    assert isinstance(clock, Clock)
    fresh.save("recent", ("ordered", "withinLast", "7d"))
    fresh.assign("c-1", traits={"ordered": format_instant(NOW)})
    fresh.save("adult", ("age", ">=", 18))
    fresh.settle()
    clock.now = NOW + 9 * DAY
    fresh.assign("c-1", traits={"age": 20})
    fresh.save("adult", ("age", ">=", 21))
    fresh.settle()
    items = fresh.get("/customers/c-1/transitions")["items"]
    told = [
        (t["sequence"], t["segment"], t["type"], t["version"], t["at"], t["reason"]) for t in items
    ]
    start, left, then = (format_instant(NOW + days * DAY) for days in (0, 7, 9))
    assert told == [
        (4, "adult", "exited", 2, then, {"kind": "definition"}),
        (3, "adult", "entered", 1, then, {"kind": "trait", "traits": ["age"]}),
        (2, "recent", "exited", 1, left, {"kind": "time"}),
        (1, "recent", "entered", 1, start, {"kind": "trait", "traits": ["ordered"]}),
    ]


def test_transitions_in_pages_while_more_come(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    for age in (20, 10) * 5:
        fresh.assign("c-1", traits={"age": age})
    seen: list[int] = []
    for page in fresh.pages("/customers/c-1/transitions", limit=3):
        assert len(page) <= 3
        seen += [transition["sequence"] for transition in page]
        fresh.assign("c-1", traits={"age": 20 if len(seen) % 2 else 10})
    assert seen == list(range(10, 0, -1))
    fresh.assign("c-2")
    assert list(fresh.pages("/customers/c-2/transitions", limit=3)) == [[]]


@pytest.mark.parametrize("customer_id", ODD_IDS)
def test_ids_may_hold_anything(fresh: Service, customer_id: str) -> None:
    fresh.save("adult", ("age", ">=", 18))
    fresh.assign(customer_id, traits={"age": 20})
    assert fresh.get(at(customer_id))["customer_id"] == customer_id
    assert [held["key"] for held in fresh.get(f"{at(customer_id)}/segments")] == ["adult"]
    assert len(fresh.get(f"{at(customer_id)}/transitions")["items"]) == 1
    assert fresh.ask("delete", at(customer_id)).status_code == 200
    assert fresh.rows("select * from customers") == []


def test_a_slash_that_is_written_as_one_belongs_to_the_id_but_for_the_last_word(
    fresh: Service,
) -> None:
    for customer_id in ("a/b", "a/segments"):
        fresh.assign(customer_id)
    assert fresh.get("/customers/a/b")["customer_id"] == "a/b"
    assert fresh.get("/customers/a/b/segments") == []
    assert fresh.get("/customers/a%2fsegments")["customer_id"] == "a/segments"
    assert fresh.get("/customers/a/segments/transitions")["items"] == []
    # The segments of a, who is not there.
    assert fresh.ask("get", "/customers/a/segments").status_code == 404
    assert fresh.get("/%63ustomers/a%2Fb/s%65gments") == []
    answer = fresh.ask("get", "/customers/no%2Fbody")
    assert shaped(answer)["instance"] == "/customers/no%2Fbody"
    assert shaped(answer)["detail"] == "there is no customer no/body"


def test_an_id_is_nobody_elses_who_is_called_nearly_so(fresh: Service) -> None:
    for customer_id in ("bob", "bob\n", "bob\n\n", "q\ufffd"):
        fresh.assign(customer_id)
    assert fresh.ask("delete", "/customers/bob%0A").status_code == 200
    left = {row[0] for row in fresh.rows("select customer_id from customers")}
    assert left == {"bob", "bob\n\n", "q\ufffd"}
    # No text at all, so nobody's id.
    for method, tail in (("get", ""), ("get", "/export"), ("get", "/segments"), ("delete", "")):
        answer = fresh.ask(method, f"/customers/q%FF{tail}")
        assert (answer.status_code, shaped(answer)["code"]) == (404, "not_found")
    assert fresh.get("/customers/q%EF%BF%BD")["customer_id"] == "q\ufffd"


@pytest.mark.parametrize("odd", ["x%0A", "x%0a", "%0Ax", "x%0D", "x%FF", "x%C3"])
def test_no_path_is_taken_for_another_that_it_nearly_is(fresh: Service, odd: str) -> None:
    fresh.save("x")
    fresh.assign("x")
    for path, methods in ROUTES.items():
        asked = re.sub(r"\{\w+\}", odd, path) if "{" in path else f"{path}{odd[1:]}"
        for method in methods:
            # A trait may well be called so, and is another one than x.
            if (path, method) == ("/traits/{name}", "PUT"):
                continue
            answer = fresh.ask(method, asked, json={})
            assert answer.is_client_error, (method, asked, answer.text)
    assert fresh.get("/segments/x")["version"] == 1
    assert fresh.get("/customers/x")["customer_id"] == "x"
    if odd.endswith(("FF", "C3")):
        answer = fresh.ask("put", f"/traits/{odd}", json={"type": "number"})
        assert (answer.status_code, shaped(answer)["code"]) == (404, "not_found")


@pytest.mark.parametrize("query", ["", "?identity=", "?identity=email", "?identity=email:nobody"])
def test_an_identity_is_a_kind_and_a_value(service: Service, query: str) -> None:
    problem = shaped(service.ask("get", f"/customers{query}"))
    assert (problem["status"], problem["code"]) == (422, "invalid")
    [fault] = problem["errors"]
    assert fault["pointer"] == "/query/identity"


@pytest.mark.parametrize("path", ["", "/segments", "/transitions"])
@pytest.mark.parametrize("customer_id", ["nobody", "a\0b", "c" * 257])
def test_who_is_not_there(service: Service, customer_id: str, path: str) -> None:
    answer = service.ask("get", at(customer_id) + path)
    assert answer.status_code == (422 if len(customer_id) > 256 else 404)
    shaped(answer)


def test_traits_come_back_as_they_were_given(fresh: Service) -> None:
    traits: dict[str, Any] = {
        "text": 'Žluťoučký 🐈 \u2028 \\ " /',
        "huge": 2**64 + 1,
        "small": -0.1,
        "yes": True,
        "empty": "",
        "nothing": [],
        "object": {},
        "mixed": [1, "1", True, None, {"a": [None]}],
        "with/slash": 1,
        "place": {"lat": 50.1, "lon": 14.4},
    }
    fresh.assign("c-1", traits=traits)
    assert fresh.get("/customers/c-1")["traits"] == traits
