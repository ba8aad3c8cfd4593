"""What is shipped: the wheel's files, the tasks of the Makefile, the locks."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.contracts.conftest import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    """The names of the files in the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--disable-pip-version-check", "--wheel-dir", str(folder), str(ROOT)],
        check=True, capture_output=True,
    )  # fmt: skip
    (built,) = folder.glob("*.whl")
    return frozenset(zipfile.ZipFile(built).namelist())


def test_the_wheel_holds_all_modules_and_their_data(wheel: frozenset[str]) -> None:
    modules = {
        str(path.relative_to(ROOT))
        for package in ("service", "models", "migrations")
        for path in (ROOT / package).rglob("*.py")
        if "bundles" not in path.parts
    }
    assert {"migrations/env.py", "service/cli.py", "models/__main__.py"} <= modules
    assert modules <= wheel
    assert any(name.startswith("migrations/versions/0001") for name in wheel)
    assert "service/demo/starter.yaml" in wheel
    assert any(name.endswith(".dist-info/entry_points.txt") for name in wheel)


def test_the_wheel_holds_nothing_else(wheel: frozenset[str]) -> None:
    tops = {name.partition("/")[0] for name in wheel if ".dist-info/" not in name}
    assert tops == {"service", "models", "migrations"}
    assert not [name for name in wheel if "bundles" in name or "__pycache__" in name]


def test_make_help_lists_every_task() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    tasks = set(re.findall(r"^\.PHONY: ([a-z-]+)$", makefile, re.MULTILINE))
    assert {"run", "test", "lint", "bench", "openapi", "help"} <= tasks
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    assert targets == tasks
    run = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = dict(re.findall(r"^  make (\S+) +(\S.*)$", run.stdout, re.MULTILINE))
    assert set(listed) == tasks


@pytest.mark.parametrize(
    "lock", sorted(path.name for path in (ROOT / "requirements").glob("*.lock"))
)
def test_a_lock_pins_and_digests_everything_and_names_no_host(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[a-z0-9])", text.strip())
    assert len(entries) > 20
    for entry in entries:
        assert re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry
    assert "://" not in text


def test_the_locks_agree_with_each_other() -> None:
    versions: dict[str, set[str]] = {}
    for path in Path(ROOT / "requirements").glob("*.lock"):
        for name, version in re.findall(r"^([a-z0-9._-]+)==(\S+)", path.read_text(), re.MULTILINE):
            versions.setdefault(name, set()).add(version)
    # Where several stand, each is for other versions of Python.
    run = set(re.findall(r"^([a-z0-9._-]+==\S+)",
                         (ROOT / "requirements/run.lock").read_text(), re.MULTILINE))  # fmt: skip
    for name, found in versions.items():
        pinned = {entry.partition("==")[2] for entry in run if entry.startswith(f"{name}==")}
        assert not pinned or found == pinned, name
