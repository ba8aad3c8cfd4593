"""Part "http": requests a second and latency, beside an empty FastAPI endpoint.

Servers run on one core, the driver on the other; contenders take turns in each round.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.load import Load, drive, encode
from benchmarks.measuring import DRIVER_CORE, pinned
from benchmarks.report import Report
from benchmarks.servers import Server, empty_endpoint, free_port, serving
from benchmarks.workload import make_profiles

PART = "http"
CUSTOMERS = 5_000
ROUNDS = 9
SECONDS = 2.0


def unnamed(count: int = CUSTOMERS) -> list[bytes]:
    """Requests about customers without a name, a full profile each."""
    bodies = ({"traits": profile} for profile in make_profiles(count))
    return [encode("/assign", json.dumps(body).encode()) for body in bodies]


def recorded(count: int = CUSTOMERS, rounds: int = 8) -> list[bytes]:
    """Requests about one customer after another, each time with one trait changed."""
    bodies = (
        {"customer_id": f"bench-{customer}", "traits": {"points": changed * 500 + customer}}
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
            drive(each.server.port, each.requests, connections=connections, seconds=1)
        for _ in range(ROUNDS):
            for name, each in contenders.items():
                loads[name].append(
                    drive(each.server.port, each.requests, connections=connections, seconds=SECONDS)
                )
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
        errors = sum(load.errors for load in each)
        times = f"{ratio(loads, name, base):.2f} ×"
        rows.append([name, f"{rate:,.0f}", times, f"{p50:.2f}", f"{p99:.2f}", str(errors)])
        for what, value in (("rate", rate), ("p50_ms", p50), ("p99_ms", p99)):
            report.figure(PART, f"{title}: {name}: {what}", value)
    columns = ["", "requests/s", "to the empty", "p50 ms", "p99 ms", "not 2xx"]
    report.table(title, columns, rows, f"medians of {ROUNDS} interleaved rounds of {SECONDS:g} s")


def run(report: Report) -> None:
    port = free_port()
    with serving(empty_endpoint(port), port) as empty:
        for connections in (16, 64):
            contenders = {
                "empty FastAPI endpoint, full profiles": Contender(empty, unnamed()),
                "empty FastAPI endpoint, one trait": Contender(empty, recorded()),
            }
            loads = compare(contenders, connections, report)
            show(loads, f"{connections} connections", next(iter(contenders)), report)
