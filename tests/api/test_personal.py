"""Personal traits: masked wherever values are shown, for callers without the scope."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from service.core.instants import DAY, format_instant
from tests.api.asking import refused
from tests.contracts.test_errors import shaped
from tests.running import NOW, Clock, group
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
    declared = [item for item in fresh.get("/traits")["items"] if item["declared"]]
    assert [item["personal"] for item in declared] == [False, True]
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


def test_what_a_segment_comes_to_is_told_without_personal_figures(fresh: Service) -> None:
    fresh.save("all", ("age", ">=", 18))
    traits = {"age": 30, "revenue": 1234.5, "orders": 3, "last_order_at": format_instant(NOW - DAY)}
    fresh.assign("c-1", traits=traits)
    fresh.measure()
    made_of = {
        "average_order_value": {"average_order_value"},
        "revenue": {"revenue", "average_order_value"},
        "orders.first": {"orders", "average_order_value", "repeat_rate"},
        "last_order_at": {"average_recency_days"},
        "consent.email": {"reachable"},
    }
    told = fresh.get("/segments/all/metrics")
    assert all(told[name] is not None for names in made_of.values() for name in names)
    read, both = keyed(fresh, "read"), keyed(fresh, "read", "write")
    whole = keyed(fresh, "read", "write", "personal")
    hidden: set[str] = set()
    for trait, figures in made_of.items():
        assert whole("put", f"/traits/{trait}", json={"personal": True}).is_success
        hidden |= figures
        assert whole("get", "/segments/all/metrics").json() == told
        masked = {name: None if name in hidden else told[name] for name in told}
        assert read("get", "/segments/all/metrics").json() == masked
    [listed] = read("get", "/segments").json()["items"]
    for item in (
        listed, read("get", "/segments/all").json(), both("patch", "/segments/all", json={}).json()
    ):  # fmt: skip
        assert item["metrics"]["size"] == 1
        assert {name for name in item["metrics"] if item["metrics"][name] is None} == hidden
    assert whole("get", "/segments/all").json()["metrics"]["revenue"] == 1234.5


def test_who_may_only_change_a_segment_is_not_told_what_it_comes_to(fresh: Service) -> None:
    fresh.save("all", ("age", ">=", 18), limits={"min_size": 5})
    fresh.assign("c-1", traits={"age": 30})
    fresh.measure()
    assert fresh.get("/segments/all")["metrics"]["size"] == 1
    for scopes, told in ((["read"], True), ([], False)):
        write = keyed(fresh, "write", "publish", *scopes)
        document = {"condition": group(("age", ">=", 18)), "limits": {"min_size": 5}}
        for method, path, body in (
            ("patch", "", {}), ("put", "", document), ("post", "/rollback", {"version": 1}),
            ("post", "/activate", {}),
        ):  # fmt: skip
            answer = write(method, f"/segments/all{path}", json=body).json()
            assert (answer["metrics"] is not None) is told
            assert [each["code"] for each in answer["warnings"]] == ["too_small"] * told


LITERALS = [EMAIL, "Husova", "c-77", "600123"]


def literal(field: str, operator: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"field": field, "operator": operator, "value": value, **more}


@pytest.fixture
def named(known: Service) -> Service:
    """With a segment whose condition names persons, in two versions."""
    known.ask("put", "/traits/contact.phone", json={"personal": True})
    for last in ("contains", "doesNotContain"):
        rules = [
            literal("email", "=", EMAIL),
            {"combinator": "or", "rules": [
                literal("address.street", last, "Husova"),
                literal("customer_id", "in", ["c-77", "c-78"]),
                literal("contact", "notNull", None),
            ]},
            literal("contact.phone", "beginsWith", "600123"),
            literal("age", ">", 18),
            literal("email", "!=", "nick", valueSource="field"),
            literal("customer_id", "sample", {"percent": 50, "salt": "s"}),
        ]  # fmt: skip
        document = {"condition": {"combinator": "and", "rules": rules}}
        answer = known.ask("put", "/segments/named", json=document)
        assert answer.is_success, answer.text
    return known


def test_conditions_are_told_without_the_persons_they_name(named: Service) -> None:
    read, whole = keyed(named, "read"), keyed(named, "read", "personal")
    places = [
        "/condition/rules/0/value", "/condition/rules/1/rules/0/value",
        "/condition/rules/1/rules/1/value", "/condition/rules/2/value",
    ]  # fmt: skip
    segment = read("get", "/segments/named").json()
    assert segment["masked"] == [*places, "/summary"]
    first, group, third, *others = segment["condition"]["rules"]
    assert (first["field"], first["value"], third["value"]) == ("email", "***", "***")
    assert [rule["value"] for rule in group["rules"]] == ["***", "***", None]
    assert [rule["value"] for rule in others] == [18, "nick", {"percent": 50, "salt": "s"}]
    answers = [
        read("get", path)
        for path in ("/segments", "/segments/named", "/segments/named/versions",
                     "/segments/named/uses", "/catalog", "/segments?q=named")
    ]  # fmt: skip
    for answer in answers:
        assert answer.status_code == 200
        for value in LITERALS:
            assert value not in answer.text, (answer.url, value)
    newest, oldest = read("get", "/segments/named/versions").json()["items"]
    assert newest["masked"] == oldest["masked"] == [*places, "/summary"]
    [rule] = newest["difference"]["condition"]["rules"]
    assert rule["pointer"] == "/condition/rules/1/rules/0"
    assert (rule["before"]["operator"], rule["before"]["value"]) == ("contains", "***")
    segment = whole("get", "/segments/named").json()
    assert (segment["masked"], EMAIL in segment["summary"]) == ([], True)
    assert "Husova" in whole("get", "/segments/named/versions").text


def test_who_changes_a_segment_reads_it_without_the_persons_it_names(named: Service) -> None:
    write = keyed(named, "read", "write", "publish")
    before = write("get", "/segments/named").json()
    answers = [
        write("patch", "/segments/named", json={"description": "Some."}),
        write("post", "/segments/named/rollback", json={"version": 1}),
        write("post", "/segments/named/activate", json={}),
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        assert answer.json()["masked"] == before["masked"]
        for value in LITERALS:
            assert value not in answer.text
    stored = named.rows("select definition::text from segments where key = 'named'")[0][0]
    assert all(value in stored for value in LITERALS)
    # A mask sent back would take the place of what it hides.
    condition = before["condition"]
    masks = [(place, "masked") for place in before["masked"][:-1]]
    for method, path, body in (
        ("put", "/segments/named", {"condition": condition}),
        ("patch", "/segments/named", {"condition": condition}),
        ("post", "/segments", {"key": "copy", "condition": condition}),
    ):
        answer = write(method, path, json=body)
        problem = shaped(answer)
        faults = [(fault["pointer"], fault["code"]) for fault in problem["errors"]]
        assert (answer.status_code, faults) == (422, masks)
    condition["rules"] = [literal("email", "=", "bob@example.com")]
    answer = write("put", "/segments/named", json={"condition": condition})
    assert (answer.status_code, "bob@example.com" in answer.text) == (200, False)


def test_what_is_proved_of_a_condition_names_nobody(named: Service) -> None:
    """Nor is anything proved by whom others name: question by question, that would tell."""
    write, whole = keyed(named, "read", "write"), keyed(named, "read", "write", "personal")
    rules = [literal("segment:named", "=", True), literal("email", "=", EMAIL)]
    clash = [rules[0], literal("email", "=", "bob@example.com")]
    for ask, told in ((whole, True), (write, False)):
        document = {"status": "draft", "condition": {"combinator": "and", "rules": rules[:1]}}
        ask("put", "/segments/probe", json=document)
        document["condition"]["rules"] = rules
        saved = ask("put", "/segments/probe", json=document).json()
        assert ("redundant_rule" in [each["code"] for each in saved["warnings"]]) is told
        assert (EMAIL in str(saved["warnings"])) is told
        document = {"condition": {"combinator": "and", "rules": clash}}
        answer = keyed(named, "write", "publish", *(["personal"] if told else []))(
            "put", "/segments/probe", json=document
        )
        assert answer.status_code == (422 if told else 200)
        assert (EMAIL in answer.text) is told
        # What they bring themselves is looked at, and told without what it names.
        own = [literal("email", "=", EMAIL), literal("email", "=", "bob@example.com")]
        document = {"status": "draft", "condition": {"combinator": "and", "rules": own}}
        saved = ask("put", "/segments/own", json=document).json()
        assert "contradictory" in [each["code"] for each in saved["warnings"]]
        assert (EMAIL in str(saved["warnings"])) is told


def test_nothing_is_proved_of_a_scheme_by_whom_others_name(fresh: Service) -> None:
    fresh.ask("put", "/traits/income", json={"type": "number", "personal": True})
    fresh.save("rich", ("income", ">", 73000), scheme="wealth", priority=5)
    whole, write = keyed(fresh, "read", "write", "personal"), keyed(fresh, "read", "write")
    probe = {"scheme": "wealth", "status": "draft"}
    for ask, told in ((whole, True), (write, False)):
        codes = [
            [each["code"] for each in ask("put", "/segments/probe", json={
                **probe, "priority": 7, "condition": group(("income", ">", bound)),
            }).json()["warnings"]]
            for bound in (72999, 73001)
        ]  # fmt: skip
        assert (codes[0] != codes[1]) is told
