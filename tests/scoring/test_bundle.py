import os
import pickle
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import joblib
import pytest

from models import conversion
from models.training import TrainedModel
from service.scoring import bundle as bundles
from service.scoring.bundle import load, verify
from service.scoring.errors import BundleRefused
from service.scoring.manifest import GOLDENS, MANIFEST, ONNX, PIPELINE, SIZE_LIMITS
from service.scoring.onnx_engine import OnnxEngine
from tests.scoring import generated

Bundle = tuple[Path, str]
FILES = (MANIFEST, PIPELINE, ONNX, GOLDENS)


class Poison:
    """Creates a file when it is unpickled."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.victim,))


def test_the_poison_of_these_tests_works(tmp_path: Path) -> None:
    joblib.load(BytesIO(pickle.dumps(Poison(tmp_path / "victim"))))
    assert (tmp_path / "victim").exists()


def test_an_untouched_bundle_is_served_as_onnx(bundle: Bundle) -> None:
    with load(verify(*bundle)) as scorer:
        assert (scorer.form, scorer.reason) == ("onnx", None)
        assert scorer.predict_one(generated.households(1)[0]).label is not None


@pytest.mark.parametrize("file", FILES)
def test_one_flipped_bit_is_refused(bundle: Bundle, file: str) -> None:
    folder, digest = bundle
    content = bytearray((folder / file).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / file).write_bytes(content)
    with pytest.raises(BundleRefused, match=rf"^household-tiers/1: {file} is not the registered"):
        verify(folder, digest)


@pytest.mark.parametrize("file", FILES)
def test_a_truncated_file_is_refused(bundle: Bundle, file: str) -> None:
    folder, digest = bundle
    os.truncate(folder / file, 100)
    with pytest.raises(BundleRefused, match=file):
        verify(folder, digest)


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_refused(bundle: Bundle, file: str) -> None:
    folder, digest = bundle
    (folder / file).unlink()
    with pytest.raises(BundleRefused, match=f"{file} is missing"):
        verify(folder, digest)


@pytest.mark.parametrize("file", FILES)
def test_a_symbolic_link_is_refused_even_to_the_right_content(bundle: Bundle, file: str) -> None:
    folder, digest = bundle
    (folder / file).rename(folder.parent / "elsewhere")
    (folder / file).symlink_to(folder.parent / "elsewhere")
    with pytest.raises(BundleRefused, match=f"{file} is a symbolic link"):
        verify(folder, digest)


@pytest.mark.parametrize("file", FILES)
def test_a_named_pipe_is_refused_without_waiting(bundle: Bundle, file: str) -> None:
    folder, digest = bundle
    (folder / file).unlink()
    os.mkfifo(folder / file)
    with pytest.raises(BundleRefused, match=f"{file} is not a regular file"):
        verify(folder, digest)


@pytest.mark.parametrize("file", FILES)
def test_an_oversized_file_is_refused(
    bundle: Bundle, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, digest = bundle
    monkeypatch.setitem(SIZE_LIMITS, file, 100)
    with pytest.raises(BundleRefused, match=f"{file} is larger than 100 bytes"):
        verify(folder, digest)


def test_an_extra_file_is_refused(bundle: Bundle) -> None:
    folder, digest = bundle
    (folder / "notes.txt").write_text("harmless")
    with pytest.raises(BundleRefused, match=r"'notes\.txt' is not in the manifest"):
        verify(folder, digest)


def test_a_linked_folder_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    folder, digest = bundle
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleRefused, match="not a readable folder"):
        verify(folder, digest)


def test_a_bundle_that_is_not_there_is_refused_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(BundleRefused) as refusal:
        verify(tmp_path / "ghost" / "1", "0" * 64)
    assert str(refusal.value) == "ghost/1: there is no such bundle."


@pytest.mark.parametrize(("name", "version"), [("other", "1"), (generated.NAME, "2")])
def test_a_bundle_under_another_name_is_refused(
    bundle: Bundle, tmp_path: Path, name: str, version: str
) -> None:
    folder, digest = bundle
    shutil.copytree(folder, tmp_path / "moved" / name / version)
    with pytest.raises(BundleRefused, match="its manifest is that of household-tiers/1"):
        verify(tmp_path / "moved" / name / version, digest)


@pytest.mark.parametrize("digest", ["", "0" * 63, "G" * 64, "é" * 64])
def test_a_malformed_digest_is_refused(bundle: Bundle, digest: str) -> None:
    with pytest.raises(BundleRefused, match="registered digest"):
        verify(bundle[0], digest)


def test_a_consistent_forgery_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    folder, digest = bundle
    poison = pickle.dumps(Poison(tmp_path / "victim"))
    assert generated.forge(folder, {PIPELINE: poison}) != digest
    with pytest.raises(BundleRefused, match=r"manifest\.json is not the registered one"):
        verify(folder, digest)
    assert not (tmp_path / "victim").exists()


def test_a_poisoned_pickle_never_executes(bundle: Bundle, tmp_path: Path) -> None:
    folder, digest = bundle
    (folder / PIPELINE).write_bytes(pickle.dumps(Poison(tmp_path / "victim")))
    with pytest.raises(BundleRefused, match=PIPELINE):
        verify(folder, digest)
    child = subprocess.run(
        [sys.executable, "-m", "service.scoring.child", str(folder), digest],
        input=b"",
        capture_output=True,
        check=False,
    )
    assert child.returncode == 1
    assert b"pipeline.joblib" in child.stdout
    assert not (tmp_path / "victim").exists()


def test_a_pickle_poisoned_after_it_was_verified_never_executes(
    bundle: Bundle, tmp_path: Path
) -> None:
    folder, _ = bundle
    digest = generated.forge(folder, {ONNX: b"no graph"})
    verified = verify(folder, digest)
    (folder / PIPELINE).write_bytes(pickle.dumps(Poison(tmp_path / "victim")))
    with pytest.raises(BundleRefused, match=PIPELINE):
        load(verified)
    assert not (tmp_path / "victim").exists()


def test_a_model_changed_after_it_was_verified_changes_nothing(bundle: Bundle) -> None:
    folder, _ = bundle
    verified = verify(*bundle)
    (folder / ONNX).write_bytes(b"no graph")
    with load(verified) as scorer:
        assert scorer.form == "onnx"


def test_an_onnx_form_that_fails_its_goldens_gives_way_to_joblib(bundle: Bundle) -> None:
    folder, _ = bundle
    other = conversion.to_onnx(generated.trained(seed=1).pipeline, 7)
    with load(verify(folder, generated.forge(folder, {ONNX: other}))) as scorer:
        assert scorer.form == "joblib"
        assert scorer.reason is not None
        assert "the onnx form answers golden" in scorer.reason


def test_an_onnx_form_that_is_no_graph_or_of_another_shape_is_refused(model: TrainedModel) -> None:
    onnx = conversion.to_onnx(model.pipeline, 7)
    assert OnnxEngine(onnx, 7, 5).run_one([1.0] * 7)
    for wrong, width, height in ((b"no graph", 7, 5), (b"", 7, 5), (onnx, 7, 4), (onnx, 6, 5)):
        with pytest.raises(BundleRefused, match="ONNX form"):
            OnnxEngine(wrong, width, height)


def test_goldens_that_nothing_answers_are_refused(bundle: Bundle) -> None:
    folder, _ = bundle
    wrong = (folder / GOLDENS).read_bytes().replace(b'"tier-1"', b'"tier-2"', 1)
    with pytest.raises(BundleRefused, match=r"the joblib form answers golden \d+"):
        load(verify(folder, generated.forge(folder, {GOLDENS: wrong})))


@pytest.mark.parametrize("goldens", [b"[]", b"{}", b"["])
def test_unusable_goldens_are_refused(bundle: Bundle, goldens: bytes) -> None:
    folder, _ = bundle
    with pytest.raises(BundleRefused, match=r"goldens\.json"):
        load(verify(folder, generated.forge(folder, {GOLDENS: goldens})))


def test_serving_onnx_imports_no_training_library(published: Bundle) -> None:
    folder, digest = published
    program = (
        "import sys; from pathlib import Path; from service.scoring.bundle import load, verify\n"
        "scorer = load(verify(Path(sys.argv[1]), sys.argv[2]))\n"
        "assert scorer.form == 'onnx', scorer.reason\n"
        "print(*sorted({'sklearn', 'joblib', 'skl2onnx', 'scipy', 'models'} & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, str(folder), digest],
        capture_output=True,
        check=True,
        text=True,
    )
    assert answer.stdout.strip() == ""


def test_outputs_agree_in_label_exactly_and_in_numbers_nearly() -> None:
    output = bundles.ModelOutput("a", 0.5, None, False)
    assert bundles.same(output, bundles.ModelOutput("a", 0.5 + 1e-9, None, False))
    for other in (("b", 0.5, None, False), ("a", 0.51, None, False), ("a", None, None, False)):
        assert not bundles.same(output, bundles.ModelOutput(*other))
    assert not bundles.same(output, bundles.ModelOutput("a", 0.5, None, True))
