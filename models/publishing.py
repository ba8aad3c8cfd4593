"""Publishing: a trained model as a bundle on disk, complete and checked, or not there at all."""

import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

import joblib
import msgspec
import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

from models import conversion
from models.training import TrainedModel
from service.scoring import manifest as manifests
from service.scoring.bundle import TOLERANCE, Golden, load, verify
from service.scoring.errors import BundleRefused
from service.scoring.features import FeatureReader, Matrix
from service.scoring.manifest import (
    GOLDENS,
    MANIFEST,
    ONNX,
    PIPELINE,
    Feature,
    FileDigest,
    Manifest,
    bundle_folder,
)
from service.scoring.onnx_engine import OnnxEngine
from service.scoring.outputs import NOTHING, ClusterReading

_LIBRARIES = ("scikit-learn", "numpy", "joblib", "skl2onnx", "onnxruntime")


def write_bundle(
    trained: TrainedModel, bundles: Path, *, created_at: datetime | None = None
) -> str:
    """Write `<bundles>/<name>/<version>/` and give its digest, to be registered.

    The ONNX form is included if it answers every training row as the pipeline does. The bundle
    is verified and loaded as the service does before it appears under its name. Raises
    BundleRefused: a version that exists is never rewritten.
    """
    folder = bundle_folder(bundles, trained.name, trained.version)
    if folder.exists():
        raise BundleRefused(f"{trained.name}/{trained.version} exists; publish another version.")
    onnx, reason = _onnx_form(trained)
    pipeline = BytesIO()
    joblib.dump(trained.pipeline, pipeline)
    files = {
        PIPELINE: pipeline.getvalue(),
        GOLDENS: msgspec.json.format(msgspec.json.encode(_goldens(trained)), indent=1),
    }
    if onnx is not None:
        files[ONNX] = onnx
    manifest = Manifest(
        name=trained.name,
        version=trained.version,
        kind="clusters",
        created_at=created_at or datetime.now(UTC),
        libraries={library: version(library) for library in _LIBRARIES},
        features=trained.features,
        required=trained.required,
        labels=trained.labels,
        unusual_distance=trained.unusual_distance,
        training=trained.training,
        metrics=trained.metrics,
        label_counts=trained.label_counts,
        onnx=onnx is not None,
        onnx_reason=reason,
        files={name: FileDigest.of(content) for name, content in files.items()},
    )
    files[MANIFEST] = manifests.encode(manifest)
    digest = manifests.sha256(files[MANIFEST])
    _place(files, folder, digest)
    return digest


def _onnx_form(trained: TrainedModel) -> tuple[bytes | None, str | None]:
    """The ONNX form, or None with the reason why it can't be served."""
    try:
        onnx = conversion.to_onnx(trained.pipeline, len(trained.features))
        engine = OnnxEngine(onnx, len(trained.features), len(trained.labels))
    except (conversion.NotConvertible, BundleRefused) as refusal:
        return None, str(refusal)
    reading = ClusterReading(trained.labels, trained.unusual_distance)
    by_onnx = engine.run(trained.matrix)
    by_joblib = _distances(trained, trained.matrix)
    agree = np.isclose(by_onnx, by_joblib, rtol=TOLERANCE, atol=TOLERANCE).all(axis=1)
    agree &= by_onnx.argmin(axis=1) == trained.pipeline.predict(trained.matrix)
    agree &= np.array(
        [
            mine.unusual == theirs.unusual
            for mine, theirs in zip(reading.many(by_onnx), reading.many(by_joblib), strict=True)
        ]
    )
    if not agree.all():
        differing = len(agree) - int(agree.sum())
        return None, f"The ONNX form differs on {differing} of {len(agree)} training rows."
    return onnx, None


def _distances(trained: TrainedModel, rows: Matrix) -> Matrix:
    with threadpool_limits(limits=1):
        distances: Matrix = trained.pipeline.transform(rows)
    return distances


def _goldens(trained: TrainedModel) -> list[Golden]:
    """Profiles with the pipeline's own answers.

    They are made of quantiles of the clusters, so that no person's row lies in a bundle.
    """
    reader = FeatureReader(trained.features, trained.required)
    reading = ClusterReading(trained.labels, trained.unusual_distance)
    profiles = list(_golden_profiles(trained))
    rows, known = reader.matrix(profiles)
    answers = iter(reading.many(_distances(trained, rows[known])))
    return [
        Golden(profile, next(answers) if answered else NOTHING)
        for profile, answered in zip(profiles, known, strict=True)
    ]


def _golden_profiles(trained: TrainedModel) -> Iterator[dict[str, Any]]:
    features = trained.features
    clustered = trained.pipeline.predict(trained.matrix)
    for cluster in range(len(trained.labels)):
        rows = trained.matrix[clustered == cluster]
        for quantile in (0.1, 0.25, 0.5, 0.75, 0.9):
            yield _profile(features, _quantile(rows, quantile))
    typical = _quantile(trained.matrix, 0.5)
    for index, feature in enumerate(features):
        yield _profile(features, [*typical[:index], math.nan, *typical[index + 1 :]])
        wrong = _profile(features, typical)
        _put(wrong, feature.trait, ["of another type"])
        yield wrong
        if feature.kind == "number":
            for extreme in (0.0, -1e6, 1e15):
                yield _profile(features, [*typical[:index], extreme, *typical[index + 1 :]])
    yield _profile(features, [0.0] * len(features))
    yield _profile(features, [1e300] * len(features))
    yield {}


def _quantile(rows: Matrix, quantile: float) -> list[float]:
    """Of each column, among its values that are there; NaN where none is."""
    return [
        float(np.quantile(present, quantile)) if len(present) else math.nan
        for present in (column[~np.isnan(column)] for column in rows.T)
    ]


def _profile(features: Sequence[Feature], values: Sequence[float]) -> dict[str, Any]:
    profile: dict[str, Any] = {}
    for feature, value in zip(features, values, strict=True):
        if not math.isnan(value):
            _put(profile, feature.trait, value >= 0.5 if feature.kind == "boolean" else value)
    return profile


def _put(profile: dict[str, Any], trait: str, value: Any) -> None:
    *parents, last = trait.split(".")
    for parent in parents:
        profile = profile.setdefault(parent, {})
    profile[last] = value


def _place(files: dict[str, bytes], folder: Path, digest: str) -> None:
    """Write aside, load as the service does, then rename: readers see all of it or nothing."""
    name_folder = folder.parent
    name_folder.mkdir(parents=True, exist_ok=True)
    # A folder of the same name and version, for these are what the manifest is compared with.
    aside = Path(tempfile.mkdtemp(prefix=".writing-", dir=name_folder.parent))
    try:
        written = bundle_folder(aside, name_folder.name, folder.name)
        written.mkdir(parents=True)
        for name, content in files.items():
            with (written / name).open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        with load(verify(written, digest)):
            pass
        try:
            written.rename(folder)
        except OSError as error:  # not empty: another publisher was faster
            raise BundleRefused(
                f"{name_folder.name}/{folder.name} exists; publish another version."
            ) from error
        _sync_folder(name_folder)
    finally:
        shutil.rmtree(aside)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
