"""Protected mode: without keys, nothing is answered that is not plainly this machine's own."""

import asyncio
from collections.abc import Sequence

import httpx
import pytest

from service.api import protection
from service.api.problems import HttpProblem
from service.core.access import SYSTEM, Scope
from service.core.instants import to_datetime
from service.store import keys
from tests.api.conftest import Served
from tests.running import eventually

pytestmark = pytest.mark.anyio

Head = Sequence[tuple[str, str]]
LOCAL = ("Host", "localhost")
BODY = '{"traits": {"age": 31}}'
JSON = ("Content-Type", "application/json")


async def raw(client: httpx.AsyncClient, head: Head, request: str, body: str = "") -> bytes:
    """The answer to a request whose headers are sent as they are, and nothing beside them."""
    port = client.base_url.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"{request} HTTP/1.1", *(f"{name}: {value}" for name, value in head)]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    lines.append("Connection: close")
    writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode("latin-1"))
    answer = await reader.read()
    writer.close()
    return answer


def status(answer: bytes) -> int:
    return int(answer.split()[1])


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST", "localhost:8000", "127.0.0.1", "127.0.0.1:80", "127.8.9.1",
     "[::1]", "[::1]:8000"],
)  # fmt: skip
async def test_this_machine_is_answered(refusing: httpx.AsyncClient, host: str) -> None:
    for request in ("GET /segments", "GET /healthz", "GET /catalog"):
        assert status(await raw(refusing, [("Host", host)], request)) == 200
    answer = await raw(refusing, [("Host", host), JSON], "POST /assign", BODY)
    assert status(answer) == 200


NOT_LOCAL: list[Head] = [
    # A name that leads here by DNS, and what else is not written as this machine's address.
    [("Host", "rebound.example.com")],
    [("Host", "rebound.example.com:8000")],
    [("Host", "localhost.example.com")],
    [("Host", "127.0.0.1.example.com")],
    [("Host", "localhost.")],
    [("Host", "0.0.0.0")],  # noqa: S104 - nothing is bound to it
    [("Host", "0.0.0.0:8000")],
    [("Host", "0")],
    [("Host", "127.1")],
    [("Host", "127.0.0.01")],
    [("Host", "127.0.0.256")],
    [("Host", "0x7f.0.0.1")],
    [("Host", "2130706433")],
    [("Host", "128.0.0.1")],
    [("Host", "192.168.1.5")],
    [("Host", "::1")],
    [("Host", "[::]")],
    [("Host", "[::2]")],
    [("Host", "[::ffff:127.0.0.1]")],
    [("Host", "[::1%lo]")],
    [("Host", "user@localhost")],
    [("Host", "localhost:80@evil.example.com")],
    [("Host", "localhost:")],
    [("Host", "localhost:port")],
    [("Host", "localhost:99999")],
    [("Host", "localhost, evil.example.com")],
    [("Host", "")],
    [],
    [LOCAL, LOCAL],
    [LOCAL, ("Host", "evil.example.com")],
    [("Host", "evil.example.com"), LOCAL],
    # Proxies.
    [LOCAL, ("Forwarded", "for=203.0.113.7")],
    [LOCAL, ("forwarded", "")],
    [LOCAL, ("X-Forwarded-For", "127.0.0.1")],
    [LOCAL, ("x-forwarded-host", "localhost")],
    [LOCAL, ("X-FORWARDED-PROTO", "https")],
    [LOCAL, ("X-Forwarded-Anything", "")],
    [LOCAL, ("X-Real-IP", "127.0.0.1")],
    [LOCAL, ("Via", "1.1 cache")],
    # Web pages.
    [LOCAL, ("Origin", "http://evil.example.com")],
    [LOCAL, ("Origin", "null")],
    [LOCAL, ("Origin", "")],
    [LOCAL, ("Origin", "https://localhost")],
    [LOCAL, ("Origin", "http://localhost:3000")],
    [LOCAL, ("Origin", "http://127.0.0.1")],
    [LOCAL, ("Origin", "http://localhost.evil.example.com")],
    [LOCAL, ("Origin", "http://localhost"), ("Origin", "http://evil.example.com")],
]


@pytest.mark.parametrize("head", NOT_LOCAL, ids=str)
@pytest.mark.parametrize("request_", ["GET /segments", "GET /healthz", "POST /assign", "GET /no"])
async def test_no_way_round(refusing: httpx.AsyncClient, head: Head, request_: str) -> None:
    body = BODY if request_.startswith("POST") else ""
    answer = await raw(refusing, [*head, JSON], request_, body)
    # The server itself refuses what is no HTTP.
    assert status(answer) in (400, 403), answer
    if status(answer) == 403:
        assert b'"code":"protected"' in answer
    assert b"access-control" not in answer.lower()


async def test_most_ways_round_end_at_the_door(refusing: httpx.AsyncClient) -> None:
    statuses = [status(await raw(refusing, head, "GET /segments")) for head in NOT_LOCAL]
    assert statuses.count(403) >= len(NOT_LOCAL) - 2


async def test_a_page_of_the_service_itself_may_ask(refusing: httpx.AsyncClient) -> None:
    head = [("Host", "localhost:8000"), ("Origin", "http://localhost:8000")]
    assert status(await raw(refusing, head, "GET /segments")) == 200


async def test_another_machine_is_refused() -> None:
    head = [(b"host", b"localhost")]
    for peer in (
        None,
        "",
        "10.0.0.7",
        "0.0.0.0",  # noqa: S104 - nothing is bound to it
        "::",
        "::ffff:127.0.0.1",
        "fe80::1",
        "testclient",
    ):
        with pytest.raises(HttpProblem) as refused:
            protection.check(peer, "GET", head)
        assert (refused.value.status, refused.value.code) == (403, "protected")
    for peer in ("127.0.0.1", "127.0.0.9", "::1"):
        protection.check(peer, "GET", head)


@pytest.mark.parametrize("path", ["/assign", "/assign/batch", "/segments", "/keys"])
@pytest.mark.parametrize(
    "said",
    [[], [("Content-Type", "text/plain")], [("Content-Type", "text/plain;x=application/json")],
     [("Content-Type", "application/x-www-form-urlencoded")],
     [("Content-Type", "multipart/form-data; boundary=x")],
     [JSON, ("Content-Type", "text/plain")], [("Content-Type", "text/plain"), JSON]],
    ids=str,
)  # fmt: skip
async def test_what_a_page_may_send_unasked_is_not_read(
    refusing: httpx.AsyncClient, path: str, said: Head
) -> None:
    assert status(await raw(refusing, [LOCAL, *said], f"POST {path}", BODY)) == 415
    chunked = ("Transfer-Encoding", "chunked")
    assert status(await raw(refusing, [LOCAL, *said, chunked], f"POST {path}")) == 415


async def test_a_page_gets_no_preflight(refusing: httpx.AsyncClient) -> None:
    asks = ("Access-Control-Request-Method", "PUT")
    head = [LOCAL, ("Origin", "http://evil.example.com"), asks]
    answer = await raw(refusing, head, "OPTIONS /segments/vip")
    assert status(answer) == 403
    assert status(await raw(refusing, [LOCAL, asks], "OPTIONS /segments/vip")) == 405
    assert b"access-control" not in answer.lower()


async def test_the_first_key_ends_it_and_the_last_revoked_brings_it_back(served: Served) -> None:
    client, services = served
    assert services.keyring.protected
    wanted = {"name": "first", "scopes": [Scope.ADMIN]}
    made = (await client.post("/keys", json=wanted)).json()
    assert (await client.get("/segments")).status_code == 401
    head = {"authorization": f"Bearer {made['key']}"}
    # What protected mode refuses is no matter with a key.
    strange = {**head, "host": "segments.example.com", "x-forwarded-for": "203.0.113.7",
               "origin": "https://shop.example.com"}  # fmt: skip
    answer = await client.get("/segments", headers=strange)
    assert answer.status_code == 200
    assert not any(name.startswith("access-control") for name in answer.headers)
    # As the command does: over HTTP the last key can't be revoked.
    async with services.database.engine.begin() as connection:
        now = to_datetime(services.clock())
        assert await keys.revoke(connection, SYSTEM, now, made["id"])
    await eventually(lambda: services.keyring.protected)
    assert (await client.get("/segments", headers=strange)).status_code == 403
    assert (await client.get("/segments")).status_code == 200
