import json
import subprocess
import sys
from pathlib import Path

import pytest

from models.train_command import train
from models.training import TrainingRefused
from service.scoring.bundle import load, verify
from tests.scoring.generated import households


def test_customers_come_from_a_file_or_from_memory(tmp_path: Path) -> None:
    customers = households(400)
    lines = tmp_path / "customers.ndjson"
    lines.write_text(
        "".join(
            json.dumps({"customer_id": str(number), "traits": traits}) + "\n"
            for number, traits in enumerate(customers)
        )
        + "\n"
    )
    _, from_file = train(lines, "household-tiers", "1", tmp_path / "bundles")
    digest, from_memory = train(iter(customers), "household-tiers", "2", tmp_path / "bundles")
    assert from_file.training == from_memory.training
    assert from_file.unusual_distance == from_memory.unusual_distance
    assert sorted(from_file.labels) == [f"tier-{rank}" for rank in range(1, 6)]
    with load(verify(tmp_path / "bundles" / "household-tiers" / "2", digest)) as scorer:
        assert scorer.manifest == from_memory


@pytest.mark.parametrize("line", ["{", "[]", '{"customer_id": "a"}', '{"traits": []}'])
def test_a_bad_line_is_located(tmp_path: Path, line: str) -> None:
    (tmp_path / "customers.ndjson").write_text(f'{{"traits": {{}}}}\n{line}\n')
    with pytest.raises(TrainingRefused, match=r"customers\.ndjson, line 2"):
        train(tmp_path / "customers.ndjson", "household-tiers", "1", tmp_path)


def test_progress_is_told_step_by_step(tmp_path: Path) -> None:
    heard: list[tuple[int, int, str]] = []
    train(households(100), "tiers", "1", tmp_path, lambda *step: heard.append(step))
    assert [step[:2] for step in heard] == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_refusal_is_one_sentence_without_a_trace(tmp_path: Path) -> None:
    file = tmp_path / "customers.ndjson"
    file.write_text('{"id": 7}\n')
    command = [sys.executable, "-m", "models", str(file), "tiers", "1", str(tmp_path / "bundles")]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert child.returncode == 1
    assert child.stderr.startswith("customers.ndjson, line 1: ")
    assert len(child.stderr.splitlines()) == 1
    assert child.stdout == ""
