"""Whom a message is about, and what it tells of who is whom.

What a browser says of an address joins nobody, as anybody can type anybody's: it is known, so that
customers are found by it. What servers say is verified.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from service.core.decisions import GUEST, PERSON
from service.core.identities import (
    ANONYMOUS,
    EMAIL,
    PHONE,
    Claim,
    Identity,
    Link,
    Namer,
    normalised,
    strength,
)
from service.core.problems import Problem, escape
from service.intake.messages import Refused

ID_LENGTH = 256
# Vendors' names of kinds that have a name here, as `merge` messages write them.
_KINDS = {"mobile": PHONE, "anonymousId": ANONYMOUS, "e-mail": EMAIL}
_USERS = frozenset({"user_id", "userId", "customer_id"})
_NAMESPACE = re.compile(r"[a-z0-9][a-z0-9_./-]{0,63}", re.ASCII)
_TRAITS = (EMAIL, PHONE)
# What is sent for want of an id, as a rule by mistake: by it, strangers would be one person.
_NOBODYS = frozenset(
    ("null", "(null)", "nil", "none", "undefined", "nan", "true", "false", "-1", "anonymous",
     "guest", "unknown", "n/a", "[object object]")
)  # fmt: skip
NOBODYS = "this is sent for want of an id, and names nobody"


@dataclass(slots=True)
class Naming:
    """Whom something is about. `claims`: what it tells of who is whom; `names`: what customer ids
    of identities stand for."""

    customer_id: str
    claims: list[Claim] = field(default_factory=list)
    names: dict[str, Identity] = field(default_factory=dict)

    @property
    def type(self) -> str:
        """As what the customer is known who is told of for the first time."""
        identity = self.names.get(self.customer_id)
        return PERSON if identity is None or identity.kind == ANONYMOUS else GUEST


@dataclass(frozen=True, slots=True)
class Telling:
    """When something was told, by which message of which source, and whether by a server."""

    at: int
    message_id: str
    source: str
    server: bool


def is_nobodys(value: Any) -> bool:
    """Whether an id is one that many send who have none: `null`, `undefined`, zeroes."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value:
        return False
    return value.strip().casefold() in _NOBODYS or not value.strip(" 0-")


def user_id(body: Mapping[str, Any], name: str = "userId") -> str | None:
    """A customer's id, as a message tells it; some SDKs send a number. Raises Refused."""
    value = body.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value or is_nobodys(value):
        return None
    if len(value) > ID_LENGTH:
        raise Refused("too_long", f"an id has {ID_LENGTH} characters at most", f"/{name}")
    return value


def anonymous(value: Any) -> Identity | None:
    """An anonymous id, of any length; some SDKs send a number."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value or is_nobodys(value):
        return None
    return Identity(ANONYMOUS, value)


def address(traits: Mapping[str, Any], kind: str = EMAIL) -> Identity | None:
    """The e-mail address, or the phone number, that traits or properties tell."""
    value = traits.get(kind)
    if not isinstance(value, str) or len(value) > ID_LENGTH:
        return None
    return normalised(Identity(kind, value))


def naming_of(body: Mapping[str, Any], guest: Identity | None, namer: Namer) -> str:
    """The customer id that a message is about: the caller's own, else that of the guest whose
    e-mail address a server tells with an order, else that of the anonymous id. Raises Refused."""
    known = user_id(body)
    if known is not None:
        return known
    if guest is not None:
        return namer.customer_of(guest)
    visitor = anonymous(body.get("anonymousId"))
    if visitor is None:
        for fault in nobodys(body):
            raise Refused(fault.code, fault.detail, fault.pointer)
        detail = "a message names a userId or an anonymousId"
        raise Refused("required", detail, "/userId")
    return namer.customer_of(visitor)


def nobodys(body: Mapping[str, Any]) -> list[Problem]:
    """What is to be told of ids that a message has and that name nobody."""
    names = ("userId", "anonymousId")
    return [
        Problem(f"/{name}", "bad_value", NOBODYS) for name in names if is_nobodys(body.get(name))
    ]


def claims_of(
    naming: Naming,
    body: Mapping[str, Any],
    context: Mapping[str, Any],
    traits: Mapping[str, Any],
    guest: Identity | None,
    told: Telling,
    namer: Namer,
) -> None:
    """Add to `naming` what a message tells of who is whom: its anonymous id is its customer's, and
    so are addresses among its traits, and `context.externalIds` that a server tells."""
    visitor = anonymous(body.get("anonymousId"))
    if visitor is not None:
        _claim(naming, visitor, told, namer, verified=True)
    known = user_id(body) is not None
    addresses = [address(traits, kind) for kind in _TRAITS]
    for identity in (guest, *addresses):
        if identity is not None:
            # Of somebody anonymous an address is no proof of who they are.
            _claim(naming, identity, told, namer, verified=told.server and known)
    if told.server and known:
        for identity in _external(context, told.source):
            _claim(naming, identity, told, namer, verified=True)


def alias(naming: Naming, body: Mapping[str, Any], told: Telling, namer: Namer) -> None:
    """Add what an alias message says: that somebody until now known by another id is its customer.
    Only a server may say so of a customer's id. Raises Refused."""
    previous = user_id(body, "previousId") or user_id(body, "anonymousId")
    if previous is None:
        raise Refused("required", "an alias message names its previousId", "/previousId")
    _claim(naming, Identity(ANONYMOUS, previous), told, namer, verified=True)
    if told.server and previous != naming.customer_id:
        naming.claims.append(_merge(previous, naming.customer_id, told))


def merging(body: Mapping[str, Any], told: Telling, namer: Namer) -> Naming:
    """What a merge message says, by RudderStack's specification: two identities, in
    `mergeProperties`, are one person. The stronger one goes on. Raises Refused."""
    pair = body.get("mergeProperties")
    if not told.server:
        raise Refused("server_only", "only servers may merge", "/type")
    if not isinstance(pair, list) or len(pair) != 2:
        raise Refused("required", "a merge message has two mergeProperties", "/mergeProperties")
    users: list[str] = []
    others: list[Identity] = []
    for place, each in enumerate(pair):
        here = f"/mergeProperties/{place}"
        kind, value = _typed(each)
        if is_nobodys(value):
            raise Refused("bad_value", NOBODYS, here)
        if kind in _USERS and len(value) <= ID_LENGTH:
            users.append(value)
            continue
        identity = normalised(Identity(_KINDS.get(kind, kind), value))
        if identity is None or not _NAMESPACE.fullmatch(identity.kind) or len(value) > ID_LENGTH:
            raise Refused("bad_value", "this is no identity: a type and its value", here)
        others.append(identity)
    others.sort(key=strength)
    ids = [*users, *(namer.customer_of(each) for each in others)]
    naming = Naming(ids[0], names={namer.customer_of(each): each for each in others})
    if ids[0] != ids[1]:
        naming.claims.append(_merge(ids[1], ids[0], told))
    return naming


def identified(
    customer_id: str | None, given: Mapping[str, Any], told: Telling, namer: Namer
) -> Naming | list[Problem]:
    """Whom identities name, beside a customer's id or without one, as a server tells them: the
    strongest of them names who has no id. What is wrong with them otherwise."""
    problems: list[Problem] = []
    found: list[Identity] = []
    if is_nobodys(customer_id):
        problems.append(Problem("/customer_id", "bad_value", NOBODYS))
    for kind, value in given.items():
        here = f"/identities/{escape(kind)}"
        if not _NAMESPACE.fullmatch(kind):
            detail = "a kind of identity has 1-64 characters: a-z, 0-9, _ . / -"
            problems.append(Problem(here, "bad_name", detail))
        elif not isinstance(value, str) or len(value) > ID_LENGTH or "\0" in value:
            detail = f"an identity is a text of at most {ID_LENGTH} characters"
            problems.append(Problem(here, "bad_value", detail))
        elif is_nobodys(value):
            problems.append(Problem(here, "bad_value", NOBODYS))
        else:
            identity = normalised(Identity(kind, value))
            if identity is None:
                detail = f"this is no {kind}" if kind in _TRAITS else "an identity can't be empty"
                problems.append(Problem(here, "bad_value", detail))
            else:
                found.append(identity)
    if problems:
        return problems
    found.sort(key=strength)
    naming = Naming(namer.customer_of(found[0]) if customer_id is None else customer_id)
    for identity in found:
        _claim(naming, identity, told, namer, verified=True)
    return naming


def _claim(
    naming: Naming, identity: Identity, told: Telling, namer: Namer, *, verified: bool
) -> None:
    """Have an identity be the customer's."""
    own = namer.customer_of(identity)
    # Who asks for an anonymous id comes to its customer without a table: one that is longer than
    # any SDK makes it need not be kept.
    if len(identity.value) <= ID_LENGTH and (
        own != naming.customer_id or identity.kind != ANONYMOUS
    ):
        naming.names[own] = identity
    if own != naming.customer_id:
        naming.claims.append(
            Claim(own, naming.customer_id, told.at, told.message_id, told.source, verified=verified)
        )


def _merge(loser: str, survivor: str, told: Telling) -> Claim:
    return Claim(loser, survivor, told.at, told.message_id, told.source, Link.MERGE)


def _external(context: Mapping[str, Any], source: str) -> Iterator[Identity]:
    """Vendors' ids, by Segment's specification: each in its source's namespace."""
    told = context.get("externalIds")
    for each in told if isinstance(told, list) else ():
        kind, value = _typed(each)
        identity = normalised(Identity(f"{source}/{kind}".lower(), value))
        if identity is None or not kind or len(value) > ID_LENGTH or is_nobodys(value):
            continue
        if _NAMESPACE.fullmatch(identity.kind):
            yield identity


def _typed(each: Any) -> tuple[str, str]:
    if not isinstance(each, dict):
        return "", ""
    kind, value = each.get("type"), each.get("value", each.get("id"))
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return (kind, value) if isinstance(kind, str) and isinstance(value, str) else ("", "")
