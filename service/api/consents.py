"""`/customers/{id}/consent`: by which channels somebody may be written to, and who said so when."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncConnection

from service.api import paging
from service.api.bodies import BodyRoute
from service.api.callers import WithAuthor, WithCaller, forbidden
from service.api.consent_schemas import ConsentChange, ConsentHistory, Consents, ConsentSaid
from service.api.paths import Channel, CustomerId
from service.api.problems import invalid, not_found
from service.api.profiles import consents, hides_consents
from service.api.recording import NOT_RECORDED, not_recorded
from service.api.schemas import storable
from service.api.services import WithServices
from service.core import consent
from service.core.access import Caller, Scope
from service.core.consent import CONSENT, SUPPRESSED, Told
from service.core.decisions import State
from service.core.events import Event
from service.core.instants import from_datetime
from service.core.parsing import Problem
from service.core.personal import NOBODYS, Personal
from service.flows import consenting
from service.live import Served
from service.store import consents as stored
from service.store import identities, states
from service.store.consents import SaidRow

# Before the routes of customers, one of which takes all ids.
router = APIRouter(prefix="/customers", tags=["customers"], route_class=BodyRoute)


def _personal(served: Served, who: Caller) -> Personal:
    return NOBODYS if who.may(Scope.PERSONAL) else served.personal


@router.put("/{customer_id:path}/consent/{channel}")
async def change_consent(
    services: WithServices,
    customer_id: CustomerId,
    channel: Channel,
    change: ConsentChange,
    who: WithCaller,
    author: WithAuthor,
) -> Consents:
    """Say whether a customer may be written to by a channel, and how you know. A customer who is
    not known yet is, from now on. Without the scope `read` the answer has this channel only."""
    if "\0" in customer_id:
        raise invalid([Problem("/path/customer_id", "bad_value", "an id can't hold U+0000")])
    said = {name: getattr(change, name) for name in ("status", "source", "reason")}
    said = {name: value for name, value in said.items() if value is not None}
    if "suppressed" in change.model_fields_set:
        said["suppressed"] = change.suppressed
    at = None if change.at is None else from_datetime(change.at)
    wanted = consenting.ConsentChange(channel, said, at)
    try:
        decision = await services.consenter.change(customer_id, wanted, author)
    except NOT_RECORDED as error:
        raise not_recorded(error) from error
    channels = consents(decision.state, _personal(services.live.served, who))
    if channels is not None and not who.may(Scope.READ):
        channels = {channel: channels[channel]}
    return Consents(customer_id=decision.state.customer_id, channels=channels)


@router.get("/{customer_id:path}/consent")
async def get_consent(
    services: WithServices,
    customer_id: CustomerId,
    who: WithCaller,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> ConsentHistory:
    """By which channels a customer may be written to, and all that was said of it, the newest
    first. Where consents are personal traits, the scope `personal` is needed."""
    before = _before(cursor)
    personal = _personal(services.live.served, who)
    if hides_consents(personal):
        raise forbidden(Scope.PERSONAL)
    async with services.database.engine.connect() as connection:
        state, ids = await _person(connection, customer_id)
        rows = await stored.said(connection, ids, before, limit + 1)
    more = _place(rows[limit - 1]) if len(rows) > limit else None
    return ConsentHistory(
        customer_id=state.customer_id,
        channels=consents(state, personal),
        items=[said for row in rows[:limit] for said in _said(row)],
        next_cursor=paging.cursor(more),
    )


async def _person(connection: AsyncConnection, customer_id: str) -> tuple[State, list[str]]:
    """A customer's state and all their ids. Raises HttpProblem 404."""
    if "\0" not in customer_id:
        raw = (await connection.get_raw_connection()).driver_connection
        person = (await identities.persons(raw, [customer_id])).get(customer_id, customer_id)
        state = (await states.read(raw, [person])).get(person)
        if state is not None:
            others = (await identities.ids_of(raw, [person])).get(person, [])
            return state, [person, *others]
    raise not_found(f"there is no customer {customer_id}")


def _place(row: SaidRow) -> str:
    return json.dumps([row.at.isoformat(), row.place])


def _before(cursor: str | None) -> tuple[datetime, str] | None:
    text = paging.after(cursor)
    if text is None:
        return None
    try:
        at, place = json.loads(text)
        instant = datetime.fromisoformat(at)
        storable(str(place)).encode()
    except (ValueError, TypeError) as error:
        raise invalid([Problem("/query/cursor", "bad_value", "this is no cursor")]) from error
    if instant.tzinfo is None or not isinstance(place, str):
        raise invalid([Problem("/query/cursor", "bad_value", "this is no cursor")])
    return instant, place


def _said(row: SaidRow) -> Iterator[ConsentSaid]:
    """What a stored row says, channel by channel; nothing of an event that changed nothing."""
    more: dict[str, Any] = {"at": row.at, "source": row.source, "message_id": row.message_id}
    if row.event is None:
        yield from _by_trait(row, more)
        return
    properties = row.properties or {}
    event = Event(row.event, from_datetime(row.at), properties, row.message_id or "", row.source)
    told = consent.told(event)
    if not isinstance(told, Told):
        return
    more |= {"event": row.event, "source": told.source or row.source}
    if row.event == consent.CHANGED and row.source == consenting.SOURCE:
        more |= {"reason": properties.get("reason"), "by": properties.get("by")}
    given, closed = told.patch.get(CONSENT, {}), told.patch.get(SUPPRESSED, {})
    for channel in {**given, **closed}:
        yield ConsentSaid(
            channel=channel,
            status=given.get(channel),
            suppressed=closed.get(channel),
            lifted=channel in closed and closed[channel] is None,
            **more,
        )


def _by_trait(row: SaidRow, more: dict[str, Any]) -> Iterator[ConsentSaid]:
    """What a change of a trait says; of the whole object, only that it was removed."""
    name, _, channel = (row.path or "").partition(".")
    if channel and channel not in consent.CHANNELS:
        return
    if not channel and row.value is not None:
        return
    try:
        value = consent.word(name, row.value)
    except ValueError:  # what callers meant by the name before it had a meaning here
        return
    word: dict[str, Any] = {"status" if name == CONSENT else "suppressed": value}
    lifted = name == SUPPRESSED and value is None
    yield ConsentSaid(channel=channel or None, lifted=lifted, event=None, **word, **more)
