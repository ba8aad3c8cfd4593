"""Who somebody is depends on what was told, and not on when it arrived."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.identities import (
    Claim,
    Identity,
    Link,
    Namer,
    anonymous_customer,
    earliest,
    normalised,
    roots,
    strength,
)

NODES = "abcd"
CUSTOMERS = "KLM"


def claim(who: str, claimant: str, at: int, **more: Any) -> Claim:
    return Claim(who, claimant, at, more.pop("message_id", f"m-{at}"), "web", **more)


def merge(loser: str, survivor: str, at: int) -> Claim:
    return claim(loser, survivor, at, kind=Link.MERGE)


_CLAIMS = st.builds(
    claim,
    st.sampled_from(NODES),
    st.sampled_from(CUSTOMERS + "d"),
    st.integers(0, 5),
    message_id=st.sampled_from(("m-1", "m-2")),
    verified=st.sampled_from((True, True, False)),
)
_MERGES = st.builds(merge, *[st.sampled_from(CUSTOMERS)] * 2, st.integers(0, 5))
_TOLD = st.lists(st.one_of(_CLAIMS, _MERGES), max_size=8)


@given(_TOLD, st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_the_same(told: list[Claim], random: Any) -> None:
    expected = roots(told)
    shuffled = [*told, *told]  # and any repetition
    random.shuffle(shuffled)
    kept: dict[Any, Claim] = {}
    for each in shuffled:
        kept = earliest([*kept.values(), each])
    assert roots(kept.values()) == expected


@given(_TOLD)
def test_a_root_is_nobody_elses(told: list[Claim]) -> None:
    found = roots(told)
    assert all(root not in found for root in found.values())
    mentioned = {each.customer_id for each in told} | {each.claimant for each in told}
    assert found.keys() | set(found.values()) <= mentioned


@given(_TOLD)
def test_an_identity_is_whose_claim_was_first(told: list[Claim]) -> None:
    told = [each for each in told if each.claimant in CUSTOMERS]
    found = roots(told)
    claims = [each for each in told if each.kind is Link.CLAIM and each.verified]
    for who in {each.customer_id for each in claims}:
        first = min((each for each in claims if each.customer_id == who), key=lambda c: c.order)
        assert found[who] == found.get(first.claimant, first.claimant)


@given(_TOLD)
def test_those_merged_are_one(told: list[Claim]) -> None:
    found = roots(told)
    for each in told:
        if each.kind is Link.MERGE:
            one, other = each.customer_id, each.claimant
            assert found.get(one, one) == found.get(other, other)


def test_the_earliest_claimant_has_an_identity() -> None:
    late, early = claim("a", "K", 2), claim("a", "L", 1)
    assert roots([late]) == {"a": "K"}
    assert roots([late, early]) == {"a": "L"}
    assert roots([claim("a", "K", 1, message_id="m-2"), claim("a", "L", 1, message_id="m-1")]) == {
        "a": "L"
    }


def test_what_is_not_verified_joins_nobody() -> None:
    assert roots([claim("a", "K", 1, verified=False)]) == {}
    [kept] = earliest([claim("a", "K", 1, verified=False), claim("a", "K", 2)]).values()
    assert (kept.verified, kept.at) == (True, 2)


def test_merges_carry_everything_of_the_loser() -> None:
    told = [claim("a", "K", 1), merge("K", "L", 2), merge("L", "M", 3)]
    assert roots(told) == {"a": "M", "K": "M", "L": "M"}
    # The other way round of what is one already changes nothing.
    assert roots([*told, merge("M", "K", 4)]) == roots(told)


def test_what_was_merged_itself_is_nobodys_to_claim() -> None:
    told = [merge("a", "K", 3), claim("a", "L", 1), claim("a", "M", 9)]
    assert roots(told) == {"a": "K"}


def test_a_guest_becomes_known() -> None:
    assert roots([claim("a", "d", 1), claim("d", "K", 2)]) == {"a": "K", "d": "K"}


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("email", " Ann@Example.COM ", "ann@example.com"),
        ("email", "ann", None),
        ("email", "ann@", None),
        ("email", "an n@example.com", None),
        ("phone", "+420 777-123 456", "+420777123456"),
        ("phone", "00420 777123456", "+420777123456"),
        ("phone", "777 123 456", "777123456"),
        ("phone", "call me", None),
        ("shopify", " 42 ", "42"),
        ("shopify", "  ", None),
        ("anonymous_id", "A-1", "A-1"),
    ],
)
def test_identities_compare_as_they_are_meant(kind: str, value: str, expected: str | None) -> None:
    found = normalised(Identity(kind, value))
    assert (found and found.value) == expected


def test_identities_have_customer_ids() -> None:
    namer, other = Namer(b"salt"), Namer(b"another")
    ann = Identity("email", "ann@example.com")
    assert namer.customer_of(ann) == Namer(b"salt").customer_of(ann)
    assert namer.customer_of(ann) != other.customer_of(ann)
    assert namer.customer_of(ann) != namer.customer_of(Identity("shopify", "ann@example.com"))
    anonymous = Identity("anonymous_id", "a-1")
    assert namer.customer_of(anonymous) == other.customer_of(anonymous) == anonymous_customer("a-1")
    assert all(len(namer.customer_of(each)) == 31 for each in (ann, anonymous))


def test_the_strongest_identity_names_its_customer() -> None:
    told = [Identity(kind, "1") for kind in ("anonymous_id", "phone", "shop", "email", "crm")]
    assert [each.kind for each in sorted(told, key=strength)] == [
        "crm", "shop", "email", "phone", "anonymous_id",
    ]  # fmt: skip
