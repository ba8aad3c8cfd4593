"""The client against the running service, and against servers that fail in known ways."""

import asyncio
import json
import re
import socket
import sys
import threading
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest

from service.client import AsyncClient, Client, Refused, Retries
from tests.running import serving

pytestmark = pytest.mark.anyio

ADULT = {"combinator": "and", "rules": [{"field": "age", "operator": ">=", "value": 18}]}
QUICK = Retries(most=4, first=0.01, longest=2.0)


def url_of(client: httpx.AsyncClient) -> str:
    return str(client.base_url)


async def test_the_way_of_a_segment_and_a_customer(database_url: str) -> None:
    async with (
        serving(database_url) as (http, _),
        AsyncClient(url_of(http), retries=QUICK) as segserve,
    ):
        made = await segserve.create_segment("adult", {"name": "Adults", "condition": ADULT})
        assert (made.key, made.version, made.summary) == ("adult", 1, "Age is at least 18.")
        assert made.document["condition"]["rules"][0]["field"] == "age"
        with pytest.raises(Refused) as taken:
            await segserve.create_segment("adult", {"name": "Adults", "condition": ADULT})
        assert taken.value.status == 409

        answer = await segserve.assign("c/1 ä", {"age": 20}, include=["traits"])
        assert answer.is_in("adult")
        assert answer.entered == ["adult"]
        assert answer.segments[0].since.tzinfo is not None
        assert (answer.recorded, answer.traits) == (True, {"age": 20})
        again = await segserve.assign("c/1 ä", {"age": 20})
        assert (again.entered, again.sequence) == ([], answer.sequence)
        left = await segserve.assign("c/1 ä", {"age": 10})
        assert [(gone.key, gone.reason["kind"]) for gone in left.exited] == [("adult", "trait")]
        nobody = await segserve.assign(traits={"age": 30})
        assert (nobody.customer_id, nobody.recorded, nobody.is_in("adult")) == (None, False, True)

        results = await segserve.assign_batch(
            [{"customer_id": "c-2", "traits": {"age": 40}}, {"customer_id": ""}]
        )
        assert not isinstance(results[0], Refused)
        assert results[0].is_in("adult")
        assert isinstance(results[1], Refused)
        assert results[1].errors[0].pointer == "/customer_id"

        assert [member.customer_id async for member in segserve.members("adult")] == ["c-2"]
        assert (await segserve.customer("c/1 ä"))["traits"] == {"age": 10}

        await segserve.put_segment("guests", {"name": "Guests"}, reason="a party: 21 Nov")
        assert await segserve.change_members("guests", add=["c-2", "c-3"]) == 2
        found = [segment.key async for segment in segserve.segments(status="active")]
        assert found == ["adult", "guests"]
        await segserve.erase_customer("c-2")
        with pytest.raises(Refused, match="404"):
            await segserve.customer("c-2")
        await segserve.archive_segment("guests")
        assert (await segserve.segment("guests")).status == "archived"


async def test_ordinary_code_says_the_same(database_url: str) -> None:
    def ordinary(url: str) -> None:
        with Client(url, retries=QUICK) as segserve:
            segserve.put_segment("adult", {"name": "Adults", "condition": ADULT})
            with pytest.raises(Refused) as faulty:
                segserve.put_segment("adult", {"name": "Adults", "condition": {"rules": []}})
            assert faulty.value.status == 422
            assert {fault.pointer for fault in faulty.value.errors} >= {"/condition/rules"}
            batch = [{"customer_id": f"c-{n:04}", "traits": {"age": 20}} for n in range(1_000)]
            assert len(segserve.assign_batch(batch)) == 1_000
            assert segserve.assign("c-1000", {"age": 20}).is_in("adult")
            assert segserve.segment("adult").key == "adult"
            # More than a page holds.
            assert len({member.customer_id for member in segserve.members("adult")}) == 1_001
            assert segserve.customer("c-0001")["segments"][0]["key"] == "adult"
            assert [each.key for each in segserve.segments()] == ["adult"]
            segserve.erase_customer("c-0001")
            segserve.archive_segment("adult")

    async with serving(database_url) as (http, _):
        await asyncio.to_thread(ordinary, url_of(http))


async def test_what_a_full_queue_refuses_is_stored_in_the_end(database_url: str) -> None:
    async with (
        serving(database_url, writer_queue=2) as (http, _),
        AsyncClient(url_of(http), retries=Retries(most=50, longest=5.0)) as segserve,
    ):
        refused = await asyncio.gather(
            *(http.post("/assign", json={"customer_id": f"x-{n}"}) for n in range(30))
        )
        assert {answer.status_code for answer in refused} == {200, 503}
        answers = await asyncio.gather(*(segserve.assign(f"c-{n}", {"age": n}) for n in range(30)))
        assert all(answer.recorded for answer in answers)
        for number in range(30):
            assert (await segserve.customer(f"c-{number}"))["traits"] == {"age": number}


class Script:
    """A server that answers one request after another as it is told, and remembers them."""

    def __init__(self, *answers: tuple[int, dict[str, str]] | None) -> None:
        """None: it hangs up without an answer."""
        self.answers = list(answers)
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.times: list[float] = []

    @contextmanager
    def running(self) -> Iterator[str]:
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                lower = {name.lower(): value for name, value in self.headers.items()}
                script.seen.append((self.command, self.path, lower, body))
                script.times.append(monotonic())
                told = script.answers.pop(0) if script.answers else (200, {})
                if told is None:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                    return
                status, headers = told
                document: dict[str, Any] = SEGMENT if status < 300 else {"code": "unavailable"}
                text = b"busy" if headers.get("x-plain") else json.dumps(document).encode()
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(text))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - the library's names

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


SEGMENT = {
    "key": "vip", "name": "VIP", "status": "active", "kind": "rule", "version": 3, "summary": "",
    "customer_id": None, "segments": [], "schemes": {}, "entered": [], "exited": [], "models": {},
    "recorded": False, "sequence": None, "catalog_revision": 1,
    "evaluated_at": "2026-11-20T10:00:00Z", "unheard_of": True,
}  # fmt: skip


def test_it_waits_as_long_as_it_is_asked() -> None:
    script = Script((503, {"retry-after": "1"}), (429, {"retry-after": "0", "x-plain": "1"}))
    with script.running() as url, Client(url, "sgs_k", retries=QUICK) as segserve:
        assert segserve.assign(traits={"age": 1}).segments == []
    assert [seen[3] for seen in script.seen] == [script.seen[0][3]] * 3
    assert script.seen[0][2]["authorization"] == "Bearer sgs_k"
    assert script.times[1] - script.times[0] >= 1.0


def test_it_reads_a_date_to_wait_for() -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    script = Script((503, {"retry-after": when}))
    with script.running() as url, Client(url, retries=QUICK) as segserve:
        segserve.segment("vip")
    assert len(script.seen) == 2
    assert script.times[1] - script.times[0] >= 0.9  # a date has whole seconds


def test_it_gives_up_where_the_wait_or_the_attempts_are_too_many() -> None:
    script = Script((503, {"retry-after": "3600"}))
    with script.running() as url, Client(url, retries=QUICK) as segserve:
        with pytest.raises(Refused) as long:
            segserve.segment("vip")
        assert (long.value.status, long.value.code) == (503, "unavailable")
        assert long.value.retry_after == 3600
        script.answers += [(503, {})] * 9
        with pytest.raises(Refused):
            segserve.segment("vip")
    assert len(script.seen) == 1 + 5


def test_what_got_lost_on_the_way_is_asked_again_where_that_is_harmless() -> None:
    script = Script(None, None)
    with script.running() as url, Client(url, retries=QUICK) as segserve:
        assert segserve.segment("vip").version == 3
        assert len(script.seen) == 3
        script.answers += [None, None]
        segserve.erase_customer("c-1")
        assert len(script.seen) == 6
        # Repeated after it was done, either would be refused as based on what is gone.
        script.answers += [None, None]
        with pytest.raises(httpx.TransportError):
            segserve.put_segment("vip", {"name": "VIP"}, if_match='"2"')
        with pytest.raises(httpx.TransportError):
            segserve.archive_segment("vip", if_match='"2"')
        assert len(script.seen) == 8
        script.answers += [None, (200, {}), None]
        segserve.put_segment("vip", {"name": "VIP"})
        segserve.archive_segment("vip")
    assert len(script.seen) == 12


class Losing(httpx.AsyncBaseTransport):
    """Loses the answer to every other request, once it was given."""

    def __init__(self) -> None:
        self._way = httpx.AsyncHTTPTransport()
        self._asked = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._way.handle_async_request(request)
        self._asked += 1
        if self._asked % 2:
            await answer.aread()
            await answer.aclose()
            raise httpx.ReadError("lost")
        return answer

    async def aclose(self) -> None:
        await self._way.aclose()


async def test_a_lost_answer_is_not_told_as_a_refusal(database_url: str) -> None:
    async with (
        serving(database_url) as (http, _),
        AsyncClient(url_of(http), retries=QUICK, transport=Losing()) as segserve,
    ):
        made = await segserve.put_segment("adult", {"name": "Adults", "condition": ADULT})
        assert made.version == 1
        other = {"name": "Grown-ups", "condition": ADULT}
        with pytest.raises(httpx.ReadError):
            await segserve.put_segment("adult", other, if_match=made.etag)
        await http.post("/assign", json={"customer_id": "c-1"})
        proof = await segserve.erase_customer("c-1")
        said = await http.post("/erasures/verify", json={"customer_id": "c-1"})
        assert said.json()["erasure"] == proof["erasure"]
        await segserve.archive_segment("adult")
        with pytest.raises(httpx.ReadError):
            await segserve.archive_segment("adult", if_match=made.etag)


def test_a_creation_repeated_is_the_same_one() -> None:
    script = Script(None, (503, {"retry-after": "0"}))
    with script.running() as url, Client(url, retries=QUICK) as segserve:
        segserve.create_segment("vip", {"name": "VIP"}, reason="für Ann & Bob")
    keys = [seen[2]["idempotency-key"] for seen in script.seen]
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert script.seen[0][2]["x-change-reason"] == "f%C3%BCr%20Ann%20%26%20Bob"


def test_other_refusals_are_raised_at_once() -> None:
    script = Script((412, {}), (502, {"x-plain": "1"}))
    with script.running() as url, Client(url, retries=QUICK) as segserve:
        with pytest.raises(Refused) as stale:
            segserve.put_segment("vip", {"name": "VIP"}, if_match='"vip-2"')
        assert stale.value.status == 412
        with pytest.raises(Refused) as odd:
            segserve.segment("vip")
        assert (odd.value.status, odd.value.code) == (502, "unknown")
    assert script.seen[0][2]["if-match"] == '"vip-2"'
    assert len(script.seen) == 2


def test_nobody_there_is_told_after_all_attempts() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        with (
            Client(f"http://127.0.0.1:{taken.getsockname()[1]}", retries=QUICK) as segserve,
            pytest.raises(httpx.ConnectError),
        ):
            segserve.segment("vip")


async def test_the_page_about_the_client_tells_the_truth(database_url: str) -> None:
    """Every example of docs/client.md runs against the service."""
    page = (Path(__file__).parents[2] / "docs" / "client.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(examples) >= 2
    async with serving(database_url) as (http, _):
        for example in examples:
            code = example.replace("http://127.0.0.1:8000", url_of(http).rstrip("/"))
            ran = await asyncio.create_subprocess_exec(
                sys.executable, "-c", code, stdout=PIPE, stderr=STDOUT
            )
            said, _nothing = await ran.communicate()
            assert ran.returncode == 0, said.decode()
