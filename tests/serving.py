"""A whole service over a database of its own, asked without a socket."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text

from service.api.app import create_app
from service.store import metrics
from service.wiring import Process
from tests.postgres import Databases
from tests.running import Clock, eventually, group, quick

WORKING = ("queued", "running")
JSON = {"content-type": "application/json"}


class Service:
    """Asks an application that runs in a loop of its own; between questions the loop stands."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.app = create_app(process.services)
        self.runner = asyncio.Runner()
        self._running = process.running()
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")

    def __enter__(self) -> "Service":
        self.runner.run(self._running.__aenter__())
        return self

    def __exit__(self, *error: object) -> None:
        self.runner.run(self._running.__aexit__(None, None, None))
        self.runner.close()

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """The answer to one request."""
        return self.runner.run(self.client.request(method, path, **more))

    def get(self, path: str) -> Any:
        """What is at a path."""
        answer = self.ask("get", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def save(self, key: str, *rules: tuple[str, str, Any], **more: Any) -> Any:
        """Put a segment; without rules it is a list."""
        document = {"condition": group(*rules), **more} if rules else more
        answer = self.ask("put", f"/segments/{key}", json=document)
        assert answer.is_success, answer.text
        return answer.json()

    def assign(self, customer_id: str | None = None, **body: Any) -> Any:
        """The answer of an assignment."""
        answer = self.ask("post", "/assign", json={"customer_id": customer_id, **body})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def pages(self, path: str, **query: Any) -> Iterator[list[Any]]:
        """The pages of a list, each asked for when the one before has been read."""
        while True:
            answer = self.ask("get", path, params=query)
            assert answer.status_code == 200, answer.text
            yield answer.json()["items"]
            query["cursor"] = answer.json()["next_cursor"]
            if query["cursor"] is None:
                return

    def measure(self) -> None:
        """Measure all segments now, once whoever is at it has ended."""
        services = self.process.services

        async def measured() -> None:
            async with services.database.engine.begin() as connection:
                query = text("select pg_advisory_xact_lock(:lock)")
                await connection.execute(query, {"lock": metrics.LOCK})
            await services.jobs.measure()

        self.runner.run(measured())

    def settle(self) -> None:
        """Wait until no job is queued or running, as `/jobs` tells; none may have failed."""

        async def settled() -> bool:
            answer = await self.client.get("/jobs", params={"limit": 1_000})
            statuses = {job["status"] for job in answer.json()["items"]}
            assert "failed" not in statuses, answer.text
            return statuses.isdisjoint(WORKING)

        self.runner.run(eventually(settled))

    def rows(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        """What the tables hold."""

        async def fetched() -> list[tuple[Any, ...]]:
            async with self.process.database.engine.connect() as connection:
                return [tuple(row) for row in await connection.execute(text(query), values)]

        return self.runner.run(fetched())


@contextmanager
def service_of(
    databases: Databases, data_dir: Path, clock: Clock | None = None, **settings: Any
) -> Iterator[Service]:
    """A running service without customers and segments."""
    with databases.database() as url:
        process = Process(quick(data_dir=data_dir, **settings), url, clock or Clock())
        with Service(process) as service:
            yield service
