"""When a message happened."""

import pytest

from service.core.instants import FIRST, HOUR, MINUTE, SECOND
from service.intake.clocks import instant_of, true_time

RECEIVED = 1_800_000_000 * SECOND


@pytest.mark.parametrize(
    ("timestamp", "sent_at", "expected"),
    [
        (None, None, 0),
        (None, -HOUR, 0),
        (-5 * MINUTE, None, -5 * MINUTE),
        # A clock that is right: sent again later, the event stays where it is.
        (-5 * MINUTE, -SECOND, -5 * MINUTE),
        (-5 * MINUTE, -MINUTE, -5 * MINUTE),
        (-5 * MINUTE, MINUTE, -5 * MINUTE),
        # A clock that is an hour behind, and one that is an hour ahead.
        (-HOUR - 5 * MINUTE, -HOUR, -5 * MINUTE),
        (HOUR - 5 * MINUTE, HOUR, -5 * MINUTE),
        (-5 * MINUTE, -MINUTE - 1, -4 * MINUTE + 1),
        # The future is clamped, corrected or not.
        (10 * SECOND, SECOND, 0),
        (HOUR, None, 0),
        (2 * HOUR, HOUR, 0),
    ],
)
def test_the_clock_rule(timestamp: int | None, sent_at: int | None, expected: int) -> None:
    def at(offset: int | None) -> int | None:
        return None if offset is None else RECEIVED + offset

    assert true_time(at(timestamp), at(sent_at), RECEIVED) == RECEIVED + expected


def test_no_instant_is_before_the_first() -> None:
    assert true_time(FIRST, RECEIVED + HOUR, RECEIVED) == FIRST


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2027-01-15T08:00:00Z", 0),
        ("2027-01-15T08:00:00.250Z", 0.25),
        ("2027-01-15T08:00:00.123456789Z", 0.123456),
        ("2027-01-15T09:00:00+01:00", 0),
        ("2027-01-15T09:00:00+0100", 0),
        ("20270115T080000Z", 0),
        ("2027-01-15T08:00:00", 0),
        ("2027-01-15", -8 * 3600),
    ],
)
def test_instants_as_sdks_write_them(text: str, seconds: float) -> None:
    assert instant_of(text) == RECEIVED + int(seconds * SECOND)


@pytest.mark.parametrize(
    "value", [None, "", "yesterday", 1_800_000_000, True, {}, "2027-13-01T00:00:00Z", "9" * 70]
)
def test_what_is_no_instant(value: object) -> None:
    assert instant_of(value) is None
