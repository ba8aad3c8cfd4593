"""`python -m benchmarks.doorless serve`: the service with a way past its door, to measure what that
costs.

Whoever sends `X-Door: 0` may do everything there: it is for this machine and the time of a
measurement. Both ways are one process's, so that nothing differs between them but the door.
"""

from typing import Any

from service.api import app as application
from service.api.door import Door
from service.api.protection import is_loopback
from service.cli import app as command
from service.core.access import LOCAL, Caller

PAST_IT = (b"x-door", b"0")
THROUGH_IT = (b"x-door", b"1")


class Doorless:
    """Stands where the door does, and lets through who says so; the others go to the door."""

    def __init__(self, inner: Any, *more: Any) -> None:
        self.inner = inner
        self.door = Door(inner, *more)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        here = scope["type"] == "http" and is_loopback(scope["client"][0])
        if here and PAST_IT in scope["headers"]:
            scope["caller"] = LOCAL
            scope["still"] = _always
            await self.inner(scope, receive, send)
        else:
            await self.door(scope, receive, send)


def _always(_: Caller) -> bool:
    return True


if __name__ == "__main__":
    application.Door = Doorless  # type: ignore[misc,assignment]  # that is what is measured
    command()
