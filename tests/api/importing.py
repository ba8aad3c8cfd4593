"""What tests of `/imports` ask again and again."""

import csv
import io
import json
from typing import Any

import httpx

from tests.api.test_personal import Ask
from tests.serving import Service

CSV = "text/csv"
NDJSON = "application/x-ndjson"
PARQUET = "application/vnd.apache.parquet"


def send(
    ask: Ask,
    body: str | bytes,
    media_type: str = CSV,
    headers: dict[str, str] | None = None,
    **query: Any,
) -> httpx.Response:
    if "mapping" in query:
        query["mapping"] = json.dumps(query["mapping"])
    all_headers = {"content-type": media_type, **(headers or {})}
    return ask("post", "/imports", content=body, headers=all_headers, params=query)


def imported(
    service: Service, body: str | bytes, media_type: str = CSV, **query: Any
) -> dict[str, Any]:
    """The job of an import that has come to its end."""
    answer = send(service.ask, body, media_type, **query)
    assert answer.status_code == 202, answer.text
    service.settle()
    job = service.get(answer.headers["location"])
    assert job["status"] == "done"
    return dict(job)


def rejected(service: Service, job: dict[str, Any]) -> list[list[str]]:
    """The rows that were not imported: number, column, code, reason, and the row."""
    answer = service.ask("get", f"/imports/{job['id']}/rejects")
    assert answer.status_code == 200, answer.text
    return list(csv.reader(io.StringIO(answer.text)))


def files(service: Service) -> list[str]:
    """What imports have left in the data folder."""
    base = service.process.services.importer.folder
    return [path.name for path in base.iterdir()] if base.exists() else []
