"""Members as files: NDJSON, CSV and Arrow, of one instant, without being held."""

import asyncio
import csv
import io
import json
import tracemalloc
from datetime import datetime
from typing import Any

import httpx
import pyarrow as pa
import pytest
from sqlalchemy import text

from service.api import pacing
from tests.contracts.test_errors import shaped
from tests.running import eventually
from tests.serving import Service

ARROW = "application/vnd.apache.arrow.stream"
NDJSON = "application/x-ndjson"
ENDINGS = {"text/csv": "csv", NDJSON: "ndjson", ARROW: "arrows"}

Rows = list[tuple[str, datetime, int]]


def export(service: Service, accept: str, query: str = "", key: str = "adult") -> httpx.Response:
    return service.ask("get", f"/segments/{key}/members{query}", headers={"accept": accept})


def rows_of(media_type: str, body: bytes) -> Rows:
    """The members that a file holds."""
    if media_type == ARROW:
        table = pa.ipc.open_stream(body).read_all()
        assert [str(field.type) for field in table.schema] == [
            "string", "timestamp[us, tz=UTC]", "int32",
        ]  # fmt: skip
        return [tuple(row.values()) for row in table.to_pylist()]
    found: list[dict[str, Any]]
    if media_type == NDJSON:
        found = [json.loads(line) for line in body.splitlines()]
    else:
        found = list(csv.DictReader(io.StringIO(body.decode(), newline="")))
    return [
        (row["customer_id"], datetime.fromisoformat(row["since"]), int(row["version"]))
        for row in found
    ]


@pytest.fixture(scope="module")
def adults(service: Service) -> Service:
    """With members whose ids are hard to write."""
    service.save("adult", ("age", ">=", 18))
    service.save("nobody", ("age", ">", 900))
    service.save("guests")
    for customer_id in ("c-1", "=1+1", 'a,"b"', "two\nlines", "č🎉", "@x", "c-2"):
        service.assign(customer_id, traits={"age": 20})
    service.ask("post", "/segments/guests/members", json={"add": ["c-1", "not-yet"]})
    service.settle()
    return service


@pytest.mark.parametrize("media_type", ENDINGS)
def test_a_file_holds_what_the_pages_hold(adults: Service, media_type: str) -> None:
    pages = [member for page in adults.pages("/segments/adult/members", limit=2) for member in page]
    answer = export(adults, media_type)
    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] == media_type
    named = f'attachment; filename="adult-members.{ENDINGS[media_type]}"'
    assert answer.headers["content-disposition"] == named
    assert rows_of(media_type, answer.content) == [
        (m["customer_id"], datetime.fromisoformat(m["since"]), m["version"]) for m in pages
    ]


@pytest.mark.parametrize("media_type", ENDINGS)
def test_limit_and_cursor_are_honoured(adults: Service, media_type: str) -> None:
    whole = rows_of(media_type, export(adults, media_type).content)
    page = adults.get("/segments/adult/members?limit=2")
    assert rows_of(media_type, export(adults, media_type, "?limit=3").content) == whole[:3]
    query = f"?cursor={page['next_cursor']}&limit=2"
    assert rows_of(media_type, export(adults, media_type, query).content) == whole[2:4]


@pytest.mark.parametrize("media_type", ENDINGS)
def test_an_empty_segment_and_a_list(adults: Service, media_type: str) -> None:
    assert rows_of(media_type, export(adults, media_type, key="nobody").content) == []
    listed = rows_of(media_type, export(adults, media_type, key="guests").content)
    assert [row[0] for row in listed] == ["c-1"]


def test_an_exported_csv_can_be_uploaded_as_a_list(adults: Service) -> None:
    file = export(adults, "text/csv")
    adults.save("copied")
    answer = adults.ask(
        "put", "/segments/copied/members", content=file.content,
        headers={"content-type": file.headers["content-type"]},
    )  # fmt: skip
    assert answer.status_code == 202, answer.text
    assert answer.json()["ignored"] == ["since", "version"]
    adults.settle()
    ids = [row[0] for row in rows_of("text/csv", export(adults, "text/csv", key="copied").content)]
    assert ids == [row[0] for row in rows_of("text/csv", file.content)]


@pytest.mark.parametrize("accept", ["application/json", "*/*", "text/html, */*;q=0.8"])
def test_json_is_a_page(adults: Service, accept: str) -> None:
    answer = export(adults, accept, "?limit=2")
    assert answer.headers["content-type"] == "application/json"
    assert len(answer.json()["items"]) == 2
    assert answer.headers["vary"] == "accept"


@pytest.mark.parametrize(
    ("accept", "query", "status", "code"),
    [
        ("text/html", "", 406, "not_acceptable"),
        ("text/csv", "?channel=fax", 422, "invalid"),
        ("*/*", "?channel=fax", 422, "invalid"),
        ("text/csv", "?limit=0", 422, "invalid"),
        ("text/csv", "?cursor=%25", 422, "invalid"),
    ],
)
def test_refusals(adults: Service, accept: str, query: str, status: int, code: str) -> None:
    answer = export(adults, accept, query)
    assert (answer.status_code, shaped(answer)["code"]) == (status, code)


def test_no_segment_is_404_whatever_is_accepted(adults: Service) -> None:
    assert export(adults, "text/csv", key="there-is-none").status_code == 404


def many(service: Service, count: int) -> None:
    """Members, without all that makes them."""
    service.save("adult", ("age", ">=", 18))

    async def fill() -> None:
        async with service.process.database.long() as connection:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            await raw.execute(
                "insert into memberships select 'customer-' || lpad(n::text, 9, '0'), 'adult', "
                "'2026-01-01Z'::timestamptz + n * interval '1 ms', 1 + n % 3 "
                "from generate_series(1, $1) as n", count,
            )  # fmt: skip

    service.runner.run(fill())


def asking(media_type: str) -> dict[str, Any]:
    """The scope of a request for members, as a server hands it over."""
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": "/segments/adult/members", "query_string": b"",
        "raw_path": b"/segments/adult/members", "root_path": "", "state": {},
        "headers": [(b"accept", media_type.encode()), (b"host", b"127.0.0.1")],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip


@pytest.mark.parametrize("pieces", [0, 1, 3])
def test_a_client_that_goes_away_lets_go_of_the_database(fresh: Service, pieces: int) -> None:
    many(fresh, 30_000)

    async def cut_off() -> None:
        gone = asyncio.Event()
        asked = sent = 0

        async def receive() -> Any:
            nonlocal asked
            asked += 1
            if asked > 1:
                await gone.wait()
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            nonlocal sent
            sent += message["type"] == "http.response.body"
            if sent >= pieces:
                gone.set()
                # As with a server whose client reads no more.
                await asyncio.sleep(0.2)

        await fresh.app(asking("text/csv"), receive, send)

    async def let_go() -> bool:
        async with fresh.process.database.engine.connect() as connection:
            query = "select count(*) from pg_stat_activity where application_name = 'segserve long'"
            return bool((await connection.execute(text(query))).scalar_one() == 0)

    for _ in range(6):
        fresh.runner.run(cut_off())
    fresh.runner.run(eventually(let_go))
    assert len(rows_of("text/csv", export(fresh, "text/csv").content)) == 30_000


@pytest.mark.parametrize("read", [0, 1, 2])
def test_a_reader_who_does_not_read_is_cut_off_and_leaves_the_lane(
    fresh: Service, monkeypatch: pytest.MonkeyPatch, read: int
) -> None:
    many(fresh, 30_000)
    monkeypatch.setattr(pacing, "PATIENCE", 0.3)
    messages: list[Any] = []

    async def stuck() -> None:
        async def receive() -> Any:
            await asyncio.sleep(3_600)

        async def send(message: Any) -> None:
            if len(messages) > read:
                await asyncio.sleep(3_600)
            messages.append(message)

        reading = [fresh.app(asking("text/csv"), receive, send) for _ in range(4)]
        async with asyncio.timeout(30):
            await asyncio.gather(*reading)

    fresh.runner.run(stuck())
    assert not [each for each in messages if not each.get("more_body", True)]
    assert export(fresh, "text/csv").status_code == 200


def test_one_key_leaves_lanes_for_others(fresh: Service) -> None:
    many(fresh, 30_000)
    held = asyncio.Event()

    async def receive() -> Any:
        await asyncio.sleep(3_600)

    async def send(message: Any) -> None:
        await held.wait()

    async def crowd() -> list[int]:
        scopes = ["read"]
        keys: list[str] = []
        for name in ("admin", "one", "two"):
            wanted = {"name": name, "scopes": ["admin"] if name == "admin" else scopes}
            head = {"authorization": f"Bearer {keys[0]}"} if keys else {}
            answer = await fresh.client.post("/keys", json=wanted, headers=head)
            keys.append(answer.json()["key"])
        heads = [{"authorization": f"Bearer {key}", "accept": "text/csv"} for key in keys]
        scope = asking("text/csv")
        scope["headers"] = [*scope["headers"], (b"x-api-key", keys[1].encode())]
        slow = [asyncio.create_task(fresh.app(dict(scope), receive, send)) for _ in range(2)]
        await asyncio.sleep(0.5)
        answers = [
            await fresh.client.get("/segments/adult/members", headers=head) for head in heads[1:]
        ]
        held.set()
        for task in slow:
            task.cancel()
        return [answer.status_code for answer in answers]

    assert fresh.runner.run(crowd()) == [503, 200]


def test_200_000_members_are_written_in_little_memory(fresh: Service) -> None:
    count = 200_000
    many(fresh, count)

    async def drained(media_type: str) -> tuple[bytes, int]:
        """The file, and the largest of the pieces in which it came."""
        file = io.BytesIO()
        largest = asked = 0

        async def receive() -> Any:
            nonlocal asked
            asked += 1
            if asked > 1:
                await asyncio.Event().wait()
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            nonlocal largest
            if message["type"] == "http.response.body":
                piece = message.get("body", b"")
                largest = max(largest, len(piece))
                file.write(piece)

        await fresh.app(asking(media_type), receive, send)
        return file.getvalue(), largest

    contents = []
    for media_type in ENDINGS:
        file, largest = fresh.runner.run(drained(media_type))
        assert largest < 1_000_000 < len(file), media_type
        contents.append(rows_of(media_type, file))
    assert len(contents[0]) == count
    assert contents[0] == contents[1] == contents[2]

    # Looking at all that is allocated takes its time: once, for they are all read alike.
    tracemalloc.start()
    file, _ = fresh.runner.run(drained(NDJSON))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - 2 * len(file) < 8_000_000
