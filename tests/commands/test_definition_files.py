"""Definitions in files: what is read, what is refused and where; what is written is read."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from service.commands import definition_files
from service.commands.definition_files import Faulty, read, read_files, write
from service.core.parsing import Problem
from service.core.sameness import same
from service.demo.starter import starter_segments

STARTER = Path(__file__).parents[2] / "examples" / "starter.yaml"


def documents(text: str | bytes) -> list[Any]:
    content = text if isinstance(text, bytes) else text.encode()
    return [each.document for each in read("f.yaml", content)]


def faults(text: str | bytes) -> list[tuple[str, str, str]]:
    """The faults of a file, each with its line and column, its pointer and its code."""
    content = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(Faulty) as refused:
        read("f.yaml", content)
    return [
        (str(each.place).removeprefix("f.yaml:"), each.problem.pointer, each.problem.code)
        for each in refused.value.faults
    ]


def test_the_starter_segments() -> None:
    assert documents(STARTER.read_bytes()) == starter_segments()


@pytest.mark.parametrize(
    "text",
    [
        "version: 1\nsegments:\n  - {key: a}\n  - key: b\n",
        "segments: [{key: a}, {key: b}]",
        "- key: a\n- key: b\n",
        "key: a\n---\nkey: b\n",
        "- key: a\n---\nsegments:\n- key: b\n---\n",
        '{"version": 1,\n\t"segments":\t[{"key": "a"}, {"key": "b"}]}',
        '[{"key": "a"}, {"key": "b"}]',
        "\ufeffsegments: [{key: a}, {key: b}]",
        "- &one\n  key: a\n- key: b\n",
    ],
)
def test_shapes(text: str) -> None:
    assert documents(text) == [{"key": "a"}, {"key": "b"}]


@pytest.mark.parametrize("text", ["", "# nothing\n", "segments:\n", "segments: []", "---\n---\n"])
def test_nothing(text: str) -> None:
    assert documents(text) == []


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("7", 7),
        ("-7", -7),
        ("1.5", 1.5),
        ("1e5", 1e5),
        ("1" * 30, int("1" * 30)),
        ('"no"', "no"),
        ("'010'", "010"),
        ("=", "="),
        ("2026-11-20", "2026-11-20"),
        ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00Z"),
        ("12:30", "12:30"),
        ("6w", "6w"),
        ("north", "north"),
        ("y", "y"),
        ("1.2.3", "1.2.3"),
        ("none", "none"),
    ],
)
def test_plain_values(written: str, value: Any) -> None:
    [found] = documents(f"- key: a\n  v: {written}\n")
    assert same(found["v"], value), found
    assert type(found["v"]) is type(value)


@pytest.mark.parametrize(
    "written",
    ["yes", "No", "ON", "off", "010", "0x1F", "0o17", "0b1", "1_000", ".inf", "-.INF", ".nan"],
)
def test_what_readers_take_for_different_things_is_refused(written: str) -> None:
    assert faults(f"- key: a\n  v: {written}\n") == [("2:6", "/0/v", "bad_value")]
    assert documents(f"- key: a\n  v: '{written}'\n")[0]["v"] == written


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- key: a\n  name: x\n  name: y\n", [("3:3", "/0/name", "duplicate")]),
        ("segments:\n  - {key: a, key: b}\n", [("2:14", "/segments/0/key", "duplicate")]),
        ("- key: a\n  <<: {b: 1}\n", [("2:3", "/0/<<", "bad_value")]),
        ("- key: !!int 3\n", [("1:8", "/0/key", "bad_value")]),
        ("- !!python/object:os.system {}\n", [("1:3", "/0", "bad_value")]),
        ("- &a\n  key: a\n  b: *a\n", [("3:3", "/0/b", "cycle")]),
        ("- ? [a]\n  : b\n", [("1:5", "/0", "type")]),
        ("version: 2\nsegments: []\n", [("1:10", "/version", "bad_value")]),
        ("version: 1\nsegment: []\n", [("1:1", "", "type")]),
        ("segments: []\nfoo: 1\n", [("2:1", "/foo", "unknown_property")]),
        ("segments: 7\n", [("1:11", "/segments", "type")]),
        ("just text", [("1:1", "", "type")]),
        ("a: [1\nb: 2\n", [("2:2", "", "not_yaml")]),
        ("a: *b\n", [("1:4", "", "not_yaml")]),
        (b"- key: a\n- key: \xff\n", [("2:1", "", "bad_value")]),
        ("- key: a\n---\n- key: no\n", [("3:8", "/1/0/key", "bad_value")]),
    ],
)
def test_faults_have_their_place(text: str | bytes, expected: list[tuple[str, str, str]]) -> None:
    assert faults(text) == expected


def test_too_deep_and_too_many() -> None:
    assert [code for _, _, code in faults("[" * 300 + "]" * 300)] == ["too_deep"]
    assert [code for _, _, code in faults("[" * 200_000)] == ["too_deep"]
    assert [code for _, _, code in faults("- " * 200_000)] == ["too_deep"]
    laughs = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
        for before, name in zip("abcdefg", "bcdefgh", strict=True)
    )
    assert [code for _, _, code in faults(laughs)][:1] == ["too_many"]


def test_aliases_stand_for_what_they_name() -> None:
    text = "- key: a\n  tags: &t [x, y]\n- key: b\n  tags: *t\n"
    assert [each["tags"] for each in documents(text)] == [["x", "y"], ["x", "y"]]


def test_json_escapes_are_understood() -> None:
    value = 'tab\t "quote" \\ud83c é 🎉 \u2028 \x7f\x85\ufeff /'
    for ascii_ in (True, False):
        text = json.dumps([{"key": "a", "v": value}], ensure_ascii=ascii_)
        assert documents(text)[0]["v"] == value


def test_a_fault_of_a_definition_is_located() -> None:
    text = "segments:\n  - key: a\n    condition:\n      rules:\n        - {field: x, op: 1}\n"
    [written] = read("f.yaml", text.encode())
    for pointer, code, place in (
        ("/condition/rules/0/op", "unknown_property", "f.yaml:5:22"),
        ("/condition/rules/0/field", "type", "f.yaml:5:19"),
        ("/condition/rules/0/operator", "required", "f.yaml:5:11"),
        ("/condition", "type", "f.yaml:3:5"),
        ("", "type", "f.yaml:2:5"),
    ):
        fault = written.located(Problem(pointer, code, ""))
        assert (str(fault.place), fault.problem.pointer) == (place, f"/segments/0{pointer}")


def test_faults_of_all_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: [")
    (tmp_path / "b.yaml").write_text("- key: no")
    names = [str(tmp_path / name) for name in ("a.yaml", "b.yaml", "c.yaml")]
    with pytest.raises(Faulty) as refused:
        read_files(names, None)
    found = [(each.place and each.place.file, each.problem.code) for each in refused.value.faults]
    assert found == [
        (names[0], "not_yaml"), (names[1], "bad_value"), (names[2], "not_found"),
    ]  # fmt: skip


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(
        st.characters(codec="utf-8", exclude_categories=["Cc"])
        | st.sampled_from("\n\t :#-'\"{}[]\\")
    )
    | st.sampled_from(["no", "010", "1e5", "=", "<<", "~", "", "null", "1_0", "2026-01-01", "12:30",
                       "0x1", ".inf", "*a", "&b", "!c", "%d", "@e", "y", "true", "- x", "k: v"])
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
segments = st.lists(
    st.dictionaries(st.sampled_from(["key", "name", "condition", "tags", "treatment"]), values),
    max_size=4,
)


@settings(deadline=None, max_examples=300)
@given(segments)
def test_what_is_written_is_read_as_the_same(items: list[dict[str, Any]]) -> None:
    text = write(items)
    assert same(documents(text), items), text
    # Another reader, of an older YAML, reads the same.
    assert same(yaml.safe_load(text)["segments"], items), text


def test_either_loader_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    text = STARTER.read_bytes()
    one = read("f", text)
    monkeypatch.setattr(definition_files, "_LOADER", yaml.BaseLoader)
    other = read("f", text)
    assert [each.document for each in one] == [each.document for each in other]
    assert faults("- key: a\n  name: no\n") == [("2:9", "/0/name", "bad_value")]
