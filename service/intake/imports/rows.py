"""What all kinds of rows have: cells by field, whom they are about, traits."""

from collections.abc import Sequence
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

from service.core.identities import Identity, normalised
from service.core.merging import check_names
from service.core.traits import describe
from service.intake.imports import consents
from service.intake.imports.cells import Instants, Unreadable, identifier, text
from service.intake.imports.fields import CUSTOMER_ID, IDENTITIES, NAMES
from service.intake.imports.told import Terms, Who
from service.intake.imports.understanding import Plan
from service.intake.imports.values import merged, put, value


class Refused(Exception):
    """A row can't be taken."""

    def __init__(self, column: str | None, code: str, detail: str) -> None:
        super().__init__(detail)
        self.column = column
        self.code = code
        self.detail = detail


class Reading:
    """Reads the cells of a file's rows as its plan says."""

    def __init__(self, plan: Plan, terms: Terms) -> None:
        self.plan = plan
        self.terms = terms
        clock_zone = UTC if plan.time_zone is None else ZoneInfo(plan.time_zone)
        zone = terms.zone if plan.time_zone is None else clock_zone
        self.instants = Instants(zone, clock_zone, plan.dates)
        needed = plan.needed
        self.places = {name: needed.index(column) for name, column in plan.fields.items()}
        self._names = [
            (name, self.places[name], plan.blank.get(name))
            for name in IDENTITIES
            if name in self.places
        ]
        self.named_by = [self.places[name] for name in NAMES if name in self.places]
        # Rows of one customer often follow upon each other.
        self._last: tuple[Any, Who | None] = ((), None)
        self._traits = self.below("traits")
        self._consents = [
            (f"{name}.{channel}", channel, getattr(consents, name))
            for name in ("consent", "suppressed")
            for channel in self.below(name)
        ]

    def below(self, name: str) -> list[str]:
        """What stands behind the dot of fields: of `traits.city` it is city."""
        prefix = f"{name}."
        told = (*self.plan.fields, *self.plan.constants)
        return [each.removeprefix(prefix) for each in told if each.startswith(prefix)]

    def cell(self, cells: Sequence[Any], name: str) -> Any:
        """The cell of a field, or what it is in every row; None where the file has none."""
        place = self.places.get(name)
        return self.plan.constants.get(name) if place is None else cells[place]

    def column(self, name: str) -> str | None:
        """The column of a field."""
        return self.plan.fields.get(name)

    def refused(self, name: str, code: str, detail: str) -> Refused:
        """The refusal of a row for one of its fields."""
        return Refused(self.column(name), code, detail)

    def text(self, cells: Sequence[Any], name: str) -> str | None:
        """A field as a text. Raises Refused."""
        try:
            return text(self.cell(cells, name))
        except Unreadable as error:
            raise self.refused(name, "bad_value", str(error)) from error

    def instant(self, cells: Sequence[Any], name: str) -> int | None:
        """A field as an instant that is not ahead of the clock. Raises Refused."""
        try:
            found = self.instants.read(self.cell(cells, name))
        except Unreadable as error:
            raise self.refused(name, "bad_value", str(error)) from error
        if found is not None and found > self.terms.latest:
            detail = "this is more than 5 minutes ahead of the service's clock"
            raise self.refused(name, "in_the_future", detail)
        return found

    def who(self, cells: Sequence[Any]) -> Who | None:
        """Whom a row is about; None where it says nothing of it. Raises Refused."""
        told = (*(cells[place] for place in self.named_by),)
        if told == self._last[0]:
            return self._last[1]
        self._last = told, self._whoever(cells)
        return self._last[1]

    def _whoever(self, cells: Sequence[Any]) -> Who | None:
        try:
            customer_id = identifier(self.cell(cells, CUSTOMER_ID))
        except Unreadable as error:
            raise self.refused(CUSTOMER_ID, "bad_value", str(error)) from error
        identities = tuple(
            found
            for name, place, blank in self._names
            if (found := self._identity(name, cells[place], blank)) is not None
        )
        return Who(customer_id, identities) if customer_id or identities else None

    def _identity(self, name: str, cell: Any, blank: str | None) -> Identity | None:
        try:
            found = identifier(cell)
        except Unreadable as error:
            raise self.refused(name, "bad_value", str(error)) from error
        if found is None or found == blank:
            return None
        identity = normalised(Identity(name, found))
        if identity is None:
            article = "an e-mail address" if name == "email" else "a phone number"
            raise self.refused(name, "bad_value", f"expected {article}, got {describe(found)}")
        return identity

    def traits(self, cells: Sequence[Any]) -> dict[str, Any]:
        """The traits that a row gives, and its word on consent. Raises Refused."""
        found: dict[str, Any] = {}
        whole = self.object(cells, "traits")
        if whole:
            problems = check_names(whole)
            if problems:
                raise self.refused("traits", problems[0].code, problems[0].detail)
            merged(found, whole)
        self.put_values(found, cells, "traits", self._traits)
        for name, channel, read in self._consents:
            try:
                patch = read(channel, self.cell(cells, name))
            except Unreadable as error:
                raise self.refused(name, "bad_value", str(error)) from error
            if patch is not None:
                merged(found, patch)
        return found

    def put_values(
        self, tree: dict[str, Any], cells: Sequence[Any], below: str, paths: Sequence[str]
    ) -> None:
        """Put the values of fields such as `traits.city` where they belong. Raises Refused."""
        types, inferred = self.plan.types, self.terms.inferred
        for path in paths:
            name = f"{below}.{path}"
            kind = types.get(path) or inferred.get(path)
            try:
                found = value(self.cell(cells, name), kind, self.instants, self.plan.decimal)
            except Unreadable as error:
                raise self.refused(name, "bad_value", str(error)) from error
            if found is not None:
                put(tree, path, found)

    def object(self, cells: Sequence[Any], name: str) -> dict[str, Any]:
        """A field that is a JSON object; empty where nothing is told. Raises Refused."""
        cell = self.cell(cells, name)
        if cell is None or cell == "":
            return {}
        if not isinstance(cell, dict):
            detail = f"{name} have to be an object, not {describe(cell)}"
            raise self.refused(name, "type", detail)
        return cell
