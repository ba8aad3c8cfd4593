"""`segserve apply` and `segserve export`: what they say, and how they end."""

import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from tests.process.service import PATIENCE

pytestmark = pytest.mark.anyio

ADULT = "segments:\n  - key: adult\n    condition:\n      combinator: and\n      rules:\n"
RULE = '        - {{field: age, operator: ">=", value: {age}}}\n'


class Team:
    """A database and files that define its segments."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.env = {
            **{name: value for name, value in os.environ.items() if "SEGSERVE_" not in name},
            "DATABASE_URL": url,
            "SEGSERVE_DATA_DIR": str(folder / "data"),
            "COLUMNS": "200",
        }

    def file(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text)
        return name

    def run(
        self, *arguments: str | bytes, status: int = 0, given: str | None = None
    ) -> tuple[str, str]:
        """What a command says on standard output and standard error."""
        done = subprocess.run(
            [sys.executable, "-m", "service", *arguments], cwd=self.folder, env=self.env,
            input=given, stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout, done.stderr

    def asked(self, answer: str, *arguments: str) -> tuple[int, str]:
        """How a command ends at a terminal at which somebody answers, and what stands there."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "service", *arguments], cwd=self.folder, env=self.env,
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        said = b""
        answered = False
        while select.select([ours], [], [], PATIENCE)[0]:
            try:
                said += os.read(ours, 4_096)
            except OSError:  # Linux says so that the other side is closed
                break
            if b"[y/N]" in said and not answered:
                os.write(ours, answer.encode() + b"\n")
                answered = True
        os.close(ours)
        return process.wait(PATIENCE), said.decode()

    async def revision(self) -> int:
        connection = await asyncpg.connect(self.url)
        try:
            return int(await connection.fetchval("select revision from catalog_head"))
        finally:
            await connection.close()


@pytest.fixture
def team(database_url: str, tmp_path: Path) -> Team:
    return Team(database_url, tmp_path)


async def test_check_apply_check_export_check(team: Team) -> None:
    file = team.file("segments.yaml", ADULT + RULE.format(age=18))
    out, _ = team.run("apply", file, "--check", status=1)
    assert "+ adult created\n" in out
    assert "    + Age is at least 18.\n" in out
    assert "0 customers would move." in out
    assert await team.revision() == 0
    _, err = team.run("apply", file, status=2)
    assert "say --yes" in err
    assert await team.revision() == 0
    team.run("apply", file, "--yes", "--reason", "first")
    assert await team.revision() == 1
    out, _ = team.run("apply", file, "--check")
    assert out == "Nothing to change: 1 segment as in the files.\n"
    text, _ = team.run("export")
    team.file("exported.yaml", text)
    team.run("apply", "exported.yaml", "--check", "--prune")
    team.run("apply", "-", "--check", given=text)
    out, _ = team.run(
        "apply", team.file("none.yaml", "segments: []"), "--check", "--prune", status=1
    )
    assert "- adult archived" in out
    _, err = team.run("export", "nobody", status=2)
    assert "there is no segment nobody" in err


async def test_the_difference_for_programs(team: Team) -> None:
    file = team.file("segments.yaml", ADULT + RULE.format(age=18))
    team.run("apply", file, "--yes")
    team.file("segments.yaml", ADULT + RULE.format(age=21))
    out, _ = team.run("apply", file, "--check", "--format", "json", status=1)
    told = json.loads(out)
    assert told["changes"][0]["summary"] == {
        "before": "Age is at least 18.", "after": "Age is at least 21.",
    }  # fmt: skip
    assert (told["changes"][0]["key"], told["changes"][0]["change"]) == ("adult", "changed")
    assert told["customers"] == {"moving": 0, "counted": 0}


async def test_a_fault_is_told_with_its_place_and_nothing_is_applied(team: Team) -> None:
    good = team.file("good.yaml", ADULT + RULE.format(age=18))
    bad = team.file("bad.yaml", "- key: other\n  condition: {combinator: and, rules: [\n"
                    '    {field: x, operator: "=>", value: 1}]}\n')  # fmt: skip
    _, err = team.run("apply", good, bad, "--yes", status=2)
    assert "bad.yaml:3:26: /0/condition/rules/0/operator: " in err
    assert "(unknown_operator)" in err
    out, _ = team.run("apply", good, bad, "--check", "--format", "json", status=2)
    fault = json.loads(out)["errors"][0]
    assert (fault["file"], fault["line"], fault["column"]) == ("bad.yaml", 3, 26)
    for text, place in (
        ("- key: adult\n", "more.yaml:1:8: /0/key: "),
        ("- key: x\n  nmae: X\n", "more.yaml:2:3: /0/nmae: "),
        ("- key: x\n  name: no\n", "more.yaml:2:9: /0/name: "),
    ):
        _, err = team.run("apply", good, team.file("more.yaml", text), "--yes", status=2)
        assert err.startswith(place)
    assert await team.revision() == 0


async def test_it_asks_at_a_terminal(team: Team) -> None:
    file = team.file("segments.yaml", ADULT + RULE.format(age=18))
    status, said = team.asked("n", "apply", file)
    assert (status, await team.revision()) == (1, 0)
    assert "Apply? [y/N]" in said
    # In colour, for people.
    assert "\x1b[" in said
    status, said = team.asked("y", "apply", file)
    assert (status, await team.revision()) == (0, 1)


async def test_a_database_that_cant_be_had_is_2(team: Team) -> None:
    team.env["DATABASE_URL"] = "postgresql://nobody@127.0.0.1:1/none"
    team.run("apply", team.file("s.yaml", "[]"), "--check", status=2)


async def test_files_of_nothing_differ_in_nothing(team: Team) -> None:
    for text in ("", "null\n", "[]", "segments:\n"):
        out, _ = team.run("apply", team.file("none.yaml", text), "--check")
        assert out == "Nothing to change: 0 segments as in the files.\n"
    text, _ = team.run("export")
    team.run("apply", "-", "--check", "--prune", given=text)


async def test_what_breaks_unforeseen_is_2_and_told_without_what_it_was_about(team: Team) -> None:
    connection = await asyncpg.connect(team.url)
    await connection.execute("alter table segments rename column summary to summed_up")
    await connection.close()
    file = team.file("segments.yaml", ADULT + RULE.format(age=18))
    _, err = team.run("apply", file, "--yes", "--reason", "a secret", status=2)
    assert "something went wrong on our side" in err
    assert "does not answer" not in err
    assert "Nothing was changed" not in err
    assert "a secret" not in err


@pytest.mark.parametrize("reason", [b"\xff", "x" * 501], ids=["no text", "too long"])
async def test_a_reason_that_cant_be_kept(team: Team, reason: str | bytes) -> None:
    file = team.file("segments.yaml", ADULT + RULE.format(age=18))
    for command in (
        ["apply", file, "--check"],
        ["keys", "create", "x", "--scope", "read"],
        ["keys", "revoke", "x"],
    ):
        _, err = team.run(*command, "--reason", reason, status=2)
        assert "--reason" in err
