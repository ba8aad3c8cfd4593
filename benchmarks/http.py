"""Part "http": requests a second and latency, beside an empty FastAPI endpoint.

Servers run on one core, the driver on the other; contenders take turns in each round.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks import prepared
from benchmarks.load import Load, drive, encode
from benchmarks.measuring import DRIVER_CORE, pinned
from benchmarks.report import Report
from benchmarks.servers import Server, empty_endpoint, free_port, serving

PART = "http"
CUSTOMERS = 5_000
SEGMENTS = 1_000
EMPTY, SERVICE = "empty FastAPI endpoint", "segserve"
ROUNDS = 9
SECONDS = 2.0


def unnamed(profiles: Sequence[dict[str, Any]]) -> list[bytes]:
    """Requests about customers without a name, a full profile each."""
    return [encode("/assign", json.dumps({"traits": profile}).encode()) for profile in profiles]


def recorded(count: int = CUSTOMERS, rounds: int = 8) -> list[bytes]:
    """Requests about one stored customer after another, each time with one trait changed."""
    bodies = (
        {"customer_id": f"bench-{customer}", "traits": {"points": changed * 500 + customer % 500}}
        for changed in range(rounds)
        for customer in range(count)
    )
    return [encode("/assign", json.dumps(body).encode()) for body in bodies]


@dataclass(frozen=True)
class Contender:
    server: Server
    requests: Sequence[bytes]


def compare(
    contenders: Mapping[str, Contender], connections: int, report: Report
) -> dict[str, list[Load]]:
    """Every contender once a round, after a second of warming up each."""
    loads: dict[str, list[Load]] = {name: [] for name in contenders}
    doing = f"{connections} connections"
    with pinned(DRIVER_CORE), report.progress(doing, ROUNDS * len(contenders)) as step:
        for each in contenders.values():
            drive(each.server.port, each.requests, connections=connections, seconds=1).served()
        for _ in range(ROUNDS):
            for name, each in contenders.items():
                load = drive(
                    each.server.port, each.requests, connections=connections, seconds=SECONDS
                )
                loads[name].append(load.served())
                step()
    return loads


def ratio(loads: Mapping[str, list[Load]], name: str, base: str) -> float:
    """How many times the base's rate: the median of the rounds' own ratios."""
    return median(a.rate / b.rate for a, b in zip(loads[name], loads[base], strict=True))


def show(loads: Mapping[str, list[Load]], title: str, base: str, report: Report) -> None:
    rows = []
    for name, each in loads.items():
        rate, p50, p99 = (
            median(getattr(load, what) for load in each) for what in ("rate", "p50", "p99")
        )
        times = f"{ratio(loads, name, base):.2f} ×"
        rows.append([name, f"{rate:,.0f}", times, f"{p50:.2f}", f"{p99:.2f}"])
        for what, value in (("rate", rate), ("p50_ms", p50), ("p99_ms", p99)):
            report.figure(PART, f"{title}: {name}: {what}", value)
    columns = ["", "requests/s", "to the empty", "p50 ms", "p99 ms"]
    report.table(title, columns, rows, f"medians of {ROUNDS} interleaved rounds of {SECONDS:g} s")


def run(report: Report) -> None:
    with prepared.workspace(SEGMENTS, CUSTOMERS) as space, both(space) as (empty, service):
        full, one = unnamed(space.profiles), recorded()
        loads = compare(
            {EMPTY: Contender(empty, full), SERVICE: Contender(service, full)}, 16, report
        )
        show(loads, "unnamed /assign, 16 connections", EMPTY, report)
        report.at_least(
            "unnamed /assign: rate to the empty endpoint", ratio(loads, SERVICE, EMPTY), 1.3
        )
        p99 = median(a.p99 / b.p99 for a, b in zip(loads[SERVICE], loads[EMPTY], strict=True))
        report.at_most("unnamed /assign: p99 to the empty endpoint's", p99, 1.0, "×")
        for connections, wanted in ((16, 0.5), (64, 1.0)):
            loads = compare(
                {EMPTY: Contender(empty, one), SERVICE: Contender(service, one)},
                connections,
                report,
            )
            title = f"recorded /assign, {connections} connections"
            show(loads, title, EMPTY, report)
            report.at_least(
                f"{title}: rate to the empty endpoint", ratio(loads, SERVICE, EMPTY), wanted
            )


@contextmanager
def both(space: prepared.Workspace) -> Iterator[tuple[Server, Server]]:
    """The empty endpoint and the service, on the same core."""
    empty_port, port = free_port(), free_port()
    with (
        serving(empty_endpoint(empty_port), empty_port) as empty,
        serving(prepared.command(), port, environment=space.environment(port)) as service,
    ):
        yield empty, service
