"""The pages tell everything they promise: settings, operators, routes, tasks; their links lead
somewhere."""

import re
from pathlib import Path
from typing import Any

import pytest

from service.core.operators import OPERATORS
from service.core.traits import TraitType
from service.demo.starter import starter_segments
from service.settings import Settings
from tests.contracts.conftest import ROOT

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading."""
    section = re.search(
        rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL
    )
    assert section, heading
    table = re.search(r"((?:^\|.*\n)+)", section[1], re.MULTILINE)
    assert table, heading
    return [
        [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip("|"))]
        for line in table[1].strip().splitlines()[2:]
    ]


def env_name(name: str) -> str:
    alias = Settings.model_fields[name].validation_alias
    return str(alias) if alias else f"SEGSERVE_{name.upper()}"


def shown(default: Any) -> str:
    """A default as the table writes it."""
    if default is None:
        return "empty"
    return f"`{default}`"


def test_every_setting_is_documented_with_its_default() -> None:
    documented = {row[0].strip("`"): row[1:] for row in rows(page("docs/operate.md"), "Settings")}
    fields = Settings.model_fields
    assert set(documented) == {env_name(name) for name in fields}
    for name, field in fields.items():
        default, meaning = documented[env_name(name)][:2]
        if field.default_factory is None:
            assert default == shown(field.default), name
        assert field.description, name
        assert meaning.startswith(field.description), name


def test_no_page_names_a_setting_that_there_is_not() -> None:
    known = {env_name(name) for name in Settings.model_fields}
    for path in PAGES:
        named = set(re.findall(r"\b(?:SEGSERVE_[A-Z_]+|DATABASE_URL)\b", path.read_text("utf-8")))
        assert named <= known, path.name


def test_every_operator_is_documented_with_its_english() -> None:
    documented = {
        name: row
        for row in rows(page("docs/define-segments.md"), "Operators")
        for name in re.findall(r"`([^`]+)`", row[0])
    }
    assert set(documented) == set(OPERATORS)
    for name, operator in OPERATORS.items():
        assert operator.english in documented[name][1], name


def test_counts_are_right() -> None:
    active = [each for each in starter_segments() if each.get("status", "active") == "active"]
    assert f"{len(active)} active segments" in page("README.md")
    assert f"with {len(OPERATORS)} operators" in page("CHANGELOG.md")


def test_every_type_is_documented() -> None:
    documented = {row[0].strip("`") for row in rows(page("docs/define-segments.md"), "Types")}
    assert documented == {str(kind) for kind in TraitType}


def test_every_path_of_the_api_is_named_in_the_documentation(document: dict[str, Any]) -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in PAGES)
    for path in document["paths"]:
        literal = re.escape(path)
        pattern = re.sub(r"\\\{[a-z_]+\\\}", r"[^/\\s`\"?]+", literal)
        assert re.search(pattern, text), path


def test_every_metric_is_documented(service: Any) -> None:
    text = page("docs/operate.md")
    exposed = service.ask("get", "/metrics").text
    names = set(re.findall(r"^# HELP (segserve_\S+?)(?:_created)? ", exposed, re.MULTILINE))
    assert names
    for name in names:
        assert f"`{name}`" in text, name


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file) if file else path
        assert found.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {_anchor(heading) for heading in headings}, target


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_page_is_reached_from_the_readme() -> None:
    linked = set(re.findall(r"\]\((docs/[^)#\s]+)", page("README.md")))
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")} <= linked
    decisions = page("docs/development.md")
    for path in (ROOT / "docs" / "decisions").glob("*.md"):
        assert f"(decisions/{path.name})" in decisions, path.name
