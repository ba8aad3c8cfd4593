"""What parent and child say to each other: msgpack messages, each behind its length.

The child says `Ready` once, then answers each `Rows` with `Scores`. Matrices are little-endian
64-bit floats, row by row.
"""

import struct
from collections.abc import Callable

import msgspec
import numpy as np

from service.scoring.features import Matrix

LENGTH = struct.Struct(">I")
_FLOATS = np.dtype("<f8")


class Ready(msgspec.Struct, frozen=True):
    """The bundle is loaded, or refused with one sentence."""

    refused: str | None = None


class Rows(msgspec.Struct, frozen=True):
    """Feature rows to score."""

    width: int
    values: bytes


class Scores(msgspec.Struct, frozen=True):
    """Raw scores of the rows."""

    width: int
    values: bytes


def framed(message: msgspec.Struct) -> bytes:
    content = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(content)) + content


def received(read: Callable[[int], bytes]) -> bytes:
    """The next message; `read(n)` gives exactly n bytes or raises EOFError."""
    (length,) = LENGTH.unpack(read(LENGTH.size))
    return read(length)


def packed(matrix: Matrix) -> tuple[int, bytes]:
    """Width and values of a matrix, as `Rows` and `Scores` take them."""
    return matrix.shape[1], matrix.astype(_FLOATS).tobytes()


def unpacked(message: Rows | Scores) -> Matrix:
    return np.frombuffer(message.values, dtype=_FLOATS).reshape(-1, message.width)
