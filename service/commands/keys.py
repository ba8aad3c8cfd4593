"""`segserve keys`: who may ask, and what."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from service.commands.environment import Reason, console, database, failed, settings
from service.core.access import SYSTEM, Author, Scope
from service.core.instants import (
    LAST,
    from_datetime,
    parse_duration,
    parse_instant,
    shift,
    to_datetime,
    zone_named,
)
from service.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from service.store.keys import KeyRow

app = typer.Typer(no_args_is_help=True, help="Keys of those who may ask the service.")

T = TypeVar("T")


class Exposed(RuntimeError):
    """The service would be open to others; the message says what to do."""


WIDTH = 200  # columns where there is no terminal


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is, or what for.")],
    scope: Annotated[list[Scope], typer.Option(help="What it allows; several times for several.")],
    expires: Annotated[
        str | None, typer.Option(help="After how long (90d), or when (2027-01-31).")
    ] = None,
    rate: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Requests a minute at most.")
    ] = None,
    reason: Reason = None,
) -> None:
    """Make a key, and print it: it is shown this once."""
    from service.store import keys

    config = settings()
    now = datetime.now(UTC)
    until = None if expires is None else _moment(expires, now, config)
    author = Author(SYSTEM.name, None, reason)

    async def made(connection: "AsyncConnection") -> "tuple[KeyRow, str, bool]":
        row, key = await keys.create(
            connection, author, now, name, scope, expires_at=until, rate_limit=rate
        )
        standing = await keys.standing(connection)
        return row, key, any(Scope.ADMIN in each.scopes for each in standing)

    row, key, administered = _with_database(config, made)
    console.print(f"Key {row.id} ({name}); keep it, it is not shown again:")
    typer.echo(key)
    if not administered:
        console.print("No key has the scope admin: keys are made and revoked by this command only.")


@app.command("list")
def list_keys() -> None:
    """List the keys there are, and were."""

    from service.store import keys

    async def found(connection: "AsyncConnection") -> "list[KeyRow]":
        return list(await keys.listed(connection, None, limit=10_000))

    table = Table("id", "name", "scopes", "a minute", "made", "expires", "state")
    now = datetime.now(UTC)
    for row in _with_database(settings(), found):
        rate = "" if row.rate_limit is None else f"{row.rate_limit:,}"
        made, expires = _day(row.created_at), _day(row.expires_at)
        table.add_row(row.id, row.name, " ".join(row.scopes), rate, made, expires, state(row, now))
    output = Console(highlight=False)
    if not output.is_terminal:
        output.width = WIDTH
    output.print(table)


@app.command("revoke")
def revoke(
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="Its id, or a name that only one key has.")
    ],
    reason: Reason = None,
) -> None:
    """Revoke a key, for good; a running service refuses it within a second."""
    from service.store import keys

    author = Author(SYSTEM.name, None, reason)

    async def revoked(connection: "AsyncConnection") -> tuple[list[str], bool]:
        named = [each.id for each in await keys.standing(connection) if each.name == key]
        found = named or [key]
        if len(found) == 1 and not await keys.revoke(connection, author, datetime.now(UTC), *found):
            found = []
        return found, not await keys.standing(connection)

    found, none_left = _with_database(settings(), revoked)
    if not found:
        raise failed(f"There is no key {key}.")
    if len(found) > 1:
        raise failed(f"{len(found)} keys are named {key}: say which of {', '.join(found)}.")
    console.print(f"{found[0]} is revoked.")
    if none_left:
        console.print("There is no key any more: the service answers this machine only.")


def state(row: "KeyRow", now: datetime) -> str:
    """What has become of a key: live, expired or revoked."""
    if row.revoked_at is not None:
        return "revoked"
    return "expired" if row.expires_at is not None and row.expires_at <= now else "live"


async def secure(config: Settings, url: str) -> None:
    """Make the first key where the settings name one and there is none. Raises Exposed where
    there is none even so, and other machines would reach the service."""
    from service.api.protection import is_loopback
    from service.store import keys
    from service.store.database import Database

    store = Database(url, pool=3)
    try:
        async with store.engine.begin() as connection:
            if config.bootstrap_key is not None:
                key = config.bootstrap_key.get_secret_value()
                if await keys.bootstrap(connection, key, datetime.now(UTC)):
                    console.print("SEGSERVE_BOOTSTRAP_KEY is the first key, for everything.")
            protected = not await keys.standing(connection)
    except keys.Revoked as error:
        raise Exposed("SEGSERVE_BOOTSTRAP_KEY was revoked: choose another.") from error
    finally:
        await store.close()
    if protected and config.host != "localhost" and not is_loopback(config.host):
        raise Exposed(
            f"Other machines would reach SEGSERVE_HOST={config.host}, and there is no key yet: "
            "anyone could read and change everything. Make a key with `segserve keys create`, "
            "or set SEGSERVE_BOOTSTRAP_KEY."
        )


def _day(moment: datetime | None) -> str:
    return "" if moment is None else moment.date().isoformat()


def _moment(text: str, now: datetime, config: Settings) -> datetime:
    """When something that expires after a duration, or on a day, does."""
    zone, today = zone_named(config.time_zone), from_datetime(now)
    duration = parse_duration(text)
    instant = parse_instant(text, zone) if duration is None else shift(today, duration, zone, 1)
    if instant is None:
        raise typer.BadParameter(f"{text} is neither a duration such as 90d nor a day")
    if instant <= today:
        raise typer.BadParameter(f"{text} is over")
    # The last instant there is, to which sums are clamped, is the end of time to the database.
    if instant >= LAST:
        raise typer.BadParameter(f"{text} is too far away: say none for a key that never expires")
    return to_datetime(instant)


def _with_database(config: Settings, work: "Callable[[AsyncConnection], Awaitable[T]]") -> T:
    """What some work in one transaction comes to, beside a running service or without one."""
    from service.store.database import Database

    async def worked(url: str) -> T:
        store = Database(url, pool=3)
        try:
            async with store.engine.begin() as connection:
                return await work(connection)
        finally:
            await store.close()

    with database(config, beside=True) as url:
        return asyncio.run(worked(url))
