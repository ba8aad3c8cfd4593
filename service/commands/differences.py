"""Telling a difference between files and what is stored, to people or to programs."""

import json
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from service.commands.definition_files import LocatedFault
from service.commands.environment import console
from service.commands.failures import FAILED

# Segments that no file names and that customers would enter or leave: so many are shown.
TOLD = 20


class Format(StrEnum):
    """How a difference is told."""

    TEXT = "text"
    JSON = "json"


_SIGNS = {
    "created": "[green]+[/]",
    "revived": "[green]+[/]",
    "changed": "[yellow]~[/]",
    "archived": "[red]-[/]",
}


class Output:
    """Tells people or programs what is to be done, was done, or is wrong."""

    def __init__(self, format_: Format) -> None:
        self._json = format_ is Format.JSON
        self._out = Console(highlight=False, soft_wrap=True)

    def tell(self, plan: Any) -> None:
        """The difference, on standard output."""
        if self._json:
            sys.stdout.write(json.dumps(_document(plan), ensure_ascii=False, indent=2) + "\n")
            return
        for step in plan.changes:
            self._out.print(f"{_SIGNS[step.action]} [bold]{step.wanted.key}[/] {step.action}")
            self._members(step)
            self._moves(plan.moves.get(step.wanted.key))
        named = {step.wanted.key for step in plan.changes}
        others = {key: moves for key, moves in plan.moves.items() if key not in named}
        for key, moves in list(others.items())[:TOLD]:
            self._out.print(f"  [bold]{key}[/] follows from them")
            self._moves(moves)
        if len(others) > TOLD:
            self._out.print(f"  and {len(others) - TOLD:,} more segments follow from them")
        unchanged = len(plan.steps) - len(plan.changes)
        if not plan.changes:
            self._out.print(f"Nothing to change: {_segments(unchanged)} as in the files.")
            return
        self._out.print(f"{_segments(len(plan.changes))} to change, {unchanged:,} unchanged.")
        self._out.print(f"{_customers(plan.moving)} would move.")

    def _members(self, step: Any) -> None:
        before, after = step.summary
        for name, sides in step.difference.items():
            if name == "condition":
                if before is not None:
                    self._out.print(f"    [red]- {escape(before)}[/]")
                self._out.print(f"    [green]+ {escape(after)}[/]")
                continue
            was, becomes = (_short(sides, side) for side in ("before", "after"))
            if was is None:
                self._out.print(f"    {name}: [green]{escape(becomes or '')}[/]")
            elif becomes is None:
                self._out.print(f"    {name}: [red]{escape(was)}[/] is taken away")
            else:
                told = f"[red]{escape(was)}[/] becomes [green]{escape(becomes)}[/]"
                self._out.print(f"    {name}: {told}")

    def _moves(self, moves: Any) -> None:
        if moves is not None:
            self._out.print(
                f"    {_customers(moves.entering)} would enter, {moves.leaving:,} would leave"
            )

    def applied(self, plan: Any) -> None:
        """It is done."""
        console.print(f"Applied: {_segments(len(plan.changes))} changed, in one revision.")

    def fail(self, faults: Sequence[LocatedFault], *, unchanged: bool = True) -> NoReturn:
        """What is wrong, and the end of the command; `unchanged`: nothing was changed for sure."""
        if self._json:
            document = {"errors": [_fault_document(fault) for fault in faults]}
            sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
            raise typer.Exit(FAILED)
        for fault in faults:
            problem = fault.problem
            where = f"{fault.place}: " if fault.place is not None else ""
            pointer = f"{problem.pointer}: " if problem.pointer else ""
            console.print(
                f"{escape(where)}[red]{escape(pointer)}{escape(problem.detail)}[/] "
                f"({problem.code})",
                soft_wrap=True,
            )
        if unchanged:
            console.print("Nothing was changed.")
        raise typer.Exit(FAILED)


def _segments(count: int) -> str:
    return "1 segment" if count == 1 else f"{count:,} segments"


def _customers(count: int) -> str:
    return "1 customer" if count == 1 else f"{count:,} customers"


def _short(sides: Mapping[str, Any], side: str) -> str | None:
    """A value as one short line; None where there is none."""
    if side not in sides:
        return None
    value = sides[side]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = ", ".join(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= 200 else f"{text[:199]}…"


def _document(plan: Any) -> dict[str, Any]:
    """A plan for programs."""
    return {
        "changes": [
            {
                "key": step.wanted.key,
                "change": step.action,
                "difference": step.difference,
                "summary": {"before": step.summary[0], "after": step.summary[1]},
            }
            for step in plan.changes
        ],
        "unchanged": len(plan.steps) - len(plan.changes),
        "moves": {
            key: {"entering": moves.entering, "leaving": moves.leaving}
            for key, moves in plan.moves.items()
        },
        "customers": {"moving": plan.moving, "counted": plan.customers},
    }


def _fault_document(fault: LocatedFault) -> dict[str, Any]:
    place = fault.place
    return {
        "file": None if place is None else place.file,
        "line": None if place is None else place.line,
        "column": None if place is None else place.column,
        "pointer": fault.problem.pointer,
        "code": fault.problem.code,
        "detail": fault.problem.detail,
    }
