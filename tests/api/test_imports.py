"""`/imports` and the job behind it: what is stored, what is not, and that nobody is told of it."""

import asyncio
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.core.instants import DAY, format_instant
from service.flows.import_running import look
from service.intake.imports.mapping import read
from tests.api.asking import members
from tests.api.importing import CSV, NDJSON, PARQUET, files, imported, rejected, send
from tests.contracts.test_errors import shaped
from tests.postgres import Databases
from tests.running import Clock
from tests.serving import Service, service_of

COMPLETED = "event:Order Completed"
HEADER = "Invoice,StockCode,Quantity,InvoiceDate,Price,Customer ID,Country\n"
ORDERS = HEADER + (
    "1,a,2,2026-12-01 10:00:00,2.50,c-1,CZ\n"
    "2,b,1,2026-12-02 10:00:00,0.10,c-2,CZ\n"
    "1,c,1,2026-12-01 10:00:00,0.30,c-1,CZ\n"
    "3,b,1,2026-12-03 10:00:00,x,c-2,CZ\n"
    "4,b,1,2026-12-03 10:00:00,1.00,,CZ\n"
    "5,b,0,2026-12-03 10:00:00,1.00,c-3,CZ\n"
)


def spending(service: Service, key: str, operator: str, value: float) -> None:
    aggregate = {"function": "sum", "of": "properties.net"}
    rule = {"field": COMPLETED, "operator": operator, "value": value, "aggregate": aggregate}
    condition = {"combinator": "and", "rules": [rule]}
    answer = service.ask("put", f"/segments/{key}", json={"condition": condition})
    assert answer.is_success, answer.text


def reasons(service: Service, customer_id: str) -> list[str]:
    items = service.get(f"/customers/{customer_id}/transitions")["items"]
    return [each["reason"]["kind"] for each in items]


def test_orders_of_a_file_are_stored_and_nobody_is_told_of_them(fresh: Service) -> None:
    spending(fresh, "buyers", ">", 5)
    job = imported(fresh, ORDERS, name="orders.csv", mapping={"where": ["Quantity > 0"]})
    assert (job["kind"], job["done"], job["total"]) == ("import", 6, 6)
    assert job["detail"]["counts"] == {"orders": 2, "lines": 3}
    query = "select order_id, customer_id, net::text, gross::text from orders order by 1"
    assert fresh.rows(query) == [("1", "c-1", "5.3", "5.3"), ("2", "c-2", "0.1", "0.1")]
    assert members(fresh, "buyers") == ["c-1"]
    assert reasons(fresh, "c-1") == ["import"]
    who = fresh.get("/customers/c-1")
    assert (who["first_seen"], who["last_seen"]) == ("2026-12-01T10:00:00Z",) * 2
    header, *rows = rejected(fresh, job)
    assert header == ["row", "column", "code", "reason", *HEADER.strip().split(",")]
    assert [row[:3] for row in rows] == [["5", "Price", "bad_value"], ["6", "", "no_customer"]]
    assert rows[0][4:] == ["3", "b", "1", "2026-12-03 10:00:00", "x", "c-2", "CZ"]
    assert job["detail"]["spread"]["left_out"] == 1
    newest = fresh.get("/audit?subject=jobs")["items"][0]
    assert (newest["action"], newest["subject"]) == ("import.begun", f"jobs/{job['id']}")
    assert files(fresh) == []


def test_what_happens_afterwards_is_told_as_ever(fresh: Service) -> None:
    spending(fresh, "buyers", ">", 5)
    imported(fresh, ORDERS)
    event = {"event": "Order Completed", "properties": {"order_id": "9", "total": "6"}}
    fresh.assign("c-2", events=[event])
    assert reasons(fresh, "c-2") == ["event"]


def test_the_same_file_again_doubles_nothing_and_a_corrected_one_counts(fresh: Service) -> None:
    everything = """select (select count(*) from events), (select count(*) from orders),
      (select sum(net) from orders), (select count(*) from transitions)"""
    spending(fresh, "buyers", ">", 5)
    imported(fresh, ORDERS)
    before = fresh.rows(everything)
    again = imported(fresh, ORDERS)
    assert fresh.rows(everything) == before
    assert again["detail"]["counts"] == {"orders": 3, "lines": 4}
    clock = fresh.process.services.clock
    assert isinstance(clock, Clock)
    clock.now += DAY
    imported(fresh, ORDERS.replace("0.10", "7.10"))
    assert fresh.rows("select net::text from orders where order_id = '2'") == [("7.1",)]
    assert members(fresh, "buyers") == ["c-1", "c-2"]


def test_a_file_that_is_sent_again_under_its_key_is_the_same_import(fresh: Service) -> None:
    def job(key: str | None) -> int:
        headers = {} if key is None else {"idempotency-key": key}
        answer = send(fresh.ask, ORDERS, headers=headers)
        assert answer.status_code == 202, answer.text
        fresh.settle()
        return int(answer.json()["job"])

    first = job("k-1")
    assert job("k-1") == first
    assert files(fresh) == []
    assert len({first, job("k-2"), job(None)}) == 3


def test_an_order_is_one_whether_a_file_or_an_event_tells_of_it(fresh: Service) -> None:
    properties = {"order_id": "1", "total": "5.30", "coupon": "X"}
    fresh.assign("c-1", events=[{"event": "Order Completed", "properties": properties}])
    imported(fresh, ORDERS)
    rows = fresh.rows("select order_id, net from orders where customer_id = 'c-1'")
    assert [(order, str(net)) for order, net in rows] == [("1", "5.3")]


def test_parquet_has_exact_money_days_and_whole_numbers(fresh: Service) -> None:
    at = 1_796_119_200_000  # 2026-12-01T10:00:00, in milliseconds
    table = pa.table(
        {
            "order_id": pa.array([1, 1, None], pa.int64()),
            "customer_id": pa.array([17850, 17850, 17850], pa.int64()),
            "placed_at": pa.array([at] * 3, pa.timestamp("ms")),
            "sku": pa.array(["a", "b", "c"], pa.large_string()),
            "quantity": pa.array([3, 1, 1], pa.int32()),
            "price": pa.array([Decimal("0.10"), Decimal("123456789.55"), None],
                              pa.decimal128(20, 2)),
        }
    )  # fmt: skip
    sink = io.BytesIO()
    pq.write_table(table, sink)
    job = imported(fresh, sink.getvalue(), PARQUET)
    assert [str(net) for (net,) in fresh.rows("select net from orders")] == ["123456789.85"]
    assert fresh.get("/customers/17850")["first_seen"] == "2026-12-01T10:00:00Z"
    assert [row[:3] for row in rejected(fresh, job)[1:]] == [["3", "order_id", "required"]]


def test_customers_come_with_traits_consent_and_identities(fresh: Service) -> None:
    fresh.save("grown-up", ("age", ">=", 18))
    body = (
        "customer_id,email,age,city,accepts email marketing\n"
        "c-1,Ann@example.com,31,Brno,yes\n"
        ",bob@example.com,12,Praha,no\n"
    )
    imported(fresh, body)
    ann = fresh.get("/customers/c-1")
    assert ann["traits"]["age"] == 31
    assert ann["traits"]["consent"]["email"] == "subscribed"
    found = fresh.get("/customers?identity=email:ann@example.com")
    assert [each["customer_id"] for each in found["items"]] == ["c-1"]
    (bob,) = fresh.get("/customers?identity=email:bob@example.com")["items"]
    assert fresh.get(f"/customers/{bob['customer_id']}")["traits"]["city"] == "Praha"
    assert reasons(fresh, "c-1") == ["import"]
    assert members(fresh, "grown-up") == ["c-1"]


def test_guests_orders_are_theirs_who_turn_out_to_have_their_address(fresh: Service) -> None:
    orders = "order_id,email,created_at,total\n1,ann@example.com,2026-12-01T10:00:00Z,20\n"
    imported(fresh, orders)
    imported(fresh, "customer_id,email\nc-1,ANN@example.com\n")
    spending(fresh, "buyers", ">", 5)
    fresh.settle()
    assert members(fresh, "buyers") == ["c-1"]


def test_values_that_do_not_fit_a_declared_type_are_told_with_their_rows(fresh: Service) -> None:
    assert fresh.ask("put", "/traits/age", json={"type": "number"}).is_success
    job = imported(fresh, "customer_id,age\nc-1,31\nc-2,old\n")
    assert fresh.get("/customers/c-1")["traits"]["age"] == 31
    assert "age" not in fresh.get("/customers/c-2")["traits"]
    assert [row[:3] for row in rejected(fresh, job)[1:]] == [["3", "age", "wrong_type"]]


def test_events_of_ndjson(fresh: Service) -> None:
    lines = [
        {"customer_id": "c-1", "event": "Viewed", "timestamp": "2026-12-01T10:00:00Z",
         "properties": {"price": 2.5}},
        {"customer_id": "c-1", "event": "Viewed", "timestamp": "2026-12-01T10:00:00Z",
         "properties": {"price": 2.5}},
        {"event": "Viewed", "timestamp": "2026-12-01T10:00:00Z"},
    ]  # fmt: skip
    body = "".join(json.dumps(line) + "\n" for line in lines) + "nonsense\n"
    for _ in range(2):
        job = imported(fresh, body, NDJSON)
        query = "select name, source, properties->>'price' from events"
        assert fresh.rows(query) == [("Viewed", "import", "2.5")] * 2
    assert [row[:3] for row in rejected(fresh, job)[1:]] == [
        ["3", "", "no_customer"], ["4", "", "bad_value"],
    ]  # fmt: skip


def test_members_of_a_list_come_by_an_import(fresh: Service) -> None:
    fresh.assign("c-1")
    fresh.save("vip")
    fresh.save("special", ("segment:vip", "=", True))
    imported(fresh, "customer_id\nc-1\nc-9\n", mapping={"as": "list", "list": "vip"})
    fresh.settle()
    assert members(fresh, "vip") == ["c-1"]
    assert reasons(fresh, "c-1") == ["import", "import"]
    fresh.assign("c-9")
    assert sorted(members(fresh, "vip")) == ["c-1", "c-9"]
    for key, code in (("none", "not_found"), ("special", "kind")):
        answer = send(fresh.ask, "customer_id\nc-1\n", mapping={"list": key})
        assert answer.status_code == 422
        assert [(f["pointer"], f["code"]) for f in shaped(answer)["errors"]] == [("/list", code)]


def test_consents_of_a_file(fresh: Service) -> None:
    body = "customer_id,channel,status,timestamp\nc-1,email,yes,2026-12-01\nc-1,sms,no,2026-12-01\n"
    imported(fresh, body)
    consent = fresh.get("/customers/c-1")["traits"]["consent"]
    assert (consent["email"], consent["sms"]) == ("subscribed", "unsubscribed")


def test_somebody_erased_is_not_revived_by_what_is_older(fresh: Service) -> None:
    imported(fresh, ORDERS)
    assert fresh.ask("delete", "/customers/c-1").is_success
    job = imported(fresh, ORDERS.replace("c-2", "c-5"))
    assert fresh.ask("get", "/customers/c-1").status_code == 404
    assert ["2", "", "erased"] in [row[:3] for row in rejected(fresh, job)[1:]]


def test_a_column_that_says_at_is_the_instant_of_a_customers_row(fresh: Service) -> None:
    clock = fresh.process.services.clock
    assert isinstance(clock, Clock)
    fresh.assign("c-1", traits={"city": "Brno"})
    told = format_instant(clock.now)
    clock.now += DAY
    assert fresh.ask("delete", "/customers/c-1").is_success
    clock.now += DAY
    job = imported(fresh, f"customer_id,city,at\nc-1,Brno,{told}\n")
    assert fresh.ask("get", "/customers/c-1").status_code == 404
    assert [row[2] for row in rejected(fresh, job)[1:]] == ["erased"]


def test_a_dry_run_shows_what_it_understood_and_stores_nothing(fresh: Service) -> None:
    answer = send(fresh.ask, ORDERS, dry_run=True, mapping={"where": ["Quantity > 0"]})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["plan"]["kind"] == "orders"
    assert told["plan"]["fields"]["placed_at"] == "InvoiceDate"
    assert told["plan"]["ignored"] == ["Country"]
    assert (told["rows"], told["left_out"], told["rejected"]) == (6, 1, 2)
    assert told["complete"]
    assert (told["customers"], told["counts"]) == (2, {"orders": 2, "lines": 3})
    assert told["examples"][0]["customer_id"] == "c-1"
    assert told["examples"][0]["order"]["net"] == 5.3
    assert [(each["row"], each["code"]) for each in told["rejects"]] == [
        (5, "bad_value"), (6, "no_customer"),
    ]  # fmt: skip
    assert fresh.rows("select 1 from orders union all select 1 from customers") == []
    assert fresh.get("/jobs")["items"] == []
    assert files(fresh) == []


@pytest.mark.parametrize(
    ("body", "query", "pointer", "code"),
    [
        ("a,b\n1,2\n", {}, "/map/customer_id", "required"),
        ("a,a\n1,2\n", {}, "/file", "bad_value"),
        ("customer_id\n1\n", {"mapping": {"as": "people"}}, "/as", "bad_value"),
        ("customer_id\n1\n", {"mapping": {"map": {"x": "y"}}}, "/map/x", "unknown_field"),
        ("", {}, "", "empty"),
    ],
)
def test_files_and_mappings_that_are_refused(
    service: Service, body: str, query: Any, pointer: str, code: str
) -> None:
    answer = send(service.ask, body, **query)
    assert answer.status_code == 422, answer.text
    assert (pointer, code) in [(f["pointer"], f["code"]) for f in shaped(answer)["errors"]]
    assert not files(service)


def test_bodies_that_are_refused(databases: Databases, tmp_path: Path) -> None:
    with service_of(databases, tmp_path, import_body_limit=100) as service:
        assert send(service.ask, "x" * 101).status_code == 413
        assert send(service.ask, "x", "application/json").status_code == 415
        answer = service.ask("post", "/imports?mapping={", content="x",
                             headers={"content-type": CSV})  # fmt: skip
        assert answer.status_code == 422
        assert shaped(answer)["errors"][0]["pointer"] == "/query/mapping"
        assert service.ask("get", "/imports/1/rejects").status_code == 404


def test_a_file_that_is_cut_off_goes_on_where_it_was(
    fresh: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled between two buckets, the next run does those that are left."""
    from service.core.access import SYSTEM
    from service.flows import import_spreading

    monkeypatch.setattr(import_spreading, "ROWS_OF_A_BUCKET", 1)
    path = tmp_path / "orders.csv"
    rows = [f"o-{n},c-{n % 40},2026-12-01T10:00:00Z,{n}.25\n" for n in range(400)]
    path.write_text("order_id,customer_id,created_at,total\n" + "".join(rows))
    services = fresh.process.services
    importer = services.importer

    async def begun() -> int:
        understood = look(path, read({}), path.name)
        found = await importer.begin(understood, SYSTEM, here=True)
        assert found.ours
        return found.job

    async def cut_off(job: int) -> None:
        running = asyncio.create_task(importer.run_here(job))
        while True:
            await asyncio.sleep(0)
            page = await fresh.client.get(f"/jobs/{job}")
            if page.json()["detail"]["done"] >= 3:
                break
        running.cancel()
        await asyncio.wait([running])

    job = fresh.runner.run(begun())
    fresh.runner.run(cut_off(job))
    stopped = fresh.get(f"/jobs/{job}")
    assert stopped["status"] == "failed"
    assert 0 < stopped["detail"]["done"] < stopped["detail"]["spread"]["buckets"]
    assert fresh.runner.run(begun()) == job
    ended = fresh.runner.run(importer.run_here(job))
    assert ended.status == "done"
    total = f"{sum(range(400)) + 100}.00"
    assert fresh.rows("select count(*), sum(net)::text from orders") == [(400, total)]
    assert fresh.rows("select count(*) from events") == [(400,)]
    assert files(fresh) == []


def test_a_file_that_is_gone_fails_with_the_reason(fresh: Service, tmp_path: Path) -> None:
    from service.core.access import SYSTEM

    path = tmp_path / "orders.csv"
    path.write_text(ORDERS)

    async def run() -> Any:
        services = fresh.process.services
        understood = look(path, read({}), path.name)
        begun = await services.importer.begin(understood, SYSTEM, here=True)
        await asyncio.to_thread(path.unlink)
        return await services.importer.run_here(begun.job)

    ended = fresh.runner.run(run())
    assert (ended.status, ended.error) == (
        "failed", "the file is not where it was: import it again",
    )  # fmt: skip
