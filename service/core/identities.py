"""Identities: how somebody is known beside the caller's own id, and who they turn out to be.

Every identity has a customer id of its own, under which its holder is kept while nobody has claimed
it. Two kinds of links join customer ids to persons. A *claim* says that an identity is somebody's:
it belongs to whoever claimed it earliest, by time and message id, whatever order the claims arrive
in. A *merge* says that two customers are one person, the first of whom goes on. A person is a set
of customer ids, one of which, the root, names them.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

ANONYMOUS = "anonymous_id"
EMAIL = "email"
PHONE = "phone"

_LENGTH = 26  # base32 characters: 130 bits, which no two people share by chance
_GENERATED = "anon_"
_OWN = re.compile(r"anon_[a-z2-7]{26}")


def anonymous_customer(anonymous_id: str) -> str:
    """The customer id of somebody who is known by an anonymous id only: `anon_` and 26 characters
    of a-z and 2-7. The same in every source, as one browser may tell several of them."""
    digest = hashlib.sha256(b"anonymous:" + anonymous_id.encode()).digest()
    return _generated(digest)


def _generated(digest: bytes) -> str:
    return _GENERATED + base64.b32encode(digest)[:_LENGTH].decode().lower()


def is_generated(customer_id: str) -> bool:
    """Whether an id is that of an identity, and not the caller's."""
    return _OWN.fullmatch(customer_id) is not None


class Identity(NamedTuple):
    """What somebody is known by: `kind` is email, phone, anonymous_id, or the namespace of a
    vendor's ids, such as a shop's."""

    kind: str
    value: str


def strength(identity: Identity) -> tuple[int, str, str]:
    """A key that sorts identities, the strongest first: vendors' ids, e-mail, phone, anonymous
    ids; and by name, so that there is always one order."""
    rank = {EMAIL: 1, PHONE: 2, ANONYMOUS: 3}.get(identity.kind, 0)
    return rank, identity.kind, identity.value


def normalised(identity: Identity) -> Identity | None:
    """An identity as it is compared: e-mail addresses in lower case, phone numbers without what
    only divides their digits; None where nothing, or no address, is left."""
    kind, value = identity
    value = value.strip()
    if kind == EMAIL:
        value = value.lower()
        name, at, host = value.rpartition("@")
        if not (name and at and host) or any(map(str.isspace, value)):
            return None
    elif kind == PHONE:
        plus = "+" if value.startswith(("+", "00")) else ""
        digits = "".join(each for each in value if each.isascii() and each.isdigit())
        if value.startswith("00"):
            digits = digits[2:]
        if not digits:
            return None
        value = plus + digits
    return Identity(kind, value) if value else None


class Namer:
    """Gives identities their customer ids.

    They are keyed hashes (HMAC-SHA-256, RFC 2104), as whoever sees an id, in a log or a webhook,
    must not find the address behind it by trying addresses. Anonymous ids, which nobody guesses,
    do without the salt.
    """

    def __init__(self, salt: bytes) -> None:
        self._salt = salt

    def customer_of(self, identity: Identity) -> str:
        """The customer id of an identity, which is normalised."""
        if identity.kind == ANONYMOUS:
            return anonymous_customer(identity.value)
        told = f"{identity.kind}:{identity.value}".encode(errors="surrogatepass")
        return _generated(hmac.digest(self._salt, told, "sha256"))


class Link(StrEnum):
    """What a claim says: that an identity is somebody's, or that two customers are one person."""

    CLAIM = "claim"
    MERGE = "merge"


@dataclass(frozen=True, slots=True)
class Claim:
    """That `customer_id`, an identity's or (a merge) a customer's, is `claimant`, told by a message
    of an instant in microseconds. Unless it is `verified` it is known, and joins nobody."""

    customer_id: str
    claimant: str
    at: int
    message_id: str
    source: str
    kind: Link = Link.CLAIM
    verified: bool = True

    @property
    def key(self) -> tuple[str, str, str]:
        """What one claim is kept for, however often it is told."""
        return self.customer_id, self.claimant, self.kind

    @property
    def order(self) -> tuple[int, str, str, str]:
        """Claims compare by time and message id; by their content where even those are equal."""
        return self.at, self.message_id, self.claimant, self.customer_id


def earliest(claims: Iterable[Claim]) -> dict[tuple[str, str, str], Claim]:
    """Of each claim what is kept: as it was verified first, else as it was told first."""
    found: dict[tuple[str, str, str], Claim] = {}
    for claim in claims:
        known = found.get(claim.key)
        if known is None or precedence(claim) < precedence(known):
            found[claim.key] = claim
    return found


def precedence(claim: Claim) -> tuple[bool, int, str, str, str]:
    """A key by which, of two that tell the same claim, the one that stands is the lesser."""
    return not claim.verified, *claim.order


def roots(claims: Collection[Claim]) -> dict[str, str]:
    """Who everybody is: the root of each customer id that is joined to another. The same for the
    same claims, in whatever order they come.

    First each identity goes to its earliest claimant; then the merges are made one by one in their
    own order, each putting the whole of one person under the other. An identity that was merged
    itself, while nobody had claimed it, is nobody's to claim: else whoever does, in any browser,
    would be merged along with it.
    """
    owner: dict[str, str] = {}
    merged = {each.customer_id for each in claims if each.verified and each.kind is Link.MERGE}
    joining = sorted((each for each in claims if each.verified), key=lambda each: each.order)
    for claim in joining:
        settled = claim.customer_id in owner or claim.customer_id in merged
        if claim.kind is not Link.CLAIM or settled:
            continue
        if _root(owner, claim.claimant) != claim.customer_id:
            owner[claim.customer_id] = claim.claimant
    for claim in joining:
        if claim.kind is Link.MERGE:
            loser, survivor = _root(owner, claim.customer_id), _root(owner, claim.claimant)
            if loser != survivor:
                owner[loser] = survivor
    return {each: _root(owner, each) for each in owner}


def _root(owner: Mapping[str, str], customer_id: str) -> str:
    while customer_id in owner:
        customer_id = owner[customer_id]
    return customer_id
