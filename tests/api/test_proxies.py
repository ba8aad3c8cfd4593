"""Whose word on the client's address is taken."""

from typing import Any

import pytest

from service.api.proxies import Proxies


def scope(peer: str | None, *told: str) -> dict[str, Any]:
    headers = [(b"x-forwarded-for", each.encode("latin-1")) for each in told]
    return {"client": None if peer is None else (peer, 1), "headers": headers}


@pytest.mark.parametrize(
    ("peer", "told", "client"),
    [
        ("10.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", [], "10.0.0.1"),
        # Nobody else is believed.
        ("192.0.2.1", ["203.0.113.7"], "192.0.2.1"),
        (None, ["203.0.113.7"], None),
        # What the client itself put before the proxy's word is not.
        ("10.0.0.1", ["127.0.0.1, 203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["127.0.0.1", "203.0.113.7"], "203.0.113.7"),
        # A chain of proxies, of which each is trusted.
        ("10.0.0.1", ["127.0.0.1, 203.0.113.7, 2001:db8::5"], "203.0.113.7"),
        ("10.0.0.1", ["10.0.0.9, 10.0.0.8"], "10.0.0.9"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.7, _hidden"], "10.0.0.1"),
        ("10.0.0.1", ["\xff, "], "10.0.0.1"),
    ],
)
def test_the_address(peer: str | None, told: list[str], client: str | None) -> None:
    assert Proxies("10.0.0.0/8, 2001:db8::5").client(scope(peer, *told)) == client


def test_without_proxies_only_the_peer_counts() -> None:
    for none in (None, "", " "):
        assert Proxies(none).client(scope("127.0.0.1", "203.0.113.7")) == "127.0.0.1"
