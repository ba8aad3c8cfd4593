"""The starter segments, as definitions ready for `PUT /segments/{key}`."""

from importlib import resources
from pathlib import Path
from typing import Any

import yaml

# A wheel carries the file inside the package; a checkout keeps it where people look for it.
_IN_WHEEL = resources.files("service.demo") / "starter.yaml"
_IN_CHECKOUT = Path(__file__).parents[2] / "examples" / "starter.yaml"


def starter_segments() -> list[dict[str, Any]]:
    """The segments of `examples/starter.yaml`, in its order, each with its `key`.

    Raises ValueError when the file is of a version this program does not know.
    """
    source = _IN_WHEEL if _IN_WHEEL.is_file() else _IN_CHECKOUT
    document = yaml.safe_load(source.read_text(encoding="utf-8"))
    if document.get("version") != 1:
        raise ValueError(f"{source}: version {document.get('version')!r} is not known; 1 is")
    segments: list[dict[str, Any]] = document["segments"]
    return segments
