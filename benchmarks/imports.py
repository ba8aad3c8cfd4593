"""Part "imports": a file of orders, imported by one worker, beside a bare COPY of the same rows."""

import asyncio
import csv
import gc
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import asyncpg

from benchmarks.lists import database
from benchmarks.measuring import DRIVER_CORE, pinned
from benchmarks.report import Report
from service.core.access import SYSTEM
from service.core.instants import DAY, format_instant, from_datetime
from service.flows.import_running import look
from service.flows.publishing import Wanted
from service.intake.imports.mapping import read
from service.settings import Settings
from service.wiring import Process

PART = "imports"
CUSTOMERS = 4_000
ORDERS = 17_000
LINES = 22  # of an order on average, as in Online Retail
PRODUCTS = 3_800
WANTED = 25_000  # rows a second
COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice",
           "CustomerID")  # fmt: skip
NOW = from_datetime(datetime(2026, 11, 1, tzinfo=UTC))


def run(report: Report) -> None:
    with tempfile.TemporaryDirectory() as name, database() as (url, data_dir):
        path = Path(name) / "orders.csv"
        rows = list(order_rows())
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([COLUMNS, *rows])
        settings = Settings(data_dir=data_dir)
        with pinned(DRIVER_CORE), report.progress("importing", 2) as step:
            seconds, own, stored = asyncio.run(import_file(url, settings, path))
            step()
            copied = asyncio.run(_copy(url, rows))
            step()
    if stored != ORDERS:
        raise RuntimeError(f"{stored:,} orders stored of {ORDERS:,}")
    rate = len(rows) / seconds
    alone = len(rows) / own
    table = [
        ["segserve import", f"{rate:,.0f}", f"{rate / copied:.3f} ×"],
        ["of its own processor time", f"{alone:,.0f}", f"{alone / copied:.3f} ×"],
        ["bare COPY", f"{copied:,.0f}", "1.000 ×"],
    ]
    title = f"rows a second, durable; {len(rows):,} rows of {ORDERS:,} orders"
    report.table(title, ["", "rows/s", "to COPY"], table, "one worker, on one core")
    report.figure(PART, "rows a second", rate)
    report.figure(PART, "rows a second of its own processor time", alone)
    report.figure(PART, "bare COPY", copied)
    report.at_least("import: order rows a second, durable", rate, WANTED)


def order_rows() -> Iterator[tuple[str, ...]]:
    """A row for each line of an order, in the order of time, as a shop exports them."""
    random = Random(11)
    products = [
        (f"{20_000 + number}", f"PRODUCT {number} WITH A NAME", f"{random.randrange(40, 2_000)}")
        for number in range(PRODUCTS)
    ]
    for number in range(ORDERS):
        at = format_instant(NOW - (ORDERS - number) * 365 * DAY // ORDERS)
        who = str(12_000 + random.randrange(CUSTOMERS))
        for _ in range(random.randrange(1, 2 * LINES)):
            sku, name, pence = random.choice(products)
            price = f"{int(pence) // 100}.{int(pence) % 100:02}"
            yield (f"{500_000 + number}", sku, name, str(random.randrange(1, 13)), at, price, who)


async def import_file(url: str, settings: Settings, path: Path) -> tuple[float, float, int]:
    """Seconds of an import into an empty workspace whose segments read orders, seconds of processor
    time that the process had, and how many orders are stored then."""
    gc.freeze()  # as the command does
    gc.set_threshold(50_000, 20, 50)
    async with Process(settings, url).running(background=False) as parts:
        await parts.publisher.save([_buyers()])
        understood = look(path, read({"as": "orders"}), path.name)
        started, own = time.perf_counter(), time.process_time()
        begun = await parts.importer.begin(understood, SYSTEM, here=True)
        ended = await parts.importer.run_here(begun.job)
        seconds, own = time.perf_counter() - started, time.process_time() - own
    if ended.status != "done":
        raise RuntimeError(ended.error)
    connection = await asyncpg.connect(url)
    try:
        query = "select count(*) from orders where net is not null"
        return seconds, own, int(await connection.fetchval(query))
    finally:
        await connection.close()


def _buyers() -> Wanted:
    of = {"function": "sum", "of": "properties.net"}
    rule = {"field": "event:Order Completed", "aggregate": of, "operator": ">=", "value": 500}
    return Wanted("buyers", "active", {"condition": {"combinator": "and", "rules": [rule]}})


async def _copy(url: str, rows: list[Any]) -> float:
    """Rows a second of a bare COPY of the same rows, into a table without an index."""
    connection = await asyncpg.connect(url)
    try:
        columns = ", ".join(f"{name} text" for name in COLUMNS)
        await connection.execute(f"create table bare_rows ({columns})")
        started = time.perf_counter()
        await connection.copy_records_to_table("bare_rows", records=rows)
        return len(rows) / (time.perf_counter() - started)
    finally:
        await connection.close()
