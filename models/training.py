"""Training: customers' traits to a fitted pipeline whose clusters are named by value."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from sklearn.impute import SimpleImputer
from sklearn.metrics import silhouette_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

from models.transforms import signed_log1p
from service.scoring.features import FeatureReader
from service.scoring.manifest import Feature, TrainingData, check_name

UNUSUAL_PERCENTILE = 99.5
_SILHOUETTE_SAMPLE = 5_000  # rows; its cost is quadratic


class TrainingRefused(Exception):
    """The customers given can't train the model asked for; the message says what is lacking."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainedModel:
    """A fitted pipeline and what its bundle will tell of it.

    `matrix` (rows, features) holds the training rows, missing as NaN; `labels[i]` names
    cluster i; `unusual_distance` is in the pipeline's scaled space.
    """

    name: str
    version: str
    features: tuple[Feature, ...]
    required: tuple[str, ...]
    labels: tuple[str, ...]
    unusual_distance: float
    pipeline: Pipeline
    matrix: npt.NDArray[np.float64]
    training: TrainingData
    metrics: dict[str, float]
    label_counts: dict[str, int]


def train_clusters(
    name: str,
    version: str,
    customers: Sequence[Mapping[str, Any]],
    *,
    features: Sequence[Feature],
    required: Sequence[str],
    value_trait: str,
    clusters: int = 5,
    seed: int = 0,
) -> TrainedModel:
    """K-means of customers' traits; `tier-1` is the cluster of the highest mean `value_trait`.

    The pipeline fills gaps with the median, tames skew with a signed logarithm, standardises,
    and clusters. The logarithm has nothing to fit, so it can't be led astray by the outliers it
    is to tame, and it converts to ONNX exactly in 64 bits, which a fitted power transform
    doesn't; a quantile transform would hide the very outliers that `unusual` is to find. The
    same customers and seed give the same model. Raises TrainingRefused.
    """
    _check(name, version, features, required, value_trait, clusters)
    rows, usable = FeatureReader(features, required).matrix(customers)
    matrix = rows[usable]
    different = len({row.tobytes() for row in matrix})  # to np.unique no two NaN are one
    if different < 2 * clusters:
        raise TrainingRefused(
            f"{clusters} clusters need at least {2 * clusters} different customers with "
            f"{', '.join(required)}; there are {different}."
        )
    empty = [
        feature.trait
        for feature, column in zip(features, matrix.T, strict=True)
        if np.isnan(column).all()
    ]
    if empty:
        raise TrainingRefused(f"No customer has a usable value of: {', '.join(empty)}.")
    pipeline = make_pipeline(
        SimpleImputer(strategy="median"),
        FunctionTransformer(signed_log1p),
        StandardScaler(),
        KMeans(n_clusters=clusters, n_init=10, random_state=seed),
    )
    # Threads add partial sums in any order; one thread gives the same centres every time.
    with threadpool_limits(limits=1):
        clustered = pipeline.fit(matrix).predict(matrix)
        distances = pipeline.transform(matrix)
        silhouette = silhouette_score(
            pipeline[:-1].transform(matrix),
            clustered,
            sample_size=min(_SILHOUETTE_SAMPLE, len(matrix)),
            random_state=seed,
        )
    value = matrix[:, [feature.trait for feature in features].index(value_trait)]
    labels = _tiers([float(value[clustered == cluster].mean()) for cluster in range(clusters)])
    counts = np.bincount(clustered, minlength=clusters)
    # A whisker above the percentile: rounding can't make a row at the percentile unusual.
    unusual = float(np.percentile(distances.min(axis=1), UNUSUAL_PERCENTILE)) * (1 + 1e-9)
    return TrainedModel(
        name=name,
        version=version,
        features=tuple(features),
        required=tuple(required),
        labels=labels,
        unusual_distance=unusual,
        pipeline=pipeline,
        matrix=matrix,
        training=TrainingData(
            rows=len(matrix),
            left_out=len(customers) - len(matrix),
            sha256=hashlib.sha256(matrix.astype("<f8").tobytes()).hexdigest(),
        ),
        metrics={"silhouette": float(silhouette), "inertia": float(pipeline[-1].inertia_)},
        label_counts={
            label: int(count) for label, count in sorted(zip(labels, counts, strict=True))
        },
    )


def _check(
    name: str,
    version: str,
    features: Sequence[Feature],
    required: Sequence[str],
    value_trait: str,
    clusters: int,
) -> None:
    try:
        check_name(name, version)
    except ValueError as error:
        raise TrainingRefused(f"{error}.") from error
    if categories := [feature.trait for feature in features if feature.kind == "category"]:
        raise TrainingRefused(
            f"K-means measures distances, and categories have none: {', '.join(categories)}."
        )
    if not {value_trait} <= set(required) <= {feature.trait for feature in features}:
        raise TrainingRefused(
            f"{value_trait} must be a required trait, and required traits must be features."
        )
    if clusters < 2:
        raise TrainingRefused("At least two clusters are needed to tell customers apart.")


def _tiers(means: Sequence[float]) -> tuple[str, ...]:
    """A label for each cluster, tier-1 for the highest mean."""
    ranking = sorted(range(len(means)), key=lambda cluster: -means[cluster])
    return tuple(f"tier-{ranking.index(cluster) + 1}" for cluster in range(len(means)))
