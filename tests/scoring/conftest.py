"""A published bundle: one for all tests to read, or a copy of it to spoil."""

import shutil
from pathlib import Path

import pytest

from models.training import TrainedModel
from tests.scoring import generated


@pytest.fixture(scope="session")
def model() -> TrainedModel:
    return generated.trained()


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory, model: TrainedModel) -> tuple[Path, str]:
    """Folder and registered digest; not to be changed."""
    return generated.published(tmp_path_factory.mktemp("bundles"), model)


@pytest.fixture
def bundle(published: tuple[Path, str], tmp_path: Path) -> tuple[Path, str]:
    """Folder and registered digest of a copy that a test may spoil."""
    folder, digest = published
    copy = tmp_path / folder.parent.name / folder.name
    shutil.copytree(folder, copy)
    return copy, digest
