"""Identities that `/assign` is given."""

from typing import Any

import pytest

from tests.api.telling import found
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
    ],
)
def test_what_is_no_identity_is_refused(fresh: Service, given: Any, pointer: str) -> None:
    answer = fresh.ask("post", "/assign", json={"customer_id": "c-1", "identities": given})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert fresh.rows("select 1 from customers") == []
