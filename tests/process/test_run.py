"""Starting, stopping and starting again, with the embedded PostgreSQL."""

import asyncio
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from service.store.embedded import running_dsn
from service.store.embedded.cluster import locate
from service.store.embedded.supervisor import SYSTEM_DIR
from tests.postgres import scratch_root
from tests.process.service import PATIENCE, Caller, Service
from tests.running import check_books, connected, eventually, group

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    """A data folder for all tests of this file; its cluster is made by the first."""
    folder = Path(tempfile.mkdtemp(prefix="segserve-data-", dir=scratch_root()))
    folder.chmod(0o711)
    yield folder
    # Root keeps the cluster elsewhere.
    shutil.rmtree(locate(folder.resolve(), SYSTEM_DIR).home, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def all_gone(family: list[psutil.Process]) -> bool:
    until = time.monotonic() + PATIENCE
    while not all(map(gone, family)):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def record(service: Service, customer_id: str, **traits: object) -> dict[str, object]:
    with service.client() as client:
        answer = client.post("/assign", json={"customer_id": customer_id, "traits": traits})
        answer.raise_for_status()
        body: dict[str, object] = answer.json()
        return body


def stored_age(service: Service, customer_id: str) -> object:
    with service.client() as client:
        return client.get(f"/customers/{customer_id}").raise_for_status().json()["traits"]["age"]


def test_from_a_start_to_ctrl_c_and_back(data_dir: Path, tmp_path: Path) -> None:
    with Service(tmp_path, data_dir) as service:
        service.ready()
        assert service.url in service.stderr
        assert "curl" in service.stderr
        record(service, "stays", age=20)
        # A second start on the same folder is refused, names the holder and harms nothing.
        with Service(tmp_path, data_dir) as second:
            assert second.process.wait(PATIENCE) == 1
            assert f"process {service.process.pid} " in second.stderr
            assert "Traceback" not in second.stderr
        assert stored_age(service, "stays") == 20
        family = service.family()
        assert any("postgres" in process.name() for process in family)
        assert service.interrupt() in (0, 130)
        assert all_gone(family)
        assert "Traceback" not in service.stderr
    with Service(tmp_path, data_dir) as service:
        assert stored_age(service.ready(), "stays") == 20
        assert service.interrupt() in (0, 130)


async def test_sigterm_finishes_what_was_accepted(data_dir: Path, tmp_path: Path) -> None:
    with Service(tmp_path, data_dir) as service:
        await asyncio.to_thread(service.ready)
        url = running_dsn(data_dir)
        assert url is not None
        family = service.family()
        callers = [await Caller(service.port).__aenter__() for _ in range(20)]
        async with connected(url) as outsider, outsider.transaction():
            await outsider.execute("lock table customers")
            work = [
                asyncio.create_task(
                    caller.post("/assign", {"customer_id": f"late-{number}", "traits": {"age": 1}})
                )
                for number, caller in enumerate(callers)
            ]

            async def arrived() -> bool:
                return await waiting(service) == 20

            await eventually(arrived)
            service.terminate()
            await asyncio.sleep(0.3)
            assert service.process.poll() is None
        answers = await asyncio.gather(*work)
        assert [status for status, _ in answers] == [200] * 20
        code = await asyncio.to_thread(service.process.wait, PATIENCE)
        assert code in (0, 143, -signal.SIGTERM)
        assert all_gone(family)


async def waiting(service: Service) -> int:
    def asked() -> int:
        with service.client() as client:
            page = client.get("/metrics").text
        line = next(line for line in page.splitlines() if line.startswith("segserve_writer_queue "))
        return int(float(line.split()[1]))

    return await asyncio.to_thread(asked)


async def test_after_a_kill_it_starts_again_with_all_that_was_acknowledged(
    data_dir: Path, tmp_path: Path
) -> None:
    acknowledged: dict[str, int] = {}

    async def call(port: int, customer_id: str) -> None:
        async with Caller(port) as caller:
            for age in range(10_000):
                body = {"customer_id": customer_id, "traits": {"age": age % 40, "n": age}}
                try:
                    status, _ = await caller.post("/assign", body)
                except (OSError, EOFError):
                    return
                assert status == 200
                acknowledged[customer_id] = age

    with Service(tmp_path, data_dir) as service:
        await asyncio.to_thread(service.ready)
        with service.client() as client:
            condition = group(("age", ">=", 18))
            client.put("/segments/adult", json={"condition": condition}).raise_for_status()
        family = service.family()
        calls = [asyncio.create_task(call(service.port, f"killed-{n}")) for n in range(8)]
        await eventually(lambda: sum(acknowledged.values()) > 500)
        service.kill()
        await asyncio.gather(*calls)
        # PostgreSQL outlives the service; the next start sees to it.
        with Service(tmp_path, data_dir) as again:
            await asyncio.to_thread(again.ready)
            assert all_gone(family)
            url = running_dsn(data_dir)
            assert url is not None
            async with connected(url) as connection:
                rows = await connection.fetch(
                    "select customer_id, (traits -> 'n')::int as n from customers "
                    "where customer_id like 'killed-%'"
                )
                stored = {row["customer_id"]: row["n"] for row in rows}
                assert all(stored[key] >= n for key, n in acknowledged.items())
                await check_books(connection)
            again.interrupt()


def test_a_server_of_the_users_own_is_used(database_url: str, tmp_path: Path) -> None:
    environment = {"DATABASE_URL": database_url}
    with Service(tmp_path, tmp_path / "data", **environment) as service:
        record(service.ready(), "theirs", age=20)
        # Two may share it, but not a port.
        port = str(service.port)
        with Service(tmp_path, tmp_path / "data", **environment, SEGSERVE_PORT=port) as second:
            assert second.process.wait(PATIENCE) != 0
            assert "address already in use" in second.stderr
            assert "Traceback" not in second.stderr
        family = service.family()
        assert not any("postgres" in process.name() for process in family)
        assert service.interrupt() in (0, 130)
        assert all_gone(family)
    # Its own key is all that it keeps here.
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["secret.key"]


def test_the_log_holds_nothing_personal(database_url: str, tmp_path: Path) -> None:
    """Whatever goes wrong while ids, addresses and traits pass by."""
    secrets = ("ann@example.com", "Ann Secret", "s3cr3t-trait", "+420 123 456 789")
    ann, name, trait, phone = secrets
    with Service(
        tmp_path, tmp_path / "data", DATABASE_URL=database_url, SEGSERVE_LOG_LEVEL="debug"
    ) as service:
        service.ready()
        body = {"customer_id": ann, "traits": {"name": name, trait: phone, "age": 20}}
        with service.client() as client:

            def everything() -> list[int]:
                asked = [
                    client.post("/assign", json=body),
                    client.post("/assign", json={**body, "record": False}),
                    client.post("/assign", json={"traits": body["traits"]}),
                    client.post("/assign", json={**body, "events": [{"event": name}]}),
                    client.post("/assign/batch", json={"customers": [body, {"bad": name}]}),
                    client.get(f"/customers/{ann}"),
                    client.get(f"/customers/{ann}/transitions"),
                    client.get("/segments", params={"q": name}),
                    client.put("/segments/beta", json={"name": name}),
                    client.post("/segments/beta/members", json={"add": [ann]}),
                    client.delete(f"/customers/{ann}"),
                ]
                for answer in asked:
                    assert "Traceback" not in answer.text
                    assert 'File "' not in answer.text
                return [answer.status_code for answer in asked]

            assert everything() == [200, 200, 200, 200, 200, 200, 200, 200, 201, 200, 200]
            asyncio.run(spoil(database_url, "alter table customers rename to elsewhere"))
            assert everything() == [503, 500, 200, 503, 200, 500, 500, 200, 200, 500, 500]
            asyncio.run(spoil(database_url, "alter table elsewhere rename to customers"))
            asyncio.run(spoil(database_url, "alter table customers add check "
                                            "(traits ->> 'name' is null)"))  # fmt: skip
            assert client.post("/assign", json=body).status_code == 422
        service.interrupt()
        log = service.stderr
    assert '"event"' in log
    assert [secret for secret in secrets if secret in log] == []


async def spoil(url: str, statement: str) -> None:
    async with connected(url) as connection:
        await connection.execute(statement)
