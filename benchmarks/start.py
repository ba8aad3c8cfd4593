"""Part "start": from the command to ready, and what a worker then weighs."""

from pathlib import Path

from benchmarks import prepared
from benchmarks.report import Report
from benchmarks.servers import free_port, serving

PART = "start"
SEGMENTS = 10_000
ROUNDS = 5


def memory(pid: int) -> dict[str, float]:
    """Resident and proportional memory of a process in MB; Linux only."""
    kilobytes = {"VmRSS": 0.0, "Pss": 0.0}
    for file in ("status", "smaps_rollup"):
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in kilobytes:
                kilobytes[name] = float(rest.split()[0])
    return {name: value / 1024 for name, value in kilobytes.items()}


def run(report: Report) -> None:
    with prepared.workspace(SEGMENTS, customers=0) as space:
        seconds, rss, pss = [], [], []
        with report.progress(f"starting with {SEGMENTS:,} segments", ROUNDS) as step:
            for _ in range(ROUNDS):
                port = free_port()
                environment = space.environment(port)
                with serving(
                    prepared.command(), port, environment=environment, core=None
                ) as server:
                    seconds.append(server.ready_after)
                    weight = memory(server.pid)
                    rss.append(weight["VmRSS"])
                    pss.append(weight["Pss"])
                step()
    rows = [
        ["seconds to ready", f"{min(seconds):.2f}", f"{max(seconds):.2f}"],
        ["resident MB", f"{min(rss):.0f}", f"{max(rss):.0f}"],
        ["proportional MB", f"{min(pss):.0f}", f"{max(pss):.0f}"],
    ]
    report.table(f"start, {SEGMENTS:,} segments and the model", ["", "least", "most"], rows,
                 f"{ROUNDS} starts, PostgreSQL running already")  # fmt: skip
    report.figure(PART, "seconds to ready", min(seconds))
    report.at_most("start: seconds to ready (least)", min(seconds), 3.0, "s")
    report.at_most("start: resident memory (most)", max(rss), 350.0, "MB")
