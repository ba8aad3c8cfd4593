"""Rows about customers themselves: their traits, their consent, the lists they are on."""

from collections.abc import Iterable

from service.core.consent import CHANNELS
from service.intake.imports import consents
from service.intake.imports.cells import Unreadable
from service.intake.imports.fields import Kind
from service.intake.imports.rows import Reading, Refused
from service.intake.imports.told import Bad, Piece, Row, Terms, Told
from service.intake.imports.understanding import Plan
from service.intake.imports.values import merged


class People:
    """Reads customers, consents and lists. Rows of the same customer are told in their order."""

    def __init__(self, plan: Plan, terms: Terms) -> None:
        self._reading = Reading(plan, terms)
        self._plan = plan
        self._terms = terms

    def read(self, rows: Iterable[Row]) -> Told:
        """What rows tell."""
        told = Told()
        for row in rows:
            try:
                self._row(row, told)
            except Refused as refused:
                told.bad.append(Bad(row.number, refused.column, refused.code, refused.detail))
        told.counts["customers"] = len(told.pieces)
        return told

    def _row(self, row: Row, told: Told) -> None:
        reading, began = self._reading, self._terms.began
        who = reading.who(row.cells)
        if who is None:
            raise Refused(None, "no_customer", "this names no customer")
        traits = {} if self._plan.kind is Kind.LIST else reading.traits(row.cells)
        if self._plan.kind is Kind.CONSENT:
            merged(traits, self._consent(row))
            if not traits:
                raise reading.refused("status", "empty", "this says nothing of any channel")
        at = reading.instant(row.cells, "at")
        # Of one instant the later row counts.
        message_id = f"{began:015x}-{row.number:012}"
        told.add(who, Piece((row.number,), began if at is None else at, message_id, traits))
        told.count("rows")

    def _consent(self, row: Row) -> dict[str, object]:
        """What the columns `channel` and `status` say. Raises Refused."""
        reading = self._reading
        channel = reading.text(row.cells, "channel")
        if channel is None:
            return {}
        channel = channel.casefold()
        if channel not in CHANNELS:
            detail = f'"{channel}" is no channel; there are {", ".join(CHANNELS)}'
            raise reading.refused("channel", "bad_value", detail)
        try:
            patch = consents.consent(channel, reading.cell(row.cells, "status"))
        except Unreadable as error:
            raise reading.refused("status", "bad_value", str(error)) from error
        return patch or {}
