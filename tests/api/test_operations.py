"""`/healthz`, `/readyz`, `/metrics`, `/catalog`, `/jobs`, and life without the database."""

import asyncio
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.api.services import Services
from service.store.embedded import EmbeddedPostgres
from tests.postgres import OPTIONS, prepare_template, scratch_root
from tests.running import assign, connected, eventually, segment, serving

pytestmark = pytest.mark.anyio


async def samples(client: httpx.AsyncClient) -> dict[tuple[str, tuple[str, ...]], float]:
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_health_and_readiness(client: httpx.AsyncClient, services: Services) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    await services.publisher.save([segment("adult", ("age", ">=", 18))])
    answer = await client.get("/readyz")
    assert answer.status_code == 200
    ready = answer.json()
    assert ready["ready"] is True
    assert ready["database"] == {"ready": True, "revision": 1, "reason": None}
    assert ready["catalog"] == {"ready": True, "revision": 1, "segments": 1, "refused": []}
    assert ready["models"] == {"ready": True, "active": {}, "refused": []}


async def test_what_is_refused_is_told_and_the_rest_is_ready(
    client: httpx.AsyncClient, services: Services
) -> None:
    await services.publisher.save(
        [segment("broken", ("age", ">", 1)), segment("adult", ("age", ">=", 18), scheme="stage",
                                                     priority=1)]
    )  # fmt: skip
    async with connected(services.database.url.asyncpg) as outsider:
        await outsider.execute("""update segments set definition = '{"condition": {}}'
                                  where key = 'broken'""")
        await outsider.execute(
            "insert into models (name, version, status, digest, manifest, created_at) "
            "values ('tiers', '7', 'active', 'x', '{}', now())"
        )
        await outsider.execute("update catalog_head set revision = revision + 1")
    await eventually(lambda: services.live.served.revision == 2)
    catalog = (await client.get("/catalog")).json()
    assert (catalog["revision"], catalog["segments"]) == (2, 1)
    assert catalog["schemes"] == {"stage": ["adult"]}
    assert [(refused["kind"], refused["key"]) for refused in catalog["refused"]] == [
        ("segment", "broken"),
        ("model", "tiers/7"),
    ]
    assert all(refused["problems"][0]["detail"] for refused in catalog["refused"])
    ready = await client.get("/readyz")
    assert ready.status_code == 200
    assert [refused["key"] for refused in ready.json()["catalog"]["refused"]] == ["broken"]
    assert ready.json()["models"]["ready"] is False
    measured = await samples(client)
    assert measured["segserve_catalog_segments", ("served",)] == 1
    assert measured["segserve_catalog_segments", ("refused",)] == 1


async def test_what_prometheus_sees(client: httpx.AsyncClient, services: Services) -> None:
    await services.publisher.save([segment("adult", ("age", ">=", 18))])
    for number in range(3):
        await client.post("/assign", json={"customer_id": f"ann-{number}"})
    await client.post("/assign", content=b"{")
    await client.post("/assign/batch", json={"customers": []})
    await client.get("/customers/ann-0")
    await client.get("/customers/nobody")
    await client.get("/nowhere/ann-0")
    measured = await samples(client)
    count = "segserve_request_seconds_count"
    assert measured[count, ("/assign", "200")] == 3
    assert measured[count, ("/assign", "400")] == 1
    assert measured[count, ("/assign/batch", "200")] == 1
    routes = {labels for name, labels in measured if name == count}
    assert {status for route, status in routes if "{customer_id" in route} == {"200", "404"}
    assert ("unmatched", "404") in routes
    assert measured["segserve_writer_batch_size_sum", ()] >= 3
    assert measured["segserve_writer_batch_seconds_count", ()] >= 1
    assert measured["segserve_writer_queue", ()] == 0
    assert measured["segserve_catalog_revision", ()] == 1
    assert measured["segserve_store_available", ()] == 1
    assert "process_resident_memory_bytes" in {name for name, _ in measured}
    assert "ann-" not in (await client.get("/metrics")).text


async def test_the_queue_is_seen_while_it_waits(
    client: httpx.AsyncClient, services: Services
) -> None:
    async with (
        connected(services.database.url.asyncpg) as outsider,
        outsider.transaction(),
    ):
        await outsider.execute("lock table customers")
        waiting = [
            asyncio.create_task(client.post("/assign", json={"customer_id": f"c-{n}"}))
            for n in range(7)
        ]
        await eventually(lambda: services.writer.waiting == 7)
        assert (await samples(client))["segserve_writer_queue", ()] == 7
    assert {(await answer).status_code for answer in waiting} == {200}


async def test_jobs(client: httpx.AsyncClient, services: Services) -> None:
    for number in range(3):
        await assign(services, f"c-{number}", age=20)
    for limit in (18, 21, 30):
        await services.publisher.save([segment("adult", ("age", ">=", limit))])

    async def done() -> bool:
        items = (await client.get("/jobs")).json()["items"]
        return len(items) == 3 and {item["status"] for item in items} == {"done"}

    await eventually(done)
    first = (await client.get("/jobs", params={"limit": 2})).json()
    assert [item["id"] for item in first["items"]] == [3, 2]
    second = (await client.get("/jobs", params={"cursor": first["next_cursor"]})).json()
    assert [item["id"] for item in second["items"]] == [1]
    job = (await client.get("/jobs/1")).json()
    assert (job["kind"], job["status"], job["error"]) == ("redecide", "done", None)
    assert job["detail"]["segments"] == ["adult"]
    assert job["done"] == job["total"]
    assert job["eta_seconds"] is None
    assert (await client.get("/jobs/4")).status_code == 404


@pytest.fixture
def postgres() -> Iterator[EmbeddedPostgres]:
    """A server that a test may stop."""
    folder = Path(tempfile.mkdtemp(prefix="segserve-stopped-", dir=scratch_root()))
    folder.chmod(0o711)
    server = EmbeddedPostgres(folder / "data", system_dir=folder / "system", options=OPTIONS)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


async def test_without_the_database(postgres: EmbeddedPostgres) -> None:
    url = await asyncio.to_thread(postgres.start)
    await asyncio.to_thread(prepare_template, url)
    named = {"customer_id": "c-1", "traits": {"age": 20}}
    async with serving(url) as (client, services):
        await services.publisher.save(
            [segment("adult", ("age", ">=", 18)), segment("beta"),
             segment("outside", ("segment:beta", "=", False))]
        )  # fmt: skip
        assert (await client.post("/assign", json=named)).json()["sequence"] == 2

        await asyncio.to_thread(postgres.stop)
        await eventually(lambda: not services.live.store_available)
        # From memory it goes on; whether somebody is on a list nobody knows.
        unnamed = await client.post("/assign", json={"traits": {"age": 20}})
        assert unnamed.status_code == 200
        assert [each["key"] for each in unnamed.json()["segments"]] == ["adult"]
        for method, path, body in (
            ("POST", "/assign", named),
            ("POST", "/assign", {**named, "record": False}),
            ("POST", "/assign/batch", {"customers": [named]}),
            ("GET", "/customers/c-1", None),
            ("DELETE", "/customers/c-1", None),
            ("GET", "/segments", None),
            ("PUT", "/segments/adult", {"condition": None}),
            ("GET", "/jobs", None),
        ):
            answer = await client.request(method, path, json=body)
            assert answer.status_code == 503, (method, path, answer.text)
            assert int(answer.headers["retry-after"]) >= 1
            assert "Traceback" not in answer.text
        ready = await client.get("/readyz")
        assert ready.status_code == 503
        state: dict[str, Any] = ready.json()
        assert (state["ready"], state["database"]["ready"]) == (False, False)
        assert state["catalog"]["ready"] is True
        assert (await client.get("/healthz")).status_code == 200
        assert (await samples(client))["segserve_store_available", ()] == 0

        assert await asyncio.to_thread(postgres.start) == url

        async def recovered() -> bool:
            answer = await client.post("/assign", json={**named, "traits": {"age": 10}})
            return answer.status_code == 200 and services.live.store_available

        await eventually(recovered)
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.get("/customers/c-1")).json()["traits"] == {"age": 10}
        unnamed = await client.post("/assign", json={"traits": {"age": 20}})
        assert [each["key"] for each in unnamed.json()["segments"]] == ["adult", "outside"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_head_answers_as_get_without_a_body(client: httpx.AsyncClient, path: str) -> None:
    got, headed = await client.get(path), await client.head(path)
    assert (headed.status_code, headed.content) == (got.status_code, b"")
    assert headed.headers["content-type"] == got.headers["content-type"]
    assert headed.headers["content-length"] == got.headers["content-length"]
    refused = await client.put(path)
    assert refused.status_code == 405
    assert set(refused.headers["allow"].split(", ")) >= {"GET"}


async def test_no_path_leads_elsewhere_for_a_slash(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    for template in document["paths"]:
        path = re.sub(r"\{[a-z_]+\}", "x", template)
        for asked in (path + "/", path.rstrip("/"), "/" + path, path.replace("/", "//")):
            for method in ("GET", "POST", "PUT", "DELETE", "HEAD"):
                answer = await client.request(method, str(client.base_url).rstrip("/") + asked)
                assert not answer.is_redirect, (method, asked)
                assert answer.status_code < 500, (method, asked)
