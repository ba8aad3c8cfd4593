"""The demo's parts, read and made; whoever loads them decides where they go."""

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from service.demo.households import Households

MODEL = "household-tiers"
# What the model reads of a household.
FEATURES = (
    "orders", "revenue", "average_order_value", "median_gap_days", "discount_share",
    "private_label_share", "orders_90d",
)  # fmt: skip
# A household that shows something: the one with most revenue whose shopper answered the survey.
SAMPLE = "household-1609"


def declarations() -> dict[str, dict[str, Any]]:
    """Each of the demo's traits as `PUT /traits/{name}` takes it."""
    from service.demo.traits import GIVEN, derived_traits

    given = {
        trait.name: {
            "type": trait.type,
            "dimension": trait.dimension,
            "description": trait.description,
        }
        for trait in GIVEN
    }
    return given | derived_traits()


def households(now: datetime) -> "Households":
    """The households; some seconds, most of which go to importing pandas."""
    from service.demo.households import Households

    return Households.read(now)


def train_tiers(
    traits: Iterable[Mapping[str, Any]], bundles: Path
) -> tuple[str, str, dict[str, Any]]:
    """Train the demo's model on customers' traits, in a child process, which scikit-learn may fill;
    its version, the bundle's digest and manifest. Raises RuntimeError with what the child said."""
    # A version is never rewritten, and an earlier demo may have left some.
    taken = [int(path.name) for path in (bundles / MODEL).glob("*") if path.name.isdigit()]
    version = str(max(taken, default=0) + 1)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "customers.ndjson"
        file.write_bytes(b"\n".join(msgspec.json.encode({"traits": each}) for each in traits))
        command = [
            sys.executable,
            "-m",
            "models",
            str(file),
            MODEL,
            version,
            str(bundles),
        ]
        child = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own module
    if child.returncode != 0:
        raise RuntimeError(f"training the demo's model failed: {child.stderr.strip()[-2000:]}")
    answer = msgspec.json.decode(child.stdout.encode())
    return version, answer["digest"], answer["manifest"]
