"""A server of the user's own: which URLs are read, which servers are refused, and why."""

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from service.store import server_check
from service.store.server_check import (
    ServerRefused,
    ServerUnreachable,
    check_server,
    normalise_url,
)
from tests.postgres import Databases

PASSWORD = "s3cret/with@signs"
ENCODED = "s3cret%2Fwith%40signs"
PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/sbin")
needs_pgbouncer = pytest.mark.skipif(
    PGBOUNCER is None, reason="needs PgBouncer (Debian: apt-get install pgbouncer)"
)


def refusal(url: str) -> str:
    with pytest.raises(ServerRefused) as refused:
        asyncio.run(check_server(url))
    return str(refused.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_every_scheme_gives_both_forms(scheme: str) -> None:
    url = normalise_url(f"{scheme}://ann:{ENCODED}@db.example:6432/shop?sslmode=require")
    assert url.asyncpg == f"postgresql://ann:{ENCODED}@db.example:6432/shop?sslmode=require"
    assert url.sqlalchemy == (
        f"postgresql+asyncpg://ann:{ENCODED}@db.example:6432/shop?ssl=require"
    )
    assert make_url(url.sqlalchemy).password == PASSWORD
    assert PASSWORD not in repr(url)
    assert ENCODED not in repr(url)


def test_the_ssl_of_sqlalchemy_becomes_the_sslmode_of_libpq() -> None:
    url = normalise_url("postgresql+asyncpg://db/shop?ssl=verify-full")
    assert url.asyncpg == "postgresql://db/shop?sslmode=verify-full"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (f"ann:{ENCODED}@db/shop", "not a URL"),
        (f"postgresql://ann:{ENCODED}@db:port/shop", "not a URL"),
        (f"mysql://ann:{ENCODED}@db/shop", "PostgreSQL only"),
        (f"postgresql+psycopg2://ann:{ENCODED}@db/shop", "begins with"),
        (f"postgresql://ann:{ENCODED}@one,two/shop", "several hosts"),
        (f"postgresql://ann:{ENCODED}@/shop?host=one&host=two", "several hosts"),
        (f"postgresql://ann:{ENCODED}@db/shop?sslmode=maybe", "sslmode"),
        (f"postgresql://ann:{ENCODED}@db/shop?channel_binding=require", "channel_binding"),
    ],
)
def test_a_url_that_cannot_work_is_refused_without_its_password(url: str, reason: str) -> None:
    with pytest.raises(ServerRefused, match=reason) as refused:
        normalise_url(url)
    assert PASSWORD not in str(refused.value)
    assert ENCODED not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_fit_server_passes(database_url: str) -> None:
    facts = asyncio.run(check_server(database_url))
    assert (facts.major, facts.encoding, facts.role, facts.schema) == (
        18,
        "UTF8",
        "segserve",
        "public",
    )


def test_sqlalchemy_connects_with_its_form(database_url: str) -> None:
    async def one() -> int:
        engine = create_async_engine(normalise_url(database_url).sqlalchemy)
        async with engine.connect() as connection:
            found = (await connection.execute(text("select 1"))).scalar_one()
        await engine.dispose()
        return found

    assert asyncio.run(one()) == 1


def test_a_closed_port_is_unreachable() -> None:
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"postgresql://ann:{ENCODED}@127.0.0.1:{unused.getsockname()[1]}/shop"
        with pytest.raises(ServerUnreachable, match="cannot be reached") as refused:
            asyncio.run(check_server(url))
    assert ENCODED not in str(refused.value)
    assert PASSWORD not in str(refused.value)


def test_a_server_that_does_not_answer_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_check, "CONNECT_TIMEOUT", 0.2)
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as silent,
        pytest.raises(ServerUnreachable, match="did not answer"),
    ):
        asyncio.run(check_server(f"postgres://127.0.0.1:{silent.getsockname()[1]}/shop"))


def test_a_wrong_password_is_refused(database_url: str) -> None:
    message = refusal(database_url.replace("@", "wrong@"))
    assert "Check the user and the password" in message
    assert "wrong" not in message


def test_a_missing_database_is_refused(database_url: str) -> None:
    url = make_url(database_url).set(database="nowhere").render_as_string(hide_password=False)
    # Its owner may connect to nothing but its own databases, and learns the same of all others.
    assert "no such database" in refusal(url)


def test_an_old_server_is_refused(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_check, "MINIMUM_MAJOR", 19)
    assert "is version 18; segserve needs 19 or newer" in refusal(database_url)


def test_another_encoding_is_refused(databases: Databases) -> None:
    latin = "template0 encoding 'LATIN1' locale_provider libc locale 'C'"
    with databases.database(template=latin) as url:
        assert "encoded in LATIN1" in refusal(url)


def test_a_read_only_server_is_refused(database_url: str) -> None:
    execute(
        database_url,
        f"alter role segserve in database {name(database_url)} "
        "set default_transaction_read_only = on",
    )
    assert "is read-only" in refusal(database_url)


def test_a_role_that_may_not_create_tables_is_refused(database_url: str) -> None:
    execute(database_url, "revoke create on schema public from public, pg_database_owner")
    assert "may not create tables" in refusal(database_url)


def test_a_search_path_without_a_schema_is_refused(database_url: str) -> None:
    execute(
        database_url,
        f"alter role segserve in database {name(database_url)} set search_path = nowhere",
    )
    assert "may not create tables" in refusal(database_url)


@pytest.fixture
def pgbouncer(database_url: str) -> Iterator[Callable[..., str]]:
    """Run PgBouncer before the database with these settings; the URL through it."""
    server = make_url(database_url)
    # The server's socket folder is its account's alone, and PgBouncer does not run as root.
    owner = Path(server.query["host"]).stat()
    folder = Path(tempfile.mkdtemp(prefix="segserve-pgbouncer-"))
    processes: list[subprocess.Popen[bytes]] = []

    def run(**settings: object) -> str:
        port = free_port()
        lines = [
            "[databases]",
            f"* = host={server.query['host']} port={server.query['port']}",
            "[pgbouncer]",
            "listen_addr = 127.0.0.1",
            f"listen_port = {port}",
            "unix_socket_dir =",
            "auth_type = plain",
            f"auth_file = {folder / 'users'}",
            *(f"{name} = {value}" for name, value in settings.items()),
        ]
        (folder / "users").write_text(f'"{server.username}" "{server.password}"\n')
        (folder / "pgbouncer.ini").write_text("\n".join(lines))
        identity = {}
        if os.geteuid() == 0:
            for path in (folder, *folder.iterdir()):
                os.chown(path, owner.st_uid, owner.st_gid)
            identity = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
        with (folder / "log").open("wb") as log:
            command = [PGBOUNCER, str(folder / "pgbouncer.ini")]
            processes.append(subprocess.Popen(command, stdout=log, stderr=log, **identity))
        wait_for(port, folder / "log")
        direct = server.set(query={}, host="127.0.0.1", port=port)
        return direct.render_as_string(hide_password=False)

    yield run
    for process in processes:
        process.kill()
        process.wait()
    shutil.rmtree(folder)


@needs_pgbouncer
@pytest.mark.parametrize("settings", [{}, {"server_round_robin": 1}, {"min_pool_size": 5}])
def test_a_pooler_by_transaction_is_refused(
    pgbouncer: Callable[..., str], settings: dict[str, object]
) -> None:
    assert "shares connections by transaction" in refusal(
        pgbouncer(pool_mode="transaction", **settings)
    )


@needs_pgbouncer
def test_a_pooler_by_statement_is_refused(pgbouncer: Callable[..., str]) -> None:
    assert "pool_mode = session" in refusal(pgbouncer(pool_mode="statement"))


@needs_pgbouncer
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_pooler_with_one_connection_is_refused(
    pgbouncer: Callable[..., str], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_check, "QUERY_TIMEOUT", 0.5)
    assert "only one connection work at a time" in refusal(
        pgbouncer(pool_mode=mode, default_pool_size=1)
    )


@needs_pgbouncer
def test_a_pooler_by_session_passes(pgbouncer: Callable[..., str]) -> None:
    assert asyncio.run(check_server(pgbouncer(pool_mode="session"))).major == 18


def execute(url: str, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(run())


def name(url: str) -> str | None:
    return make_url(url).database


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return probe.getsockname()[1]


def wait_for(port: int, log: Path) -> None:
    until = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.01)
        else:
            return
