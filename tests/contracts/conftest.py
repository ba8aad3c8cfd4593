"""A whole service over a database of its own, asked without a socket."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from service.api.app import create_app
from service.settings import Settings
from service.wiring import Process
from tests.postgres import Databases

ROOT = Path(__file__).parents[2]


class Service:
    """Asks an application that runs in a loop of its own."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._runner = asyncio.Runner()
        self._running = process.running()
        self.app = create_app(process.services)
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://segserve")

    def __enter__(self) -> "Service":
        self._runner.run(self._running.__aenter__())
        return self

    def __exit__(self, *error: object) -> None:
        self._runner.run(self._running.__aexit__(None, None, None))
        self._runner.close()

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """The answer to one request."""
        return self._runner.run(self._client.request(method, path, **more))


@pytest.fixture(scope="module")
def service(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service without customers and segments."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"))
    with databases.database() as url, Service(Process(settings, url)) as running:
        yield running


@pytest.fixture(scope="session")
def document() -> dict[str, Any]:
    """The committed OpenAPI document."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "openapi.yaml").read_text(encoding="utf-8"))
    return loaded
