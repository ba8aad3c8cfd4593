"""What an import leaves behind of people, and who is told of it."""

from typing import Any

from service.core.access import SYSTEM
from service.flows.import_running import look
from service.intake.imports.mapping import read
from tests.api.importing import imported
from tests.api.test_personal import Ask, keyed
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
