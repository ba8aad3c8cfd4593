"""Train and write a bundle as a process of its own: `python -m models FILE NAME VERSION FOLDER`.

Prints one line of JSON: the digest to register, and the manifest.
"""

import sys
from pathlib import Path

import msgspec

from models.train_command import train
from models.training import TrainingRefused
from service.scoring.errors import BundleRefused


def main() -> None:
    """Train from a file of customers, one JSON document a line."""
    file, name, version, bundles = sys.argv[1:]
    try:
        digest, manifest = train(Path(file), name, version, Path(bundles))
    except (TrainingRefused, BundleRefused, OSError) as refusal:
        sys.exit(str(refusal))
    sys.stdout.buffer.write(msgspec.json.encode({"digest": digest, "manifest": manifest}))


if __name__ == "__main__":
    main()
