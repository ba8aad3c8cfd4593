"""Train and publish in one go, for the command line: run it in a child process.

Importing this module imports scikit-learn, which takes seconds and 100 MB.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from models import household_tiers
from models.publishing import write_bundle
from models.training import TrainingRefused, train_clusters
from service.scoring.bundle import verify
from service.scoring.manifest import Feature, Manifest, bundle_folder

Customers = Path | Iterable[Mapping[str, Any]]
Progress = Callable[[int, int, str], None]

_STEPS = ("Reading customers", "Training", "Converting and checking")


class _Line(msgspec.Struct):
    """A line of customers, as `POST /assign` takes them; other keys are ignored."""

    traits: dict[str, Any]


def train(
    customers: Customers,
    name: str,
    version: str,
    bundles: Path,
    progress: Progress | None = None,
    *,
    features: tuple[Feature, ...] = household_tiers.FEATURES,
    required: tuple[str, ...] = household_tiers.REQUIRED,
    value_trait: str = household_tiers.VALUE_TRAIT,
    clusters: int = household_tiers.CLUSTERS,
    seed: int = 0,
) -> tuple[str, Manifest]:
    """Train clusters and write `<bundles>/<name>/<version>/`; its digest and manifest.

    `customers` is a file of JSON lines `{"traits": {…}}`, or the traits of each customer.
    `progress` hears (steps done, steps in all, the step begun). Raises TrainingRefused,
    BundleRefused, OSError.
    """
    report = progress or (lambda done, total, label: None)
    report(0, len(_STEPS), _STEPS[0])
    profiles = _lines(customers) if isinstance(customers, Path) else list(customers)
    report(1, len(_STEPS), _STEPS[1])
    trained = train_clusters(
        name,
        version,
        profiles,
        features=features,
        required=required,
        value_trait=value_trait,
        clusters=clusters,
        seed=seed,
    )
    report(2, len(_STEPS), _STEPS[2])
    digest = write_bundle(trained, bundles)
    report(len(_STEPS), len(_STEPS), "Done")
    return digest, verify(bundle_folder(bundles, name, version), digest).manifest


def _lines(path: Path) -> list[Mapping[str, Any]]:
    decoder = msgspec.json.Decoder(_Line)
    profiles: list[Mapping[str, Any]] = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.isspace():
                continue
            try:
                profiles.append(decoder.decode(line).traits)
            except (msgspec.ValidationError, msgspec.DecodeError) as error:
                raise TrainingRefused(f"{path.name}, line {number}: {error}.") from error
    return profiles
