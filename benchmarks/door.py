"""Part "door": what keys, scopes and limits cost the unnamed `/assign`.

The same service twice on one core, over the same definitions: in protected mode, and with a key
whose limit is counted but never reached. Each is asked through its door and past it in turn, with
as many bytes, the key's header among them. What is compared is requests a second of the server's
own processor time: that is its rate on a core of its own, whatever else the machine does; within
one process, as two of the same program differ by more than a door costs.
"""

import asyncio
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

import psutil

from benchmarks import prepared
from benchmarks.doorless import PAST_IT, THROUGH_IT
from benchmarks.http import Contender, unnamed
from benchmarks.load import drive
from benchmarks.measuring import DRIVER_CORE, pinned
from benchmarks.report import Report
from benchmarks.servers import free_port, serving
from service.core.access import SYSTEM, Scope
from service.store import keys
from service.store.database import Database

PART = "door"
CUSTOMERS = 1_000
SEGMENTS = 1_000
CONNECTIONS = 16
ROUNDS = 15
SECONDS = 1.0
RATES = ("rate", "core_rate")
LIMIT = 1_000_000  # a minute: counted, and never reached
PROTECTED, KEY = "protected mode", "a key and its limit"
PAST = "{}, past the door"


@dataclass(frozen=True)
class Turn:
    """One contender's turn: requests a second by the clock and by the server's processor time."""

    rate: float
    core_rate: float


def run(report: Report) -> None:
    with (
        prepared.workspace(SEGMENTS, CUSTOMERS) as space,
        prepared.workspace(SEGMENTS, CUSTOMERS) as locked,
        contenders(space, locked) as each,
    ):
        turns = compare(each, report)
    rows = []
    for name, taken in turns.items():
        rate, core_rate = (median(getattr(turn, what) for turn in taken) for what in RATES)
        share = f"{ratio(turns, name):.3f} ×" if name in (PROTECTED, KEY) else ""
        rows.append([name, f"{rate:,.0f}", f"{core_rate:,.0f}", share])
        report.figure(PART, f"{name}: rate", rate)
        report.figure(PART, f"{name}: rate of a core", core_rate)
    columns = ["", "requests/s", "requests/s of its core", "to past it"]
    title = f"unnamed /assign, {CONNECTIONS} connections"
    report.table(title, columns, rows, f"medians of {ROUNDS} interleaved rounds of {SECONDS:g} s")
    for name in (PROTECTED, KEY):
        what = f"unnamed /assign, {name}: rate to that past the door"
        report.at_least(what, ratio(turns, name), 0.92)


def ratio(turns: Mapping[str, list[Turn]], name: str) -> float:
    """How many times the rate past the door: the median of the rounds' own ratios."""
    pairs = zip(turns[name], turns[PAST.format(name)], strict=True)
    return median(a.core_rate / b.core_rate for a, b in pairs)


def compare(each: Mapping[str, Contender], report: Report) -> dict[str, list[Turn]]:
    """Every contender once a round, after one round of warming up."""
    turns: dict[str, list[Turn]] = {name: [] for name in each}
    with pinned(DRIVER_CORE), report.progress("taking turns", ROUNDS * len(each)) as step:
        for contender in each.values():
            turn(contender)
        for number in range(ROUNDS):
            # To and fro: whoever comes after a rest of its process is slower.
            order = list(each) if number % 2 else list(reversed(each))
            for name in order:
                turns[name].append(turn(each[name]))
                step()
    return turns


def turn(contender: Contender) -> Turn:
    process = psutil.Process(contender.server.pid)
    before = sum(process.cpu_times()[:2])
    load = drive(
        contender.server.port, contender.requests, connections=CONNECTIONS, seconds=SECONDS
    ).served()
    spent = sum(process.cpu_times()[:2]) - before
    return Turn(load.rate, load.requests / spent)


@contextmanager
def contenders(
    space: prepared.Workspace, locked: prepared.Workspace
) -> Iterator[dict[str, Contender]]:
    """Both services, each ready, through the door and past it; a key is made in the second
    workspace."""
    key = asyncio.run(_make_key(locked.url))
    ways = {
        "{}": _with_headers(unnamed(space.profiles), key, THROUGH_IT),
        PAST: _with_headers(unnamed(space.profiles), key, PAST_IT),
    }
    command = [sys.executable, "-m", "benchmarks.doorless", "serve"]
    each: dict[str, Contender] = {}
    with ExitStack() as stack:
        for name, workspace in ((PROTECTED, space), (KEY, locked)):
            port = free_port()
            server = serving(command, port, environment=workspace.environment(port))
            running = stack.enter_context(server)
            for way, requests in ways.items():
                each[way.format(name)] = Contender(running, requests)
        yield each


def _with_headers(requests: list[bytes], key: str, door: tuple[bytes, bytes]) -> list[bytes]:
    more = b"\r\n%b: %b\r\nAuthorization: Bearer %b\r\nContent-Length:" % (*door, key.encode())
    return [each.replace(b"\r\nContent-Length:", more, 1) for each in requests]


async def _make_key(url: str) -> str:
    database = Database(url)
    async with database.engine.begin() as connection:
        _, key = await keys.create(
            connection, SYSTEM, datetime.now(UTC), "bench", [Scope.ASSIGN], rate_limit=LIMIT
        )
    await database.close()
    return key
