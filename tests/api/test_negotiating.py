"""Which media type an Accept header gets."""

import pytest

from service.api.negotiating import chosen
from service.api.problems import HttpProblem

OFFERED = ("application/json", "text/csv", "application/x-ndjson")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/csv", "text/csv"),
        ("TEXT/CSV; q=1", "text/csv"),
        ("text/*", "text/csv"),
        ("application/*", "application/json"),
        ("text/csv;q=0.4, application/x-ndjson;q=0.5", "application/x-ndjson"),
        ("*/*;q=0.1, text/csv;q=0.2", "text/csv"),
        ("text/html, application/xml;q=0.9, */*;q=0.8", "application/json"),
        ("application/json;q=0, */*", "text/csv"),
        ("application/*;q=0, */*;q=0.1", "text/csv"),
        ("application/json;q=0.1, application/*;q=0.9", "application/x-ndjson"),
        ("text/csv;q=x, */*;q=0.001", "application/json"),
        ("text/csv;header=present", "text/csv"),
    ],
)
def test_chosen(accept: str | None, expected: str) -> None:
    assert chosen(accept, OFFERED) == expected


@pytest.mark.parametrize("accept", ["text/html", "image/*", "*/*;q=0", "text/csv;q=0", ","])
def test_what_accepts_none_is_406(accept: str) -> None:
    with pytest.raises(HttpProblem) as refused:
        chosen(accept, OFFERED)
    assert (refused.value.status, refused.value.code) == (406, "not_acceptable")
