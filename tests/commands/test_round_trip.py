"""What is exported applies to nothing: the demo's segments, and random ones."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.commands.definition_files import Faulty, read, write
from service.commands.definitions import wanted_of
from service.demo.starter import starter_segments
from service.flows.applying import Applier, Plan, exported
from tests.core.strategies import groups, rules
from tests.serving import JSON, Service

NUMBERS = itertools.count()


def exported_text(service: Service, *keys: str) -> str:
    async def documents() -> list[dict[str, Any]]:
        async with service.process.database.engine.connect() as connection:
            return await exported(connection, keys)

    return write(service.runner.run(documents()))


def planned(service: Service, text: str) -> Plan:
    parts = service.process.services
    applier = Applier(parts.database, parts.live, parts.publisher, parts.settings, parts.clock)
    return service.runner.run(
        applier.plan(wanted_of(read("f.yaml", text.encode()), parts.settings))
    )


def applied(service: Service, text: str) -> Plan:
    plan = planned(service, text)
    parts = service.process.services
    applier = Applier(parts.database, parts.live, parts.publisher, parts.settings, parts.clock)
    service.runner.run(applier.apply(plan))
    return plan


def test_the_demo(fresh: Service) -> None:
    assert len(applied(fresh, write(starter_segments())).changes) == 72
    text = exported_text(fresh)
    plan = planned(fresh, text)
    assert (len(plan.steps), plan.changes) == (72, [])
    assert exported_text(fresh) == text


words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(condition=groups(rules()), words=st.lists(words, min_size=4, max_size=4), data=st.data())
def test_random_segments(
    service: Service, condition: Any, words: list[str], data: st.DataObject
) -> None:
    key = f"s-{next(NUMBERS)}"
    document = {
        "name": words[0] or "x",
        "description": words[1],
        "tags": [words[2]],
        "treatment": {words[3]: [words[1], None, True, 1, 1.5]},
        "persona": {"summary": words[2], "needs": words[:2]},
        "status": data.draw(st.sampled_from(["active", "draft"])),
        "condition": condition,
    }
    # NaN and Infinity, which no JSON holds, go as Python writes them: the answer is 422.
    content = json.dumps(document)
    answer = service.ask("put", f"/segments/{key}", content=content, headers=JSON)
    if answer.status_code == 422:
        return  # such as can never be met
    assert answer.status_code == 201, answer.text
    text = exported_text(service, key)
    assert planned(service, text).changes == []
    # As new segments too, and again.
    other = text.replace(f"key: {key}", f"key: {key}-again")
    assert [step.action for step in applied(service, other).steps] == ["created"]
    assert exported_text(service, f"{key}-again") == other


@pytest.mark.parametrize("status", ["active", "draft"])
def test_lists_too(service: Service, status: str) -> None:
    key = f"list-{status}"
    service.save(key, name="Guests", status=status)
    text = exported_text(service, key)
    assert planned(service, text).changes == []
    assert f"status: {status}" in text


LONG = 10**400 - 1  # longer than any float


def test_a_number_too_long_for_a_float(service: Service) -> None:
    service.save("long-number", ("age", ">", 1), treatment={"code": LONG, "codes": [-LONG]})
    text = exported_text(service, "long-number")
    assert str(LONG) in text
    assert planned(service, text).changes == []


@pytest.mark.parametrize("depth", [1, 30, 31, 32, 90])
def test_files_nest_as_deep_as_bodies_may(service: Service, depth: int) -> None:
    treatment: dict[str, Any] = {}
    for _ in range(depth):
        treatment = {"x": treatment}
    document = {"key": f"deep-{depth}", "treatment": treatment}
    answer = service.ask("post", "/segments", json=document)
    if answer.status_code == 422:
        with pytest.raises(Faulty) as refused:
            wanted_of(read("f.yaml", write([document]).encode()), service.process.services.settings)
        assert [each.problem.code for each in refused.value.faults] == ["too_deep"]
    else:
        assert answer.status_code == 201
        assert planned(service, exported_text(service, document["key"])).changes == []
    assert (answer.status_code == 422) is (depth > 30)
