import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.scoring import manifest as manifests
from service.scoring.errors import BundleRefused
from service.scoring.manifest import MANIFEST


@pytest.fixture
def raw(published: tuple[Path, str]) -> dict[str, Any]:
    folder, _ = published
    content: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
    return content


def test_the_same_manifest_has_the_same_bytes(published: tuple[Path, str]) -> None:
    content = (published[0] / MANIFEST).read_bytes()
    assert manifests.encode(manifests.decode(content)) == content


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"format": 2}, "format"),
        ({"kind": "oracle"}, "kind"),
        ({"surprise": 1}, "surprise"),
        ({"name": "../x"}, "not a model's name"),
        ({"version": ".."}, "not a version"),
        ({"features": []}, "features"),
        ({"features": [{"trait": "orders"}, {"trait": "orders"}]}, "features"),
        ({"features": [{"trait": "a..b"}]}, "path"),
        ({"features": [{"trait": "a", "kind": "category"}]}, "categories"),
        ({"required": ["age"]}, "age"),
        ({"labels": ["tier-1"]}, "labels"),
        ({"labels": ["tier-1", "tier-1"]}, "labels"),
        ({"onnx": False}, "files"),
        ({"files": {}}, "files"),
    ],
)
def test_an_inconsistent_manifest_is_refused(
    raw: dict[str, Any], changes: dict[str, Any], complaint: str
) -> None:
    manifests.decode(json.dumps(raw).encode())
    with pytest.raises(msgspec.ValidationError, match=complaint):
        manifests.decode(json.dumps(raw | changes).encode())


def test_files_are_named_by_us_alone(raw: dict[str, Any]) -> None:
    raw["files"]["../model.onnx"] = raw["files"].pop("model.onnx")
    with pytest.raises(msgspec.ValidationError, match="files must be exactly"):
        manifests.decode(json.dumps(raw).encode())


@pytest.mark.parametrize(("name", "version"), [("..", "1"), ("a", "../1"), ("a", ""), ("A", "1")])
def test_a_bundle_lies_nowhere_else(name: str, version: str) -> None:
    with pytest.raises(BundleRefused):
        manifests.bundle_folder(Path("bundles"), name, version)


def test_what_a_model_reads_are_traits(raw: dict[str, Any]) -> None:
    features = [{"trait": "address.floor"}, {"trait": "address.city"}, {"trait": "revenue"}]
    manifest = manifests.decode(json.dumps({**raw, "features": features, "required": []}).encode())
    assert manifest.reads == {"address", "revenue"}
