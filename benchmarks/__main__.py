"""`python -m benchmarks [PART ...]`: measure the named parts, all of them by default."""

import argparse
from importlib import import_module
from pathlib import Path

from benchmarks.report import Report, machine

PARTS = {
    "engine": "one profile and a block of profiles, against the engines on PyPI",
    "http": "requests a second beside an empty FastAPI endpoint",
    "door": "what keys and limits cost the unnamed /assign",
    "lists": "a million ids uploaded in place of a list",
    "events": "tracking in batches, and deciding those with a long life",
    "imports": "a file of orders, imported",
    "start": "from the command to ready, and what a worker weighs",
}
RESULTS = Path(__file__).parent / "results" / "latest.json"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    wanted = parser.parse_args().parts or list(PARTS)
    if unknown := [each for each in wanted if each not in PARTS]:
        parser.error(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    report = Report()
    report.console.print(machine())
    for part in wanted:
        report.console.rule(f"{part}: {PARTS[part]}")
        import_module(f"benchmarks.{part}").run(report)
    report.summary()
    report.write(RESULTS)
    report.console.print(f"Written to {RESULTS}", soft_wrap=True)


if __name__ == "__main__":
    main()
