import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from models import conversion, publishing
from models.training import TrainedModel
from service.scoring.bundle import load, verify
from service.scoring.errors import BundleRefused
from service.scoring.features import FeatureReader
from service.scoring.manifest import GOLDENS, MANIFEST, ONNX
from service.scoring.onnx_engine import OnnxEngine
from tests.scoring import generated


def test_the_same_model_has_the_same_digest(model: TrainedModel, tmp_path: Path) -> None:
    _, digest = generated.published(tmp_path / "first", model)
    assert generated.published(tmp_path / "second", generated.trained())[1] == digest
    assert generated.published(tmp_path / "third", generated.trained(seed=1))[1] != digest


def test_a_bundle_tells_what_it_was_made_of(model: TrainedModel, tmp_path: Path) -> None:
    folder, digest = generated.published(tmp_path, model)
    assert folder == tmp_path / "household-tiers" / "1"
    manifest = verify(folder, digest).manifest
    assert manifest.created_at == generated.CREATED_AT
    assert {"scikit-learn", "skl2onnx", "onnxruntime"} <= set(manifest.libraries)
    assert manifest.features == model.features
    assert manifest.training == model.training
    assert (manifest.onnx, manifest.onnx_reason) == (True, None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["household-tiers"]


def test_goldens_hold_gaps_extremes_and_every_label_but_no_customer(
    model: TrainedModel, tmp_path: Path
) -> None:
    folder, _ = generated.published(tmp_path, model)
    goldens = json.loads((folder / GOLDENS).read_bytes())
    labels = {golden["output"]["label"] for golden in goldens}
    assert labels == {*model.labels, None}
    assert {golden["output"]["unusual"] for golden in goldens} == {True, False, None}
    traits = {feature.trait for feature in model.features}
    for trait in traits:
        assert any(trait not in golden["profile"] for golden in goldens)
    assert any(golden["profile"].get("revenue") == 1e300 for golden in goldens)
    assert all(set(golden["profile"]) <= traits for golden in goldens)
    reader = FeatureReader(model.features, model.required)
    rows = {tuple(row) for row in model.matrix.tolist()}
    for golden in goldens:
        row = reader.row(golden["profile"])
        assert row is None or tuple(row) not in rows


def test_a_version_is_never_rewritten(model: TrainedModel, tmp_path: Path) -> None:
    folder, digest = generated.published(tmp_path, model)
    with pytest.raises(BundleRefused, match="publish another version"):
        generated.published(tmp_path, generated.trained(seed=1))
    assert verify(folder, digest).digest == digest


def test_of_two_publishers_one_wins(
    model: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = generated.trained(seed=1)
    digests = []

    def overtaken(model: TrainedModel) -> list[object]:
        monkeypatch.undo()
        digests.append(generated.published(tmp_path, other)[1])
        return publishing._goldens(model)

    monkeypatch.setattr(publishing, "_goldens", overtaken)
    with pytest.raises(BundleRefused, match="publish another version"):
        generated.published(tmp_path, model)
    verify(tmp_path / "household-tiers" / "1", digests[0])


def test_a_failed_publication_leaves_nothing(
    model: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(publishing.os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        generated.published(tmp_path, model)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_onnx_form_that_differs_is_not_served(
    model: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = conversion.to_onnx(generated.trained(seed=1).pipeline, 7)
    monkeypatch.setattr(conversion, "to_onnx", lambda *_: other)
    folder, digest = generated.published(tmp_path, model)
    assert not (folder / ONNX).exists()
    with load(verify(folder, digest)) as scorer:
        assert scorer.form == "joblib"
        assert scorer.reason is not None
        assert "differs on" in scorer.reason
        profiles = generated.households(50)
        rows, _ = FeatureReader(model.features, model.required).matrix(profiles)
        assert [output.label for output in scorer.predict_many(profiles)] == [
            model.labels[cluster] for cluster in model.pipeline.predict(rows)
        ]


def test_a_pipeline_that_does_not_convert_is_served_by_joblib(
    model: TrainedModel, tmp_path: Path
) -> None:
    pipeline = make_pipeline(
        SimpleImputer(strategy="median"),
        FunctionTransformer(np.arcsinh),
        KMeans(5, n_init=1, random_state=0),
    ).fit(model.matrix)
    folder, _ = generated.published(tmp_path, dataclasses.replace(model, pipeline=pipeline))
    manifest = json.loads((folder / MANIFEST).read_bytes())
    assert manifest["onnx"] is False
    assert "no converter" in manifest["onnx_reason"]


def test_conversion_keeps_the_distance_of_a_row_at_a_centre() -> None:
    rows = np.repeat([[0.1] * 7, [40.3] * 7], 6, axis=0)
    pipeline = make_pipeline(StandardScaler(), KMeans(2, n_init=1, random_state=0)).fit(rows)
    distances = OnnxEngine(conversion.to_onnx(pipeline, 7), 7, 2).run(rows)
    assert np.isfinite(distances).all()
    assert distances.min(axis=1).max() < 1e-9
