"""A loaded model: from customers' traits to outputs, whatever runs the numbers."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from service.scoring.features import FeatureReader, Matrix
from service.scoring.manifest import Manifest
from service.scoring.outputs import NOTHING, ClusterReading, ModelOutput

Form = Literal["onnx", "joblib"]


class Engine(Protocol):
    """Runs the trained pipeline. Safe to call from several threads."""

    @property
    def form(self) -> Form: ...

    def run(self, rows: Matrix) -> Matrix:
        """Raw scores of each row: (n, features) to (n, labels). Raises ScorerUnavailable."""

    def run_one(self, row: list[float]) -> list[float]:
        """`run` of a single row, for latency."""

    def close(self) -> None:
        """Free what it holds; it answers no more."""


class Scorer:
    """Predicts with one verified bundle. Safe to call from several threads.

    `form` tells what answers: `onnx` in this process within microseconds, or `joblib` in a
    child process within milliseconds, in which case `reason` says why and an event loop should
    call from a thread.
    """

    def __init__(self, manifest: Manifest, engine: Engine, reason: str | None = None) -> None:
        self.manifest = manifest
        self.reason = reason
        self._engine = engine
        self._reader = FeatureReader(manifest.features, manifest.required)
        self._reading = ClusterReading(manifest.labels, manifest.unusual_distance)
        # Bound once: looking them up would be paid on every assign.
        self._row = self._reader.row
        self._run_one = engine.run_one
        self._read_one = self._reading.one

    @property
    def form(self) -> Form:
        return self._engine.form

    def predict_one(self, profile: Mapping[str, Any]) -> ModelOutput:
        """The output for one customer's traits. Raises ScorerUnavailable."""
        row = self._row(profile)
        return NOTHING if row is None else self._read_one(self._run_one(row))

    def predict_many(self, profiles: Sequence[Mapping[str, Any]]) -> list[ModelOutput]:
        """The output for each customer's traits, in order. Raises ScorerUnavailable."""
        if not profiles:
            return []
        matrix, known = self._reader.matrix(profiles)
        if known.all():
            return self._reading.many(self._engine.run(matrix))
        outputs = [NOTHING] * len(matrix)
        if known.any():
            answers = self._reading.many(self._engine.run(matrix[known]))
            for index, answer in zip(known.nonzero()[0].tolist(), answers, strict=True):
                outputs[index] = answer
        return outputs

    def close(self) -> None:
        """Free the engine: call when no assignment uses this scorer any more."""
        self._engine.close()

    def __enter__(self) -> "Scorer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
