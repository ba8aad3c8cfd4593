"""Schemathesis asks the running service whatever `openapi.yaml` allows and forbids, with a key.

A few examples a route here; `make fuzz` asks a thousand (benchmarks/README.md has its result).
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx

from tests.contracts.conftest import ROOT
from tests.contracts.schemathesis_hooks import CHANGED, TRACKING
from tests.process.service import Service

EXAMPLES = int(os.environ.get("SEGSERVE_FUZZ_EXAMPLES", "4"))
MANY = 100  # from here on somebody waits for a report
SEED = os.environ.get("SEGSERVE_FUZZ_SEED", "1")
KEY = "sgs_a-key-for-the-contract-tests-and-nothing-else"
HOOKS = {"SCHEMATHESIS_HOOKS": "tests.contracts.schemathesis_hooks", "PYTHONPATH": str(ROOT)}
ADULTS = {
    "name": "Adults",
    "condition": {"combinator": "and", "rules": [{"field": "age", "operator": ">=", "value": 18}]},
}


def furnish(base: str) -> str:
    """Something to ask about, so that not every answer is 404. A source's write key."""
    with httpx.Client(base_url=base, headers={"authorization": f"Bearer {KEY}"}) as client:
        for method, path, document in (
            ("put", "/traits/age", {"type": "number", "dimension": "demographic"}),
            ("put", "/segments/adults", ADULTS),
            ("put", "/segments/guests", {"name": "Guests"}),
            ("post", "/segments/guests/members", {"add": ["c-42", "c-43"]}),
            ("post", "/assign", {"customer_id": "c-42", "traits": {"age": 31}}),
        ):
            answer = client.request(method, path, json=document)
            assert answer.is_success, answer.text
        kept: dict[str, str] = {}
        for source_id in (CHANGED, TRACKING):
            source = {"id": source_id, "name": "Shop", "type": "server"}
            kept = client.post("/sources", json=source).json()
        return kept["write_key"]


def test_every_route_does_what_openapi_says(database_url: str, tmp_path: Path) -> None:
    environment = {"DATABASE_URL": database_url, "SEGSERVE_BOOTSTRAP_KEY": KEY}
    with Service(tmp_path, tmp_path / "data", **environment) as service:
        service.ready()
        base = service.url
        write_key = furnish(base)
        command = [
            sys.executable, "-m", "schemathesis.cli",
            "--config-file", str(ROOT / "tests" / "contracts" / "schemathesis.toml"), "--no-color",
            "run", str(ROOT / "openapi.yaml"), "--url", base, "--checks", "all",
            "--max-examples", str(EXAMPLES),
            "--seed", SEED, "--suppress-health-check", "all",
        ]  # fmt: skip
        ran = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False,
            env={**os.environ, **HOOKS, "SEGSERVE_FUZZ_KEY": KEY,
                 "SEGSERVE_FUZZ_WRITE_KEY": write_key},
        )  # fmt: skip
        assert service.process.poll() is None, service.stderr
        if EXAMPLES >= MANY:
            print(ran.stdout)  # noqa: T201 - the report that was asked for
        assert ran.returncode == 0, ran.stdout + ran.stderr
        tested = re.search(r"Tested: (\d+)", ran.stdout)
        selected = re.search(r"Selected: (\d+)/(\d+)", ran.stdout)
        assert tested, ran.stdout
        assert selected, ran.stdout
        assert tested[1] == selected[1] == selected[2]
