"""`segserve import`: a file of customers, orders, events, consent or members of a list.

Like `apply` it opens the database itself, beside a service that may be running.
"""

import asyncio
import gc
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from service.commands.environment import console, database, progress_bars, settings
from service.commands.failures import FAILED, ending_as_failure
from service.core.access import Author
from service.core.parsing import Invalid, Problem
from service.settings import Settings

if TYPE_CHECKING:
    from service.flows.import_rehearsing import Rehearsal
    from service.flows.import_running import Understood
    from service.flows.importing import Begun
    from service.intake.imports.mapping import Mapping as Said
    from service.store.jobs import JobRow

REJECTED = 1
CUT_OFF = "; run it again, and it goes on where it was"
AUTHOR = "segserve import"
LOOKING = 0.2  # s
LAPSED = 2.0  # s
IGNORED_SHOWN = 12


class Kind(StrEnum):
    """What a file is about."""

    CUSTOMERS = "customers"
    ORDERS = "orders"
    EVENTS = "events"
    CONSENT = "consent"
    LIST = "list"


class Format(StrEnum):
    """How it is told."""

    TEXT = "text"
    JSON = "json"


def import_(
    file: Annotated[Path, typer.Argument(help="CSV, NDJSON or Parquet.")],
    kind: Annotated[
        Kind | None, typer.Option("--as", help="What it is about; else its columns say so.")
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", help="A YAML or JSON file, or FIELD=COLUMN; several times."),
    ] = None,
    preset: Annotated[str | None, typer.Option(help="An export, such as shopify-orders.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="FIELD=VALUE, the same in every row."),
    ] = None,
    type_: Annotated[
        list[str] | None, typer.Option("--type", help="TRAIT=TYPE, such as zip=string.")
    ] = None,
    where: Annotated[list[str] | None, typer.Option(help='Only these rows: "Price > 0".')] = None,
    list_: Annotated[str | None, typer.Option("--list", help="The list to put them on.")] = None,
    store: Annotated[str | None, typer.Option(help="The shop whose orders these are.")] = None,
    dates: Annotated[str | None, typer.Option(help="dmy or mdy: what 3/4/2026 means.")] = None,
    time_zone: Annotated[
        str | None, typer.Option(help="Of times that name no zone; else UTC.")
    ] = None,
    decimal: Annotated[str | None, typer.Option(help="The sign before decimals: . or ,")] = None,
    others: Annotated[
        str | None, typer.Option(help="keep or ignore the columns that nobody names.")
    ] = None,
    delimiter: Annotated[str | None, typer.Option(help="Of CSV; else it is seen.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Of CSV; else UTF-8.")] = None,
    rejects: Annotated[
        Path | None, typer.Option(help="Where rows go that are not imported, with reasons.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what it comes to.")] = False,
    format_: Annotated[Format, typer.Option("--format", help="How to tell it.")] = Format.TEXT,
) -> None:
    """Import a file; nobody is mailed because of it. Cut off, it goes on where it was when it is
    run again. 0: all of it, 1: but for some rows, 2: it failed."""
    config = settings()
    options = {
        "as": kind, "preset": preset, "list": list_, "store": store, "dates": dates,
        "time_zone": time_zone, "decimal": decimal, "others": others, "delimiter": delimiter,
        "encoding": encoding, "where": where or None,
    }  # fmt: skip
    pairs = {"map": map_ or [], "set": set_ or [], "types": type_ or []}
    told = _Told(format_)
    with told.failing(config):
        mapping = _mapping(options, pairs)
        if dry_run:
            _rehearse(config, told, file, mapping)
            return
        file = file.absolute()
        out = (rejects or file.with_name(f"{file.name}.rejects.csv")).absolute()
        with database(config, beside=True) as url:
            ended = asyncio.run(_import(config, url, told, file, mapping, out))
    raise typer.Exit(ended)


def _mapping(options: dict[str, Any], pairs: dict[str, list[str]]) -> "Said":
    """What the options say of the file. Raises Invalid."""
    from service.intake.imports.mapping import read

    document: dict[str, Any] = {}
    for each in [each for each in pairs["map"] if "=" not in each]:
        document |= _file(each)
    for name, given in pairs.items():
        own = {}
        for each in given:
            left, sign, right = each.partition("=")
            if sign:
                own[left.strip()] = right.strip()
            elif name != "map":
                detail = f"--{name.rstrip('s')} takes NAME=VALUE, not {each}"
                raise Invalid([Problem(f"/{name}", "bad_value", detail)])
        if own:
            document[name] = {**document.get(name, {}), **own}
    document |= {name: value for name, value in options.items() if value is not None}
    return read(document)


def _file(name: str) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        detail = f"{name}: {error.strerror}; or write FIELD=COLUMN"
        raise Invalid([Problem("/map", "not_found", detail)]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Invalid([Problem("/map", "bad_value", f"{name} is not YAML: {error}")]) from error
    if not isinstance(found, dict):
        raise Invalid([Problem("/map", "type", f"{name} has to hold an object")])
    return found


def _rehearse(config: Settings, told: "_Told", file: Path, mapping: "Said") -> None:
    import time

    from service.core.instants import MINUTE, zone_named
    from service.flows.import_rehearsing import rehearse
    from service.flows.import_running import look
    from service.intake.imports.told import Terms

    now = time.time_ns() // 1_000
    understood = look(file.absolute(), mapping, file.name)
    zone = zone_named(config.time_zone)
    with progress_bars() as bars:
        task = bars.add_task(f"Looking through {file.name}"[:28], total=None)
        found = rehearse(
            understood,
            lambda inferred: Terms(now, now + 5 * MINUTE, zone, inferred),
            config.base_currency,
            progress=lambda rows: bars.update(task, completed=rows),
        )
    told.rehearsed(understood, found)


async def _import(
    config: Settings, url: str, told: "_Told", file: Path, mapping: "Said", rejects: Path
) -> int:
    from service.flows.import_running import look
    from service.store import jobs
    from service.wiring import Process

    # What is loaded by now stays: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    async with Process(config, url).running(background=False) as parts:
        understood = await asyncio.to_thread(look, file, mapping, file.name)
        told.understood(understood)

        async def begin() -> "Begun":
            return await parts.importer.begin(
                understood, Author(AUTHOR), here=True, rejects=str(rejects)
            )

        begun = await begin()
        if not begun.ours:
            told.say(f"Another process is at it already: job {begun.job}.")

        async def job() -> "JobRow":
            async with parts.database.engine.connect() as connection:
                found = await jobs.get(connection, begun.job)
            assert found is not None  # noqa: S101 - jobs are kept
            return found

        with progress_bars() as bars:
            task = bars.add_task(f"Importing {file.name}"[:28], total=None)

            async def watch() -> "JobRow":
                while True:
                    now = await job()
                    bars.update(task, completed=now.done, total=now.total)
                    if now.status in ("done", "failed"):
                        return now
                    await asyncio.sleep(LOOKING)

            watching = asyncio.create_task(watch())
            ours = begun.ours
            while not ours and not watching.done():
                # Whoever was at it may be no more: its job is free once its lease has lapsed.
                await asyncio.wait([watching], timeout=LAPSED)
                ours = not watching.done() and (await begin()).ours
            if ours:
                await parts.importer.run_here(begun.job)
            ended = await watching
        if ended.status == "done":
            await parts.jobs.measure()
    return told.ended(understood, ended)


_COUNTED = ("customers", "orders", "lines", "refunds", "cancellations", "events", "rows")


def _counted(counts: Mapping[str, int]) -> str:
    """`2 orders, 3 lines, 1 refund`."""
    told = [_many(counts[name], name) for name in _COUNTED if counts.get(name)]
    return ", ".join(told) or "nothing"


def _many(count: int, things: str) -> str:
    return f"{count:,} {things.removesuffix('s') if count == 1 else things}"


class _Told:
    """Tells people or programs how it goes."""

    def __init__(self, format_: Format) -> None:
        self._json = format_ is Format.JSON
        self._out = Console(highlight=False, soft_wrap=True)

    @contextmanager
    def failing(self, config: Settings) -> Iterator[None]:
        """Whatever keeps the command from its work is told, and ends it with 2."""
        with ending_as_failure(config, self._failed_by, CUT_OFF):
            try:
                yield
            except Invalid as error:
                self._failed(error.problems)
            except FileNotFoundError as error:
                self._failed_by(Problem("", "not_found", f"there is no file {error.filename}"))

    def _failed_by(self, problem: Problem) -> NoReturn:
        self._failed([problem])

    def _failed(self, problems: Sequence[Problem]) -> NoReturn:
        if self._json:
            faults = [
                {"pointer": each.pointer, "code": each.code, "detail": each.detail}
                for each in problems
            ]
            sys.stdout.write(json.dumps({"errors": faults}, ensure_ascii=False, indent=2) + "\n")
        for each in problems:
            place = f"{escape(each.pointer.removeprefix('/'))}: " if each.pointer else ""
            console.print(f"[red]{place}{escape(each.detail)}[/]")
        raise typer.Exit(FAILED)

    def say(self, text: str) -> None:
        """A sentence for people."""
        console.print(escape(text))

    def understood(self, understood: "Understood") -> None:
        """What the columns are taken for."""
        self._plan(console, understood)

    def _plan(self, console: Console, understood: "Understood") -> None:
        plan = understood.plan
        known = f", {plan.preset}" if plan.preset else ""
        console.print(f"[bold]{escape(understood.name)}[/]: {plan.kind}{known}")
        width = max(len(field) for field in plan.fields)
        for field, column in plan.fields.items():
            how = "  [yellow]guessed[/]" if field in plan.guessed else ""
            console.print(f"  {field:<{width}}  {escape(column)}{how}")
        for field, value in plan.constants.items():
            console.print(f"  {field:<{width}}  = {escape(str(value))}")
        for each in plan.where:
            console.print(f"  only rows with {escape(each)}")
        if plan.ignored:
            names = ", ".join(plan.ignored[:IGNORED_SHOWN])
            more = len(plan.ignored) - IGNORED_SHOWN
            names += f" and {more:,} more" if more > 0 else ""
            console.print(f"  not read: {escape(names)}")

    def rehearsed(self, understood: "Understood", found: "Rehearsal") -> None:
        """What a dry run has found."""
        import msgspec

        plan = understood.plan
        if self._json:
            document = {"plan": msgspec.to_builtins(plan), **msgspec.to_builtins(found)}
            sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
            return
        self._plan(self._out, understood)
        for path, kind in {**found.types, **plan.types}.items():
            self._out.print(f"  {escape(path)} is a {kind}")
        people = "" if "customers" in found.counts else f" of {_many(found.customers, 'customers')}"
        self._out.print(f"{_many(found.rows, 'rows')}: {_counted(found.counts)}{people}")
        self._out.print(f"{_many(found.left_out, 'rows')} left out, {found.rejected:,} rejected")
        for example in found.examples:
            self._out.print(escape(json.dumps(example, ensure_ascii=False)))
        for bad in found.rejects:
            column = f" {bad.column}:" if bad.column else ""
            self._out.print(f"[red]row {bad.row}:{escape(column)} {escape(bad.detail)}[/]")
        self._out.print("Nothing was stored.")

    def ended(self, understood: "Understood", job: "JobRow") -> int:
        """How an import ended; the exit code."""
        detail = job.detail
        spread = detail["spread"] or {}
        if job.status == "failed":
            self._failed([Problem("", "refused", job.error or "this failed")])
        told = {
            "job": job.id, "rows": spread["rows"], "left_out": spread["left_out"],
            "rejected": detail["rejected"], "counts": detail["counts"],
            "rejects": detail["rejects"] if detail["rejected"] else None,
        }  # fmt: skip
        if self._json:
            sys.stdout.write(json.dumps(told, ensure_ascii=False, indent=2) + "\n")
        else:
            rows = _many(spread["rows"], "rows")
            self._out.print(f"Imported {_counted(detail['counts'])} from {rows}.")
            if spread["left_out"]:
                self._out.print(f"Left out, as you said: {_many(spread['left_out'], 'rows')}.")
            if detail["rejected"]:
                where = escape(str(detail["rejects"]))
                self._out.print(f"Not imported: {_many(detail['rejected'], 'rows')}, see {where}")
        return REJECTED if detail["rejected"] else 0
