"""What the Dockerfile installs starts and serves: its own instructions, carried out in a folder.

No engine may be at hand, so the build stage's COPY and RUN are done here as they are written, with
every absolute path below a folder of this test; then the image's command is started as its user
with its environment. Packages come from wherever pip is set up to find them.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.store.embedded.cluster import locate
from service.store.embedded.supervisor import SYSTEM_DIR
from tests.dockerfile import ROOT, environment, instructions
from tests.postgres import scratch_root
from tests.process.service import PATIENCE, free_port

FINAL = max(each.stage for each in instructions())
KEY = "a-key-of-this-test-0123456789abcdef"
OFFLINE = re.compile(r"NewConnectionError|ConnectTimeout|NameResolutionError|ProxyError")


def reachable(path: Path) -> bool:
    """Whether everybody may read a file."""
    return all(each.stat().st_mode & 0o005 for each in (path, *path.parents))


# Only root can, and only with a Python that does not lie in root's own folder.
BECOMES_THE_USER = os.geteuid() == 0 and reachable(Path(sys.executable).resolve())


@dataclass(frozen=True)
class Image:
    """The image as a folder that stands for its root."""

    root: Path

    def mapped(self, text: str) -> str:
        """A text with the image's own paths where they are here."""
        return re.sub(r"(?<![\w/.}])/(opt|build|data)\b", rf"{self.root}/\1", text)

    def build(self) -> None:
        """Carry out the first stage."""
        env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        # An image should not hold pip's cache; here it spares the network.
        env |= {name: value for name, value in environment(0).items() if name != "PIP_NO_CACHE_DIR"}
        folder = self.root
        for each in instructions():
            if each.stage != 0:
                break
            if each.name == "WORKDIR":
                folder = Path(self.mapped(each.text))
                folder.mkdir(parents=True)
            elif each.name == "COPY":
                *sources, target = each.words
                for source in sources:
                    copy(ROOT / source, folder / target)
            elif each.name == "RUN":
                run = subprocess.run(
                    ["/bin/sh", "-c", self.mapped(each.text)], cwd=folder, env=env,
                    capture_output=True, text=True, check=False,
                )  # fmt: skip
                if run.returncode != 0 and OFFLINE.search(run.stderr) and "CI" not in os.environ:
                    warnings.warn("NOT TESTED: the container's install, offline", stacklevel=1)
                    pytest.skip("no package registry can be reached")
                assert run.returncode == 0, run.stderr

    def environment(self, **more: str) -> dict[str, str]:
        """What a process in the container sees."""
        env = {name: self.mapped(value) for name, value in environment(FINAL).items()}
        env["PATH"] = env["PATH"].replace("${PATH}", "/usr/local/bin:/usr/bin:/bin")
        return {**env, "HOME": str(self.root / "data"), **more}

    def start(
        self, env: dict[str, str], command: list[str] | None = None
    ) -> "subprocess.Popen[str]":
        """The image's command, or another, as its user."""
        words = {each.name: each.words for each in instructions() if each.stage == FINAL}
        command = command or [*words["ENTRYPOINT"], *words["CMD"]]
        rights: dict[str, Any] = {}
        if BECOMES_THE_USER:
            uid, gid = map(int, words["USER"][0].split(":"))
            rights = {"user": uid, "group": gid, "extra_groups": []}
        return subprocess.Popen(
            [shutil.which(command[0], path=env["PATH"]) or command[0], *command[1:]],
            cwd=self.root / "data", env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, **rights,
        )  # fmt: skip


def copy(source: Path, target: Path) -> None:
    """As COPY does: a folder's content, a file into a folder or as one."""
    if source.is_dir():
        ignored = shutil.ignore_patterns("__pycache__", "bundles")
        shutil.copytree(source, target, ignore=ignored, dirs_exist_ok=True)
        return
    target = target / source.name if target.is_dir() else target
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    root = Path(tempfile.mkdtemp(prefix="segserve-image-", dir=scratch_root()))
    root.chmod(0o755)
    made = Image(root)
    try:
        made.build()
        data = root / "data"
        data.mkdir(mode=0o700)
        if BECOMES_THE_USER:
            user = next(each.text for each in instructions() if each.name == "USER")
            os.chown(data, *map(int, user.split(":")))
        yield made
    finally:
        # Root keeps the cluster elsewhere.
        shutil.rmtree(locate((root / "data").resolve(), SYSTEM_DIR).home, ignore_errors=True)
        shutil.rmtree(root, ignore_errors=True)


def test_it_asks_for_a_first_key(image: Image) -> None:
    process = image.start(image.environment(SEGSERVE_PORT=str(free_port())))
    told, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1, told
    assert "SEGSERVE_BOOTSTRAP_KEY" in told


def test_it_serves_with_its_key_and_stops_when_told(image: Image) -> None:
    port = free_port()
    env = image.environment(SEGSERVE_PORT=str(port), SEGSERVE_BOOTSTRAP_KEY=KEY)
    process = image.start(env)
    headers = {"authorization": f"Bearer {KEY}"}
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            wait_until_ready(process, client)
            assert client.get("/readyz", headers=headers).json()["ready"] is True
            assert client.get("/segments").status_code == 401
            assert client.get("/segments", headers=headers).json()["items"] == []
            body = {"customer_id": "c-1", "traits": {"age": 31}}
            assert client.post("/assign", json=body, headers=headers).json()["recorded"] is True
        [health] = [each for each in instructions() if each.name == "HEALTHCHECK"]
        check = health.text.partition("CMD ")[2]
        assert check.startswith('["python", ')
        words = [str(word) for word in json.loads(check)]
        assert image.start(env, words).wait(PATIENCE) == 0
        stop = next(each.text for each in instructions() if each.name == "STOPSIGNAL")
        process.send_signal(signal.Signals[stop])
        told, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, told
        assert image.start(env, words).wait(PATIENCE) != 0
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def wait_until_ready(process: "subprocess.Popen[str]", client: httpx.Client) -> None:
    until = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(httpx.TransportError):
            if client.get("/readyz").status_code == 200:
                return
        time.sleep(0.1)
    process.kill()
    raise AssertionError(process.communicate()[0])


def test_only_the_run_lock_is_installed(image: Image) -> None:
    pip = [image.root / "opt/segserve/bin/python", "-m", "pip", "list", "--format", "freeze"]
    listed = subprocess.run(pip, capture_output=True, text=True, check=True).stdout
    found = dict(line.lower().replace("_", "-").split("==") for line in listed.split())
    assert found.pop("segserve")
    lock = (ROOT / "requirements" / "run.lock").read_text(encoding="utf-8")
    locked = set(re.findall(r"^([a-z0-9._-]+)(?:\[[a-z,]+\])?==(\S+)", lock, re.MULTILINE))
    beside = {"pip", "setuptools"}  # what a virtual environment begins with
    assert {(name, found[name]) for name in found if name not in beside} <= locked
