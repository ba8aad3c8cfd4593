import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from models.training import TrainedModel
from service.scoring import joblib_engine
from service.scoring.bundle import load, same, verify
from service.scoring.errors import BundleRefused, ScorerUnavailable
from service.scoring.joblib_engine import JoblibEngine
from service.scoring.scorer import Scorer
from tests.scoring import generated

Bundle = tuple[Path, str]


@pytest.fixture(scope="module")
def engine(published: Bundle) -> Iterator[JoblibEngine]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DATABASE_URL", "postgresql://hush-hush")
        environment.setenv("SEGSERVE_BOOTSTRAP_KEY", "hush-hush")
        engine = JoblibEngine(*published)
    yield engine
    engine.close()


def child_of(engine: JoblibEngine) -> int:
    assert engine.pid is not None
    return engine.pid


def test_both_forms_answer_alike(published: Bundle, engine: JoblibEngine) -> None:
    profiles = generated.odd_households(20_000, seed=3)
    with load(verify(*published)) as onnx:
        joblib = Scorer(onnx.manifest, engine)
        assert (onnx.form, joblib.form) == ("onnx", "joblib")
        answers = zip(onnx.predict_many(profiles), joblib.predict_many(profiles), strict=True)
        assert all(same(first, second) for first, second in answers)
        for profile in profiles[:20]:
            assert same(onnx.predict_one(profile), joblib.predict_one(profile))


def test_the_child_knows_no_secret(engine: JoblibEngine) -> None:
    environment = psutil.Process(child_of(engine)).environ()
    assert "PATH" in environment
    assert "hush-hush" not in str(environment)


def test_a_killed_child_is_replaced(engine: JoblibEngine, model: TrainedModel) -> None:
    expected = model.pipeline.transform(model.matrix)
    np.testing.assert_allclose(engine.run(model.matrix), expected)
    first = child_of(engine)
    os.kill(first, signal.SIGKILL)
    np.testing.assert_allclose(engine.run(model.matrix), expected)
    assert child_of(engine) != first


def test_a_child_killed_in_the_middle_is_asked_again(
    engine: JoblibEngine, model: TrainedModel
) -> None:
    first = child_of(engine)
    os.kill(first, signal.SIGSTOP)  # so that it can't answer before it is killed
    answers: list[np.ndarray] = []
    asking = threading.Thread(target=lambda: answers.append(engine.run(model.matrix)))
    asking.start()
    time.sleep(0.2)
    assert not answers
    os.kill(first, signal.SIGKILL)
    asking.join()
    np.testing.assert_allclose(answers[0], model.pipeline.transform(model.matrix))


def test_a_child_that_does_not_answer_in_time_is_ended(
    engine: JoblibEngine, model: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = child_of(engine)
    os.kill(first, signal.SIGSTOP)
    with monkeypatch.context() as hurried:
        hurried.setattr(joblib_engine, "ANSWER_TIMEOUT", 0.2)
        with pytest.raises(ScorerUnavailable, match="did not answer"):
            engine.run(model.matrix)
    assert not psutil.pid_exists(first)
    assert engine.run(model.matrix).shape == (len(model.matrix), 5)


def test_a_bundle_spoilt_meanwhile_makes_it_unavailable_not_wrong(
    bundle: Bundle, model: TrainedModel
) -> None:
    folder, digest = bundle
    engine = JoblibEngine(folder, digest)
    (folder / "pipeline.joblib").write_bytes(b"")
    assert engine.run_one(model.matrix[0].tolist())
    os.kill(child_of(engine), signal.SIGKILL)
    with pytest.raises(ScorerUnavailable, match=r"pipeline\.joblib"):
        engine.run_one(model.matrix[0].tolist())
    with pytest.raises(ScorerUnavailable, match="would not start"):  # at once, for a while
        engine.run_one(model.matrix[0].tolist())
    engine.close()


def test_closing_ends_the_child(published: Bundle, model: TrainedModel) -> None:
    engine = JoblibEngine(*published)
    child = child_of(engine)
    engine.close()
    assert not psutil.pid_exists(child)
    with pytest.raises(ScorerUnavailable, match="closed"):
        engine.run(model.matrix)


def test_a_pipeline_of_another_scikit_learn_is_refused(bundle: Bundle) -> None:
    folder, _ = bundle
    digest = generated.forge(folder, {}, libraries={"scikit-learn": "0.18"})
    with pytest.raises(BundleRefused, match=r"trained with scikit-learn 0\.18"):
        JoblibEngine(folder, digest)
    with load(verify(folder, digest)) as scorer:
        assert scorer.form == "onnx"  # which needs no scikit-learn


def test_the_child_ends_when_its_stdin_closes(published: Bundle) -> None:
    folder, digest = published
    ours, theirs = socket.socketpair()
    with theirs:
        child = subprocess.Popen(
            [sys.executable, "-m", "service.scoring.child", str(folder), digest],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
        )
    with ours:
        ours.settimeout(60)
        assert ours.recv(1)  # it is ready
        assert child.poll() is None
    assert child.wait(timeout=60) == 0


def test_the_child_survives_ctrl_c(engine: JoblibEngine, model: TrainedModel) -> None:
    child = child_of(engine)
    os.kill(child, signal.SIGINT)
    assert engine.run(model.matrix[:1]).shape == (1, 5)
    assert child_of(engine) == child
