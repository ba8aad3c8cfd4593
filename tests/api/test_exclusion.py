"""Who is left out of all segments: tests, staff and machines."""

from typing import Any

import pytest

from tests.api.telling import found, given, identify, message, segments
from tests.api.test_personal import keyed
from tests.api.test_tracking import make, taken, told
from tests.contracts.test_errors import shaped
from tests.serving import Service


@pytest.mark.parametrize("flag", ["is_test", "is_staff", "is_bot"])
def test_who_is_left_out_is_in_nothing(fresh: Service, flag: str) -> None:
    fresh.save("adult", ("age", ">=", 18))
    fresh.assign("c-1", traits={"age": 20})
    assert [each["key"] for each in fresh.assign("c-2", traits={"age": 20})["segments"]] == [
        "adult"
    ]
    left = fresh.assign("c-2", traits={flag: True})
    assert (left["segments"], [each["key"] for each in left["exited"]]) == ([], ["adult"])
    assert fresh.assign("c-2", traits={"age": 30})["segments"] == []
    assert fresh.assign(traits={"age": 20, flag: True})["segments"] == []
    # Anything but true says nothing.
    assert fresh.assign(traits={"age": 20, flag: "true"})["segments"] != []
    for who in ("c-2", None):
        asked = fresh.assign(
            who, traits={"age": 20, flag: True}, record=False, include=["excluded"]
        )
        assert [each["key"] for each in asked["segments"]] == ["adult"]
    fresh.measure()
    metrics = fresh.get("/segments/adult")["metrics"]
    assert (metrics["size"], metrics["customers"], metrics["excluded"]) == (1, 1, 1)
    assert metrics["share"] == 1
    back = fresh.assign("c-2", traits={flag: None})
    assert [each["key"] for each in back["segments"]] == ["adult"]


def test_a_page_leaves_nobody_out(fresh: Service) -> None:
    page = make(fresh, "page", type="browser")
    fresh.assign("c-1")
    taken(fresh, page, identify("c-1", None, 1, is_test=True, plan="pro"))
    assert told(fresh, "page") == [("server_only", "/traits/is_test")]
    assert given(fresh.get("/customers/c-1")) == {"plan": "pro"}
    # However it is declared.
    for number, declaration in enumerate(({"type": "boolean"}, {"description": "Our own."}), 2):
        assert fresh.ask("put", "/traits/is_staff", json=declaration).is_success
        fresh.runner.run(fresh.process.follower.look())
        taken(fresh, page, identify("c-1", None, number, is_staff=True))
    assert given(fresh.get("/customers/c-1")) == {"plan": "pro"}
    assert told(fresh, "page") == [("server_only", "/traits/is_test")] + 2 * [
        ("server_only", "/traits/is_staff")
    ]


BY_EVENT = {"aggregate": {"event": "X", "function": "last", "of": "properties.flag"}}


@pytest.mark.parametrize(
    ("name", "declaration"),
    [
        ("is_test", {"type": "string"}),
        ("is_staff", {"type": "list"}),
        ("is_bot", BY_EVENT),
        ("is_test", {"formula": "age * 2"}),
        ("is_test.since", {"type": "date"}),
    ],
)
def test_what_leaves_somebody_out_is_nothing_else(
    fresh: Service, name: str, declaration: dict[str, Any]
) -> None:
    """Who may publish is told so; who may not is told what it would take to change it."""
    fresh.save("adult", ("age", ">", 3))
    fresh.assign("c-1", traits={"age": 5})
    fresh.assign("c-2", traits={"age": 5, "is_test": True})
    answer = fresh.ask("put", f"/traits/{name}", json=declaration)
    faults = [(each["pointer"], each["code"]) for each in shaped(answer)["errors"]]
    assert (answer.status_code, faults) == (422, [(f"/{next(iter(declaration))}", "bad_value")])
    answer = keyed(fresh, "write")("put", f"/traits/{name}", json=declaration)
    assert (answer.status_code, shaped(answer)["code"]) == (403, "forbidden")
    admin = keyed(fresh, "admin")
    items = admin("get", "/segments/adult/members").json()["items"]
    assert [each["customer_id"] for each in items] == ["c-1"]


def test_who_says_of_which_type_a_flag_is_may_publish(fresh: Service) -> None:
    """From then on the text "true" leaves somebody out of all that is active, and of figures."""
    write, publish = keyed(fresh, "write"), keyed(fresh, "write", "publish")
    answer = write("put", "/traits/is_test", json={"type": "boolean"})
    assert (answer.status_code, shaped(answer)["code"]) == (403, "forbidden")
    assert write("put", "/traits/is_test", json={"description": "Not buyers."}).is_success
    assert publish("put", "/traits/is_test", json={"type": "boolean"}).is_success
    assert write("delete", "/traits/is_test").status_code == 403
    assert publish("delete", "/traits/is_test").status_code == 204


def test_nobody_who_is_left_out_is_on_a_list_either(fresh: Service) -> None:
    fresh.save("guests", name="Guests")
    fresh.ask("post", "/segments/guests/members", json={"add": ["c-1", "c-2"]})
    fresh.settle()
    assert fresh.assign("c-1", traits={"is_test": True})["segments"] == []
    assert [each["key"] for each in fresh.assign("c-2")["segments"]] == ["guests"]


ROBOT = {"userAgent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"}


def test_what_a_machine_says_of_itself_is_not_said_of_whose_it_is(fresh: Service) -> None:
    server, page = make(fresh), make(fresh, "page", type="browser")
    fresh.save("adult", ("age", ">=", 18))
    fresh.assign("c-1", traits={"age": 20})
    viewed = {"name": "Home", "context": ROBOT}
    taken(fresh, page, message("page", None, "a-1", 1, **viewed))
    [visitor] = found(fresh, "anonymous_id:a-1")
    assert fresh.get(f"/customers/{visitor}")["traits"]["is_bot"] is True
    taken(fresh, page, identify("c-1", "a-1", 2))
    taken(fresh, page, message("page", None, "a-1", 3, **viewed))
    customer = fresh.get("/customers/c-1")
    assert (given(customer), segments(fresh, "c-1")) == ({"age": 20}, ["adult"])
    # Put together anew they are the same.
    fresh.assign("c-1", identities={"shop": "7"})
    assert given(fresh.get("/customers/c-1")) == {"age": 20}
    fresh.ask("post", "/customers/c-1/unmerge", json={"from": visitor})
    assert fresh.get(f"/customers/{visitor}")["traits"]["is_bot"] is True
    # What a server tells of the customer counts.
    fresh.ask("post", "/customers/c-1/merge", json={"from": visitor})
    taken(fresh, server, identify("c-1", None, 4, is_bot=True))
    assert segments(fresh, "c-1") == []


def test_a_guest_who_is_a_machine_is_one_by_their_own_id_too(fresh: Service) -> None:
    fresh.assign(identities={"email": "bot@example.com"}, traits={"is_bot": True})
    fresh.assign("c-1", identities={"email": "bot@example.com"})
    assert given(fresh.get("/customers/c-1")) == {"is_bot": True}
