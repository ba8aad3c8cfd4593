"""No way to a personal value for a key without the scope: what is planted is looked for in every
answer of every route, in headers, refusals and logs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from service.api.scopes import ROUTES
from service.core.access import SYSTEM
from service.flows.import_running import look
from service.intake.imports import mapping
from tests.api.importing import imported
from tests.api.test_personal import Ask, keyed, literal
from tests.contracts.test_errors import shaped
from tests.running import group
from tests.serving import Service

ANN = "ann.7d1e@example.com"
# No figure of the service's own happens to hold it.
PAY = 73219428106
PLANTED = (ANN, str(PAY), f"{PAY:,}", "c-planted")

NAMED = {"combinator": "and", "rules": [literal("email", "=", ANN)]}
OLD = {"condition": group(("age", ">", 3)), "points": 1}
SCORE = {"score": {"points": [OLD, {"condition": NAMED, "points": 20}]}}


def declare(service: Service, name: str, **declaration: Any) -> None:
    answer = service.ask("put", f"/traits/{name}", json=declaration)
    assert answer.status_code == 200, answer.text


def import_people(service: Service, folder: Path) -> None:
    """An import that ends, the first job of all, and one that has just begun."""
    said = {
        "as": "customers",
        "others": "ignore",
        "map": {"customer_id": "id"},
        "set": {"at": "2026-01-02", "traits.email": ANN},
        "where": [f"mail = {ANN}"],
    }
    people = f"id,mail\nc-1,{ANN}\n,{ANN}\n"
    imported(service, people, name=f"{ANN}.csv", mapping=said)
    path = folder / f"{ANN}.csv"
    path.write_text(people)

    async def begin() -> None:
        understood = look(path, mapping.read(said), path.name)
        importer = service.process.services.importer
        await importer.begin(understood, SYSTEM, here=True)

    service.runner.run(begin())


@pytest.fixture
def planted(fresh: Service, tmp_path: Path) -> Service:
    """Conditions of every kind of definition that name a person, or what somebody earns, and
    imports that were told of them, one under way and one with a row that was not imported."""
    declare(fresh, "email", personal=True)
    import_people(fresh, tmp_path)
    declare(fresh, "pay", personal=True, type="number")
    declare(fresh, "pay2", formula="pay * 2")
    declare(fresh, "above", formula=f"(pay2 - {PAY}) * 1.5")
    declare(fresh, "likes", **SCORE)
    declare(fresh, "standing", rank={"of": "points", "among": NAMED})
    fresh.save("ann", ("email", "=", ANN), scheme="people", priority=1)
    fresh.save("known", ("customer_id", "in", ["c-planted"]), ("email", "!=", ANN))
    fresh.save("rich", ("pay2", ">", PAY))
    fresh.save("liked", ("likes", ">", 3))
    fresh.save("sketch", ("pay", ">", PAY), status="draft")
    fresh.save("sketch", ("pay", ">", PAY), ("email", "=", ANN), status="draft")
    fresh.save("plain", ("age", ">", 3))
    fresh.ask("post", "/sources", json={"id": "shop", "name": "Shop", "type": "server"})
    fresh.assign("c-1", traits={"email": ANN, "pay": PAY, "points": 3})
    return fresh


def refused_by_hand(service: Service) -> None:
    """Have definitions refused that quote what they compare, as a hand in the database can."""

    async def break_() -> None:
        async with service.process.database.engine.begin() as connection:
            await connection.execute(text(
                "update traits set definition = definition || '{\"type\": \"number\"}' "
                "where name = 'email'"))  # fmt: skip

    service.runner.run(break_())
    declare(service, "other", type="number")


def paths() -> Iterator[tuple[str, str]]:
    """Every route's paths, with all that was planted in their places."""
    places = {
        "key": ("ann", "known", "rich", "liked", "sketch", "plain", "none"),
        "name": ("email", "pay", "pay2", "above", "likes", "standing", "points", "new"),
        "customer_id": ("c-1",), "channel": ("email",), "fingerprint": ("0" * 64,),
        "source_id": ("shop",), "job_id": ("1",), "key_id": ("k_0",),
    }  # fmt: skip
    for path, methods in ROUTES.items():
        names = [name for name in places if f"{{{name}}}" in path]
        for value in places[names[0]] if names else ("",):
            filled = path.replace(f"{{{names[0]}}}", value) if names else path
            filled = filled.format(**{name: held[0] for name, held in places.items()})
            for method in methods:
                yield method, filled


# What a key without the scope may try: each of a path's methods gets each of these.
BODIES: list[dict[str, Any]] = [
    {}, {"condition": {"not": True}}, {"condition": {"combinator": "or"}}, {"name": "Other"},
    {"status": "active"}, {"status": "draft", "scheme": "people", "priority": 2}, {"version": 1},
    {"type": "number", "personal": True}, {"type": "list", "personal": True},
    {"type": "date"}, {"formula": "age + 1", "personal": True}, {"formula": "points + 1mo"},
    {"rank": {"of": "age"}}, {"key": "copy"}, {"writable_by": "server", "personal": True},
    {"condition": group(("segment:ann", "=", True), ("email", "=", "bob@example.com"))},
    {"condition": group(("segment:rich", "=", True), ("pay2", "<", 10)), "scheme": "people",
     "priority": 3, "status": "active"},
]  # fmt: skip


def test_no_route_tells_what_was_planted(
    planted: Service, capfd: pytest.CaptureFixture[str]
) -> None:
    admin = keyed(planted, "admin")
    ask = keyed(planted, "assign", "track", "read", "write", "publish")
    told = []

    def look() -> None:
        for method, path in paths():
            if method in ("GET", "HEAD"):
                told.append(ask(method, path))
        told.extend(planted.ask("get", path) for path in ("/readyz", "/healthz"))

    look()
    for method, path in paths():
        if method in ("POST", "PUT", "PATCH") and not path.startswith("/v1"):
            told.extend(ask(method, path, json=body) for body in BODIES)
    look()
    assert admin("get", "/catalog").json()["refused"] == []
    told.extend(ask(method, path) for method, path in paths() if method == "DELETE")
    look()
    for answer in told:
        whole = answer.text + json.dumps(dict(answer.headers))
        for value in PLANTED:
            assert value not in whole, (answer.request.method, answer.url, answer.text)
    logged = "".join(capfd.readouterr())
    assert not [value for value in PLANTED if value in logged]


def test_what_is_refused_is_told_by_its_place_alone(planted: Service) -> None:
    refused_by_hand(planted)
    read, whole = keyed(planted, "read"), keyed(planted, "read", "personal")
    for path in ("/catalog", "/readyz"):
        answers = [ask("get", path) for ask in (read, whole)]
        if path == "/readyz":
            answers.append(planted.ask("get", path))  # nobody is asked for a key
        for answer in answers:
            document = answer.json()
            refused = document.get("refused") or document["catalog"]["refused"]
            assert {"ann", "known", "liked"} <= {each["key"] for each in refused}
            [ann] = [each for each in refused if each["key"] == "ann"]
            [fault] = ann["problems"]
            assert (fault["pointer"], fault["code"]) == ("/condition/rules/0/value", "type")
            assert (ANN in answer.text) is (answer is answers[1] and path == "/catalog")


@pytest.mark.parametrize("path", ["/traits", "/traits/{}"])
def test_definitions_of_traits_are_told_without_whom_they_name(planted: Service, path: str) -> None:
    read, whole = keyed(planted, "read"), keyed(planted, "read", "personal")

    def got(ask: Ask, name: str) -> Any:
        answer = ask("get", path.format(name))
        assert answer.status_code == 200, answer.text
        document = answer.json()
        items = document.get("items", [document])
        return next(item for item in items if item["name"] == name)

    places = {"likes": "/score/points/1/condition/rules/0/value",
              "standing": "/rank/among/rules/0/value"}  # fmt: skip
    for name, place in places.items():
        told = got(read, name)
        assert (told["masked"], ANN in json.dumps(told)) == ([place], False)
        assert (got(whole, name)["masked"], ANN in json.dumps(got(whole, name))) == ([], True)
    assert got(read, "likes")["score"]["points"][0] == OLD
    # A mask that is sent back would take the place of what it hides.
    write = keyed(planted, "read", "write", "publish")
    for name, place in places.items():
        kind = place.split("/")[1]
        answer = write("put", f"/traits/{name}", json={kind: got(read, name)[kind]})
        problem = shaped(answer)
        faults = [(fault["pointer"], fault["code"]) for fault in problem["errors"]]
        assert (answer.status_code, faults) == (422, [(place, "masked")])


def test_formulas_of_personal_traits_are_told_without_their_numbers(planted: Service) -> None:
    """What is compared with a difference's sign is compared with its number."""
    declare(planted, "twice", formula="age * 2")
    read, write = keyed(planted, "read"), keyed(planted, "read", "write")
    told = read("get", "/traits/above").json()
    assert (told["formula"], told["masked"]) == ("(pay2 - ***) * ***", ["/formula"])
    told = read("get", "/traits/twice").json()
    assert (told["formula"], told["masked"]) == ("age * 2", [])
    for formula in ("(pay2 - ***) * ***", "pay - ***"):
        answer = write("put", "/traits/above", json={"formula": formula})
        faults = [(fault["pointer"], fault["code"]) for fault in shaped(answer)["errors"]]
        assert (answer.status_code, faults) == (422, [("/formula", "masked")])
    own = write("put", "/traits/mine", json={"formula": "pay - 83"}).json()
    assert (own["formula"], own["masked"]) == ("pay - ***", ["/formula"])
    whole = keyed(planted, "read", "personal")("get", "/traits/mine").json()
    assert (whole["formula"], whole["masked"]) == ("pay - 83", [])


@pytest.mark.parametrize("patch", [{"not": True}, {"combinator": "or"}, {"id": "x"}])
def test_a_patch_of_a_condition_makes_nobody_elses_rules_its_own(
    planted: Service, patch: dict[str, Any]
) -> None:
    planted.save("contact", ("phone", "=", "+420 777"), status="draft")
    write, admin = keyed(planted, "write"), keyed(planted, "admin")
    assert admin("put", "/traits/phone", json={"personal": True}).is_success
    assert write("put", "/traits/phone", json={"type": "number", "personal": True}).is_success
    answer = write("patch", "/segments/contact", json={"condition": patch})
    assert "+420 777" not in answer.text
    # Rules that the patch brings are its own.
    rules = {"rules": [literal("phone", "=", "+420 888")]}
    answer = write("patch", "/segments/contact", json={"condition": rules})
    assert (answer.status_code, "+420 888" in answer.text) == (422, True)


@pytest.mark.parametrize("declaration", [{"type": "number"}, {"type": "boolean"}])
def test_a_conflict_tells_whom_it_is_with_and_not_what_they_compare(
    planted: Service, declaration: dict[str, Any]
) -> None:
    declaration = {**declaration, "personal": True}
    write = keyed(planted, "write", "publish")
    answer = write("put", "/traits/email", json=declaration)
    problem = shaped(answer)
    assert (answer.status_code, problem["code"], ANN in answer.text) == (409, "in_use", False)
    place = "/segments/ann/condition/rules/0/value"
    assert (place, "type") in [(each["pointer"], each["code"]) for each in problem["errors"]]
    whole = keyed(planted, "write", "publish", "personal")
    assert ANN in whole("put", "/traits/email", json=declaration).text


def test_what_comes_of_a_personal_trait_stays_masked_whoever_breaks_it(planted: Service) -> None:
    planted.save("drawn", ("bonus", ">", PAY), status="draft")
    declare(planted, "bonus", formula="pay + 1")
    read = keyed(planted, "read", "write", "publish")

    # Refused, as by a hand: what it was made of goes on being personal.
    async def break_() -> None:
        async with planted.process.database.engine.begin() as connection:
            await connection.execute(text(
                "update traits set definition = '{\"type\": \"string\", \"personal\": true}' "
                "where name = 'pay'"))  # fmt: skip

    planted.runner.run(break_())
    admin = keyed(planted, "admin")
    assert admin("put", "/traits/other", json={"type": "number"}).is_success
    assert {"bonus", "pay2"} <= planted.process.live.served.catalog.refused_traits.keys()
    for key in ("drawn", "rich"):
        assert read("get", f"/segments/{key}").json()["condition"]["rules"][0]["value"] == "***"
    # Whoever may not read it neither withdraws nor redefines it: it would be personal no more.
    for change in ({"formula": "age * 2"}, {"type": "number"}, None):
        more = {} if change is None else {"json": change}
        answer = read("delete" if change is None else "put", "/traits/bonus", **more)
        assert (answer.status_code, shaped(answer)["code"]) == (403, "forbidden")
    assert read("put", "/traits/bonus", json={"formula": "age", "personal": True}).is_success
    assert keyed(planted, "write", "personal")("delete", "/traits/bonus").status_code == 204


@pytest.mark.parametrize("value", [["***"], ["bob@example.com", "***"], "***"])
def test_no_mask_is_stored_wherever_it_stands(planted: Service, value: Any) -> None:
    rules = [literal("email", "in" if isinstance(value, list) else "=", value)]
    body = {"condition": {"combinator": "and", "rules": rules}}
    answer = keyed(planted, "read", "write", "publish")("put", "/segments/new", json=body)
    assert (answer.status_code, shaped(answer)["errors"][0]["code"]) == (422, "masked")


def test_who_may_read_no_figures_is_told_no_counts_by_warnings(planted: Service) -> None:
    body = {"status": "draft", "condition": group(("visits", "!=", 5))}
    for scopes, told in ((["read"], True), ([], False)):
        answer = keyed(planted, "write", *scopes)("put", "/segments/new", json=body)
        [warning] = answer.json()["warnings"]
        assert warning["code"] == "no_value"
        assert ("1 of 1 customers" in warning["detail"]) is told
