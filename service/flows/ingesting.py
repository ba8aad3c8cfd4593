"""Taking messages in: one piece of work a customer for the writer, and rejects for the log. What
this returns from is stored."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from service.core.deciding import derived_problems
from service.core.decisions import Decision, Input, Patch, Undecidable
from service.core.identities import ANONYMOUS
from service.core.instants import MINUTE, to_datetime
from service.core.merging import Written, coerced
from service.core.parsing import Invalid, Problem
from service.flows.linking import Linker
from service.intake.messages import Message, Reject, Taken
from service.store import sources
from service.store.batches import NotStored
from service.store.database import CANT_READ, Database
from service.store.erasures import Erased
from service.store.writer import Overloaded, StoreUnavailable, Writer

# Customers of one request that wait for the writer at a time: others have their turn too.
AT_ONCE = 256

# Not now, as against not at all.
LATER = (Overloaded, StoreUnavailable, Undecidable)
NEVER = (Invalid, NotStored, Erased)

# Messages of one customer, in the order of their arrival.
Group: TypeAlias = list[Message]


class Ingestor:
    """Stores what sources send."""

    def __init__(self, database: Database, writer: Writer, linker: Linker, queue: int) -> None:
        """`queue`: how many pieces of work the writer lets wait."""
        self._database = database
        self._writer = writer
        self._linker = linker
        self._at_once = min(AT_ONCE, queue)

    async def ingest(self, source_id: str, taken: Taken, received_at: int) -> None:
        """Store messages, and keep what could not be taken in the log of rejects. Raises
        Overloaded, StoreUnavailable, Undecidable: then some may be stored, and all may be sent
        again."""
        rejects = list(taken.rejects)
        erased = await self._link(taken.messages)
        timely = []
        for message in taken.messages:
            if erased and _names_erased(message, erased):
                rejects.append(_refused(message, Erased()))
            else:
                timely.append(message)
        groups = grouped(timely)
        for start in range(0, len(groups), self._at_once):
            rejects += await self._store(groups[start : start + self._at_once], source_id)
        if rejects:
            await self._log(source_id, rejects, received_at)

    async def _link(self, messages: Sequence[Message]) -> Mapping[str, int]:
        """Keep what messages tell of who is whom; the ids among it that were erased since, and
        when."""
        claims = [claim for message in messages for claim in message.claims]
        names = {who: each for message in messages for who, each in message.names.items()}
        if claims or names:
            at = min(message.at for message in messages if message.claims or message.names)
            return await self._linker.tell(claims, names, at)
        return {}

    async def _store(self, groups: Sequence[Group], source_id: str) -> list[Reject]:
        """Store groups; what of them was refused for good."""
        answers: list[asyncio.Future[Decision | None]] = []
        try:
            for group in groups:
                answers.append(self._writer.submit(group[0].customer_id, _input(group, source_id)))
        except LATER:
            await _all_done(answers)
            raise
        await _all_done(answers)
        rejects: list[Reject] = []
        for group, answer in zip(groups, answers, strict=True):
            error = answer.exception()
            if error is None:
                decision = answer.result()
                if decision is not None and decision.problems:
                    rejects += _left_out(group, decision)
            elif not isinstance(error, NEVER):
                raise error
            elif len(group) > 1:
                # One of them is to blame, or is too old: each by itself.
                for message in group:
                    rejects += await self._store([[message]], source_id)
            else:
                rejects.append(_refused(group[0], error))
        return rejects

    async def _log(self, source_id: str, rejects: Sequence[Reject], received_at: int) -> None:
        rows = [
            {
                "source_id": source_id,
                "received_at": to_datetime(received_at),
                "code": reject.code,
                "detail": reject.detail,
                "pointer": reject.pointer,
                "message_id": reject.message_id,
                "customer_id": reject.customer_id,
                "message": _kept(reject.raw),
            }
            for reject in rejects
        ]
        try:
            async with self._database.engine.begin() as connection:
                await sources.add_rejects(connection, rows)
        except CANT_READ as error:
            raise StoreUnavailable(type(error).__name__) from error


def grouped(messages: Sequence[Message]) -> list[Group]:
    """Messages by customer, in the order of their arrival; those from more than a minute before a
    customer's latest apart from the later ones, as they tell when somebody was seen."""
    latest: dict[str, int] = {}
    for message in messages:
        latest[message.customer_id] = max(message.at, latest.get(message.customer_id, message.at))
    earlier: dict[str, Group] = {}
    recent: dict[str, Group] = {}
    for message in messages:
        groups = recent if message.at >= latest[message.customer_id] - MINUTE else earlier
        groups.setdefault(message.customer_id, []).append(message)
    return [*earlier.values(), *recent.values()]


async def _all_done(answers: Sequence[asyncio.Future[Any]]) -> None:
    """Wait for answers, whatever they are. They come by the batch: at most are waited for the few
    that come first, and the others are there by then."""
    for answer in answers:
        if not answer.done():
            await asyncio.wait([answer])
    for answer in answers:
        answer.exception()  # looked at, even where nobody asks for it


def _names_erased(message: Message, erased: Mapping[str, int]) -> bool:
    """Whether a message tells an address, or another id of its customer's own, that was erased
    since: whoever else sends it, what it says would bring back the one who was. An anonymous id is
    a device's, and others use that too."""
    return any(
        identity.kind != ANONYMOUS and message.at <= erased[own]
        for own, identity in message.names.items()
        if own in erased
    )


def _input(group: Group, source_id: str) -> Input:
    return Input(
        traits={},
        # The earliest: whoever was erased since is not revived by what is older.
        at=min(message.at for message in group),
        source=source_id,
        patches=[
            Patch(message.traits, Written(message.at, message.message_id, source_id))
            for message in group
            if message.traits
        ],
        events=[message.event for message in group if message.event is not None],
        type=group[0].type,
        answered=False,
    )


def _refused(message: Message, error: BaseException) -> Reject:
    if isinstance(error, Erased):
        # What is erased must not stand in a log.
        return Reject("erased", str(error), "", None, None, message.message_id)
    if isinstance(error, Invalid):
        return _reject(message, error.problems[0])
    return _reject(message, Problem("", "not_stored", f"the database refuses this: {error}"))


def _left_out(group: Group, decision: Decision) -> list[Reject]:
    """Traits that nobody can set, or whose values did not fit, each with its message."""
    catalog = decision.served.catalog
    unwritable = catalog.derivations.unwritable
    return [
        _reject(message, problem)
        for message in group
        for problem in (
            *derived_problems(unwritable & message.traits.keys()),
            *coerced(message.traits, catalog.schema)[1],
        )
    ]


def _reject(message: Message, problem: Problem) -> Reject:
    return Reject(
        problem.code, problem.detail, problem.pointer, message.raw,
        message.customer_id, message.message_id,
    )  # fmt: skip


def _kept(raw: bytes | None) -> str | None:
    """A message as the log keeps it: its beginning, as a text that PostgreSQL takes."""
    if raw is None:
        return None
    beginning = raw[: 4 * sources.MESSAGE_KEPT].decode(errors="replace")
    return beginning.replace("\0", "�")[: sources.MESSAGE_KEPT]
