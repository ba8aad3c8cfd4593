"""The address that a request came from, where a proxy stands before the service."""

from collections.abc import Iterable, MutableMapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any


class Proxies:
    """The proxies whose X-Forwarded-For is believed; nobody else's is."""

    def __init__(self, trusted: str | None) -> None:
        """`trusted`: addresses and networks, separated by commas. Raises ValueError."""
        self._trusted: list[IPv4Network | IPv6Network] = [
            ip_network(each.strip()) for each in (trusted or "").split(",") if each.strip()
        ]

    def client(self, scope: MutableMapping[str, Any]) -> str | None:
        """The peer; of a trusted proxy the address that it tells, or that the next one does."""
        peer = scope.get("client")
        address: str | None = peer[0] if peer else None
        told = self._told(scope["headers"])
        while address is not None and told and self._trusts(address):
            candidate = told.pop()
            if not _is_address(candidate):
                break
            address = candidate
        return address

    @staticmethod
    def _told(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
        lines = [value.decode("latin-1") for name, value in headers if name == b"x-forwarded-for"]
        return [each.strip() for each in ",".join(lines).split(",")]

    def _trusts(self, address: str) -> bool:
        return _is_address(address) and any(ip_address(address) in each for each in self._trusted)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
