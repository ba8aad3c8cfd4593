"""Every command of the README and the pages is run against a running service.

A fenced `sh` block is run as it stands; a `json` block after it is what it answers, a `text`
block lines of it. "..." stands for anything: within a text for a part of it, as the last item of
a list or as a member of an object for all the others. Blocks after `<!-- not run: why -->` are
left out, and listed here. What a service notices in a moment (`<!-- soon -->`) is asked again until
it is so. A page's blocks share one shell, as a reader's do.
"""

import asyncio
import fnmatch
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service.commands.demo import load_into
from service.demo.household import Household
from service.demo.households import Households
from service.demo.setup import SAMPLE
from service.flows.import_storing import ALONE
from service.settings import Settings
from service.wiring import Process
from tests.postgres import Databases

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
WRITTEN = "http://127.0.0.1:8000"
ANYTHING = "..."
STARTING = 60.0  # s
COMMAND = 120.0  # s
SOON = 30.0  # s; a second where nothing else keeps the machine busy

# What can't be run here, by the first line of each block.
NOT_RUN = {
    "README.md": ["make run", "make test"],
    "development.md": ["make test", "make lock"],
    "operate.md": [
        "make demo-remove",
        'segserve keys create "Web shop" --scope assign --expires 90d --rate 6000',
        'SEGSERVE_HOST=0.0.0.0 SEGSERVE_BOOTSTRAP_KEY="$(cat /run/secrets/segserve)" '
        "segserve serve",
        "segserve secret rotate",
        "tar -czf segserve-backup.tar.gz .segserve",
        "DATABASE_URL=postgresql://segserve:secret@db.example.com/segserve make run",
        "docker build -t segserve .",
    ],
    "personal-data.md": [
        'curl -s http://127.0.0.1:8000/customers/c-900 -H "authorization: Bearer $READER"',
    ],
}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    line: int
    language: str
    text: str
    not_run: bool
    soon: bool


@dataclass(frozen=True)
class Service:
    """A running service, and the environment in which a reader would ask it."""

    base: str
    folder: Path
    env: dict[str, str]

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a block of commands as a reader would, and stop at the first that fails. What it
        exports is there in the blocks after it."""
        shell = self.folder / "shell"
        script = f". {shell}\n{script.replace(WRITTEN, self.base)}\nexport -p > {shell}"
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=COMMAND, check=False,
        )  # fmt: skip


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    pattern = re.compile(
        r"^(?:<!-- (?P<mark>not run|soon)(?:: [^\n]+)? -->\n)?"
        r"```(?P<language>\w*)\n(?P<text>.*?)^```$",
        re.MULTILINE | re.DOTALL,
    )
    text = page.read_text(encoding="utf-8")
    for match in pattern.finditer(text):
        line = text.count("\n", 0, match.start("language")) + 1
        mark = match["mark"]
        yield Block(line, match["language"], match["text"], mark == "not run", mark == "soon")


def fits(shown: Any, actual: Any) -> bool:
    """Whether an answer is what a page shows of it."""
    if isinstance(shown, str):
        if shown == ANYTHING:
            return True
        if ANYTHING in shown and isinstance(actual, str):
            return fnmatch.fnmatchcase(actual, _pattern(shown))
    if isinstance(shown, dict) and isinstance(actual, dict):
        named = {name: value for name, value in shown.items() if name != ANYTHING}
        if ANYTHING not in shown and named.keys() != actual.keys():
            return False
        return all(name in actual and fits(value, actual[name]) for name, value in named.items())
    if isinstance(shown, list) and isinstance(actual, list):
        if not shown or shown[-1] != ANYTHING:
            return len(shown) == len(actual) and all(map(fits, shown, actual))
        rest = iter(actual)
        return all(any(fits(item, other) for other in rest) for item in shown[:-1])
    return type(shown) is type(actual) and bool(shown == actual)


def _pattern(shown: str) -> str:
    literal = re.sub(r"([*?\[])", r"[\1]", shown)
    return literal.replace(ANYTHING, "*")


class _Thin(Households):
    """All households of the demo, but of most only the latest orders: what the pages show of those
    is what they are, and not what they bought. (`tests/demo` loads all.)"""

    KEPT = 2
    WHOLE = 30  # of the lowest numbers

    def __iter__(self) -> Iterator[Household]:
        for household in super().__iter__():
            who = household.customer_id
            if who == SAMPLE or int(who.removeprefix("household-")) <= self.WHOLE:
                yield household
                continue
            ordered = [event for event in household.events if event.name == "Order Completed"]
            others = [event for event in household.events if event.name != "Order Completed"]
            yield household._replace(events=[*others, *ordered[-self.KEPT :]])


async def _load_demo(url: str, data_dir: Path) -> None:
    config = Settings(data_dir=data_dir)
    async with Process(config, url).running() as parts:
        await load_into(parts, config, ALONE, _Thin.read(datetime.now(UTC)))


@pytest.fixture(scope="module")
def service(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The command `segserve run` on a database of its own, with the demo."""
    folder = tmp_path_factory.mktemp("reader")
    for name in ("openapi.yaml", "Makefile"):
        (folder / name).symlink_to(ROOT / name)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with databases.database() as url:
        asyncio.run(_load_demo(url, folder / ".segserve"))
        env = {
            **{name: value for name, value in os.environ.items() if "SEGSERVE_" not in name},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DATABASE_URL": url,
            "SEGSERVE_DATA_DIR": str(folder / ".segserve"),
            "SEGSERVE_PORT": str(port),
            "no_proxy": "127.0.0.1",
        }
        log = (folder / "service.log").open("wb")
        process = subprocess.Popen(
            [Path(sys.executable).with_name("segserve"), "run"], cwd=ROOT, env=env,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        started = Service(f"http://127.0.0.1:{port}", folder, env)
        try:
            _wait_until_ready(started, process)
            yield started
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)
            log.close()


def _wait_until_ready(service: Service, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + STARTING
    while process.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"{service.base}/readyz", timeout=5):  # noqa: S310
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError((service.folder / "service.log").read_text())


def test_what_is_not_run_is_listed() -> None:
    found = {
        page.name: [block.text.splitlines()[0] for block in blocks(page) if block.not_run]
        for page in PAGES
    }
    assert {name: lines for name, lines in found.items() if lines} == NOT_RUN


def test_blocks_have_a_language() -> None:
    known = {"sh", "json", "text", "yaml", "python", "ini"}
    for page in PAGES:
        wrong = [block.line for block in blocks(page) if block.language not in known]
        assert wrong == [], page.name


@pytest.mark.skipif(shutil.which("curl") is None, reason="the pages ask with curl")
def test_commands_answer_as_the_pages_say(service: Service, subtests: pytest.Subtests) -> None:
    for page in PAGES:
        with subtests.test(page=page.name):
            _follow(page, service)


def _follow(page: Path, service: Service) -> None:
    """Do what a page says, from top to bottom."""
    (service.folder / "shell").write_text("")
    asked = 0
    told = [each for each in blocks(page) if each.language in {"sh", "json", "text"}]
    for index, block in enumerate(told):
        after = told[index + 1] if index + 1 < len(told) else None
        if block.language == "sh" and not block.not_run:
            answer = None if after is None or after.language == "sh" else after
            _do(page, block, answer, service)
            asked += 1
    assert asked or page.name not in {"README.md", "assign.md", "define-segments.md"}


def _do(page: Path, block: Block, answer: Block | None, service: Service) -> None:
    """Run one block and look at its output; one marked `soon`, until it is as the page shows."""
    until = time.monotonic() + (SOON if block.soon else 0.0)
    while True:
        run = service.run(block.text)
        fault = None
        if run.returncode != 0:
            fault = f"{page.name}:{block.line}\n{run.stderr}\n{run.stdout}"
        elif answer is not None:
            fault = _fault(page, answer, run.stdout)
        if fault is None:
            return
        assert time.monotonic() < until, fault
        time.sleep(0.2)


def _fault(page: Path, answer: Block, output: str) -> str | None:
    """How an output differs from what a page shows of it; None where it does not."""
    place = f"{page.name}:{answer.line}"
    if answer.language == "json":
        actual = json.loads(output)
        if fits(json.loads(answer.text), actual):
            return None
        return f"{place}\n{json.dumps(actual, indent=2)}"
    lines = output.splitlines()
    for line in answer.text.splitlines():
        found = any(fnmatch.fnmatchcase(other, _pattern(line)) for other in lines)
        if line != ANYTHING and not found:
            return f"{place}: {line}\n{output}"
    return None


@pytest.mark.parametrize(
    ("shown", "actual", "fit"),
    [
        ("...", {"a": 1}, True),
        ("2026-...Z", "2026-11-20T10:00:00Z", True),
        ("2026-...Z", "2025-11-20T10:00:00Z", False),
        ("a*...", "a*b", True),
        ("a*...", "abb", False),
        (1, 1, True),
        (1, True, False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": 1, "...": "..."}, {"a": 1, "b": 2}, True),
        ({"c": 1, "...": "..."}, {"a": 1, "b": 2}, False),
        ([1, 3, "..."], [1, 2, 3], True),
        ([3, 1, "..."], [1, 2, 3], False),
        ([1, 2], [1, 2, 3], False),
        (["..."], [], True),
    ],
)
def test_what_fits(shown: Any, actual: Any, fit: bool) -> None:
    assert fits(shown, actual) is fit
