"""Processes of the service over a test's database, wired as the command wires them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import uvicorn

from service.api.app import create_app
from service.api.services import Services
from service.core.decisions import Decision, Input
from service.core.instants import SECOND
from service.flows.publishing import Wanted
from service.settings import Settings
from service.wiring import Process
from tests.postgres import run_dir

NOW = 1_800_000_000 * SECOND
# Far beyond what anything here takes: only something that never happens runs into it.
PATIENCE = 30.0  # s


class Clock:
    """Time as a test wants it."""

    def __init__(self, now: int = NOW) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def quick(**changes: Any) -> Settings:
    """Settings that look often, so that tests wait little; nothing of the environment's."""
    usual = {
        "database_url": None,
        # Processes over one database share its key.
        "data_dir": run_dir() / "service",
        "catalog_poll": 0.05,
        "metrics_interval": 3600,
    }
    names = {**usual, **changes}
    # By its alias: that is what the setting is read as.
    names["DATABASE_URL"] = names.pop("database_url")
    return Settings(**names)


@asynccontextmanager
async def running(
    url: str, clock: Callable[[], int] | None = None, *, background: bool = True, **settings: Any
) -> AsyncIterator[Services]:
    """One process without its HTTP server."""
    process = Process(quick(**settings), url, clock or Clock())
    async with process.running(background=background) as services:
        yield services


@asynccontextmanager
async def serving(
    url: str, clock: Callable[[], int] | None = None, **settings: Any
) -> AsyncIterator[tuple[httpx.AsyncClient, Services]]:
    """One process behind its HTTP server, as the command runs it."""
    process = Process(quick(**settings), url, clock or Clock())
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(process.services, process.running()),
            host="127.0.0.1",
            port=0,
            http="httptools",
            lifespan="on",
            log_config=None,
            access_log=False,
        )
    )
    task = asyncio.create_task(server.serve())
    try:
        await eventually(lambda: server.started or task.done())
        if task.done():
            await task
        port = server.servers[0].sockets[0].getsockname()[1]
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            # As all bodies here are; plain `content` would go without.
            headers={"content-type": "application/json"},
            timeout=PATIENCE,
            trust_env=False,
        ) as client:
            yield client, process.services
    finally:
        server.should_exit = True
        await task


async def eventually(happened: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait until something happens."""
    async with asyncio.timeout(PATIENCE):
        while True:
            answer = happened()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.02)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    """A plain connection of somebody else's."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close(timeout=5)


async def assign(
    services: Services, customer_id: str, at: int | None = None, **traits: Any
) -> Decision:
    """Record one customer's traits through the writer."""
    when = services.clock() if at is None else at
    decision = await services.writer.submit(customer_id, Input(traits, when))
    assert decision is not None
    return decision


def group(*rules: tuple[str, str, Any], combinator: str = "and") -> dict[str, Any]:
    """A condition."""
    return {
        "combinator": combinator,
        "rules": [{"field": f, "operator": o, "value": v} for f, o, v in rules],
    }


def segment(key: str, *rules: tuple[str, str, Any], status: str = "active", **more: Any) -> Wanted:
    """A segment to save; without rules it is a list."""
    definition = {"name": key.title(), **more}
    if rules:
        definition["condition"] = group(*rules)
    return Wanted(key, status, definition)


async def check_books(connection: Any) -> None:
    """What must hold of a database at any time.

    Every customer's transitions are numbered 1..n, enter and leave each segment in turn, and come
    to the memberships, which both places tell alike.
    """
    broken = await connection.fetch("""
        with numbered as (
          select *, row_number() over by_customer as place,
            lag(entered) over (partition by customer_id, segment_key order by sequence) as before
          from transitions window by_customer as (partition by customer_id order by sequence)),
        ended as (
          select distinct on (customer_id, segment_key) * from transitions
          order by customer_id, segment_key, sequence desc),
        replayed as (select customer_id, segment_key, at, version from ended where entered),
        written as (
          select customer_id, key, (pair -> 0)::bigint as since, (pair -> 1)::int as version
          from customers, jsonb_each(membership::jsonb) as m (key, pair))
        select 'numbering' as fault, customer_id from numbered where place <> sequence
        union all
        select 'repeated', customer_id from numbered where entered = coalesce(before, false)
        union all
        select 'sequence', customer_id from customers c
          where sequence <> (select count(*) from transitions t where t.customer_id = c.customer_id)
        union all
        select 'replay', coalesce(r.customer_id, m.customer_id)
          from replayed r full join memberships m using (customer_id, segment_key)
          where r.at is distinct from m.since or r.version is distinct from m.version
        union all
        select 'column', coalesce(w.customer_id, m.customer_id)
          from written w full join memberships m
            on w.customer_id = m.customer_id and w.key = m.segment_key
          where w.since is distinct from (extract(epoch from m.since) * 1000000)::bigint
            or w.version is distinct from m.version""")
    assert [tuple(row) for row in broken] == []
