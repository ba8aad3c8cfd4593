"""Storing what the rows of a file tell: first who is whom, then everybody's news, by the writer and
behind what callers record."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from service.core.access import Author
from service.core.decisions import Decision, Input, Patch, Undecidable
from service.core.identities import Namer
from service.core.merging import Written, coerced
from service.core.problems import Invalid, Problem
from service.flows.jobs import Stuck
from service.flows.linking import Linker
from service.flows.lists import BeingReplaced, Lists
from service.flows.publications import Conflict, Unknown
from service.intake.identifying import Naming, Telling, identified
from service.intake.imports.told import SOURCE, Bad, Piece, Told, Who
from service.live import Live
from service.store.batches import NotStored
from service.store.erasures import Erased
from service.store.writer import Overloaded, StoreUnavailable, Writer

CAUSE = "import"
ROWS_OF_ONE = 2_000
IDS_AT_ONCE = 20_000
LINKED_AT_ONCE = 250  # customers, whose rows are held together
PATIENCE = 300  # s

NOT_NOW = (Overloaded, StoreUnavailable, Undecidable)
NEVER = (Invalid, NotStored, Erased)


@dataclass(frozen=True, slots=True)
class Pace:
    """How many customers, and rows about them, wait for the writer at a time."""

    customers: int
    rows: int


# By itself: so much that the writer never waits for us, whichever of its transactions is done.
ALONE = Pace(256, 24_000)
# Beside callers, whose work waits behind one batch of ours: a tenth of a second.
BESIDE_OTHERS = Pace(32, 2_000)


class _Patience:
    """Waits longer each time, but not for ever."""

    def __init__(self) -> None:
        self._next = 0.1
        self._waited = 0.0

    async def wait(self, error: Exception) -> None:
        """Wait because of an error. Raises Stuck."""
        if self._waited > PATIENCE:
            raise Stuck(f"this could not be stored: {error}") from error
        await asyncio.sleep(self._next)
        self._waited += self._next
        self._next = min(2 * self._next, 5.0)


# Work that the writer has, and whose it is.
Waiting = tuple[Sequence[Piece], asyncio.Future[Decision | None], Naming]


class Storing:
    """Stores what rows tell."""

    def __init__(self, writer: Writer, linker: Linker, live: Live, lists: Lists) -> None:
        self._writer = writer
        self._linker = linker
        self._live = live
        self._lists = lists

    async def store(self, told: Told, pace: Pace) -> None:
        """Have everybody decided who is told of, some at a time; what is refused is put to
        `told.bad`. Raises Stuck."""
        namings = await self._link(told)
        waiting: deque[Waiting] = deque()
        rows = 0
        for who, all_pieces in told.pieces.items():
            for pieces in _portions(all_pieces):
                while len(waiting) >= pace.customers or rows > pace.rows:
                    rows -= await self._answered(waiting, told)
                naming = namings[who]
                answer = self._writer.touch(naming.customer_id, _input(pieces, naming.type))
                waiting.append((pieces, answer, naming))
                rows += sum(len(piece.rows) for piece in pieces)
        while waiting:
            await self._answered(waiting, told)

    async def _answered(
        self,
        waiting: deque[Waiting],
        told: Told,
    ) -> int:
        """Wait for the work that was given first; of how many rows it was."""
        pieces, answer, naming = waiting.popleft()
        try:
            decision = await self._patiently(naming, pieces, answer)
        except NEVER as error:
            if len(pieces) > 1:
                # One of them is to blame, or is too old: each by itself.
                for piece in pieces:
                    alone = self._writer.touch(naming.customer_id, _input([piece], naming.type))
                    await self._answered(deque([([piece], alone, naming)]), told)
            else:
                told.bad += _refused(pieces[0], error)
        else:
            if decision is not None and decision.problems:
                told.bad += _left_out(pieces, decision)
        return sum(len(piece.rows) for piece in pieces)

    async def _patiently(
        self,
        naming: Naming,
        pieces: Sequence[Piece],
        answer: asyncio.Future[Decision | None],
    ) -> Decision | None:
        """What work came to, given again while the store can't take it. Raises Stuck."""
        patience = _Patience()
        while True:
            try:
                return await answer
            except NOT_NOW as error:
                await patience.wait(error)
                answer = self._writer.touch(naming.customer_id, _input(pieces, naming.type))

    async def _link(self, told: Told) -> dict[Who, Naming]:
        """Whom everybody is who is told of, once what is told of who is whom is kept. Raises
        Stuck."""
        namer = self._live.namer
        namings = {who: named(who, pieces[0], namer) for who, pieces in told.pieces.items()}
        telling = [who for who, each in namings.items() if each.claims or each.names]
        for start in range(0, len(telling), LINKED_AT_ONCE):
            some = telling[start : start + LINKED_AT_ONCE]
            claims = [claim for who in some for claim in namings[who].claims]
            names = {name: one for who in some for name, one in namings[who].names.items()}
            at = min(piece.at for who in some for piece in told.pieces[who])
            patience = _Patience()
            while True:
                try:
                    await self._linker.tell(claims, names, at)
                    break
                except NOT_NOW as error:
                    await patience.wait(error)
        return namings

    async def put_on_list(self, told: Told, key: str, author: Author) -> None:
        """Put everybody who is told of on a list. Raises Stuck."""
        ids = [each.customer_id for each in (await self._link(told)).values()]
        for start in range(0, len(ids), IDS_AT_ONCE):
            while True:
                try:
                    await self._lists.change(
                        key, ids[start : start + IDS_AT_ONCE], (), author=author,
                        cause="import",
                    )  # fmt: skip
                except BeingReplaced:
                    await asyncio.sleep(1)
                except Unknown as error:
                    raise Stuck(f"there is no list {error}") from error
                except Conflict as error:
                    raise Stuck(str(error)) from error
                else:
                    break


def named(who: Who, piece: Piece, namer: Namer) -> Naming:
    """The customer whom rows are about, and what they tell of who is whom: whoever has no id of the
    caller's is known by the strongest of their identities."""
    telling = Telling(piece.at, piece.message_id, SOURCE, server=True)
    given = {each.kind: each.value for each in who.identities}
    found = identified(who.customer_id, given, telling, namer)
    assert isinstance(found, Naming)  # noqa: S101 - identities are read when rows are
    return found


def _portions(pieces: Sequence[Piece]) -> Iterable[Sequence[Piece]]:
    """Pieces of one customer in portions that a transaction can take."""
    portion: list[Piece] = []
    rows = 0
    for piece in pieces:
        if portion and rows + len(piece.rows) > ROWS_OF_ONE:
            yield portion
            portion, rows = [], 0
        portion.append(piece)
        rows += len(piece.rows)
    if portion:
        yield portion


def _input(pieces: Sequence[Piece], type_: str) -> Input:
    return Input(
        traits={},
        # The earliest: whoever was erased since is not revived by what is older.
        at=min(piece.at for piece in pieces),
        source=SOURCE,
        # To stand in a file about customers is nothing that they did.
        seen=any(piece.events for piece in pieces),
        patches=[
            Patch(piece.traits, Written(piece.at, piece.message_id, SOURCE))
            for piece in pieces
            if piece.traits
        ],
        events=[event for piece in pieces for event in piece.events],
        cause=CAUSE,
        type=type_,
        answered=False,
    )


def _refused(piece: Piece, error: BaseException) -> list[Bad]:
    if isinstance(error, Erased):
        code, detail = "erased", str(error)
    elif isinstance(error, Invalid):
        problem: Problem = error.problems[0]
        code, detail = problem.code, problem.detail
    else:
        code, detail = "not_stored", f"the database refuses this: {error}"
    return [Bad(row, None, code, detail) for row in piece.rows]


def _left_out(pieces: Sequence[Piece], decision: Decision) -> list[Bad]:
    """Traits whose values did not fit their declared types, each with its row."""
    schema = decision.served.catalog.schema
    return [
        Bad(piece.rows[0], problem.pointer.removeprefix("/traits/"), problem.code, problem.detail)
        for piece in pieces
        for problem in coerced(piece.traits, schema)[1]
    ]
