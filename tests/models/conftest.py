"""The trained model that the tests of training and publishing look at."""

import pytest

from models.training import TrainedModel
from tests.scoring import generated


@pytest.fixture(scope="session")
def model() -> TrainedModel:
    return generated.trained()
