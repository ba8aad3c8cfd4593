"""From a model's raw scores to what the service says of a customer."""

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from service.scoring.features import Matrix


class ModelOutput(msgspec.Struct, frozen=True, gc=False):
    """A model's answer for one customer, traits `model:NAME.label` and so on; None is missing.

    `confidence` is in 0..1. For clusters it is 1 - d1/d2, with d1 and d2 the distances to the
    nearest and second nearest centre: 0 on the border of two, 1 at a centre. `score` is for
    models that predict a number. `unusual`: farther from its centre than 99.5% of the
    training rows.
    """

    label: str | None = None
    confidence: float | None = None
    score: float | None = None
    unusual: bool | None = None


NOTHING = ModelOutput()


class ClusterReading:
    """Reads distances to the centres, one column a cluster, as outputs."""

    def __init__(self, labels: Sequence[str], unusual_distance: float) -> None:
        self._labels = tuple(labels)
        self._unusual_distance = unusual_distance

    def one(self, distances: list[float]) -> ModelOutput:
        nearest = min(distances)
        index = distances.index(nearest)
        second = min(distances[:index] + distances[index + 1 :])
        confidence = 1.0 - nearest / second if 0.0 < second < math.inf else 0.0
        return ModelOutput(self._labels[index], confidence, None, nearest > self._unusual_distance)

    def many(self, distances: Matrix) -> list[ModelOutput]:
        """One output a row of `distances` (n, clusters); equal to `one` of each."""
        nearest, second = np.partition(distances, 1, axis=1)[:, :2].T
        comparable = (second > 0.0) & np.isfinite(second)
        ratio = np.divide(nearest, second, out=np.ones_like(nearest), where=comparable)
        columns: tuple[list[Any], ...] = (
            distances.argmin(axis=1).tolist(),
            (1.0 - ratio).tolist(),
            (nearest > self._unusual_distance).tolist(),
        )
        labels = self._labels
        return [
            ModelOutput(labels[index], confidence, None, unusual)
            for index, confidence, unusual in zip(*columns, strict=True)
        ]
