"""The way to PostgreSQL: one engine for everything ordinary, plain asyncpg for the writer."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from enum import StrEnum
from typing import Any

import asyncpg
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from service.store.server_check import DatabaseUrl, normalise_url

# A server that answers nothing for so long is as good as gone: requests get 503 and may retry.
COMMAND_TIMEOUT = 10.0  # s
CONNECT_TIMEOUT = 5.0  # s


class Long(StrEnum):
    """What takes long, and has a connection of its own for as long as it takes."""

    UPLOAD = "uploads"
    EXPORT = "exports"
    PERSON = "exports of persons"
    MEASURING = "measurements of all customers"


# Under way at once in this process: each for itself, so that none keeps the others out.
AT_ONCE = {Long.UPLOAD: 4, Long.EXPORT: 4, Long.PERSON: 2, Long.MEASURING: 4}
# For one key; the rest is left for others. (Uploads are counted before they have a connection.)
OF_ONE = {Long.UPLOAD: 4, Long.EXPORT: 2, Long.PERSON: 1, Long.MEASURING: 4}
# A reader of an export may pause for so long; then its transaction is ended.
PAUSE = "60s"

# What PostgreSQL or the way to it raises when the store can't be used now, not for this data.
UNAVAILABLE: tuple[type[Exception], ...] = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    # What asyncpg raises when the server hung up while nothing was asked of it.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.CannotConnectNowError,
)

# The same, as it arrives through SQLAlchemy's engine.
CANT_READ: tuple[type[Exception], ...] = (*UNAVAILABLE, SQLAlchemyError)


def is_our_fault(error: Exception) -> bool:
    """Whether one of CANT_READ says that the database won't do what it was asked, now or later."""
    if isinstance(error, IntegrityError | ProgrammingError):
        return True
    # Which values it can't keep reaches SQLAlchemy as an error of no particular kind.
    told = error.orig if isinstance(error, DBAPIError) else None
    return isinstance(error if told is None else told.__cause__, asyncpg.DataError)


class Crowded(RuntimeError):
    """As much of what takes long is under way as may be."""


class Database:
    """One PostgreSQL database."""

    def __init__(self, url: str, pool: int = 8) -> None:
        """`url`: `postgresql://...`; `pool`: connections of the engine at most."""
        self.url: DatabaseUrl = normalise_url(url)
        self.engine: AsyncEngine = create_async_engine(
            self.url.sqlalchemy,
            pool_size=pool,
            max_overflow=0,
            pool_timeout=5,
            pool_pre_ping=True,
            # What is asked about customers must not reach the log by way of an error.
            hide_parameters=True,
            connect_args={
                "command_timeout": COMMAND_TIMEOUT,
                "timeout": CONNECT_TIMEOUT,
                "server_settings": {"application_name": "segserve", "timezone": "UTC"},
            },
        )
        self._unpooled = create_async_engine(
            self.url.sqlalchemy,
            poolclass=NullPool,
            hide_parameters=True,
            connect_args={
                "timeout": CONNECT_TIMEOUT,
                "server_settings": {
                    "application_name": "segserve long",
                    "timezone": "UTC",
                    "idle_in_transaction_session_timeout": PAUSE,
                },
            },
        )
        self._long_ones = {each: asyncio.Semaphore(most) for each, most in AT_ONCE.items()}
        self._of_one: Counter[tuple[Long, str]] = Counter()

    async def connect(self) -> Any:
        """A plain asyncpg connection, for one who keeps it."""
        return await asyncpg.connect(
            self.url.asyncpg,
            timeout=CONNECT_TIMEOUT,
            command_timeout=COMMAND_TIMEOUT,
            server_settings={"application_name": "segserve writer", "timezone": "UTC"},
        )

    @asynccontextmanager
    async def long(
        self, what: Long = Long.EXPORT, key: str | None = None
    ) -> AsyncIterator[AsyncConnection]:
        """A connection beside the pool for what takes long, closed afterwards. `key`: by whose it
        was asked for, if by one's. Raises Crowded."""
        turn = self._long_ones[what]
        if turn.locked():
            raise Crowded(f"{AT_ONCE[what]} {what} are under way already")
        if key is not None and self._of_one[what, key] >= OF_ONE[what]:
            raise Crowded(f"with this key as many {what} as may be are under way already")
        with self._counted(what, key):
            async with turn, self._unpooled.connect() as connection:
                yield connection

    @contextmanager
    def _counted(self, what: Long, key: str | None) -> Iterator[None]:
        if key is None:
            yield
            return
        self._of_one[what, key] += 1
        try:
            yield
        finally:
            self._of_one[what, key] -= 1
            if not self._of_one[what, key]:
                del self._of_one[what, key]

    async def close(self) -> None:
        """Let go of all connections of the engine."""
        await self.engine.dispose()
