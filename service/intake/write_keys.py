"""The write key that a request shows in its headers: `Basic base64(KEY:)`, or `Bearer KEY`."""

import base64
import binascii
from collections.abc import Iterable

Headers = Iterable[tuple[bytes, bytes]]


def presented(headers: Headers) -> bytes | None:
    """The write key; None where no header shows one. A password beside it is ignored."""
    for name, value in headers:
        if name != b"authorization":
            continue
        scheme, _, rest = value.strip().partition(b" ")
        if scheme.lower() == b"bearer":
            return rest.strip() or None
        if scheme.lower() == b"basic":
            try:
                pair = base64.b64decode(rest.strip(), validate=True)
            except binascii.Error:
                return None
            return pair.partition(b":")[0] or None
    return None
