from typing import Any

import numpy as np
import pytest

from models import household_tiers
from models.training import TrainedModel, TrainingRefused, train_clusters
from models.transforms import signed_log1p
from service.scoring.manifest import Feature
from tests.scoring.generated import NAME, households, trained


def test_the_same_customers_and_seed_give_the_same_model(model: TrainedModel) -> None:
    again = trained()
    assert np.array_equal(model.pipeline[-1].cluster_centers_, again.pipeline[-1].cluster_centers_)
    assert (model.labels, model.unusual_distance, model.metrics, model.training) == (
        again.labels,
        again.unusual_distance,
        again.metrics,
        again.training,
    )


def test_tiers_descend_in_mean_revenue(model: TrainedModel) -> None:
    labels = np.array(model.labels)[model.pipeline.predict(model.matrix)]
    revenue = model.matrix[:, 1]
    means = [revenue[labels == f"tier-{rank}"].mean() for rank in range(1, 6)]
    assert means == sorted(means, reverse=True)
    assert model.label_counts == {
        f"tier-{rank}": int((labels == f"tier-{rank}").sum()) for rank in range(1, 6)
    }


def test_about_one_training_row_in_two_hundred_is_unusual(model: TrainedModel) -> None:
    nearest = model.pipeline.transform(model.matrix).min(axis=1)
    assert (nearest > model.unusual_distance).sum() == round(len(model.matrix) * 0.005)


def test_metrics_are_of_the_training_rows(model: TrainedModel) -> None:
    assert 0 < model.metrics["silhouette"] < 1
    assert model.metrics["inertia"] == pytest.approx(
        (model.pipeline.transform(model.matrix).min(axis=1) ** 2).sum()
    )


def test_customers_without_a_required_trait_are_left_out() -> None:
    customers = [*households(200), {"orders": 3}, {"orders": 3, "revenue": None}, {}]
    model = train(customers)
    assert (model.training.rows, model.training.left_out) == (200, 3)


def test_the_data_digest_tells_data_apart() -> None:
    customers = households(200)
    first = train(customers).training.sha256
    assert train(customers).training.sha256 == first
    customers[7]["revenue"] += 0.01
    assert train(customers).training.sha256 != first


def test_the_logarithm_takes_every_real_number() -> None:
    values = np.array([-np.expm1(2.0), 0.0, np.expm1(3.0), 0.01])
    np.testing.assert_allclose(signed_log1p(values), [-2.0, 0.0, 3.0, np.log(1.01)])
    assert np.isfinite(signed_log1p(np.array([1.7e308, -1.7e308]))).all()


def train(customers: list[dict[str, Any]], **changes: Any) -> TrainedModel:
    arguments = {
        "features": household_tiers.FEATURES,
        "required": household_tiers.REQUIRED,
        "value_trait": household_tiers.VALUE_TRAIT,
    }
    return train_clusters(changes.pop("name", NAME), "1", customers, **(arguments | changes))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"name": "../x"}, "not a model's name"),
        ({"clusters": 1}, "two clusters"),
        ({"value_trait": "age"}, "age must be a required trait"),
        ({"required": ("orders", "revenue", "age")}, "required traits must be features"),
        (
            {
                "features": (
                    *household_tiers.FEATURES,
                    Feature("country", "category", categories=("US",)),
                )
            },
            "country",
        ),
        ({"features": (*household_tiers.FEATURES, Feature("age"))}, "No customer has .*: age"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(TrainingRefused, match=complaint):
        train(households(100), **changes)


@pytest.mark.parametrize("customers", [[], households(9), households(1) * 500])
def test_too_few_different_customers_are_refused(customers: list[dict[str, Any]]) -> None:
    with pytest.raises(TrainingRefused, match="at least 10 different customers"):
        train(customers)
