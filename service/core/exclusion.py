"""Who is in no segment and no metric: customers for tests, staff, and machines."""

from collections.abc import Mapping
from typing import Any

# Traits that are `true` of them; anything else says nothing.
IS_BOT = "is_bot"
FLAGS = ("is_test", "is_staff", IS_BOT)


def excluded(traits: Mapping[str, Any]) -> bool:
    """Whether a customer with these traits is left out."""
    return (
        traits.get("is_test") is True
        or traits.get("is_staff") is True
        or traits.get(IS_BOT) is True
    )
