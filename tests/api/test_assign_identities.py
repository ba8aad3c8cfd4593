"""Identities that `/assign` is given."""

from typing import Any

import pytest

from tests.api.telling import found, given
from tests.api.tracking import make, taken
from tests.serving import Service


def test_assign_takes_identities(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    answer = fresh.assign(identities={"email": "Ann@example.com", "shop": "7"}, traits={"age": 20})
    who = answer["customer_id"]
    assert who.startswith("anon_")
    assert [each["key"] for each in answer["segments"]] == ["adult"]
    assert found(fresh, "shop:7") == found(fresh, "email:ann@example.com") == [who]
    known = fresh.assign("c-1", identities={"shop": "7"}, traits={"city": "Brno"})
    assert known["customer_id"] == "c-1"
    assert [each["key"] for each in known["segments"]] == ["adult"]
    looked = fresh.assign(identities={"email": "ann@example.com"}, record=False)
    assert looked["customer_id"] == "c-1"
    assert [each["key"] for each in looked["segments"]] == ["adult"]
    assert fresh.assign(identities={"email": "bob@example.com"}, record=False)["segments"] == []
    assert found(fresh, "email:bob@example.com") == []


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"email": "nobody"}, "/identities/email"),
        ({"email": 7}, "/identities/email"),
        ({"Shop": "7"}, "/identities/Shop"),
        ({"shop": " "}, "/identities/shop"),
        ({"shop": "x" * 257}, "/identities/shop"),
        ({"phone": "none"}, "/identities/phone"),
        ({"shop": "undefined"}, "/identities/shop"),
    ],
)
def test_what_is_no_identity_is_refused(fresh: Service, given: Any, pointer: str) -> None:
    answer = fresh.ask("post", "/assign", json={"customer_id": "c-1", "identities": given})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert fresh.rows("select 1 from customers") == []


@pytest.mark.parametrize("named_first", [True, False])
def test_of_two_ids_of_one_person_the_later_item_counts(fresh: Service, named_first: bool) -> None:
    fresh.assign("c-9", identities={"shop": "7"})
    names: list[dict[str, Any]] = [{"customer_id": "c-9"}, {"identities": {"shop": "7"}}]
    first, second = names if named_first else names[::-1]
    items = [{**first, "traits": {"age": 3}}, {**second, "traits": {"age": 30}}]
    answer = fresh.ask("post", "/assign/batch", json={"customers": items})
    assert {each["customer_id"] for each in answer.json()["results"]} == {"c-9"}
    assert given(fresh.get("/customers/c-9")) == {"age": 30}
    # It stays so, whoever else turns out to be the same.
    fresh.assign(identities={"crm": "2"}, traits={"city": "Brno"})
    fresh.assign("c-9", identities={"crm": "2"})
    assert given(fresh.get("/customers/c-9")) == {"age": 30, "city": "Brno"}


def test_of_what_is_told_at_one_instant_the_first_claims_and_the_last_counts(
    fresh: Service,
) -> None:
    # By chance, six would seldom come out right.
    ids = [f"c-{number}" for number in range(6)]
    items = [{"customer_id": who, "identities": {"shop": "7"}} for who in ids]
    fresh.ask("post", "/assign/batch", json={"customers": items})
    assert found(fresh, "shop:7") == ["c-0"]
    told = [
        {"event": "Consent Changed", "properties": {"channel": "email", "status": status}}
        for status in ("subscribed", "unsubscribed") * 5
    ]
    fresh.assign("c-0", events=told)
    assert given(fresh.get("/customers/c-0"))["consent.email"] == "unsubscribed"


def test_of_messages_without_an_id_and_a_time_the_last_counts(fresh: Service) -> None:
    key = make(fresh)
    told = [{"type": "identify", "userId": "c-1", "traits": {"n": n}} for n in range(6)]
    taken(fresh, key, *told)
    assert given(fresh.get("/customers/c-1")) == {"n": 5}
