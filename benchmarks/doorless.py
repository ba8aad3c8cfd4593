"""`python -m benchmarks.doorless serve`: the service without its door, to measure what that costs.

Everybody may do everything there: it is for this machine and the time of a measurement.
"""

from typing import Any

from service.api import app as application
from service.cli import app as command
from service.core.access import LOCAL, Caller


class Doorless:
    """Stands where the door does, and lets everything through."""

    def __init__(self, inner: Any, *_: Any) -> None:
        self.inner = inner

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope["caller"] = LOCAL
        scope["still"] = _always
        await self.inner(scope, receive, send)


def _always(_: Caller) -> bool:
    return True


if __name__ == "__main__":
    application.Door = Doorless  # type: ignore[misc,assignment]  # that is what is measured
    command()
