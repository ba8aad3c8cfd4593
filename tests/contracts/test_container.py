"""The Dockerfile keeps the rules that matter: what is pinned, who runs, what is left out."""

import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

from service.settings import Settings
from tests.dockerfile import ROOT, Instruction, environment, instructions

FINAL = max(each.stage for each in instructions())
SECRET = re.compile(r"key|secret|token|password|credential", re.IGNORECASE)


def named(name: str, stage: int | None = None) -> list[Instruction]:
    return [each for each in instructions() if each.name == name and stage in (None, each.stage)]


def test_the_linter_finds_nothing() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    run = subprocess.run(
        [linter, "--failure-threshold", "style", "--disable-ignore-pragma",
         ROOT / "Dockerfile"], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stdout + run.stderr) == (0, "")


def test_stages_stand_on_one_pinned_image_with_glibc_of_no_named_host() -> None:
    images = {each.words[0] for each in named("FROM")}
    assert FINAL >= 1
    assert len(images) == 1
    [image] = images
    assert re.fullmatch(r"python:3\.\d+(\.\d+)?-slim-[a-z]+", image)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    least = project["requires-python"].removeprefix(">=")
    assert tuple(map(int, image[len("python:") :].split("-")[0].split("."))) >= tuple(
        map(int, least.split("."))
    )


def test_an_unprivileged_user_runs_it() -> None:
    last = named("USER", FINAL)[-1]
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", last.text)
    places = [each.name for each in instructions() if each.stage == FINAL]
    assert "RUN" not in places[places.index("USER") :]


def test_it_holds_no_secret() -> None:
    assert not named("ARG")
    for stage in range(FINAL + 1):
        assert not [name for name in environment(stage) if SECRET.search(name)]
    assert not named("ADD")


def test_the_install_is_locked() -> None:
    installs = [
        command.strip()
        for each in named("RUN")
        for command in each.text.split("&&")
        if re.search(r"\bpip (install|download)\b", command)
    ]
    assert len(installs) == 2
    for command in installs:
        locked = "--require-hashes" in command and "-r requirements/run.lock" in command
        own = "--no-deps" in command and "--no-index" in command
        assert locked or own, command
    assert not [each.text for each in named("RUN") if "apt" in each.text or "gcc" in each.text]
    # What builds stays behind: only what was installed is taken over.
    assert [each.words for each in named("COPY", FINAL)] == [
        ["--from=build", "/opt/segserve", "/opt/segserve"]
    ]


def test_it_is_run_as_it_should_be() -> None:
    for name in ("ENTRYPOINT", "CMD", "VOLUME"):
        [each] = named(name, FINAL)
        assert each.text.startswith("["), each
    [health] = named("HEALTHCHECK", FINAL)
    assert "/healthz" in health.text
    assert "curl" not in health.text
    env = environment(FINAL)
    assert named("EXPOSE", FINAL)[0].text == env["SEGSERVE_PORT"]
    assert env["SEGSERVE_DATA_DIR"] in named("VOLUME", FINAL)[0].words
    known = {f"SEGSERVE_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in env if name.startswith("SEGSERVE_")} <= known


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    labels = dict(word.split("=", 1) for word in named("LABEL", FINAL)[0].words)
    assert labels["org.opencontainers.image.version"] == project["version"]
    assert labels["org.opencontainers.image.description"] == project["description"]


def test_only_what_is_copied_goes_to_the_engine() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    kept = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {
        source.rstrip("/") for each in named("COPY") if not each.flags for source in each.words[:-1]
    }
    assert kept == copied
    assert all((ROOT / each).exists() for each in kept)
    left_out = [rule for rule in rules[1:] if not rule.startswith("!")]
    assert any(fnmatch("models/bundles", rule) for rule in left_out)
