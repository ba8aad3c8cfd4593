"""What is measured without a door answers all the same, or its rate is one of refusals."""

from pathlib import Path

import pytest

from benchmarks.doorless import Doorless
from service.api import app as application
from tests.postgres import Databases
from tests.serving import service_of


def test_the_service_answers_without_its_door(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "Door", Doorless)
    with service_of(databases, tmp_path) as doorless:
        assert doorless.assign(traits={"country": "DE"})["segments"] == []
        assert doorless.assign("ada", traits={"country": "DE"})["customer_id"] == "ada"
