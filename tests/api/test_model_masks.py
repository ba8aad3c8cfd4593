"""What models say: masked like derived traits, where what they read is personal."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models.household_tiers import REQUIRED
from tests.api.test_personal import keyed, literal
from tests.contracts.test_errors import shaped
from tests.postgres import Databases
from tests.scoring import generated
from tests.serving import Service, service_of

NAME = generated.NAME
NOTHING_TOLD = {"version": "1", "label": "***", "confidence": None, "score": None, "unusual": None}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with a model, and its digest."""
    folder = tmp_path_factory.mktemp("bundles")
    return folder, generated.published(folder, generated.trained("1", count=400))[1]


@pytest.fixture
def modelled(databases: Databases, tmp_path: Path, bundle: tuple[Path, str]) -> Iterator[Service]:
    """With a model, a segment that reads it, and somebody of whom it says something."""
    folder, digest = bundle
    with service_of(databases, tmp_path, models_dir=folder) as service:
        activate = service.process.services.publisher.activate_model
        service.runner.run(activate(NAME, "1", digest, {}))
        rules = [literal(f"model:{NAME}.label", "=", "tier-1"),
                 literal(f"model:{NAME}.confidence", ">", 0.25)]  # fmt: skip
        condition = {"combinator": "and", "rules": rules}
        answer = service.ask("put", "/segments/best", json={"condition": condition})
        assert answer.is_success, answer.text
        service.assign("c-1", traits=generated.households(1)[0])
        yield service


@pytest.mark.parametrize("by_way_of", ["revenue", "a formula"])
def test_what_a_model_says_of_personal_traits_is_personal(
    modelled: Service, by_way_of: str
) -> None:
    told = modelled.get("/customers/c-1")["models"][NAME]
    assert told["label"].startswith("tier-")
    trait = "revenue"
    if by_way_of == "a formula":
        trait = "bought"
        formula = {"formula": "bought / 30"}
        assert modelled.ask("put", "/traits/orders_90d", json=formula).is_success
        told = modelled.get("/customers/c-1")["models"][NAME]
    assert modelled.ask("put", f"/traits/{trait}", json={"personal": True}).is_success
    read, whole = keyed(modelled, "read", "assign"), keyed(modelled, "read", "personal", "assign")
    body = {"customer_id": "c-1"}
    for ask, expected in ((read, NOTHING_TOLD), (whole, told)):
        customer = ask("get", "/customers/c-1").json()
        assert customer["models"] == {NAME: expected}
        assert (f"model:{NAME}.label" in customer["masked"]) is (ask is read)
        assert ask("post", "/assign", json=body).json()["models"] == {NAME: expected}
    unknown = dict.fromkeys(REQUIRED, "many")
    # Of whom it says nothing, nothing is masked.
    assert read("post", "/assign", json={"customer_id": "c-2", "traits": unknown}).is_success
    customer = read("get", "/customers/c-2").json()
    assert customer["models"][NAME]["label"] is None
    assert f"model:{NAME}.label" not in customer["masked"]
    # What the model says of somebody unnamed comes of what the caller sent.
    household = {"traits": generated.households(1)[0]}
    assert read("post", "/assign", json=household).json()["models"][NAME]["label"] != "***"


def test_conditions_are_told_without_what_they_compare_a_personal_model_with(
    modelled: Service,
) -> None:
    assert modelled.get("/segments/best")["masked"] == []
    assert modelled.ask("put", "/traits/revenue", json={"personal": True}).is_success
    read, both = keyed(modelled, "read"), keyed(modelled, "read", "write", "publish")
    told = read("get", "/segments/best").json()
    assert [rule["value"] for rule in told["condition"]["rules"]] == ["***", "***"]
    places = [f"/condition/rules/{number}/value" for number in (0, 1)]
    assert told["masked"] == [*places, "/summary"]
    assert "tier-1" not in read("get", "/segments/best/versions").text
    answer = both("put", "/segments/best", json={"condition": told["condition"]})
    faults = [(each["pointer"], each["code"]) for each in shaped(answer)["errors"]]
    assert (answer.status_code, faults) == (422, [(place, "masked") for place in places])
    whole = keyed(modelled, "read", "personal")
    assert "tier-1" in whole("get", "/segments/best").text


def test_what_a_refused_model_read_nobody_knows(modelled: Service, bundle: Any) -> None:
    activate = modelled.process.services.publisher.activate_model
    modelled.runner.run(activate("other", "1", "0" * 64, {}))
    condition = {"combinator": "and", "rules": [literal("model:other.label", "=", "rich")]}
    document = {"status": "draft", "condition": condition}
    assert modelled.ask("put", "/segments/others", json=document).is_success
    assert modelled.ask("put", "/traits/nick", json={"personal": True}).is_success
    read = keyed(modelled, "read")
    assert "rich" not in read("get", "/segments/others").text
    # Of one that is served it is known: nothing of this.
    assert read("get", "/segments/best").json()["masked"] == []


def test_a_model_of_no_personal_trait_tells_everybody(modelled: Service) -> None:
    assert modelled.ask("put", "/traits/email", json={"personal": True}).is_success
    told = keyed(modelled, "read")("get", "/customers/c-1").json()
    assert told["models"][NAME]["label"].startswith("tier-")
