"""`segserve demo`: puts the demo in and takes it out; and what `segserve run` does of it, behind a
service that answers already."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog
import typer

from service.commands.environment import console, database, failed, progress_bars, settings

if TYPE_CHECKING:
    from service.api.services import Services
    from service.demo.households import Households
    from service.flows.demo import Demo, Removed
    from service.flows.import_storing import Pace
    from service.settings import Settings

app = typer.Typer(no_args_is_help=True, help="The demo: real households of a grocery.")
log = structlog.get_logger()

STEPS = 5
# How often the log tells how far storing is, of all households.
TOLD_OF = 10


@app.command()
def load() -> None:
    """Load the demo, once."""
    from service.flows.import_storing import ALONE
    from service.wiring import Process

    config = settings()

    async def loaded(url: str) -> bool:
        if not await is_wanted(url):
            return False
        async with Process(config, url).running() as parts:
            await load_into(parts, config, ALONE)
        return True

    with database(config, beside=True) as url:
        if not asyncio.run(loaded(url)):
            raise failed(
                "The workspace is in use, or the demo was loaded or removed: it is not loaded."
            )


@app.command()
def remove() -> None:
    """Take the demo out again: its customers with their orders and events, segments, traits and
    model."""
    from service.wiring import Process

    config = settings()

    async def removed_from(url: str) -> "Removed":
        async with Process(config, url).running(background=False) as parts:
            return await demo_of(parts).remove()

    with database(config, beside=True) as url:
        removed = asyncio.run(removed_from(url))
    console.print(f"Removed {removed.customers:,} customers of the demo.")
    if removed.kept:
        console.print(f"Left, because you have changed them: {', '.join(removed.kept)}.")


def demo_of(parts: "Services") -> "Demo":
    """The demo of a process's workspace."""
    from service.flows.demo import Demo

    return Demo(
        parts.database, parts.publisher, parts.writer, parts.linker, parts.lists, parts.live,
        parts.jobs, parts.clock,
    )  # fmt: skip


async def is_wanted(url: str) -> bool:
    """Whether the demo is to be loaded: it was begun and cut off, or never loaded into a workspace
    that is empty."""
    state, used = await _noted(url)
    return (state is None and not used) or (state is not None and state["state"] == "loading")


async def sample(url: str) -> str | None:
    """A body for the `curl` that shows the demo; None where it is not loaded."""
    state, _ = await _noted(url)
    if state is None or state["state"] != "loaded":
        return None
    return json.dumps({"customer_id": state["sample"]})


async def _noted(url: str) -> tuple[dict[str, Any] | None, bool]:
    """What is noted of the demo, and whether the workspace has customers or segments."""
    from sqlalchemy import text

    from service.store import workspace
    from service.store.database import Database

    store = Database(url, pool=3)
    try:
        async with store.engine.connect() as connection:
            state = await workspace.fact(connection, "demo")
            query = text("select exists (select from customers) or exists (select from segments)")
            return state, (await connection.execute(query)).scalar_one()
    finally:
        await store.close()


async def load_into(
    parts: "Services", config: "Settings", pace: "Pace", households: "Households | None" = None
) -> None:
    """Load the demo, by a process whose jobs run. `households`: where they were read already.
    Raises Stuck, RuntimeError."""
    from service.core.instants import to_datetime
    from service.demo import setup
    from service.demo.starter import starter_segments

    demo = demo_of(parts)
    with progress_bars() as bars:
        steps = bars.add_task("Loading the demo", total=STEPS)

        def done(step: str, **numbers: int) -> None:
            bars.advance(steps)
            log.info("demo", step=step, **numbers)

        if households is None:
            now = to_datetime(parts.clock())
            households = await asyncio.to_thread(setup.households, now)
        documents, declarations = starter_segments(), setup.declarations()
        facts: dict[str, Any] = {
            "weeks": households.weeks,
            "sample": setup.SAMPLE,
            "customers": households.customer_ids,
            "segments": [document["key"] for document in documents],
            "traits": list(declarations),
            "model": setup.MODEL,
        }
        await demo.begin(facts)
        done("read", households=len(households), orders=households.orders)
        await demo.declare_traits(declarations)
        facts["versions"] = await demo.save_segments(documents)
        done("defined", traits=len(declarations), segments=len(documents))
        storing = bars.add_task("Storing households", total=len(households))
        await demo.load(households, pace, _told(bars, storing, len(households)))
        done("stored", households=len(households))
        await demo.refresh_ranks()
        done("ranked")
        profiles = await demo.profiles(setup.FEATURES)
        version, digest, manifest = await asyncio.to_thread(
            setup.train_tiers, profiles.values(), config.bundles
        )
        await parts.publisher.activate_model(setup.MODEL, version, digest, manifest)
        await demo.settled()
        await demo.finish(facts)
        done("loaded")
    console.print(
        f"The demo is loaded: {len(households):,} real households of a grocery with "
        f"{households.orders:,} orders, with dates moved {households.weeks} weeks so that they end "
        "this week. Take it out again with `make demo-remove` in a checkout, elsewhere with "
        "`segserve demo remove`."
    )


def _told(bars: Any, task: Any, total: int) -> Callable[[int, int], None]:
    """Shows how far storing is: at a terminal all the time, in the log now and then."""
    tenth = 0

    def progress(stored: int, happened: int) -> None:
        nonlocal tenth
        bars.update(task, completed=stored)
        if stored * TOLD_OF // total > tenth:
            tenth = stored * TOLD_OF // total
            log.info("demo", step="storing", households=stored, of=total, events=happened)

    return progress


class Behind:
    """Loads the demo while the service answers."""

    def __init__(self, parts: "Services", config: "Settings") -> None:
        self._parts = parts
        self._config = config
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._load(), name="demo")

    async def stop(self) -> None:
        """Leave off; the next start begins anew."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _load(self) -> None:
        from service.flows.import_storing import BESIDE_OTHERS
        from service.flows.jobs import Stuck
        from service.store.database import CANT_READ

        try:
            await load_into(self._parts, self._config, BESIDE_OTHERS)
        except ModuleNotFoundError as error:
            _not_loaded(f"{error.name} is not installed: it comes with segserve[demo]")
        except CANT_READ as error:
            _not_loaded(type(error).__name__)
        except (Stuck, RuntimeError) as error:
            _not_loaded(str(error))


def _not_loaded(reason: str) -> None:
    """The service goes on without the demo, and the next start begins anew."""
    log.error("demo_not_loaded", reason=reason)
    console.print("[red]The demo could not be loaded:[/]", end=" ")
    console.print(reason, markup=False)
