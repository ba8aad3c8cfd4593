from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from models.training import TrainedModel
from service.scoring.bundle import load, same, verify
from service.scoring.features import FeatureReader
from service.scoring.outputs import NOTHING
from service.scoring.scorer import Scorer
from tests.scoring.generated import households, odd_households


@pytest.fixture(scope="module")
def scorer(published: tuple[Path, str]) -> Scorer:
    scorer = load(verify(*published))
    assert scorer.form == "onnx"
    return scorer


def test_onnx_answers_thousands_of_rows_as_the_pipeline_does(
    scorer: Scorer, model: TrainedModel
) -> None:
    profiles = households(4000, seed=7) + odd_households(4000, seed=8)
    rows, known = FeatureReader(model.features, model.required).matrix(profiles)
    distances = np.sort(model.pipeline.transform(rows[known]), axis=1)
    outputs = np.array(scorer.predict_many(profiles), dtype=object)
    assert all(output == NOTHING for output in outputs[~known])
    assert 1000 < (~known).sum() < 4000
    assert [output.label for output in outputs[known]] == [
        model.labels[cluster] for cluster in model.pipeline.predict(rows[known])
    ]
    np.testing.assert_allclose(
        [output.confidence for output in outputs[known]],
        1 - distances[:, 0] / distances[:, 1],
        atol=1e-9,
    )
    assert [output.unusual for output in outputs[known]] == (
        distances[:, 0] > model.unusual_distance
    ).tolist()


def test_one_is_answered_as_many_are(scorer: Scorer) -> None:
    profiles = odd_households(3000)
    for profile, output in zip(profiles, scorer.predict_many(profiles), strict=True):
        assert same(scorer.predict_one(profile), output), profile


def test_a_model_without_its_required_traits_has_nothing_to_say(scorer: Scorer) -> None:
    typical = households(1)[0]
    for profile in ({}, {"orders": 3}, typical | {"revenue": "much"}, {"country": "US"}):
        assert scorer.predict_one(profile) == NOTHING
        assert scorer.predict_many([profile, typical])[0] == NOTHING
        assert scorer.predict_many([profile, typical])[1] != NOTHING
    assert scorer.predict_many([{}, {}]) == [NOTHING, NOTHING]
    assert scorer.predict_many([]) == []


def test_an_extreme_customer_is_unusual(scorer: Scorer) -> None:
    typical = dict.fromkeys(["orders", "orders_90d"], 20) | {"revenue": 400.0}
    assert scorer.predict_one(typical).unusual is False
    assert scorer.predict_one(typical | {"revenue": 1e12}).unusual is True


def test_threads_do_not_see_each_others_rows(scorer: Scorer) -> None:
    profiles = households(3000, seed=11)
    expected = [scorer.predict_one(profile) for profile in profiles]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(scorer.predict_one, profiles)) == expected
