"""What a run found: tables as it goes, then the targets, and all of it as JSON."""

import json
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table


@dataclass(frozen=True)
class Target:
    """One promise and what was measured of it."""

    name: str
    wanted: str
    measured: str
    met: bool


@dataclass
class Report:
    """Collects figures and prints them; `figures` are plain numbers with their unit in the name."""

    console: Console = field(default_factory=Console)
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)

    def table(
        self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], note: str = ""
    ) -> None:
        """The first column names the row, the others are figures."""
        table = Table()
        for number, column in enumerate(columns):
            table.add_column(column, justify="right" if number else "left")
        for row in rows:
            table.add_row(*row)
        self.console.print(f"\n[bold]{title}", table, f"[dim]{note}" if note else "")

    def figure(self, part: str, name: str, value: float) -> None:
        self.figures.setdefault(part, {})[name] = round(value, 4)

    def at_least(self, name: str, value: float, wanted: float) -> None:
        """A ratio that has to be that high."""
        self.targets.append(
            Target(name, f"at least {wanted:g} ×", f"{value:.2f} ×", value >= wanted)
        )

    def at_most(self, name: str, value: float, wanted: float, unit: str) -> None:
        self.targets.append(
            Target(name, f"at most {wanted:g} {unit}", f"{value:.2f} {unit}", value <= wanted)
        )

    @contextmanager
    def progress(self, doing: str, steps: int) -> Iterator[Callable[[], None]]:
        """A bar that goes away when done; call the result once a step."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(doing, total=steps)
            yield lambda: progress.advance(task)

    def summary(self) -> None:
        if not self.targets:
            return
        rows = [
            [each.name, each.wanted, each.measured, "[green]met" if each.met else "[red]missed"]
            for each in self.targets
        ]
        self.table("Targets", ["", "wanted", "measured", ""], rows)

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        document = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "figures": self.figures,
            "targets": [asdict(each) for each in self.targets],
        }
        path.write_text(json.dumps(document, indent=2) + "\n")


def machine() -> str:
    """Processor, cores and Python, in a line."""
    model = platform.processor() or platform.machine()
    cpus = Path("/proc/cpuinfo")
    if cpus.exists():
        lines = cpus.read_text().splitlines()
        model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), model)
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}"
