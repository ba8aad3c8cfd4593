"""Generated households, and bundles made of them or forged."""

import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models import household_tiers
from models.publishing import write_bundle
from models.training import TrainedModel, train_clusters
from service.scoring import manifest as manifests
from service.scoring.manifest import MANIFEST, FileDigest, bundle_folder

NAME = household_tiers.NAME
CREATED_AT = datetime(2026, 11, 1, tzinfo=UTC)


def household(source: random.Random) -> dict[str, Any]:
    """A household of one of five kinds; some traits are missing."""
    orders = 1 + int(source.choice([2, 5, 15, 40, 120]) * source.lognormvariate(0, 0.4))
    basket = source.lognormvariate(3, 0.5)
    traits = {
        "orders": orders,
        "revenue": round(orders * basket, 2),
        "average_order_value": round(basket, 2),
        "median_gap_days": round(300 / orders * source.uniform(0.5, 1.5), 4),
        "discount_share": round(source.betavariate(8, 2), 4),
        "private_label_share": round(source.betavariate(2, 6), 4),
        "orders_90d": int(orders * source.uniform(0.1, 0.4)),
        "country": "US",
    }
    for trait in ("median_gap_days", "discount_share", "orders_90d"):
        if source.random() < 0.1:
            del traits[trait]
    return traits


def households(count: int, seed: int = 1) -> list[dict[str, Any]]:
    source = random.Random(seed)
    return [household(source) for _ in range(count)]


def odd_households(count: int, seed: int = 2) -> list[dict[str, Any]]:
    """Households with any trait missing, of another type, negative, huge or zero."""
    source = random.Random(seed)
    odd: list[Any] = [None, "12", True, [], {}, 0, 0.0, -3.5, 1e12, -1e9, 1e300, 10**400, 5e-324]
    odd += [float("nan"), float("inf")]
    answer = households(count, seed)
    for traits in answer:
        for trait in [feature.trait for feature in household_tiers.FEATURES]:
            if source.random() < 0.2:
                traits[trait] = source.choice(odd)
            elif source.random() < 0.1:
                traits.pop(trait, None)
    return answer


def trained(version: str = "1", count: int = 1200, **changes: Any) -> TrainedModel:
    arguments = {
        "features": household_tiers.FEATURES,
        "required": household_tiers.REQUIRED,
        "value_trait": household_tiers.VALUE_TRAIT,
    }
    return train_clusters(NAME, version, households(count), **(arguments | changes))


def published(bundles: Path, model: TrainedModel) -> tuple[Path, str]:
    """The folder and digest of a bundle on disk."""
    digest = write_bundle(model, bundles, created_at=CREATED_AT)
    return bundle_folder(bundles, model.name, model.version), digest


def forge(folder: Path, files: dict[str, bytes], **changes: Any) -> str:
    """Replace files and manifest entries so that everything fits; the new digest."""
    manifest = json.loads((folder / MANIFEST).read_bytes()) | changes
    for name, content in files.items():
        (folder / name).write_bytes(content)
        digest = FileDigest.of(content)
        manifest["files"][name] = {"sha256": digest.sha256, "size": digest.size}
    content = json.dumps(manifest).encode()
    (folder / MANIFEST).write_bytes(content)
    return manifests.sha256(content)
