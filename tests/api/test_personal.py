"""Personal traits: masked wherever values are shown, for callers without the scope."""

from collections.abc import Callable

import httpx
import pytest

from service.core.instants import DAY, format_instant
from tests.api.asking import refused
from tests.contracts.test_errors import shaped
from tests.running import NOW, Clock
from tests.serving import Service

Ask = Callable[..., httpx.Response]
EMAIL = "ann.5f3c@example.com"
TRAITS = {"email": EMAIL, "age": 31, "address": {"city": "Brno", "street": "Husova 5"}}


def keyed(service: Service, *scopes: str) -> Ask:
    """Asks with a key of these scopes; the first one is for everything, as somebody's has to be."""
    if not hasattr(service, "admin"):
        service.admin = _key(service, ["admin"], {})  # type: ignore[attr-defined]
    headers = _key(service, list(scopes), service.admin)  # type: ignore[attr-defined]
    return lambda method, path, **more: service.ask(method, path, headers=headers, **more)


def _key(service: Service, scopes: list[str], headers: dict[str, str]) -> dict[str, str]:
    body = {"name": "-".join(scopes), "scopes": scopes}
    answer = service.ask("post", "/keys", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    return {"authorization": f"Bearer {answer.json()['key']}"}


@pytest.fixture
def known(fresh: Service) -> Service:
    """With somebody whose email and address are personal."""
    for name in ("email", "address"):
        answer = fresh.ask("put", f"/traits/{name}", json={"type": None, "personal": True})
        assert answer.status_code == 200, answer.text
    fresh.save("adult", ("age", ">=", 18), ("address.city", "=", "Brno"))
    fresh.assign("c-1", traits=TRAITS)
    return fresh


def test_a_declaration_says_whether_a_trait_is_personal(fresh: Service) -> None:
    answer = fresh.ask("put", "/traits/email", json={"personal": True})
    assert answer.json()["personal"] is True
    assert fresh.get("/traits/email")["personal"] is True
    assert fresh.ask("put", "/traits/age", json={"type": "number"}).json()["personal"] is False
    assert [item["personal"] for item in fresh.get("/traits")["items"]] == [False, True]
    refusal = refused(fresh, "put", "/traits/email", {"personal": "yes please"})
    assert refusal == ("invalid", [("/personal", "type")])


def test_a_customer_is_told_without_what_is_personal(known: Service) -> None:
    read = keyed(known, "read")
    customer = read("get", "/customers/c-1").json()
    assert customer["traits"] == {"email": "***", "age": 31, "address": "***"}
    assert customer["masked"] == ["address", "email"]
    now = format_instant(NOW)
    told = {path: (each["value"], each["updated_at"]) for path, each in customer["sources"].items()}
    assert told == {"address": ("***", now), "age": (31, now), "email": ("***", now)}
    whole = keyed(known, "read", "personal")("get", "/customers/c-1").json()
    assert (whole["traits"], whole["masked"]) == (TRAITS, [])
    assert whole["sources"].keys() == {"address.city", "address.street", "age", "email"}


def test_transitions_name_no_member_of_a_personal_object(known: Service) -> None:
    path = "/customers/c-1/transitions"
    [item] = keyed(known, "read")("get", path).json()["items"]
    assert item["reason"]["traits"] == ["address", "age", "email"]
    [item] = keyed(known, "read", "personal")("get", path).json()["items"]
    assert item["reason"]["traits"] == ["address.city", "address.street", "age", "email"]


@pytest.mark.parametrize("record", [True, False])
def test_an_assignment_includes_no_personal_trait(known: Service, record: bool) -> None:
    clock = known.process.services.clock
    assert isinstance(clock, Clock)
    assign = keyed(known, "assign")
    clock.now += DAY
    body = {
        "customer_id": "c-1",
        "record": record,
        "include": ["traits"],
        "traits": {"address": {"city": "Praha"}},
    }
    answer = assign("post", "/assign", json=body).json()
    assert answer["traits"] == {"email": "***", "age": 31, "address": "***"}
    assert answer["masked"] == ["address", "email"]
    reason = {"kind": "trait", "traits": ["address"]}
    assert answer["exited"] == [{"key": "adult", "reason": reason}]
    batch = {"customers": [{**body, "traits": {}}]}
    [item] = assign("post", "/assign/batch", json=batch).json()["results"]
    assert (item["traits"]["email"], item["masked"]) == ("***", ["address", "email"])
    whole = keyed(known, "assign", "personal")("post", "/assign", json=body).json()
    assert whole["traits"]["email"] == EMAIL
    assert "masked" not in whole


def test_what_a_caller_sent_of_somebody_unnamed_is_theirs(known: Service) -> None:
    body = {"traits": {"email": EMAIL}, "include": ["traits"]}
    answer = keyed(known, "assign")("post", "/assign", json=body).json()
    assert answer["traits"] == {"email": EMAIL}


def test_conditions_still_read_personal_traits(known: Service) -> None:
    known.save("ann", ("email", "=", EMAIL))
    body = {"customer_id": "c-1"}
    answer = keyed(known, "assign")("post", "/assign", json=body).json()
    assert [segment["key"] for segment in answer["segments"]] == ["adult", "ann"]


def test_no_answer_for_readers_holds_a_personal_value(
    known: Service, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever there is to read, or to get wrong, without the scope; nor does the log."""
    known.ask("put", "/traits/age", json={"type": "number"})
    everything = keyed(known, "assign", "track", "read", "write", "publish")
    answers = [
        everything("get", path)
        for path in (
            "/customers/c-1", "/customers/c-1/segments", "/customers/c-1/transitions",
            "/customers/c-1/export", "/segments", "/segments/adult", "/segments/adult/members",
            "/segments/adult/metrics", "/traits", "/traits/email", "/jobs", "/catalog", "/metrics",
            "/readyz", "/openapi.json", "/audit",
        )
    ]  # fmt: skip
    for traits in ({"age": "old"}, {"email": {"a": 1}}, {"address": []}, {"email": None}):
        body = {"customer_id": "c-1", "traits": traits, "include": ["traits"], "record": False}
        answers.append(everything("post", "/assign", json=body))
    answers.append(everything("put", "/traits/email", json={"type": "number", "personal": True}))
    for answer in answers:
        for value in (EMAIL, "Husova"):
            assert value not in answer.text, (answer.url, value)
    logged = "".join(capfd.readouterr())
    assert "job_done" in logged
    assert EMAIL not in logged


def test_only_who_may_read_them_says_that_they_are_personal_no_more(known: Service) -> None:
    write = keyed(known, "write", "publish")
    for method, body in (("put", {"description": "Plain."}), ("delete", None)):
        answer = (
            write(method, "/traits/email", json=body) if body else write(method, "/traits/email")
        )
        assert (answer.status_code, shaped(answer)["code"]) == (403, "forbidden")
    assert write("put", "/traits/email", json={"personal": True, "dimension": "needs"}).is_success
    reveal = keyed(known, "write", "personal")
    assert reveal("put", "/traits/email", json={}).is_success
    assert keyed(known, "read")("get", "/customers/c-1").json()["traits"]["email"] == EMAIL
