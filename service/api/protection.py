"""Protected mode: while there is no key, only this machine itself is answered, and nothing that
merely comes by way of it: no proxy, no web page, no name that leads here by a trick of DNS."""

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address

from service.api.problems import HttpProblem

_PROXIED = frozenset({b"forwarded", b"x-real-ip", b"via"})
_PROXIED_PREFIX = b"x-forwarded-"
# As browsers write them: whatever else means the same address is somebody's trick.
_HOST = re.compile(rb"(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(?::(\d{1,5}))?", re.ASCII)
_HIGHEST_PORT = 65_535
_ASKED_FOR = frozenset(
    {b"application/json", b"text/csv", b"application/x-ndjson", b"application/vnd.apache.parquet"}
)

Headers = Iterable[tuple[bytes, bytes]]


def check(peer: str | None, method: str, headers: Headers, *, pages: bool = False) -> None:
    """Go on only for a request from this machine. `pages`: a web page may send it too, as the
    route asks for a key of its own. Raises HttpProblem 403, 415."""
    if peer is None or not is_loopback(peer):
        raise _refused("it comes from another machine")
    host = origin = media_type = None
    has_body = False
    for name, value in headers:
        if name == b"host":
            if host is not None:
                raise _refused("it names two hosts")
            host = value
        elif name == b"content-type":
            # Of two, one may be what a web page can send.
            media_type = value if media_type is None else b""
        elif name == b"origin":
            if origin is not None:
                raise _refused("it names two origins")
            origin = value
        elif name == b"content-length":
            has_body = has_body or value.strip(b"0 ") != b""
        elif name == b"transfer-encoding":
            has_body = True
        elif name in _PROXIED or name.startswith(_PROXIED_PREFIX):
            raise _refused("it came through a proxy, as its headers tell")
    if host is None or not _names_this_machine(host):
        raise _refused("its Host is not localhost, 127.0.0.1 or [::1]")
    if pages:
        return
    if origin is not None and origin.lower() != b"http://" + host.lower():
        raise _refused("a web page of another origin sent it")
    # A browser sends other bodies for any page without asking first.
    if method == "POST" and has_body and not _asks_first(media_type or b""):
        detail = "without keys, the body of a POST has to be called application/json"
        raise HttpProblem(415, "unsupported", detail)


@lru_cache(maxsize=256)
def is_loopback(address: str) -> bool:
    """Whether an IP address is this machine's own, spoken to by itself."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=256)
def _names_this_machine(host: bytes) -> bool:
    match = _HOST.fullmatch(host.lower())
    if match is None or (match[2] is not None and int(match[2]) > _HIGHEST_PORT):
        return False
    return match[1] == b"localhost" or is_loopback(match[1].decode().strip("[]"))


@lru_cache(maxsize=256)
def _asks_first(media_type: bytes) -> bool:
    """Whether a browser asks us before it sends such a body for a page of another origin."""
    kind = media_type.partition(b";")[0].strip().lower()
    return kind in _ASKED_FOR or kind.endswith(b"+json")


def _refused(why: str) -> HttpProblem:
    detail = (
        f"without keys, only requests of this machine itself are answered, and {why}; "
        "make a key with `segserve keys create`, and send it"
    )
    return HttpProblem(403, "protected", detail)
