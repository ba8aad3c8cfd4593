"""Definitions of files are refused as the API refuses them, each fault with its place."""

import json
from typing import Any

import pytest

from service.commands.definition_files import Faulty, read
from service.commands.definitions import wanted_of
from tests.running import quick
from tests.serving import Service

WITH_CONDITION = (
    '{{"combinator": "and", "rules": [{{"field": "a", "operator": "=", "value": {0}}}]}}'
)


def faults(text: str, **settings: Any) -> list[tuple[str, str, str]]:
    with pytest.raises(Faulty) as refused:
        wanted_of(read("f.yaml", text.encode()), quick(**settings))
    return [
        (str(each.place).removeprefix("f.yaml:"), each.problem.pointer, each.problem.code)
        for each in refused.value.faults
    ]


@pytest.mark.parametrize(
    ("member", "value", "pointer"),
    [
        ("treatment", '{"a": "x\\u0000"}', "/treatment/a"),
        ("treatment", '{"a": ["b", {"x": "\\u0000"}]}', "/treatment/a/1/x"),
        ("treatment", '{"a": {"x\\u0000": 1}}', "/treatment/a"),
        ("treatment", '{"a": [1, 1e400]}', "/treatment/a/1"),
        ("treatment", '{"a": -1e400}', "/treatment/a"),
        ("condition", WITH_CONDITION.format('"x\\u0000"'), "/condition/rules/0/value"),
        ("goals", '{"x": 1e400}', "/goals/x"),
        ("persona", '{"needs": ["\\u0000"]}', "/persona/needs/0"),
    ],
)
def test_what_cant_be_kept(service: Service, member: str, value: str, pointer: str) -> None:
    text = f'{{"key": "x",\n "{member}": {value}}}'
    found = faults(text)
    assert [(at, code) for _, at, code in found] == [(pointer, "bad_value")]
    assert found[0][0].startswith("2:")
    answer = service.ask(
        "post", "/segments", content=text, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422, answer.text


def test_a_fault_among_several_segments_has_its_place() -> None:
    found = faults('- key: one\n- key: two\n  treatment:\n    a: "\\0"\n')
    assert found == [("4:8", "/1/treatment/a", "bad_value")]


def test_a_segment_has_the_size_that_a_body_may_have() -> None:
    text = json.dumps([{"key": "small"}, {"key": "large", "treatment": {"a": "é" * 500}}])
    assert len(wanted_of(read("f.yaml", text.encode()), quick())) == 2
    assert faults(text, body_limit=1_000) == [("1:20", "/1", "too_large")]
