"""Migrations make the tables that the code describes, and can be taken back."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

import migrations
from service.store.customer_tables import customers
from service.store.database import Database
from service.store.migrating import SchemaTooNew, downgrade, migrate, revisions
from tests.postgres import Databases

T = TypeVar("T")


@pytest.fixture
def empty_url(databases: Databases) -> Iterator[str]:
    """A database of this test's own, without the schema."""
    with databases.database(template="template0") as url:
        yield url


def run(url: str, *steps: Callable[[Database], Any]) -> None:
    """Take steps with one database."""

    async def taken() -> None:
        database = Database(url, pool=3)
        try:
            for step in steps:
                await step(database)
        finally:
            await database.close()

    asyncio.run(taken())


def reading(read: Callable[[Connection], T], into: list[T]) -> Callable[[Database], Any]:
    """A step that looks at the database."""

    async def step(database: Database) -> None:
        async with database.engine.connect() as connection:
            into.append(await connection.run_sync(read))

    return step


def differences(connection: Connection) -> list[Any]:
    """What a migration would still have to do."""
    options = {"compare_type": True, "compare_server_default": True}
    context = MigrationContext.configure(connection, opts=options)
    return list(compare_metadata(context, customers.metadata))


def facts(connection: Connection) -> dict[str, Any]:
    """What the comparison does not see: checks, collations, storage options, functions."""
    queries = {
        "checks": """
            select conrelid::regclass::text, conname, pg_get_constraintdef(oid)
            from pg_constraint where connamespace = 'public'::regnamespace and contype in ('c', 'f')
              and conrelid::regclass::text <> 'alembic_version'""",
        "columns": """
            select table_name, column_name, data_type, collation_name, is_nullable,
              column_default, is_identity
            from information_schema.columns
            where table_schema = 'public' and table_name <> 'alembic_version'""",
        "indexes": """
            select tablename, indexname, indexdef from pg_indexes
            where schemaname = 'public' and tablename <> 'alembic_version'""",
        "options": """
            select relname, reloptions from pg_class
            where relnamespace = 'public'::regnamespace and reloptions is not null""",
    }
    return {
        name: sorted(map(repr, connection.execute(text(query)).all()))
        for name, query in queries.items()
    }


def left(connection: Connection) -> dict[str, list[str]]:
    """Tables and functions of the schema."""
    functions = text("select proname from pg_proc where pronamespace = 'public'::regnamespace")
    return {
        "tables": sorted(inspect(connection).get_table_names()),
        "functions": sorted(connection.execute(functions).scalars()),
    }


async def up(database: Database) -> None:
    await migrate(database.engine)


async def down(database: Database) -> None:
    await downgrade(database.engine, "base")


async def create_all(database: Database) -> None:
    async with database.engine.begin() as connection:
        await connection.run_sync(customers.metadata.create_all)


def test_a_migrated_database_is_what_the_tables_say(empty_url: str, databases: Databases) -> None:
    found: list[Any] = []
    run(empty_url, up, reading(differences, found), reading(facts, found))
    assert found[0] == []
    described: list[Any] = []
    with databases.database(template="template0") as other:
        run(other, create_all, reading(facts, described))
    assert found[1] == described[0]


def test_migrations_go_down_to_nothing_and_up_again(empty_url: str) -> None:
    found: list[Any] = []
    run(
        empty_url,
        up,
        reading(facts, found),
        down,
        reading(left, found),
        up,
        reading(differences, found),
        reading(facts, found),
    )
    before, nothing, still_to_do, after = found
    assert nothing == {"tables": ["alembic_version"], "functions": []}
    assert still_to_do == []
    assert after == before


def test_a_database_of_a_newer_program_is_refused(empty_url: str) -> None:
    async def from_the_future(database: Database) -> None:
        async with database.engine.begin() as connection:
            await connection.execute(text("update alembic_version set version_num = '9999'"))

    with pytest.raises(SchemaTooNew, match="9999"):
        run(empty_url, up, from_the_future, up)


def test_two_processes_may_migrate_at_once(empty_url: str) -> None:
    async def both(database: Database) -> None:
        other = Database(empty_url, pool=3)
        try:
            await asyncio.gather(migrate(database.engine), migrate(other.engine))
        finally:
            await other.close()

    def version(connection: Connection) -> str:
        return str(connection.execute(text("select version_num from alembic_version")).scalar_one())

    found: list[str] = []
    run(empty_url, both, reading(version, found))
    assert found == [revisions()[-1]]


def test_files_are_named_by_their_revisions() -> None:
    """What a start looks at is what Alembic would run."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    scripts = ScriptDirectory.from_config(config)
    newest_last = [script.revision for script in scripts.walk_revisions()][::-1]
    assert revisions() == newest_last
    assert revisions()[-1] == scripts.get_current_head()
