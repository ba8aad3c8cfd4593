"""The manifest of a model bundle: what the model reads, what it answers, and every file's digest.

The registered digest is the SHA-256 of the bytes of `manifest.json`. The manifest holds the
digests of all other files, so that one digest vouches for the whole bundle.
"""

import hashlib
import re
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from service.scoring.errors import BundleRefused

MANIFEST = "manifest.json"
PIPELINE = "pipeline.joblib"
ONNX = "model.onnx"
GOLDENS = "goldens.json"

# Upper bounds, so that a wrong file can't fill the memory before it is known to be wrong.
SIZE_LIMITS = {
    MANIFEST: 1_000_000,
    PIPELINE: 512_000_000,
    ONNX: 512_000_000,
    GOLDENS: 16_000_000,
}

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One input of the model: a trait read as a number.

    A boolean counts 1 or 0, a category its place in `categories`. A value that is absent, of
    another type, not finite or of no listed category is missing (NaN).
    """

    trait: str
    kind: Literal["number", "boolean", "category"] = "number"
    unit: str | None = None
    categories: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not all(self.trait.split(".")):
            raise ValueError(f"{self.trait!r} is not a trait's path")
        if (self.kind == "category") != bool(self.categories):
            raise ValueError(f"{self.trait}: categories belong to a category, and only to one")


class FileDigest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file's SHA-256 (lower-case hex) and size in bytes."""

    sha256: str
    size: int

    @classmethod
    def of(cls, content: bytes) -> "FileDigest":
        return cls(sha256=sha256(content), size=len(content))


class TrainingData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the model was trained on.

    `rows` customers were used, `left_out` lacked a required trait. `sha256` is of the feature
    matrix: little-endian 64-bit floats, row by row in the order given, missing as NaN.
    """

    rows: int
    left_out: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A model, as `manifest.json` describes it.

    `labels[i]` names cluster i. Without the traits in `required` the model says nothing.
    `unusual_distance` is the 99.5th percentile of the training rows' distance to their nearest
    centre, in the pipeline's scaled space. `onnx_reason` says why no ONNX form is served.
    """

    format: Literal[1] = 1
    name: str
    version: str
    kind: Literal["clusters"]
    created_at: datetime
    libraries: dict[str, str]
    features: tuple[Feature, ...]
    required: tuple[str, ...]
    labels: tuple[str, ...]
    unusual_distance: float
    training: TrainingData
    metrics: dict[str, float]
    label_counts: dict[str, int]
    onnx: bool
    onnx_reason: str | None = None
    files: dict[str, FileDigest]

    def __post_init__(self) -> None:
        check_name(self.name, self.version)
        traits = [feature.trait for feature in self.features]
        if not traits or len(set(traits)) < len(traits):
            raise ValueError("features must be at least one, each of its own trait")
        if unknown := sorted(set(self.required) - set(traits)):
            raise ValueError(f"required traits that are no feature: {', '.join(unknown)}")
        if len(self.labels) < 2 or len(set(self.labels)) < len(self.labels):
            raise ValueError("labels must be at least two, all different")
        expected = {PIPELINE, GOLDENS} | ({ONNX} if self.onnx else set())
        if set(self.files) != expected:
            raise ValueError(f"files must be exactly {', '.join(sorted(expected))}")

    @property
    def inputs(self) -> frozenset[str]:
        """The paths of the traits that it reads."""
        return frozenset(feature.trait for feature in self.features)

    @property
    def reads(self) -> frozenset[str]:
        """The traits that it reads something of."""
        return frozenset(path.partition(".")[0] for path in self.inputs)


def check_name(name: str, version: str) -> None:
    """Raise ValueError unless both are safe as one folder's name each."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a model's name: use a-z, 0-9, - and _ (at most 64)")
    if not _VERSION.fullmatch(version):
        raise ValueError(
            f"{version!r} is not a version: letters, digits, '.', '-' and '_' (at most 64)"
        )


def bundle_folder(bundles: Path, name: str, version: str) -> Path:
    """Where a model's bundle lies: `<bundles>/<name>/<version>`. Raises BundleRefused."""
    try:
        check_name(name, version)
    except ValueError as error:
        raise BundleRefused(f"{error}.") from error
    return bundles / name / version


def sha256(content: bytes) -> str:
    """The SHA-256 of some bytes as 64 lower-case hex digits."""
    return hashlib.sha256(content).hexdigest()


def is_sha256(text: str) -> bool:
    return _SHA256.fullmatch(text) is not None


def encode(manifest: Manifest) -> bytes:
    """`manifest.json`: the same bytes for the same manifest, readable by people."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=2)


def decode(content: bytes) -> Manifest:
    """Raises msgspec.ValidationError or msgspec.DecodeError."""
    return msgspec.json.decode(content, type=Manifest)
