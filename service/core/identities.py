"""Identities: how somebody is known who has not told the caller's own id of them."""

import base64
import hashlib

_LENGTH = 26  # base32 characters: 130 bits, which no two people share by chance


def anonymous_customer(anonymous_id: str) -> str:
    """The customer id of somebody who is known by an anonymous id only: `anon_` and 26 characters
    of a-z and 2-7. The same in every source, as one browser may tell several of them."""
    digest = hashlib.sha256(b"anonymous:" + anonymous_id.encode()).digest()
    return "anon_" + base64.b32encode(digest)[:_LENGTH].decode().lower()
