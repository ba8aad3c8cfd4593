"""The layers are respected."""

import subprocess
import sys
from pathlib import Path

from tests.contracts.conftest import ROOT


def test_import_contracts_are_kept() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run(
        [program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout
    assert "0 broken" in run.stdout


def test_serving_imports_no_training_library() -> None:
    """Importing scikit-learn takes seconds and a hundred megabytes."""
    code = (
        "import sys, service.cli, service.wiring, service.api.app, service.scoring.bundle\n"
        "print(*{'sklearn', 'joblib', 'scipy', 'pandas', 'pyarrow', 'skl2onnx'} & {*sys.modules})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
