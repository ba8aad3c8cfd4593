"""The Dockerfile as a list of instructions, so that tests read the file that is built."""

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Instruction:
    """One instruction: its stage counted from 0, its name in capitals, its text on one line."""

    stage: int
    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """Its words, as a shell would split them, or the items of its exec form."""
        if self.text.startswith("["):
            return [str(item) for item in json.loads(self.text)]
        return shlex.split(self.text)

    @property
    def flags(self) -> list[str]:
        """Words that begin it and change what it does: --from=build."""
        return [word for word in self.words if word.startswith("--")]


def instructions() -> list[Instruction]:
    """The Dockerfile's instructions in order."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found: list[Instruction] = []
    stage = -1
    for line in filter(None, map(str.strip, joined.splitlines())):
        name, _, rest = line.partition(" ")
        stage += name.upper() == "FROM"
        found.append(Instruction(stage, name.upper(), rest.strip()))
    return found


def environment(stage: int) -> dict[str, str]:
    """What ENV sets in a stage, as it is written."""
    pairs = [
        word.partition("=")
        for each in instructions()
        if (each.stage, each.name) == (stage, "ENV")
        for word in each.words
    ]
    return {name: value for name, _, value in pairs}
