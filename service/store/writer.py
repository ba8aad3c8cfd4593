"""The group-commit writer: recorded work of one process, batched into transactions.

Work waits in a bounded queue. A batch takes at most one piece of work a customer, locks the
customers' rows, decides, writes, commits, and only then answers. A row that another process holds
is left for the next batch; later work for the same customer waits behind it, in arrival order.

While the database works for one batch, this process can decide another: where half a batch waits
besides, a second transaction takes it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import asyncpg
import structlog

from service.core.decisions import Decision, Input
from service.store.batches import Limits, NotStored, Outcome, Serving, Work
from service.store.database import CANT_READ, UNAVAILABLE, Database
from service.store.erasures import Erasures
from service.store.transaction import (
    BeingInserted,
    NewerCatalog,
    OwnersHeld,
    Unsettled,
    decide_and_write,
)

log = structlog.get_logger()

TRIES_TOGETHER = 5
TRIES_ALONE = 3
# Longer than PostgreSQL takes to find a deadlock, which is tried again.
LOCK_TIMEOUT = "2s"
LOCK_TIMEOUT_ALONE = "1s"
WAIT_FOR_TURN = 3.0  # s
DEADLOCK_TRIES = 5
MOVES = 100

RETRY = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)

# What PostgreSQL, or the way to it, refuses for the data's sake, whoever sends it and whenever.
# The client's own refusals to encode are ValueErrors.
BAD_DATA: tuple[type[Exception], ...] = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    asyncpg.PLPGSQLError,
    ValueError,
)

# Transactions at a time, at most.
LANES = 2

# Connections, at most, that wait for rows which others keep holding.
WAITERS = 4


class Overloaded(RuntimeError):
    """The queue is full, or the customer's row is held by others for too long."""


class StoreUnavailable(RuntimeError):
    """The database can't be reached, or did not answer; what was sent may or may not be stored."""


@dataclass(frozen=True, slots=True)
class Gauges:
    """What the writer tells of itself."""

    batch: Callable[[int, float], None] = lambda size, seconds: None


class Writer:
    """Decides and stores recorded work, one transaction a batch."""

    def __init__(
        self,
        database: Database,
        serving: Callable[[], Serving],
        catch_up: Callable[[int], Any],
        clock: Callable[[], int],
        erasures: Erasures,
        limits: Limits | None = None,
        queue: int = 4_096,
        batch: int = 128,
        gauges: Gauges | None = None,
    ) -> None:
        """`serving()`: what this process serves right now; `catch_up(revision)`: a coroutine
        function that makes it that catalog or a newer one; `clock()`: microseconds since the
        epoch."""
        self._database = database
        self._serving = serving
        self._catch_up = catch_up
        self._clock = clock
        self._erasures = erasures
        self._limits = limits or Limits()
        self._queue_limit = queue
        self._batch_limit = batch
        self._gauges = gauges or Gauges()
        self._ready: deque[Work] = deque()
        self._background: deque[Work] = deque()
        # Customers with work at hand, each with what waits behind it.
        self._behind: dict[str, deque[Work]] = {}
        self._waiting = 0
        self._wake = asyncio.Event()
        # Less than this waits for the first lane: few large transactions cost less than many.
        self._worth_help = max(1, batch // 2)
        self._much = asyncio.Event()
        # By the lane.
        self._connections: dict[int, Any] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._alone: set[asyncio.Task[None]] = set()
        self._waiters = asyncio.Semaphore(WAITERS)
        self._stopping = False

    @property
    def waiting(self) -> int:
        """Pieces of work accepted and not yet answered."""
        return self._waiting

    def start(self) -> None:
        """Begin to work."""
        self._tasks = [asyncio.create_task(self._run(), name="writer")]
        for lane in range(1, LANES):
            self._tasks.append(asyncio.create_task(self._help(lane), name=f"writer-{lane}"))

    async def stop(self) -> None:
        """Finish what was accepted, then stop."""
        self._stopping = True
        self._wake.set()
        self._much.set()
        for task in self._tasks:
            await task
        if self._alone:
            await asyncio.wait(self._alone)
        for connection in self._connections.values():
            with suppress(*UNAVAILABLE):
                await connection.close(timeout=2)

    def submit(self, customer_id: str, given: Input) -> asyncio.Future[Decision | None]:
        """Queue recorded work; the future is done once it is committed. Raises Overloaded."""
        if self._stopping:
            raise StoreUnavailable("the service is shutting down")
        if self._waiting >= self._queue_limit:
            raise Overloaded(f"{self._waiting:,} assignments wait already")
        return self._enqueue(Work(customer_id, given, _future()), self._ready)

    def touch(
        self, customer_id: str, given: Input | None = None
    ) -> asyncio.Future[Decision | None]:
        """Queue a customer to be decided again, perhaps with what the service itself has found,
        behind all recorded work. The answer is None when there is no such customer."""
        return self._enqueue(Work(customer_id, given, _future()), self._background)

    def _enqueue(self, work: Work, queue: deque[Work]) -> asyncio.Future[Decision | None]:
        self._waiting += 1
        behind = self._behind.get(work.customer_id)
        if behind is None:
            self._behind[work.customer_id] = deque()
            queue.append(work)
            self._wake.set()
            if self._at_hand() >= self._worth_help:
                self._much.set()
        else:
            behind.append(work)
        return work.answer

    def _at_hand(self) -> int:
        """How many customers' work could be taken now."""
        return len(self._ready) + len(self._background)

    async def _run(self) -> None:
        while True:
            if self._ready or self._background:
                await self._work(0)
            elif self._stopping and not self._behind:
                return
            else:
                self._wake.clear()
                await self._wake.wait()

    async def _help(self, lane: int) -> None:
        while not self._stopping:
            if self._at_hand() >= self._worth_help:
                await self._work(lane)
            else:
                self._much.clear()
                await self._much.wait()

    async def _work(self, lane: int) -> None:
        batch = self._take()
        started = time.perf_counter()
        await self._settle(batch, lane)
        self._gauges.batch(len(batch), time.perf_counter() - started)

    def _take(self) -> list[Work]:
        batch: list[Work] = []
        for queue in (self._ready, self._background):
            while queue and len(batch) < self._batch_limit:
                batch.append(queue.popleft())
        return batch

    def _done(self, work: Work) -> None:
        """Be done with a customer's work."""
        self._waiting -= 1
        self._let_in(work.customer_id)

    def _let_in(self, customer_id: str) -> None:
        """Let in what waited behind a customer's work."""
        behind = self._behind[customer_id]
        if behind:
            following = behind.popleft()
            (self._background if _is_touch(following) else self._ready).append(following)
            self._wake.set()
        else:
            del self._behind[customer_id]
            if self._stopping:
                self._wake.set()

    def _move(self, work: Work, customer_id: str) -> None:
        """Queue work again, for whom its id belongs to."""
        given = work.given
        assert given is not None  # noqa: S101 - only what was told moves
        if work.tries >= MOVES:
            work.answer.set_exception(Overloaded("this id is given to one customer after another"))
            self._done(work)
            return
        left, came_with = work.customer_id, given.came_with or work.customer_id
        work.tries += 1
        work.customer_id = customer_id
        work.given = replace(given, came_with=None if came_with == customer_id else came_with)
        self._let_in(left)
        self._waiting -= 1
        self._enqueue(work, self._background if _is_touch(work) else self._ready)

    def _answer(self, outcome: Outcome) -> None:
        for work, decision in outcome.decided:
            if not work.answer.done():
                work.answer.set_result(decision)
            self._done(work)
        for work, error in outcome.failed:
            if not work.answer.done():
                work.answer.set_exception(error)
            self._done(work)
        for work, customer_id in outcome.moved:
            self._move(work, customer_id)
        for work in reversed(outcome.held):
            work.tries += 1
            if work.tries < TRIES_TOGETHER:
                self._ready.appendleft(work)
            else:
                task = asyncio.create_task(self._settle_alone(work), name="writer-alone")
                self._alone.add(task)
                task.add_done_callback(self._alone.discard)
        if outcome.held and not outcome.decided:
            # All that is left is held by others: give them a moment.
            self._wake.set()

    async def _settle(self, batch: list[Work], lane: int) -> None:
        """Store a batch. A data error bisects it, so that only the bad work fails."""
        pending = [batch]
        while pending:
            part = pending.pop()
            try:
                outcome = await self._attempt(part, lane)
            except BAD_DATA as error:
                if len(part) > 1:
                    middle = len(part) // 2
                    pending += [part[middle:], part[:middle]]
                    continue
                outcome = _failed(part, error)
            except BeingInserted as others:
                outcome = Outcome(held=[w for w in part if w.customer_id in others.customer_ids])
                for work in outcome.held:
                    work.tries = TRIES_TOGETHER
                rest = [w for w in part if w.customer_id not in others.customer_ids]
                if rest:
                    pending.append(rest)
            except OwnersHeld as others:
                outcome = Outcome(held=[w for w in part if w.customer_id in others.beside])
                for work in outcome.held:
                    work.beside |= others.beside[work.customer_id]
                rest = [w for w in part if w.customer_id not in others.beside]
                if rest:
                    pending.append(rest)
            except Unsettled as fault:
                if len(part) > 1:
                    apart = {id(work) for work in fault.works}
                    rest = [work for work in part if id(work) not in apart]
                    pending += [[work] for work in reversed(fault.works)] + ([rest] if rest else [])
                    continue
                outcome = fault.outcome
            except asyncio.CancelledError:
                self._answer(_all_failed(part, StoreUnavailable("the service is shutting down")))
                raise
            except Exception as error:
                await self._drop_connection(lane)
                outcome = _failed(part, error)
            self._answer(outcome)
            if outcome.held and not (outcome.decided or outcome.failed or outcome.moved):
                await asyncio.sleep(0.002 * max(work.tries for work in outcome.held))

    async def _attempt(self, batch: list[Work], lane: int) -> Outcome:
        """Store a batch in one transaction, again while the catalog is newer or after a
        deadlock."""
        for _ in range(DEADLOCK_TRIES):
            try:
                connection = await self._connected(lane)
                return await self._transact(connection, batch)
            except NewerCatalog as newer:
                await self._catch_up(newer.revision)
            except RETRY:
                continue
        return Outcome(failed=[(work, Overloaded("the database is contended")) for work in batch])

    async def _settle_alone(self, work: Work) -> None:
        """Store work whose row others keep holding, on a connection of its own, patiently."""
        try:
            async with asyncio.timeout(WAIT_FOR_TURN):
                await self._waiters.acquire()
        except TimeoutError:
            self._answer(_all_failed([work], _held()))
            return
        try:
            outcome = await self._attempt_alone(work)
        except Exception as error:
            outcome = _failed([work], error)
        finally:
            self._waiters.release()
        self._answer(outcome)

    async def _attempt_alone(self, work: Work) -> Outcome:
        connection = await self._connect(LOCK_TIMEOUT_ALONE)
        try:
            for _ in range(TRIES_ALONE):
                try:
                    return await self._transact(connection, [work], wait=True)
                except NewerCatalog as newer:
                    await self._catch_up(newer.revision)
                except (*RETRY, asyncpg.LockNotAvailableError, BeingInserted):
                    continue
                except OwnersHeld as others:
                    work.beside |= others.beside[work.customer_id]
                except Unsettled as fault:
                    return fault.outcome
        finally:
            await connection.close(timeout=2)
        return _all_failed([work], _held())

    async def _connect(self, lock_timeout: str) -> Any:
        connection = await self._database.connect()
        await connection.execute(f"set lock_timeout = '{lock_timeout}'")
        return connection

    async def _connected(self, lane: int) -> Any:
        connection = self._connections.get(lane)
        if connection is None or connection.is_closed():
            connection = self._connections[lane] = await self._connect(LOCK_TIMEOUT)
        return connection

    async def _drop_connection(self, lane: int) -> None:
        connection = self._connections.pop(lane, None)
        if connection is not None:
            with suppress(*UNAVAILABLE):
                connection.terminate()

    async def _transact(
        self, connection: Any, batch: Sequence[Work], *, wait: bool = False
    ) -> Outcome:
        served = self._serving()
        await connection.execute("begin")
        try:
            outcome = await decide_and_write(
                connection, served, batch, self._clock, self._limits, self._erasures, wait=wait
            )
        except BaseException:
            with suppress(*UNAVAILABLE):
                await connection.execute("rollback")
            raise
        await connection.execute("commit")
        return outcome


def _is_touch(work: Work) -> bool:
    return work.given is None or bool(work.given.unsettled)


def _future() -> asyncio.Future[Decision | None]:
    return asyncio.get_running_loop().create_future()


def _all_failed(batch: Sequence[Work], error: Exception) -> Outcome:
    return Outcome(failed=[(work, error) for work in batch])


def _failed(batch: Sequence[Work], error: Exception) -> Outcome:
    """Work that failed by an error: for its data's sake, or because the store can't be used."""
    if isinstance(error, BAD_DATA):
        log.warning("not_stored", error=type(error).__name__)
        return _all_failed(batch, NotStored(_reason(error)))
    known = isinstance(error, (*CANT_READ, asyncpg.PostgresError))
    log.error("not_stored", error=type(error).__name__, exc_info=None if known else error)
    return _all_failed(batch, StoreUnavailable(_reason(error)))


def _held() -> Overloaded:
    return Overloaded("the customer's record is held by another process")


def _reason(error: BaseException) -> str:
    """What went wrong, without the data it went wrong on."""
    return f"{type(error).__name__}"
