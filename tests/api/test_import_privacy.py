"""What an import leaves behind of people, and who is told of it."""

import io
import os
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.core.access import SYSTEM
from service.core.instants import DAY, MINUTE
from service.flows.import_running import look
from service.intake.imports.mapping import read
from tests.api.importing import PARQUET, files, imported, rejected, send
from tests.api.test_personal import Ask, keyed
from tests.running import Clock, eventually
from tests.serving import Service

ANN = "ann.7d1e@example.com"
PHONE = "+420777123456"
NAMED: dict[str, Any] = {
    "as": "customers",
    "map": {"shopify": "shopify", "traits.email": "mail"},
    "where": [f"mail = {ANN}"],
    "set": {"customer_id": "c-planted", "consent.email": "yes"},
}
PEOPLE = f"shopify,mail\n17,{ANN}\n"


def under_way(service: Service, folder: Any, mapping: dict[str, Any]) -> int:
    """The job of an import that has begun, and that nobody goes on with."""
    path = folder / f"{ANN}.csv"
    path.write_text(PEOPLE)

    async def begun() -> int:
        understood = look(path, read(mapping), path.name)
        importer = service.process.services.importer
        return (await importer.begin(understood, SYSTEM, here=True)).job

    return service.runner.run(begun())


def told(ask: Ask, job: int) -> list[dict[str, Any]]:
    """The job of an import as it is told by itself, and among all jobs."""
    [listed] = [each for each in ask("get", "/jobs").json()["items"] if each["id"] == job]
    return [listed["detail"], ask("get", f"/jobs/{job}").json()["detail"]]


def test_jobs_tell_readers_nothing_that_an_import_was_told_of_people(
    fresh: Service, tmp_path: Any
) -> None:
    job = under_way(fresh, tmp_path, NAMED)
    read, whole = keyed(fresh, "read"), keyed(fresh, "read", "personal")
    for detail in told(read, job):
        assert detail.keys() == {"kind", "list", "spread", "done", "rejected", "counts"}
        assert detail["kind"] == "customers"
    for detail in told(whole, job):
        assert (detail["where"], detail["set"]) == (NAMED["where"], NAMED["set"])
        assert detail["name"] == f"{ANN}.csv"
        assert "path" not in detail


def test_an_import_that_has_ended_keeps_no_value_that_it_was_told(fresh: Service) -> None:
    job = imported(fresh, PEOPLE, mapping=NAMED)
    assert job["detail"]["counts"] == {"rows": 1, "customers": 1}
    assert (job["detail"]["where"], job["detail"]["set"]) == ([], {})
    assert not [row for row in fresh.rows("select detail::text from jobs") if ANN in row[0]]


def test_an_import_that_has_failed_keeps_none_either(fresh: Service, tmp_path: Any) -> None:
    job = under_way(fresh, tmp_path, NAMED)
    (tmp_path / f"{ANN}.csv").unlink()
    ended = fresh.runner.run(fresh.process.services.importer.run_here(job))
    assert (ended.status, ended.error) == (
        "failed", "the file is not where it was: import it again",
    )  # fmt: skip
    [(detail,)] = fresh.rows("select detail->'plan' from jobs where id = :id", id=job)
    assert (detail["where"], detail["constants"]) == ([], {})


ROWS = f"customer_id,email,age\ni-1,{ANN},many\ni-2,bob@example.com,many\n,no address {ANN},5\n"


@pytest.fixture
def clock(fresh: Service) -> Clock:
    found = fresh.process.services.clock
    assert isinstance(found, Clock)
    return found


def with_rejects(service: Service) -> dict[str, Any]:
    """An import of rows of which none is right."""
    assert service.ask("put", "/traits/age", json={"type": "number"}).is_success
    job = imported(service, ROWS, mapping={"as": "customers"})
    assert [row[0] for row in rejected(service, job)[1:]] == ["2", "3", "4"]
    return job


def erase(service: Service, customer_id: str) -> None:
    answer = service.ask("post", "/erasures", json={"customer_id": customer_id})
    assert answer.status_code == 201, answer.text


def test_who_is_erased_is_told_by_no_import(fresh: Service) -> None:
    job = with_rejects(fresh)
    erase(fresh, "i-1")
    assert [row[4] for row in rejected(fresh, job)[1:]] == ["i-2", ""]
    erase(fresh, "i-2")
    assert fresh.rows("select row from import_rejects") == [(4,)]


def test_whom_a_row_names_by_an_address_alone_is_erased_with_them(fresh: Service) -> None:
    fresh.assign("i-1", identities={"email": ANN})
    assert fresh.ask("put", "/traits/age", json={"type": "number"}).is_success
    job = imported(fresh, f"email,age\n{ANN.upper()},many\n")
    assert len(rejected(fresh, job)) == 2
    assert fresh.ask("delete", "/customers/i-1").is_success
    assert fresh.ask("get", f"/imports/{job['id']}/rejects").status_code == 404


def test_whoever_is_in_no_more_than_a_rejected_row_can_be_erased(fresh: Service) -> None:
    job = imported(fresh, "customer_id,consent.email\ni-1,perhaps\n")
    assert fresh.ask("get", "/customers/i-1").status_code == 404
    assert fresh.ask("delete", "/customers/i-1").is_success
    assert fresh.ask("get", f"/imports/{job['id']}/rejects").status_code == 404


def test_all_rows_of_an_order_go_with_whose_it_is(fresh: Service) -> None:
    orders = (
        f"order_id,customer_id,created_at,total,note\n1,i-1,2026-12-01,x,\n1,,2026-12-01,,{ANN}\n"
    )
    job = imported(fresh, orders)
    assert [row[0] for row in rejected(fresh, job)[1:]] == ["2", "3"]
    erase(fresh, "i-1")
    assert fresh.rows("select row from import_rejects") == []


def test_who_is_erased_while_a_file_is_imported_is_told_by_number_alone(
    fresh: Service, clock: Clock
) -> None:
    """As if the erasure came between the beginning of the import and its end: the same file has
    the beginning of its first import."""
    with_rejects(fresh)
    erase(fresh, "i-1")
    again = imported(fresh, ROWS, mapping={"as": "customers"})
    found = {row[0]: row[1:] for row in rejected(fresh, again)[1:]}
    assert (found["2"][1], found["2"][3:]) == ("erased", ["", "", ""])
    assert found["3"][3:] == ["i-2", "bob@example.com", "many"]
    assert ("i-1",) not in fresh.rows("select unnest(whose) from import_rejects")


def test_an_export_tells_the_rows_that_were_not_imported(fresh: Service) -> None:
    job = with_rejects(fresh)
    told = fresh.get("/customers/i-1/export")["import_rejects"]
    assert [(each["job"], each["row"], each["column"], each["cells"]) for each in told] == [
        (job["id"], 2, "age", ["i-1", ANN, "many"])
    ]
    # Of somebody who is in no more than such a row, too.
    imported(fresh, "customer_id,consent.email\ni-3,perhaps\n")
    [only] = fresh.get("/customers/i-3/export")["import_rejects"]
    assert only["cells"] == ["i-3", "perhaps"]


def test_rejected_rows_are_kept_for_seven_days(fresh: Service, clock: Clock) -> None:
    job = with_rejects(fresh)
    clock.now += 7 * DAY
    fresh.runner.run(fresh.process.upkeep.look())
    assert len(rejected(fresh, job)) == 4
    clock.now += 1
    fresh.runner.run(fresh.process.upkeep.look())
    assert fresh.ask("get", f"/imports/{job['id']}/rejects").status_code == 404
    assert fresh.rows("select 1 from import_rejects") == []


def spoilt() -> bytes:
    """A Parquet file whose end can't be read."""
    names = [f"{number} {ANN}" for number in range(20_000)]
    sink = io.BytesIO()
    table = pa.table({"customer_id": [f"i-{number}" for number in range(20_000)], "name": names})
    pq.write_table(table, sink, row_group_size=5_000, compression="none", use_dictionary=False)
    body = bytearray(sink.getvalue())
    start = body.index(names[-1].encode()) - 150_000
    body[start : start + 100_000] = b"\xff" * 100_000
    return bytes(body)


def test_a_failed_import_of_an_upload_leaves_nothing(fresh: Service) -> None:
    answer = send(fresh.ask, spoilt(), PARQUET)
    assert answer.status_code == 202, answer.text
    job = answer.json()["job"]

    async def ended() -> bool:
        found = await fresh.client.get(f"/jobs/{job}")
        return bool(found.json()["status"] == "failed")

    fresh.runner.run(eventually(ended))
    assert "can't be read" in fresh.get(f"/jobs/{job}")["error"]
    assert files(fresh) == []


def left_behind(service: Service, folder: Path) -> tuple[int, Path]:
    """An import that came to a stop with rows in its buckets; its file was the caller's own."""
    job = under_way(service, folder, NAMED)
    importer = service.process.services.importer
    (folder / f"{ANN}.csv").unlink()
    assert service.runner.run(importer.run_here(job)).status == "failed"
    rows = importer.folder / str(job)
    rows.mkdir(parents=True, exist_ok=True)
    (rows / "000.rows").write_text(ANN)
    return job, rows


def tidied(service: Service, clock: Clock) -> None:
    clock.now += MINUTE
    service.runner.run(service.process.upkeep.look())


def test_an_import_that_came_to_a_stop_waits_with_its_rows_until_somebody_is_erased(
    fresh: Service, clock: Clock, tmp_path: Path
) -> None:
    _, rows = left_behind(fresh, tmp_path)
    tidied(fresh, clock)
    assert rows.exists()
    erase(fresh, "i-9")
    tidied(fresh, clock)
    assert not rows.exists()


def test_what_came_to_a_stop_and_what_never_was_imported_goes_in_time(
    fresh: Service, clock: Clock, tmp_path: Path
) -> None:
    _, rows = left_behind(fresh, tmp_path)
    upload, stranger = rows.parent / "0123.csv", rows.parent / "999999"
    upload.write_text(ANN)
    stranger.mkdir()
    tidied(fresh, clock)
    assert (rows.exists(), upload.exists(), stranger.exists()) == (True, True, False)
    for path, days in ((rows, 8), (upload, 1)):
        os.utime(path, (time.time() - days * 86_400,) * 2)
    tidied(fresh, clock)
    assert files(fresh) == []
