"""The definitions of docs/derived-traits.md are ones, and read as the page says."""

import json
import re
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from service.core.derived.definitions import Computed, parse_definition
from service.core.parsing import Schema, parse_condition
from service.core.traits import TraitType

PAGE = Path(__file__).parents[3] / "docs" / "derived-traits.md"
TYPES = {"last_order_at": TraitType.INSTANT, "recency": TraitType.NUMBER}
# A block of JSON, and the quotation after it, if there is one.
BLOCKS = re.findall(
    r"```json\n(.*?)```\n(?:\n((?:> [^\n]*\n)+))?", PAGE.read_text(encoding="utf-8"), re.DOTALL
)


def refused(document: Any, schema: Schema, pointer: str) -> Any:
    raise AssertionError(pointer)


def test_the_page_shows_every_kind() -> None:
    members = {name for text, _ in BLOCKS for name in json.loads(text)}
    assert members == {"ratio", "formula", "score", "rank", "city", "condition"}


@pytest.mark.parametrize(("text", "quotation"), BLOCKS)
def test_definitions_read_as_the_page_says(text: str, quotation: str) -> None:
    document, schema = json.loads(text), Schema(UTC, TYPES)
    if "condition" in document:
        parse_condition(document["condition"], schema)
        return
    rule = parse_definition("x", document, schema, refused).rule
    assert isinstance(rule, Computed)
    told = " ".join(line.removeprefix("> ") for line in quotation.splitlines())
    assert rule.english() == told
