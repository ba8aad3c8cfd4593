"""Erasing persons: nothing is left but a proof, and late data brings nobody back."""

from typing import Any

from sqlalchemy import text

from service.core.instants import SECOND, format_instant
from tests.api.asking import refused
from tests.api.telling import order, segments, track
from tests.api.test_tracking import make, taken, told
from tests.contracts.test_errors import shaped
from tests.running import NOW, Clock
from tests.serving import Service

TABLES = ("customers", "memberships", "transitions", "trait_history", "list_members")


def clock_of(service: Service) -> Clock:
    clock = service.process.services.clock
    assert isinstance(clock, Clock)
    return clock


def erase(service: Service, customer_id: str) -> Any:
    answer = service.ask("delete", f"/customers/{customer_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()["erasure"]


def verify(service: Service, customer_id: str) -> Any:
    answer = service.ask("post", "/erasures/verify", json={"customer_id": customer_id})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_erasing_removes_everything_and_answers_with_a_proof(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    fresh.save("guests")
    fresh.ask("post", "/segments/guests/members", json={"add": ["c-1", "c-2"]})
    for customer_id in ("c-1", "c-2"):
        fresh.assign(customer_id, traits={"age": 20})
        fresh.assign(customer_id, traits={"age": 30})
    for table in TABLES:
        rows = fresh.rows(f"select distinct customer_id from {table} order by 1")
        assert rows == [("c-1",), ("c-2",)], table
    proof = erase(fresh, "c-1")
    assert proof["erased_at"] == format_instant(NOW)
    assert proof["dropped"] == 0
    assert len(bytes.fromhex(proof["fingerprint"])) == 32
    for table in TABLES:
        assert fresh.rows(f"select distinct customer_id from {table}") == [("c-2",)], table
    for path in ("", "/segments", "/transitions", "/export"):
        again = fresh.ask("get", f"/customers/c-1{path}")
        assert (again.status_code, shaped(again)["code"]) == (404, "not_found")
    assert verify(fresh, "c-1") == {"erased": True, "erasure": proof}
    assert verify(fresh, "c-2") == {"erased": False, "erasure": None}
    assert fresh.get(f"/erasures/{proof['fingerprint']}") == {"erasure": proof}


def test_whoever_asks_again_gets_the_proof_again(fresh: Service) -> None:
    fresh.assign("c-1")
    proof = erase(fresh, "c-1")
    clock_of(fresh).now += SECOND
    assert erase(fresh, "c-1") == proof
    assert fresh.rows("select count(*) from audit where action = 'customer.erased'") == [(1,)]


def test_an_unknown_person_leaves_no_trace(fresh: Service) -> None:
    assert refused(fresh, "delete", "/customers/nobody", None, 404) == ("not_found", [])
    for table in ("customers", "erasures", "audit"):
        assert fresh.rows(f"select * from {table}") == []
    assert refused(fresh, "get", f"/erasures/{'0' * 64}", None, 404) == ("not_found", [])
    for wrong in ("0" * 63, "G" * 64):
        assert fresh.ask("get", f"/erasures/{wrong}").status_code == 422


def test_a_person_can_be_erased_before_anything_of_them_comes(fresh: Service) -> None:
    answer = fresh.ask("post", "/erasures", json={"customer_id": "c-1"})
    assert answer.status_code == 201
    proof = answer.json()["erasure"]
    assert answer.headers["location"] == f"/erasures/{proof['fingerprint']}"
    assert fresh.get(answer.headers["location"]) == {"erasure": proof}
    assert fresh.rows("select * from customers") == []


def test_the_audit_tells_of_it_and_names_nobody(fresh: Service) -> None:
    fresh.assign("c-1", traits={"city": "Brno"})
    answer = fresh.ask("delete", "/customers/c-1", headers={"x-change-reason": "Asked%20for"})
    proof = answer.json()["erasure"]
    rows = fresh.rows("select author, action, subject, difference, reason from audit")
    told = ("local", "customer.erased", f"customers/{proof['fingerprint']}", {}, "Asked for")
    assert rows == [told]


def test_whoever_comes_back_after_erasing_starts_anew(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    fresh.assign("c-1", traits={"age": 20, "city": "Brno"})
    erase(fresh, "c-1")
    clock_of(fresh).now += 1
    answer = fresh.assign("c-1", traits={"age": 30}, include=["traits"])
    assert (answer["traits"], answer["entered"], answer["sequence"]) == ({"age": 30}, ["adult"], 1)
    assert fresh.get("/customers/c-1")["first_seen"] == format_instant(NOW + 1)
    clock_of(fresh).now += 1
    assert erase(fresh, "c-1")["erased_at"] == format_instant(NOW + 2)


def test_someone_only_on_a_list_is_no_customer_but_can_be_erased(fresh: Service) -> None:
    fresh.save("guests")
    fresh.ask("post", "/segments/guests/members", json={"add": ["c-1"]})
    assert fresh.ask("get", "/customers/c-1").status_code == 404
    erase(fresh, "c-1")
    assert fresh.rows("select * from list_members") == []
    clock_of(fresh).now += 1
    assert fresh.assign("c-1")["segments"] == []


def test_what_was_received_before_the_erasure_is_dropped_and_counted(fresh: Service) -> None:
    clock = clock_of(fresh)
    fresh.assign("c-1", traits={"city": "Brno"})
    clock.now += SECOND
    erase(fresh, "c-1")
    clock.now = NOW
    late = {"customer_id": "c-1", "traits": {"city": "Praha"}}
    assert refused(fresh, "post", "/assign", late, 409) == ("erased", [])
    batch = {"customers": [late, {"customer_id": "c-2"}]}
    first, second = fresh.ask("post", "/assign/batch", json=batch).json()["results"]
    assert (first["error"]["status"], first["error"]["code"]) == (409, "erased")
    assert second["customer_id"] == "c-2"
    assert fresh.rows("select customer_id from customers") == [("c-2",)]
    assert verify(fresh, "c-1")["erasure"]["dropped"] == 2


def test_late_data_is_dropped_also_where_they_have_come_back(fresh: Service) -> None:
    clock = clock_of(fresh)
    fresh.assign("c-1", traits={"city": "Brno"})
    erase(fresh, "c-1")
    clock.now += SECOND
    fresh.assign("c-1", traits={"age": 30})
    clock.now = NOW
    late = {"customer_id": "c-1", "traits": {"city": "Praha"}}
    assert refused(fresh, "post", "/assign", late, 409) == ("erased", [])
    assert fresh.get("/customers/c-1")["traits"] == {"age": 30}
    assert verify(fresh, "c-1")["erasure"]["dropped"] == 1


def test_without_recording_nothing_is_revived(fresh: Service) -> None:
    fresh.assign("c-1", traits={"city": "Brno"})
    erase(fresh, "c-1")
    answer = fresh.assign("c-1", record=False, include=["traits"])
    assert answer["traits"] == {}
    assert fresh.rows("select * from customers") == []


def test_a_list_does_not_bring_an_erased_id_back(fresh: Service) -> None:
    clock = clock_of(fresh)
    fresh.save("guests")
    fresh.assign("c-1")
    erase(fresh, "c-1")
    clock.now += SECOND
    change = {"add": ["c-1", "c-2"]}
    assert fresh.ask("post", "/segments/guests/members", json=change).json()["changed"] == 1
    assert fresh.rows("select customer_id from list_members") == [("c-2",)]
    assert verify(fresh, "c-1")["erasure"]["dropped"] == 1
    fresh.assign("c-1")
    assert fresh.ask("post", "/segments/guests/members", json=change).json()["changed"] == 1
    fresh.settle()
    assert [held["key"] for held in fresh.get("/customers/c-1/segments")] == ["guests"]


def test_an_uploaded_list_does_not_either(fresh: Service) -> None:
    clock = clock_of(fresh)
    fresh.save("guests")
    erase_unknown = {"customer_id": "c-1"}
    assert fresh.ask("post", "/erasures", json=erase_unknown).status_code == 201
    clock.now += SECOND
    upload = {
        "content": b'"c-0"\n"c-1"\n"c-2"\n',
        "headers": {"content-type": "application/x-ndjson"},
    }
    answer = fresh.ask("put", "/segments/guests/members", **upload)
    assert answer.status_code == 202, answer.text
    rows = fresh.rows("select customer_id from list_members order by 1")
    assert rows == [("c-0",), ("c-2",)]
    assert verify(fresh, "c-1")["erasure"]["dropped"] == 1


# Whatever a person may be known by or known for, in forms that a search will find.
MARK = "zq5f3c9dd1"
HOLDING = """
  select count(*) from {table} as held
  where held::text ilike '%' || :mark || '%'
    or held::text ilike '%' || encode(convert_to(:mark, 'UTF8'), 'hex') || '%'
"""


def tables_with(service: Service, mark: str) -> set[str]:
    """The tables of which any row holds a text in any column, binary ones too."""
    tables = service.rows(
        "select format('%I.%I', table_schema, table_name) from information_schema.tables "
        "where table_schema not in ('pg_catalog', 'information_schema')"
    )
    assert len(tables) > 15
    return {
        table.removeprefix("public.")
        for (table,) in tables
        if service.rows(HOLDING.format(table=table), mark=mark) != [(0,)]
    }


def test_no_table_holds_a_trace_of_who_was_erased(fresh: Service) -> None:
    clock = clock_of(fresh)
    person = f"c-{MARK}"
    for key in ("guests", "uploaded", "gone"):
        fresh.save(key)
    fresh.save("mine", (MARK, "=", MARK))  # a name that people gave a trait is nobody's
    fresh.save("adult", ("age", ">=", 18))
    ids = {"add": [person, "c-2"]}
    assert fresh.ask("post", "/segments/guests/members", json=ids).status_code == 200
    assert fresh.ask("post", "/segments/gone/members", json=ids).status_code == 200
    assert fresh.ask("delete", "/segments/gone").is_success
    for media_type, body in (
        ("text/csv", f"customer_id,note\n{person},{MARK}\nc-2,\n"),
        ("application/x-ndjson", f'{{"customer_id": "{person}", "{MARK}": "{MARK}"}}\n"c-2"\n'),
    ):
        upload = {"content": body.encode(), "headers": {"content-type": media_type}}
        assert fresh.ask("put", "/segments/uploaded/members", **upload).status_code == 202
    assert fresh.ask("delete", "/segments/mine").is_success
    personal = fresh.ask("put", "/traits/secret", json={"type": "string", "personal": True})
    assert personal.is_success
    for traits in (
        {"age": 20, "secret": MARK, f"t{MARK}": 1, "list": [MARK], "deep": {MARK: {"a": MARK}}},
        {"age": "old", "secret": None, "deep": None},
        {"secret": [MARK], "age": 10},
        {f"bad.{MARK}": 1},
        {"nul": f"\0{MARK}"},
        {"long": MARK * 7_000},
    ):
        clock.now += SECOND
        for body in ({}, {"record": False, "include": ["traits"]}):
            one = {"customer_id": person, "traits": traits, **body}
            fresh.ask("post", "/assign", json=one)
            fresh.ask("post", "/assign/batch", json={"customers": [one, {"customer_id": "c-2"}]})
    fresh.ask("post", "/assign", json={"customer_id": person}, headers={"idempotency-key": MARK})
    fresh.ask("get", f"/customers/{person}/export")
    fresh.settle()
    held = tables_with(fresh, MARK)
    assert {*TABLES} <= held
    # Definitions are of those who define.
    definitions = {"segments", "segment_versions", "audit"}
    assert held - {*TABLES} <= definitions
    assert tables_with(fresh, person) == {*TABLES}
    clock.now += SECOND
    proof = erase(fresh, person)
    assert tables_with(fresh, MARK) <= definitions
    assert tables_with(fresh, person) == set()
    assert tables_with(fresh, proof["fingerprint"]) == {"erasures", "audit"}
    # Nor does anything bring it back that only looks at them again.
    fresh.save("adult", ("age", ">=", 21))
    fresh.settle()
    assert tables_with(fresh, person) == set()
    assert fresh.rows("select customer_id from customers") == [("c-2",)]


def test_everything_kept_of_a_person_is_exported(fresh: Service) -> None:
    clock = clock_of(fresh)
    fresh.save("adult", ("age", ">=", 18))
    for key in ("guests", "gone"):
        fresh.save(key)
        fresh.ask("post", f"/segments/{key}/members", json={"add": ["c-1"]})
    fresh.ask("put", "/traits/email", json={"personal": True})
    fresh.assign("c-1", traits={"age": 20, "email": "ann@example.com"})
    fresh.ask("delete", "/segments/gone")
    fresh.settle()
    clock.now += SECOND
    fresh.assign("c-1", traits={"age": None})
    answer = fresh.ask("get", "/customers/c-1/export")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    export = answer.json()
    assert export["exported_at"] == format_instant(clock.now)
    assert export["profile"] == {**fresh.get("/customers/c-1"), "lists": ["gone", "guests"]}
    assert export["profile"]["traits"] == {"email": "ann@example.com"}
    assert export["lists"] == ["gone", "guests"]
    told = [(each["path"], each["value"], each["at"]) for each in export["trait_history"]]
    first, second = format_instant(NOW), format_instant(NOW + SECOND)
    assert sorted(told[:2]) == [("age", 20, first), ("email", "ann@example.com", first)]
    assert told[2:] == [("age", None, second)]
    newest_first = fresh.get("/customers/c-1/transitions")["items"]
    assert export["transitions"] == newest_first[::-1]
    assert len(newest_first) >= 4
    [(author, subject)] = fresh.rows(
        "select author, subject from audit where action = 'customer.exported'"
    )
    assert author == "local"
    assert subject == f"customers/{erase(fresh, 'c-1')['fingerprint']}"


def execute(service: Service, statement: str) -> None:
    """Do what no route does."""

    async def executed() -> None:
        async with service.process.database.engine.begin() as connection:
            await connection.execute(text(statement))

    service.runner.run(executed())


def test_a_long_history_is_exported_whole(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    fresh.assign("c-1")
    rows = 1_234
    execute(
        fresh,
        "insert into trait_history select 'c-1', 'n', to_jsonb(i), to_timestamp(i), null, 'assign' "
        f"from generate_series(1, {rows}) as i",
    )
    execute(
        fresh,
        "insert into transitions select 'c-1', i, 'adult', i % 2 = 1, 1, to_timestamp(i), "
        f"""'{{"kind": "trait"}}' from generate_series(1, {rows}) as i""",
    )
    export = fresh.get("/customers/c-1/export")
    assert [each["value"] for each in export["trait_history"]] == list(range(1, rows + 1))
    assert [each["sequence"] for each in export["transitions"]] == list(range(1, rows + 1))


def test_an_id_that_is_only_on_lists_is_exported_as_such(fresh: Service) -> None:
    fresh.save("guests")
    fresh.ask("post", "/segments/guests/members", json={"add": ["c-1"]})
    export = fresh.get("/customers/c-1/export")
    assert (export["profile"], export["lists"]) == (None, ["guests"])
    assert (export["trait_history"], export["transitions"]) == ([], [])
    assert refused(fresh, "get", "/customers/nobody/export", None, 404) == ("not_found", [])
    audited = "select count(*) from audit where action = 'customer.exported'"
    assert fresh.rows(audited) == [(1,)]


def test_a_path_that_ends_as_a_route_does_is_nobodys_id(fresh: Service) -> None:
    fresh.assign("bob/export", traits={"age": 31})
    assert fresh.ask("delete", "/customers/bob/export").status_code == 405
    assert fresh.get("/customers/bob%2Fexport")["customer_id"] == "bob/export"
    assert fresh.ask("delete", "/customers/bob%2Fexport").status_code == 200


def test_whose_order_others_tell_of_is_decided_though_what_they_sent_comes_too_late(
    fresh: Service,
) -> None:
    key, clock = make(fresh), clock_of(fresh)
    fresh.save("refunded", ("refunds", ">=", 1))
    old = {**order("c-1", None, 1), "timestamp": format_instant(NOW - SECOND)}
    taken(fresh, key, old)
    erase(fresh, "c-1")
    clock.now += SECOND
    taken(fresh, key, {**order("c-1", None, 2), "timestamp": format_instant(clock.now)})
    refund = track("Order Refunded", "c-2", None, 3, order_id="o-2", total=5)
    taken(fresh, key, {**old, "messageId": "m-4"}, refund)
    assert told(fresh) == [("erased", "")]
    assert segments(fresh, "c-1") == ["refunded"]
