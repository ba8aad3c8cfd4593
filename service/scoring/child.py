"""The pipeline behind a process boundary: `python -m service.scoring.child FOLDER DIGEST`.

Importing scikit-learn takes seconds and 100 MB, and unpickling runs whatever the pickle
says, so neither happens in the service. The child verifies the bundle itself, unpickles the
verified bytes, and scores what comes on stdin until stdin closes; `frames` is the protocol.
"""

import os
import signal
import sys
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from service.scoring.bundle import VerifiedBundle, verify
from service.scoring.errors import BundleRefused
from service.scoring.frames import Ready, Rows, Scores, framed, packed, received, unpacked
from service.scoring.manifest import PIPELINE


def main(folder: str, digest: str) -> int:
    # Ctrl-C reaches the whole process group; the parent decides when this ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    inbound, outbound = _taken_streams()
    try:
        pipeline = _unpickled(verify(Path(folder), digest))
    except BundleRefused as refusal:
        _say(outbound, Ready(refused=str(refusal)))
        return 1
    _say(outbound, Ready())

    def read(size: int) -> bytes:
        content = inbound.read(size)
        if len(content) < size:
            raise EOFError
        return content

    try:
        while True:
            rows = unpacked(msgspec.msgpack.decode(received(read), type=Rows))
            _say(outbound, Scores(*packed(pipeline.transform(rows))))
    except (EOFError, ConnectionError):  # nobody asks any more, or waits for the answer
        return 0


def _taken_streams() -> tuple[BinaryIO, BinaryIO]:
    """stdin and stdout, kept from everyone else: a stray print must not tear the protocol."""
    inbound, outbound = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    os.dup2(2, 1)
    return inbound, outbound


def _unpickled(bundle: VerifiedBundle) -> Any:
    trained_with, installed = bundle.manifest.libraries.get("scikit-learn"), version("scikit-learn")
    if trained_with != installed:
        # A pickle of another version may load and yet answer otherwise.
        raise BundleRefused(
            f"{bundle.manifest.name}/{bundle.manifest.version} was trained with scikit-learn "
            f"{trained_with}; {installed} is installed."
        )
    import joblib

    return joblib.load(BytesIO(bundle.files[PIPELINE]))


def _say(outbound: BinaryIO, message: msgspec.Struct) -> None:
    outbound.write(framed(message))
    outbound.flush()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
