"""What every command stands on: the settings, the console, a database that is up."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from service.settings import Settings
from service.store.embedded import (
    EmbeddedPostgres,
    EmbeddedPostgresError,
    EmbeddedPostgresInUse,
    running_dsn,
)

# Everything for people goes to standard error: standard output is for what commands produce.
console = Console(stderr=True, highlight=False)


def _kept_as_reason(text: str | None) -> str | None:
    """A reason as the API takes it in a header."""
    from service.api.callers import REASON_LIMIT

    if text is None:
        return None
    # What is no text in the terminal's encoding arrives as halves of surrogate pairs.
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise typer.BadParameter("this is not text")
    if len(text) > REASON_LIMIT:
        raise typer.BadParameter(f"a reason has {REASON_LIMIT} characters at most")
    return text


Reason = Annotated[
    str | None, typer.Option(help="Why; the audit keeps it.", callback=_kept_as_reason)
]


def settings() -> Settings:
    """The settings of the environment; ends the command where they can't be read."""
    from pydantic import ValidationError

    try:
        return Settings()
    except ValidationError as error:
        for fault in error.errors():
            name = str(fault["loc"][0])
            name = name if name.isupper() else f"SEGSERVE_{name.upper()}"
            console.print(f"[red]{name}[/]: {fault['msg']}")
        raise typer.Exit(2) from error


def failed(message: object) -> typer.Exit:
    """The end of a command that can't do its work, which says why."""
    console.print(f"[red]{message}[/]")
    return typer.Exit(1)


@contextmanager
def database(config: Settings, *, beside: bool = False) -> Iterator[str]:
    """The URL of a database that is up, migrated: the user's own, or the embedded one.

    `beside`: for a command that may run beside the service, whose server it then uses.
    """
    from service.store.migrating import SchemaTooNew, migrate
    from service.store.server_check import ServerRefused, check_server
    from service.store.vault import VaultRefused

    async def prepare(url: str) -> None:
        from service.store.database import Database

        store = Database(url, pool=3)
        try:
            await migrate(store.engine)
        finally:
            await store.close()

    try:
        if config.database_url is not None:
            asyncio.run(check_server(config.database_url))
            asyncio.run(prepare(config.database_url))
            yield config.database_url
            return
        postgres = EmbeddedPostgres(config.data_dir)
        try:
            url = postgres.start(console.print)
        except EmbeddedPostgresInUse:
            found = running_dsn(config.data_dir) if beside else None
            if found is None:
                raise
            yield found
            return
        try:
            asyncio.run(prepare(url))
            yield url
        finally:
            postgres.stop()
    except (EmbeddedPostgresError, ServerRefused, SchemaTooNew, VaultRefused) as error:
        raise failed(error) from error


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Progress bars at a terminal; plain silence where there is none."""
    bars = Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    with bars:
        yield bars
