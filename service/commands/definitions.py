"""`segserve apply` and `segserve export`: definitions as code."""

import asyncio
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any, NoReturn

import typer
from rich.progress import Progress

from service.commands.definition_files import (
    Faulty,
    LocatedFault,
    Written,
    read_files,
    write,
)
from service.commands.differences import Format, Output
from service.commands.environment import Reason, database, progress_bars, settings
from service.commands.failures import ending_as_failure
from service.core.access import Author
from service.core.parsing import Invalid, Problem
from service.settings import Settings

CHANGES = 1
AUTHOR = "segserve apply"


class Shown(StrEnum):
    """Which segments are exported."""

    ACTIVE = "active"
    DRAFT = "draft"


def apply(
    files: Annotated[list[str], typer.Argument(help="YAML or JSON files; - is standard input.")],
    check: Annotated[
        bool, typer.Option("--check", help="Only compare: 0 nothing to do, 1 something, 2 faults.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Apply without asking.")] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Archive the segments that the files do not name.")
    ] = False,
    format_: Annotated[Format, typer.Option("--format", help="How to tell it.")] = Format.TEXT,
    reason: Reason = None,
) -> None:
    """Make the segments what files say: show the difference, ask, apply all of it or nothing."""
    out = Output(format_)
    if "-" in files and not (check or yes):
        out.fail([_fault("", "bad_value", "with the files on standard input say --yes or --check")])
    config = settings()
    with _failing(config, out):
        written = read_files(files, sys.stdin.buffer)
        wanted = wanted_of(written, config)
        with database(config, beside=True) as url:
            ended = asyncio.run(_run(config, url, out, written, wanted, check, yes, prune, reason))
    raise typer.Exit(ended)


def export(
    keys: Annotated[list[str] | None, typer.Argument(help="Only these; all without.")] = None,
    status: Annotated[Shown | None, typer.Option(help="Only those of a status.")] = None,
) -> None:
    """Print the segments as a file that `segserve apply` takes."""
    config = settings()

    async def found(url: str) -> list[dict[str, Any]]:
        from service.flows.applying import exported
        from service.flows.publishing import Unknown
        from service.store.database import Database

        store = Database(url, pool=3)
        try:
            async with store.engine.connect() as connection:
                return await exported(connection, keys or [], status)
        except Unknown as unknown:
            detail = f"there is no segment {unknown}"
            raise Faulty([_fault("", "not_found", detail)]) from unknown
        finally:
            await store.close()

    with _failing(config, Output(Format.TEXT)), database(config, beside=True) as url:
        sys.stdout.write(write(asyncio.run(found(url))))


@contextmanager
def _failing(config: Settings, out: Output) -> Iterator[None]:
    """Whatever keeps a command from its work is told, and ends it."""

    def fail(problem: Problem) -> NoReturn:
        out.fail([LocatedFault(None, problem)], unchanged=False)

    with ending_as_failure(config, fail):
        try:
            yield
        except Faulty as failure:
            out.fail(failure.faults)


def wanted_of(written: Sequence[Written], config: Settings) -> list[Any]:
    """The definitions of files, each as the API would take it. Raises Faulty."""
    from pydantic import ValidationError

    from service.api.problems import fault_of
    from service.api.segment_schemas import NewSegment
    from service.flows.checking import Wanted

    faults: list[LocatedFault] = []
    wanted: list[Any] = []
    first: dict[str, Written] = {}
    for each in written:
        if not isinstance(each.document, dict):
            faults.append(each.located(Problem("", "type", "a segment has to be an object")))
            continue
        problems = _unacceptable(each.document, config)
        if problems:
            faults += map(each.located, problems)
            continue
        try:
            document = NewSegment.model_validate(each.document)
        except ValidationError as error:
            faults += [each.located(fault_of(fault, fault["loc"])) for fault in error.errors()]
            continue
        other = first.setdefault(document.key, each)
        if other is not each:
            place = other.located(Problem("/key", "duplicate", "")).place
            detail = f"{document.key} is defined twice: at {place} too"
            faults.append(each.located(Problem("/key", "duplicate", detail)))
        definition = document.model_dump(mode="json", exclude={"key", "status"}, exclude_none=True)
        wanted.append(Wanted(document.key, document.status, definition))
    if faults:
        raise Faulty(faults)
    return wanted


def _unacceptable(document: Any, config: Settings) -> list[Problem]:
    """What the API would refuse in a body before it looked at what the body means."""
    from service.api.decoding import check_document, unrepresentable
    from service.api.problems import HttpProblem

    problems = unrepresentable(document)
    if problems:
        return problems
    size = len(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())
    if size > config.body_limit:
        detail = f"a segment may have {config.body_limit:,} bytes at most, as JSON"
        return [Problem("", "too_large", detail)]
    try:
        check_document(document, config.json_depth)
    except HttpProblem as refused:
        return refused.errors
    return []


async def _run(
    config: Settings,
    url: str,
    out: Output,
    written: Sequence[Written],
    wanted: Sequence[Any],
    check: bool,
    yes: bool,
    prune: bool,
    reason: str | None,
) -> int:
    from service.flows.applying import Applier
    from service.flows.publishing import Conflict, Stale
    from service.wiring import Process

    process = Process(config, url)
    async with process.running(background=False) as parts:
        applier = Applier(parts.database, parts.live, parts.publisher, config, parts.clock)
        try:
            with progress_bars() as bars:
                plan = await applier.plan(wanted, prune=prune, progress=_counting(bars))
            out.tell(plan)
            if not plan.changes:
                return 0
            if check:
                return CHANGES
            if not yes and not _agreed():
                return CHANGES
            await applier.apply(plan, author=Author(AUTHOR, reason=reason))
        except Invalid as error:
            raise Faulty([_located(written, problem) for problem in error.problems]) from error
        except Conflict as conflict:
            raise Faulty([_fault("", conflict.code, str(conflict))]) from conflict
        except Stale as stale:
            detail = f"{stale} was changed by somebody else meanwhile: look at the difference again"
            raise Faulty([_fault("", "stale", detail)]) from stale
    out.applied(plan)
    return 0


def _agreed() -> bool:
    if not sys.stdin.isatty():
        detail = "there is no terminal to ask at: say --yes to apply, --check to compare"
        raise Faulty([_fault("", "not_asked", detail)])
    return typer.confirm("Apply?", err=True)


def _counting(bars: Progress) -> Callable[[int, int], None]:
    """Shows how far the counting is once it has taken two seconds."""
    import time

    started = time.monotonic()
    task: list[Any] = []

    def progress(done: int, total: int) -> None:
        if not task and time.monotonic() - started > 2:
            task.append(bars.add_task("Counting who would move", total=total))
        if task:
            bars.update(task[0], completed=done, total=total)

    return progress


def _fault(pointer: str, code: str, detail: str) -> LocatedFault:
    return LocatedFault(None, Problem(pointer, code, detail))


def _located(written: Sequence[Written], problem: Problem) -> LocatedFault:
    """A fault of several definitions (`/2/condition`), or of the only one, with its place."""
    if len(written) == 1:
        return written[0].located(problem)
    index, _, rest = problem.pointer.removeprefix("/").partition("/")
    if not index.isdecimal() or int(index) >= len(written):
        return LocatedFault(None, problem)
    inner = Problem(f"/{rest}" if rest else "", problem.code, problem.detail)
    return written[int(index)].located(inner)
