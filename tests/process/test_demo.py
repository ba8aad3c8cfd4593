"""`segserve run` answers at once while the demo is loaded behind it, and begins anew where it was
cut off. (`tests/demo` loads all of it.)"""

import asyncio
import time
from pathlib import Path
from typing import Any

from service.demo.setup import SAMPLE
from tests.process.service import PATIENCE, Service
from tests.running import connected


async def _noted(url: str) -> dict[str, Any]:
    """What is noted of the demo, and how many customers and orders there are."""
    async with connected(url) as outsider:
        row = await outsider.fetchrow("""select
            (select value ->> 'state' from workspace where name = 'demo') as state,
            (select value ->> 'sample' from workspace where name = 'demo') as sample,
            (select count(*) from customers) as customers,
            (select count(*) from orders) as orders""")
        return dict(row)


def _until_some_are_stored(url: str, service: Service) -> dict[str, Any]:
    """What is noted once there are orders that were not there before."""
    until = time.monotonic() + PATIENCE
    while True:
        assert service.process.poll() is None, service.stderr
        assert time.monotonic() < until, service.stderr
        noted = asyncio.run(_noted(url))
        if noted["orders"] and '"step": "defined"' in service.stderr:
            return noted
        time.sleep(0.05)


def test_the_service_answers_while_the_demo_is_loaded(database_url: str, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with Service(tmp_path, data_dir, "run", DATABASE_URL=database_url) as service:
        service.ready()
        assert asyncio.run(_noted(database_url))["state"] in {None, "loading"}
        noted = _until_some_are_stored(database_url, service)
        assert noted["state"] == "loading"
        assert noted["sample"] == SAMPLE
        with service.client() as client:
            answer = client.post("/assign", json={"customer_id": "mine", "traits": {"age": 31}})
            assert answer.status_code == 200
        assert service.interrupt() == 0, service.stderr
        assert '"step": "stored"' not in service.stderr

    # What was there of it goes, and what is ours stays.
    with Service(tmp_path, data_dir, "run", DATABASE_URL=database_url) as service:
        service.ready()
        _until_some_are_stored(database_url, service)
        with service.client() as client:
            assert client.get("/customers/mine").status_code == 200
        assert service.interrupt() == 0, service.stderr
    with Service(tmp_path, data_dir, "serve", DATABASE_URL=database_url) as service:
        service.ready()
        assert service.interrupt() == 0, service.stderr
        assert '"event": "demo"' not in service.stderr
