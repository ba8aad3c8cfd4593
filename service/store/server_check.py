"""A PostgreSQL server of the user's own: its URL in the forms we need, and whether it will do."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import asyncpg
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

# The oldest line that still gets security fixes, and the first where PUBLIC may not create
# tables in the schema `public`.
MINIMUM_MAJOR = 15
CONNECT_TIMEOUT = 10.0  # s
QUERY_TIMEOUT = 5.0  # s
POOLING_ROUNDS = 3
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
DRIVERS = ("postgres", "postgresql", "postgresql+asyncpg")
EXAMPLE = "postgresql://user:password@host:5432/database"


class ServerRefused(RuntimeError):
    """This server, or its URL, will not do. The message says why and what to do."""


class ServerUnreachable(ServerRefused):
    """No answer, or not yet: trying again later may help."""


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """One database. The forms hold the password, so they are kept out of the repr."""

    sqlalchemy: str = field(repr=False)  # postgresql+asyncpg://..., TLS as `ssl`
    asyncpg: str = field(repr=False)  # postgresql://..., TLS as `sslmode`
    place: str  # host and database, for messages


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server that passed said of itself."""

    version: int  # server_version_num: 180004 is 18.4
    encoding: str
    database: str
    role: str
    schema: str

    @property
    def major(self) -> int:
        """18, of 180004."""
        return self.version // 10_000


def normalise_url(url: str) -> DatabaseUrl:
    """Read `postgres://`, `postgresql://` or `postgresql+asyncpg://`.

    Parameters: `host` and `port` (for a socket's folder), `sslmode` (or `ssl`). The others of
    libpq mean nothing to asyncpg or to SQLAlchemy, which would pass them on to fail later.

    Errors: ServerRefused, never with the password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Their messages quote the URL.
        raise ServerRefused(f"DATABASE_URL is not a URL such as {EXAMPLE}.") from None
    if parsed.drivername not in DRIVERS:
        raise ServerRefused(
            f"DATABASE_URL begins with {parsed.drivername}://; segserve stores its data in "
            f"PostgreSQL only: {EXAMPLE}."
        )
    query = dict(parsed.query)
    mode = query.pop("sslmode", None) or query.pop("ssl", None)
    if unknown := sorted(query.keys() - {"host", "port"}):
        raise ServerRefused(
            f"DATABASE_URL has parameters that are not supported: {', '.join(unknown)}. Remove "
            f"them; supported are host, port and sslmode. For a certificate of an authority of "
            f"your own set PGSSLROOTCERT."
        )
    hosts = [parsed.host, query.get("host")]
    if any(isinstance(host, tuple) or (host and "," in host) for host in hosts):
        raise ServerRefused("DATABASE_URL names several hosts; name the one that takes writes.")
    if mode is not None and mode not in SSL_MODES:
        raise ServerRefused(f"DATABASE_URL has an unknown sslmode; use one of {SSL_MODES}.")
    return DatabaseUrl(
        sqlalchemy=_rendered(parsed.set(drivername="postgresql+asyncpg"), query, ssl=mode),
        asyncpg=_rendered(parsed.set(drivername="postgresql"), query, sslmode=mode),
        place=f"{query.get('host') or parsed.host or 'localhost'} (database {parsed.database})",
    )


def _rendered(
    url: URL,
    query: dict[str, tuple[str, ...] | str],
    **mode: tuple[str, ...] | str | None,
) -> str:
    given = {name: value for name, value in mode.items() if value is not None}
    return url.set(query=query | given).render_as_string(hide_password=False)


async def check_server(url: str) -> ServerFacts:
    """Connect, and refuse a server that would fail us later.

    Errors: ServerUnreachable without an answer; ServerRefused for a wrong URL or password, a
    version older than MINIMUM_MAJOR, an encoding other than UTF8, a schema in which we may not
    create tables, a read-only replica, and a pooler that shares connections by transaction.
    """
    target = normalise_url(url)
    try:
        async with _connected(target) as connection:
            facts = await _facts(connection, target)
            async with _connected(target) as second:
                await _refuse_transaction_pooling(connection, second)
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise ServerRefused(f"PostgreSQL at {target.place} refuses us: {error}.") from error
    return facts


@asynccontextmanager
async def _connected(target: DatabaseUrl) -> AsyncIterator[asyncpg.Connection]:
    try:
        # No named statements: behind a pooler the next transaction may not find them.
        connection = await asyncpg.connect(
            target.asyncpg, timeout=CONNECT_TIMEOUT, statement_cache_size=0
        )
    except TimeoutError as error:
        raise ServerUnreachable(
            f"PostgreSQL at {target.place} did not answer within {CONNECT_TIMEOUT:.0f} s. Check "
            f"DATABASE_URL, the network and any firewall."
        ) from error
    except ssl.SSLError as error:
        raise ServerRefused(
            f"No TLS connection to PostgreSQL at {target.place}: {error}. Check sslmode in "
            f"DATABASE_URL and PGSSLROOTCERT."
        ) from error
    except (OSError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError) as error:
        raise ServerUnreachable(
            f"PostgreSQL at {target.place} cannot be reached: {error}. Check that it runs and "
            f"that DATABASE_URL names it."
        ) from error
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        raise ServerRefused(
            f"PostgreSQL at {target.place} does not let us in: {error}. Check the user and the "
            f"password in DATABASE_URL, and the server's pg_hba.conf."
        ) from error
    except asyncpg.InvalidCatalogNameError as error:
        raise ServerRefused(
            f"PostgreSQL at {target.place} has no such database. Create it (createdb), or correct "
            f"DATABASE_URL."
        ) from error
    try:
        yield connection
    finally:
        # A connection that a pooler left hanging is dropped.
        with suppress(TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await connection.close(timeout=1)


async def _facts(connection: asyncpg.Connection, target: DatabaseUrl) -> ServerFacts:
    try:
        async with asyncio.timeout(QUERY_TIMEOUT), connection.transaction():
            row = await connection.fetchrow(
                """
                select
                    current_setting('server_version_num')::int as version,
                    current_setting('server_encoding') as encoding,
                    current_database()::text as database,
                    current_user::text as role,
                    current_schema()::text as schema,
                    coalesce(has_schema_privilege(current_schema(), 'create'), false)
                        as may_create,
                    current_setting('transaction_read_only')::boolean as read_only
                """
            )
    except TimeoutError as error:
        raise ServerUnreachable(
            f"PostgreSQL at {target.place} lets us in and then does not answer within "
            f"{QUERY_TIMEOUT:.0f} s. Check the server, or the pooler in front of it."
        ) from error
    except asyncpg.PostgresError as error:
        # A pooler that shares connections by statement knows no transactions.
        raise ServerRefused(
            f"PostgreSQL at {target.place} does not run a transaction: {error}. {POOLER_ADVICE}"
        ) from error
    facts = ServerFacts(
        row["version"], row["encoding"], row["database"], row["role"], row["schema"] or ""
    )
    _refuse_unfit(facts, target, may_create=row["may_create"], read_only=row["read_only"])
    return facts


def _refuse_unfit(
    facts: ServerFacts, target: DatabaseUrl, *, may_create: bool, read_only: bool
) -> None:
    if facts.major < MINIMUM_MAJOR:
        raise ServerRefused(
            f"PostgreSQL at {target.place} is version {facts.major}; segserve needs "
            f"{MINIMUM_MAJOR} or newer. Upgrade it, or unset DATABASE_URL to use the embedded one."
        )
    if facts.encoding != "UTF8":
        raise ServerRefused(
            f"The database {facts.database} is encoded in {facts.encoding}, which cannot hold "
            f"every text. Create one with: createdb --encoding=UTF8 --template=template0 NAME."
        )
    if read_only:
        raise ServerRefused(
            f"PostgreSQL at {target.place} is read-only: a replica, or default_transaction_read_"
            f"only. Point DATABASE_URL at the primary."
        )
    if not may_create:
        schema = facts.schema or "public"
        raise ServerRefused(
            f"The role {facts.role} may not create tables in the database {facts.database}. "
            f'Its owner can allow it: GRANT USAGE, CREATE ON SCHEMA "{schema}" TO '
            f'"{facts.role}".'
        )


POOLER_ADVICE = (
    "segserve holds locks and prepared statements across transactions: point DATABASE_URL at "
    "PostgreSQL itself, or set pool_mode = session in PgBouncer."
)


async def _refuse_transaction_pooling(idle: asyncpg.Connection, busy: asyncpg.Connection) -> None:
    """Two clients never share a backend, nor does one change its own, unless a pooler lends it.

    While `busy` has a transaction open, `idle` runs one too. A pooler most often lends `busy` the
    backend that `idle` just used, and `idle` then gets another.
    """
    try:
        for _ in range(POOLING_ROUNDS):
            async with asyncio.timeout(QUERY_TIMEOUT):
                before = await _backend(idle)
                async with busy.transaction():
                    held = await busy.fetchval("select pg_backend_pid()")
                    after = await _backend(idle)
            if held == before or after != before:
                raise ServerRefused(
                    f"DATABASE_URL leads to a pooler that shares connections by transaction. "
                    f"{POOLER_ADVICE}"
                )
    except TimeoutError as error:
        raise ServerRefused(
            f"DATABASE_URL leads to a server or pooler that lets only one connection work at a "
            f"time; segserve needs several (SEGSERVE_DATABASE_POOL). {POOLER_ADVICE}"
        ) from error


async def _backend(connection: asyncpg.Connection) -> int:
    async with connection.transaction():
        pid: int = await connection.fetchval("select pg_backend_pid()")
    return pid
