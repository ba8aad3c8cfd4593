"""How slowly the other side may send or take what is long: each such request holds a lane and a
connection of the database."""

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger()

T = TypeVar("T")

# A reader who takes nothing for so long, or less than so much on the whole, is cut off.
PATIENCE = 60.0  # s
SLOWEST = 20_000  # bytes/s


class Pace:
    """The time that the other side has left: so long for each piece, and on the whole no longer
    than at the least rate."""

    def __init__(self, patience: float, slowest: float) -> None:
        """`patience`: seconds; `slowest`: bytes a second."""
        self._patience = patience
        self._slowest = slowest
        self._left = patience

    async def within(self, turn: Awaitable[T]) -> T:
        """What a piece comes to. Raises TimeoutError where it takes too long."""
        began = time.monotonic()
        async with asyncio.timeout(min(self._left, self._patience)):
            result = await turn
        self._left -= time.monotonic() - began
        return result

    def passed(self, size: int) -> None:
        """Note that a piece of so many bytes has gone over."""
        self._left += size / self._slowest


class _TooSlow(Exception):
    """The reader takes nothing, or hardly anything."""


async def paced(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Have an application answer, and leave off where its answer is taken too slowly. Without its
    end the server closes the connection: nobody takes a part for all."""
    pace = Pace(PATIENCE, SLOWEST)

    async def sent(message: Message) -> None:
        try:
            await pace.within(send(message))
        except TimeoutError as error:
            raise _TooSlow from error
        pace.passed(len(message.get("body", b"")))

    try:
        await app(scope, receive, sent)
    except _TooSlow:
        log.warning("answer_cut_off")
