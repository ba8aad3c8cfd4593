"""Instants in the form of most of them are read as in any other."""

from datetime import UTC

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.core.instants import parse_instant

FORMS = ("2026-10-11T12:13:14Z", "2026-10-11T12:13:14.123Z", "2026-10-11T12:13:14.123456Z")


@st.composite
def nearly(draw: st.DrawFn) -> str:
    text = list(draw(st.sampled_from(FORMS)))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(text) - 2))
        text[place] = draw(st.sampled_from("0123456789-:T., +W٣"))
    return "".join(text)


@given(nearly())
@example("2026-W41-1T12:13:14Z")
@example("2026-10-11T12:13:60Z")
@example("2026-10-11T24:00:00Z")
@example("2026-10-11T12:13:14,123Z")
def test_the_usual_form_comes_to_what_any_other_does(text: str) -> None:
    assert parse_instant(text, UTC) == parse_instant(f"{text[:-1]}+00:00", UTC)


@pytest.mark.parametrize("text", FORMS)
def test_the_usual_forms_are_instants(text: str) -> None:
    assert parse_instant(text, UTC) is not None
