"""What a caller is shown of definitions: without the scope `personal` nothing that rules compare
personal traits with, and no figure made of them; without `read` no figures at all.

Faults quote what they are about. So those of a definition that a request did not bring itself are
told by code and place alone to whoever may not read personal values, whatever they say.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeVar

from fastapi import Depends

from service.api.callers import WithCaller
from service.api.problems import invalid
from service.api.services import WithServices
from service.core.access import Scope
from service.core.catalog import Catalog
from service.core.parsing import Problem
from service.core.personal import NOBODYS, Personal
from service.core.proofs.findings import Code
from service.core.written import rules_written
from service.store.metrics import MADE_OF
from service.store.segments import SegmentRow, VersionRow

SUMMARY = "Its condition names personal values, which this key may not read."
_DETAIL = "this comes of personal values, which this key may not read"
UNTOLD = "a key with the scope personal is told why: it may quote personal values"
_NO_VALUE = 'this rule passes over customers without a value: with "missing" say what they are'
_PROVED = frozenset(Code)

Row = TypeVar("Row", SegmentRow, VersionRow)


@dataclass(frozen=True, slots=True)
class View:
    """One caller's view. `personal`: what they may not read; `figures`: whether they may read what
    segments come to."""

    personal: Personal
    figures: bool
    catalog: Catalog

    def row(self, row: Row) -> tuple[Row, list[str]]:
        """A stored segment or version as this caller sees it, and the places that are masked."""
        places: list[str]
        condition, places = self.personal.condition(row.definition.get("condition"))
        if not places:
            return row, []
        definition = {**row.definition, "condition": condition}
        return replace(row, definition=definition, summary=SUMMARY), [*places, "/summary"]

    def node(self, node: Any) -> Any:
        """A rule or group of a condition as this caller sees it."""
        return self.personal.condition(node)[0]

    def metrics(self, figures: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """What a segment comes to, null where it is made of personal traits."""
        if figures is None or not self.figures:
            return None
        return {
            name: None if any(map(self.personal.touches, MADE_OF.get(name, ()))) else value
            for name, value in figures.items()
        }

    def check(self, condition: Any) -> None:
        """Refuse a condition that holds masks: they would be stored in place of what they hide.
        Raises HttpProblem 422."""
        _refuse(self.personal.masks(condition))

    def check_trait(self, document: Mapping[str, Any]) -> None:
        """The same of what a trait is declared as."""
        _refuse(self.personal.masks_in(document))

    def counted(self, problems: Iterable[Problem]) -> list[Problem]:
        """Warnings as they are told to who may read no figures."""
        if self.figures:
            return list(problems)
        return [
            replace(each, detail=_NO_VALUE) if each.code == "no_value" else each
            for each in problems
        ]

    def of_others(self, problems: Iterable[Problem]) -> list[Problem]:
        """Faults of definitions that this request did not bring, as they are told."""
        if self.personal is NOBODYS:
            return list(problems)
        return [replace(each, detail=UNTOLD) for each in problems]

    def teller(
        self, definition: Mapping[str, Any], *, theirs: bool
    ) -> Callable[[Sequence[Problem]], list[Problem]]:
        """How faults and warnings of a definition are told to this caller: those that may quote
        personal values by their codes alone. `theirs`: whether they wrote its condition."""

        def told(problems: Sequence[Problem]) -> list[Problem]:
            hidden = _PROVED if self._proofs_name_somebody(definition) else frozenset()
            own = not theirs and self._names_somebody(definition.get("condition"))
            return [
                replace(each, detail=_DETAIL)
                if each.code in hidden or (own and each.pointer.startswith("/condition"))
                else each
                for each in problems
            ]

        return list if self.personal is NOBODYS else told

    def _names_somebody(self, condition: Any) -> bool:
        return bool(self.personal.condition(condition)[1])

    def _proofs_name_somebody(self, definition: Mapping[str, Any]) -> bool:
        """Whether what is proved of a definition may quote personal values, its own or those of
        the segments that it stands among or refers to."""
        condition = definition.get("condition")
        if self._names_somebody(condition):
            return True
        among = definition.get("scheme") is not None or any(
            str(rule.get("field")).startswith("segment:") for _, rule in rules_written(condition)
        )
        return among and any(
            self._names_somebody(each.definition.condition)
            for each in self.catalog.segments.values()
        )


def _refuse(faults: list[Problem]) -> None:
    if faults:
        raise invalid(faults)


def _view(services: WithServices, who: WithCaller) -> View:
    served = services.live.served
    personal = NOBODYS if who.may(Scope.PERSONAL) else served.personal
    return View(personal, who.may(Scope.READ), served.catalog)


WithView = Annotated[View, Depends(_view)]
