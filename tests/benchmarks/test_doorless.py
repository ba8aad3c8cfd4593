"""What goes past the door is answered all the same, and nothing else goes past it."""

from pathlib import Path

import pytest

from benchmarks.doorless import Doorless
from service.api import app as application
from tests.postgres import Databases
from tests.serving import service_of


def test_the_service_answers_past_its_door(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "Door", Doorless)
    with service_of(databases, tmp_path) as doorless:
        doorless.client.headers["host"] = "shop.example"
        for door, status in (("0", 200), ("1", 403)):
            doorless.client.headers["x-door"] = door
            answer = doorless.ask("post", "/assign", json={"traits": {"country": "DE"}})
            assert answer.status_code == status, answer.text
