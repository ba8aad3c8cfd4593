"""Facts about this installation."""

from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from service.store.tables import workspace

# What identities' customer ids are hashed with: made once, as other ids would be other customers.
IDENTITY_SALT = "identity_salt"


async def fact(connection: AsyncConnection, name: str) -> Any:
    """A fact's value, None where it is not known."""
    query = select(workspace.c.value).where(workspace.c.name == name)
    return (await connection.execute(query)).scalar_one_or_none()


async def note(connection: AsyncConnection, name: str, value: Any) -> None:
    """Note a fact, over what was known before."""
    statement = upsert(workspace).values(name=name, value=value)
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[workspace.c.name], set_={"value": value, "updated_at": func.now()}
        )
    )


async def forget(connection: AsyncConnection, customer_id: str) -> bool:
    """Take a customer out of what is noted of the demo; whether they were in it."""
    statement = text("""
        update workspace set value = value || jsonb_build_object(
          'customers', (value -> 'customers') - cast(:id as text),
          'sample', case when value ->> 'sample' = cast(:id as text)
            then (value -> 'customers') - cast(:id as text) -> 0 else value -> 'sample' end)
        where name = 'demo' and value -> 'customers' ? cast(:id as text)""")
    found = await connection.execute(statement, {"id": customer_id})
    return found.rowcount > 0
