"""Part "events": tracking by batches of 100, beside a bare COPY of as many rows; and deciding a
customer with a long life beside one with a short one."""

import asyncio
import json
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import asyncpg
import httpx
import psutil

from benchmarks.lists import database
from benchmarks.load import Load, drive, encode
from benchmarks.measuring import DRIVER_CORE, pinned, race
from benchmarks.prepared import command
from benchmarks.report import Report
from benchmarks.servers import free_port, serving
from benchmarks.streams import NOW, Stream, scattered, visits
from service.core.catalog import Catalog, Definition, compile_catalog
from service.core.deciding import decide
from service.core.decisions import Input, State
from service.core.events import Event
from service.core.instants import HOUR
from service.core.parsing import Schema
from service.store.events import decode
from service.store.events import encode as encode_histories

PART = "events"
BATCH = 100
BATCHES = 1_200
CONNECTIONS = 8
ROUNDS = 30
WANTED = 10_000  # events a second


def run(report: Report) -> None:
    _track(report)
    _decide(report)


def _track(report: Report) -> None:
    for stream in (scattered(BATCHES, BATCH), visits(BATCHES, BATCH)):
        with database() as (url, data_dir):
            _tell(report, stream, *_measured(report, stream, url, data_dir))


def _measured(
    report: Report, stream: Stream, url: str, data_dir: Path
) -> tuple[Load, float, int, float]:
    """How it went, the server's own processor time in seconds, how many events are stored, and rows
    a second of a bare COPY of as many."""
    port = free_port()
    environment = {
        "DATABASE_URL": url,
        "SEGSERVE_DATA_DIR": str(data_dir),
        "SEGSERVE_PORT": str(port),
        "SEGSERVE_LOG_LEVEL": "warning",
    }
    with (
        serving(command(), port, environment=environment) as server,
        report.progress(f"tracking {stream.name}", 2) as step,
    ):
        key = _furnish(f"http://127.0.0.1:{port}", stream)
        shown = f"\r\nAuthorization: Bearer {key}\r\nContent-Length:".encode()
        told = [
            encode("/v1/batch", body).replace(b"\r\nContent-Length:", shown, 1)
            for body in stream.bodies
        ]
        process = psutil.Process(server.pid)
        before = sum(process.cpu_times()[:2])
        with pinned(DRIVER_CORE):
            load = drive(server.port, told, connections=CONNECTIONS, seconds=60, most=len(told))
        spent = sum(process.cpu_times()[:2]) - before
        step()
        stored, copied = asyncio.run(_copy(url, stream))
        step()
    return load, spent, stored, copied


def _tell(
    report: Report, stream: Stream, load: Load, spent: float, stored: int, copied: float
) -> None:
    whole = load.requests == len(stream.batches)
    if load.errors or (whole and stored != stream.events):
        raise RuntimeError(f"{stored:,} events stored, {load.requests:,} batches, {load.errors}")
    rate = load.rate * BATCH
    own = spent / (load.requests * BATCH)
    table = [
        ["segserve, /v1/batch", f"{rate:,.0f}", f"{rate / copied:.3f} ×", f"{own * 1e6:.0f}"],
        ["bare COPY", f"{copied:,.0f}", "1.000 ×", ""],
    ]
    title = (
        f"messages a second, durable: {stream.name}; batches of {BATCH}, {CONNECTIONS} connections"
    )
    note = (
        f"one worker on one core; a batch is about {stream.customers:.0f} customers; conditions "
        f"read {stream.share_read:.0%} of it; own µs: of the service's processor time"
    )
    report.table(title, ["", "messages/s", "to COPY", "own µs"], table, note)
    report.figure(PART, f"{stream.name}: messages a second", rate)
    report.figure(PART, f"{stream.name}: own processor time, µs a message", own * 1e6)
    report.figure(PART, f"{stream.name}: bare COPY", copied)
    report.at_least(f"tracking, {stream.name}: messages a second, durable", rate, WANTED)


def _furnish(base: str, stream: Stream) -> str:
    """A source, and the segments that read what it sends; the source's write key."""
    with httpx.Client(base_url=base, trust_env=False, timeout=60) as client:
        for key, condition in stream.conditions.items():
            client.put(f"/segments/{key}", json={"condition": condition}).raise_for_status()
        source = {"id": "bench", "name": "bench", "type": "server"}
        made = client.post("/sources", json=source)
        made.raise_for_status()
        return str(made.json()["write_key"])


async def _copy(url: str, stream: Stream) -> tuple[int, float]:
    """How many events are stored, and rows a second of a bare COPY of as many."""
    now = datetime.now(UTC)
    rows = [
        (told["userId"], told["messageId"], now, json.dumps(told.get("properties", {})))
        for told in stream.told
    ]
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        stored = await connection.fetchval("select count(*) from events")
        await connection.execute("create table bare (who text, id text, at timestamptz, p jsonb)")
        started = time.perf_counter()
        await connection.copy_records_to_table("bare", records=rows)
        return stored, len(rows) / (time.perf_counter() - started)
    finally:
        await connection.close()


def _decide(report: Report) -> None:
    catalog = _windows()
    contenders = {}
    for count in (10, 1_000):
        state = _lived(catalog, count)
        stored = encode_histories(state.histories, catalog.derivations.series)
        contenders[f"{count:,} events"] = partial(_again, catalog, state, stored)
    with pinned(DRIVER_CORE), report.progress("deciding", ROUNDS * 2) as step:
        timing = race(contenders, ROUNDS, step)
    ratio = timing.ratio("1,000 events", "10 events")
    rows = [
        [name, f"{timing.best(name) * 1e6:,.0f}", f"{timing.ratio(name, '10 events'):.2f} ×"]
        for name in contenders
    ]
    title = "deciding a customer under 20 windowed aggregates, another event each time"
    report.table(title, ["stored", "µs", "to 10 events"], rows, "one core; least of the rounds")
    report.at_most("deciding with 1,000 events to that with 10", ratio, 3.0, "×")


def _windows() -> Catalog:
    functions = (("count", None), ("sum", "properties.n"), ("max", "properties.n"),
                 ("avg", "properties.n"))  # fmt: skip
    definitions = []
    for number in range(20):
        function, of = functions[number % 4]
        aggregate = {"function": function, "within": f"{number + 20}d"} | ({"of": of} if of else {})
        rule = {"field": "event:A", "aggregate": aggregate, "operator": ">", "value": number * 7}
        condition = {"combinator": "and", "rules": [rule]}
        definitions.append(Definition(f"k{number}", 1, "", condition))
    return compile_catalog(definitions, Schema(UTC), revision=1)


def _lived(catalog: Catalog, count: int) -> State:
    events = [
        Event("A", NOW - number * HOUR // 2, {"n": number % 50 + 0.5}, str(number), "bench")
        for number in range(count)
    ]
    return decide(catalog, State("c", NOW, NOW), NOW, Input({}, NOW, events=events)).state


def _again(catalog: Catalog, state: State, stored: bytes) -> int:
    for number in range(10):
        state.histories = decode(stored)
        event = Event("A", NOW, {"n": 1.5}, f"again-{number}", "bench")
        decide(catalog, state, NOW, Input({}, NOW, events=[event]))
    return 10
