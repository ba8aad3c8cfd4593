"""`segserve import`: what it says, how it ends, and that a kill half way costs nothing."""

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import Databases
from tests.process.service import PATIENCE
from tests.process.test_definitions_command import Team
from tests.running import connected

pytestmark = pytest.mark.anyio

ORDERS = 3_000
CUSTOMERS = 400
RULE = {
    "field": "event:Order Completed", "operator": ">=", "value": 100,
    "aggregate": {"function": "sum", "of": "properties.net"},
}  # fmt: skip
SEGMENT = {"segments": [{"key": "buyers", "condition": {"combinator": "and", "rules": [RULE]}}]}


@pytest.fixture
def team(database_url: str, tmp_path: Path) -> Team:
    return Team(database_url, tmp_path)


@pytest.fixture
def undisturbed(databases: Databases, tmp_path: Path) -> Iterator[Team]:
    """The same folder, and a database of its own."""
    with databases.database() as url:
        yield Team(url, tmp_path)


def order_file(folder: Path) -> str:
    """Orders of five lines each, one of them faulty."""
    with (folder / "orders.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["order_id", "customer_id", "order_date", "sku", "quantity", "price"])
        for line in range(5):  # the lines of an order lie far apart
            for number in range(ORDERS):
                price = "dear" if number == 7 and line == 3 else f"{number % 90}.{line}5"
                who = f"c-{number % CUSTOMERS}"
                day = f"2026-0{number % 9 + 1}-02"
                writer.writerow([f"o-{number}", who, day, f"s-{line}", line + 1, price])
    return "orders.csv"


def test_a_dry_run_an_import_and_the_rows_that_were_not_imported(team: Team) -> None:
    team.file("few.csv", "order_id,customer_id,order_date,total\n1,c-1,2026-01-02,10\n2,,x,1\n")
    out, err = team.run("import", "few.csv", "--dry-run")
    assert "few.csv: orders\n" in out
    assert "  placed_at    order_date  guessed\n" in out
    assert "2 rows: 1 order of 1 customer\n" in out
    assert '"order": {"total": 10, "order_id": "1", "currency": "USD", "net": 10' in out
    assert "row 3: this names no customer\n" in out
    assert out.endswith("Nothing was stored.\n")
    out, err = team.run("import", "few.csv", status=1)
    assert "order_id     order_id  guessed" in err
    assert "Imported 1 order from 2 rows.\n" in out
    rejects = (team.folder / "few.csv.rejects.csv").read_text()
    assert rejects.splitlines() == [
        "row,column,code,reason,order_id,customer_id,order_date,total",
        "3,,no_customer,this names no customer,2,,x,1",
    ]
    out, _ = team.run("import", "few.csv", "--rejects", "bad.csv", "--format", "json", status=1)
    told = json.loads(out)
    assert (told["rows"], told["rejected"], told["counts"]["orders"]) == (2, 1, 1)
    assert (team.folder / "bad.csv").exists()


def test_the_mapping_is_a_file_or_options(team: Team) -> None:
    team.file("odd.csv", "who;when;what;worth\nc-1;31/12/2025;7;1.234,50\n")
    team.file("odd.yaml", "as: orders\nmap: {customer_id: who, placed_at: when}\ndecimal: ','\n")
    out, _ = team.run(
        "import", "odd.csv", "--map", "odd.yaml", "--map", "order_id=what", "--map", "total=worth",
        "--set", "currency=EUR", "--where", "what = 7", "--dry-run", "--format", "json",
    )  # fmt: skip
    told = json.loads(out)
    assert told["plan"]["dates"] == "dmy"
    assert told["examples"][0]["at"] == "2025-12-31T00:00:00Z"
    # There is no rate of exchange yet.
    assert told["examples"][0]["order"] == {"order_id": "7", "pending": "no_rate", "lacks": "EUR"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.csv"], "there is no file"),
        (["few.csv", "--map", "none.yaml"], "write FIELD=COLUMN"),
        (["few.csv", "--map", "nonsense=a"], 'have no field "nonsense"'),
        (["few.csv", "--set", "currency"], "takes NAME=VALUE"),
        (["few.csv", "--preset", "magento"], 'there is no preset "magento"'),
        (["few.csv"], "which column says who it is?"),
    ],
)
def test_what_is_refused_says_why_and_ends_with_2(
    team: Team, arguments: list[str], said: str
) -> None:
    team.file("few.csv", "a,b\n1,2\n")
    _, err = team.run("import", *arguments, "--dry-run", status=2)
    assert said in err


async def everything(url: str) -> list[Any]:
    """What an import comes to, but for when it was."""
    async with connected(url) as connection:
        orders = await connection.fetch(
            "select store, order_id, customer_id, placed_at, net, gross, event from orders "
            "order by order_id"
        )
        customers = await connection.fetch(
            "select customer_id, first_seen, last_seen, sequence from customers order by 1"
        )
        events = await connection.fetch(
            "select right(message_id, 26), customer_id, name, at, properties::text from events "
            "order by 1"
        )
        moves = await connection.fetch(
            "select customer_id, sequence, segment_key, entered, reason::text from transitions "
            "order by 1, 2"
        )
        return [[tuple(row) for row in each] for each in (orders, customers, events, moves)]


async def test_a_kill_half_way_and_a_second_start_come_to_the_same(
    team: Team, undisturbed: Team
) -> None:
    file = order_file(team.folder)
    team.file("segments.json", json.dumps(SEGMENT))
    team.run("apply", "segments.json", "--yes")
    command = [sys.executable, "-m", "service", "import", file]
    process = subprocess.Popen(  # noqa: ASYNC220 - killed, not waited for
        command, cwd=team.folder, env=team.env, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until = time.monotonic() + PATIENCE
    async with connected(team.url) as connection:
        # Some are stored, and its transaction is over or half way: whichever comes.
        while not await connection.fetchval("select exists (select from orders)"):
            assert process.poll() is None
            assert time.monotonic() < until
        process.send_signal(signal.SIGKILL)
        process.wait()
        stored = await connection.fetchval("select count(*) from orders")
        assert 0 < stored < ORDERS - 1
        # Nobody is at it any more, which the next start finds out when the lease lapses: sooner
        # here than after half a minute.
        lapse = (
            "update jobs set leased_until = now() + interval '6 s' "
            "where kind = 'import' and status = 'running'"
        )
        assert await connection.execute(lapse) == "UPDATE 1"
    out, _ = team.run("import", file, status=1)
    assert f"Imported {ORDERS - 1:,} orders, {5 * (ORDERS - 1):,} lines" in out
    undisturbed.run("apply", "segments.json", "--yes")
    undisturbed.run("import", file, status=1)
    orders, customers, events, moves = await everything(undisturbed.url)
    assert (len(orders), len(customers), len(events)) == (ORDERS - 1, CUSTOMERS, ORDERS - 1)
    assert {reason for *_, reason in moves} == {'{"kind": "import"}'}
    assert len(moves) > 100
    assert await everything(team.url) == [orders, customers, events, moves]
    with (team.folder / f"{file}.rejects.csv").open() as rejects:
        codes = [(row["row"], row["code"]) for row in csv.DictReader(rejects)]
    assert sorted(code for _, code in codes) == ["bad_value", *["order_refused"] * 4]
