import math

import numpy as np
import pytest

from service.scoring.outputs import ClusterReading, ModelOutput

READING = ClusterReading(["tier-2", "tier-1", "tier-3"], 2.0)


@pytest.mark.parametrize(
    ("distances", "expected"),
    [
        ([4.0, 1.0, 2.0], ModelOutput("tier-1", 0.5, None, False)),
        ([0.0, 1.0, 2.0], ModelOutput("tier-2", 1.0, None, False)),
        ([8.0, 6.0, 3.0], ModelOutput("tier-3", 0.5, None, True)),
        ([2.0, 9.0, 4.0], ModelOutput("tier-2", 0.5, None, False)),
        ([5.0, 1.0, 1.0], ModelOutput("tier-1", 0.0, None, False)),
        ([5.0, 0.0, 0.0], ModelOutput("tier-1", 0.0, None, False)),
        ([math.inf, math.inf, math.inf], ModelOutput("tier-2", 0.0, None, True)),
    ],
)
def test_distances_are_read_as_label_confidence_and_unusual(
    distances: list[float], expected: ModelOutput
) -> None:
    assert READING.one(distances) == expected
    assert READING.many(np.array([distances])) == [expected]


def test_many_are_read_as_each_alone() -> None:
    distances = np.random.default_rng(0).integers(0, 5, size=(2000, 3)).astype(np.float64)
    assert READING.many(distances) == [READING.one(row) for row in distances.tolist()]
