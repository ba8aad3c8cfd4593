"""Part "door": what keys, scopes and limits cost the unnamed `/assign`.

The same service thrice on one core, over the same definitions: without its door, in protected
mode, and with a key whose limit is counted but never reached. They take turns in each round, and
get the same bytes, the key's header among them. What is compared is requests a second of the
server's own processor time: that is its rate on a core of its own, whatever else the machine does.
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
NO_DOOR, PROTECTED, KEY = "without a door", "protected mode", "a key and its limit"


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
        share = f"{ratio(turns, name):.3f} ×"
        rows.append([name, f"{rate:,.0f}", f"{core_rate:,.0f}", share])
        report.figure(PART, f"{name}: rate", rate)
        report.figure(PART, f"{name}: rate of a core", core_rate)
    columns = ["", "requests/s", "requests/s of its core", "to none"]
    title = f"unnamed /assign, {CONNECTIONS} connections"
    report.table(title, columns, rows, f"medians of {ROUNDS} interleaved rounds of {SECONDS:g} s")
    for name in (PROTECTED, KEY):
        what = f"unnamed /assign, {name}: rate to that without a door"
        report.at_least(what, ratio(turns, name), 0.92)


def ratio(turns: Mapping[str, list[Turn]], name: str) -> float:
    """How many times the rate without a door: the median of the rounds' own ratios."""
    pairs = zip(turns[name], turns[NO_DOOR], strict=True)
    return median(a.core_rate / b.core_rate for a, b in pairs)


def compare(each: Mapping[str, Contender], report: Report) -> dict[str, list[Turn]]:
    """Every contender once a round, after one round of warming up."""
    turns: dict[str, list[Turn]] = {name: [] for name in each}
    with pinned(DRIVER_CORE), report.progress("taking turns", ROUNDS * len(each)) as step:
        for contender in each.values():
            turn(contender)
        for _ in range(ROUNDS):
            for name, contender in each.items():
                turns[name].append(turn(contender))
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
    """The three services, each ready; a key is made in the second workspace."""
    key = asyncio.run(_make_key(locked.url))
    shown = f"\r\nAuthorization: Bearer {key}\r\nContent-Length:".encode()
    requests = [each.replace(b"\r\nContent-Length:", shown, 1) for each in unnamed(space.profiles)]
    doorless = [sys.executable, "-m", "benchmarks.doorless", "serve"]
    with ExitStack() as stack:

        def started(command: list[str], workspace: prepared.Workspace) -> Contender:
            port = free_port()
            server = serving(command, port, environment=workspace.environment(port))
            return Contender(stack.enter_context(server), requests)

        yield {
            NO_DOOR: started(doorless, space),
            PROTECTED: started(prepared.command(), space),
            KEY: started(prepared.command(), locked),
        }


async def _make_key(url: str) -> str:
    database = Database(url)
    async with database.engine.begin() as connection:
        _, key = await keys.create(
            connection, SYSTEM, datetime.now(UTC), "bench", [Scope.ASSIGN], rate_limit=LIMIT
        )
    await database.close()
    return key
