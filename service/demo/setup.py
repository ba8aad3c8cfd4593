"""The demo's parts, read and computed; whoever loads them decides where they go."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

MODEL = "household-tiers"
Progress = Callable[[int, int, str], None]


def declarations() -> dict[str, dict[str, str]]:
    """Type, dimension and description of each of the demo's traits."""
    from service.demo.traits import TRAITS

    return {
        trait.name: {
            "type": trait.type,
            "dimension": trait.dimension,
            "description": trait.description,
        }
        for trait in TRAITS
    }


def households(now: datetime, progress: Progress | None = None) -> tuple[list[dict[str, Any]], int]:
    """The customers, and by how many weeks the data's dates were moved."""
    from service.demo import households as computed
    from service.demo.tables import WEEK, read_tables, shift

    tables = read_tables()
    customers = [dict(customer) for customer in computed.customers(tables, now, progress)]
    return customers, shift(tables, now) // WEEK


def train_tiers(customers: list[dict[str, Any]], bundles: Path) -> tuple[str, str, dict[str, Any]]:
    """Train the demo's model in a child process, which scikit-learn may fill; its version, the
    bundle's digest and manifest. Raises RuntimeError with what the child said."""
    # A version is never rewritten, and an earlier demo may have left some.
    taken = [int(path.name) for path in (bundles / MODEL).glob("*") if path.name.isdigit()]
    version = str(max(taken, default=0) + 1)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "customers.ndjson"
        file.write_bytes(b"\n".join(msgspec.json.encode(customer) for customer in customers))
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
