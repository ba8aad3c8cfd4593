"""Keys of callers: made, listed, revoked, each change with its entry in the audit.

A key is `sgs_` and 43 random characters. It is shown when it is made; stored is its SHA-256.
"""

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from service.core.access import SYSTEM, Author, Scope
from service.store.audit import difference_of, record
from service.store.tables import keys

PREFIX = "sgs_"
BOOTSTRAP = "bootstrap"


class Revoked(RuntimeError):
    """The key was revoked, and is not taken again."""


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key as it is stored. `rate_limit`: requests a minute, None: as many as there are."""

    id: str
    name: str
    digest: bytes
    scopes: tuple[str, ...]
    rate_limit: int | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


def digest_of(key: bytes) -> bytes:
    """What a key is stored and looked up by. A key is 256 random bits: it needs no salt and no
    slow hash, and how long a look takes tells nothing of it."""
    return hashlib.sha256(key).digest()


async def create(
    connection: AsyncConnection,
    author: Author,
    at: datetime,
    name: str,
    scopes: Iterable[Scope],
    *,
    expires_at: datetime | None = None,
    rate_limit: int | None = None,
) -> tuple[KeyRow, str]:
    """Make a key: its row, and the key itself, which nobody can be told again."""
    key = PREFIX + secrets.token_urlsafe(32)
    row = _made(key, at, name, scopes, expires_at, rate_limit)
    await _insert(connection, author, row)
    return row, key


async def bootstrap(connection: AsyncConnection, key: str, at: datetime) -> bool:
    """Make `key` the first key, for everything, where there is none; whether it was made.
    Raises Revoked."""
    # Two processes may start at once.
    await connection.execute(text("lock table keys in share row exclusive mode"))
    if await standing(connection):
        return False
    row = _made(key, at, BOOTSTRAP, [Scope.ADMIN])
    known = await connection.execute(select(keys.c.id).where(keys.c.digest == row.digest))
    if known.first() is not None:
        raise Revoked
    await _insert(connection, SYSTEM, row)
    return True


async def revoke(connection: AsyncConnection, author: Author, at: datetime, key_id: str) -> bool:
    """Revoke a key for good; whether there is one. A second time changes nothing."""
    query = select(keys).where(keys.c.id == key_id).with_for_update()
    found = (await connection.execute(query)).mappings().first()
    if found is None:
        return False
    if found["revoked_at"] is None:
        await connection.execute(update(keys).where(keys.c.id == key_id).values(revoked_at=at))
        before = _row(found)
        await record(
            connection, author, at, "key.revoked", f"keys/{key_id}",
            difference_of(_told(before), None),
        )  # fmt: skip
    return True


async def standing(connection: AsyncConnection) -> list[KeyRow]:
    """All keys that are not revoked. The expired are among them."""
    query = select(keys).where(keys.c.revoked_at.is_(None))
    return [_row(found) for found in (await connection.execute(query)).mappings()]


async def listed(connection: AsyncConnection, after: str | None, limit: int) -> Sequence[KeyRow]:
    """Keys in the order of their making, those after the id `after`; the revoked too."""
    query = select(keys).order_by(keys.c.id).limit(limit)
    if after is not None:
        query = query.where(keys.c.id > after)
    return [_row(found) for found in (await connection.execute(query)).mappings()]


def _made(
    key: str,
    at: datetime,
    name: str,
    scopes: Iterable[Scope],
    expires_at: datetime | None = None,
    rate_limit: int | None = None,
) -> KeyRow:
    return KeyRow(
        # In the order of their making, as far as a second tells.
        id=f"k_{int(at.timestamp()):08x}{secrets.token_hex(4)}",
        name=name,
        digest=digest_of(key.encode()),
        scopes=tuple(sorted(set(scopes))),
        rate_limit=rate_limit,
        created_at=at,
        expires_at=expires_at,
        revoked_at=None,
    )


async def _insert(connection: AsyncConnection, author: Author, row: KeyRow) -> None:
    values = {name: getattr(row, name) for name in KeyRow.__slots__}
    await connection.execute(insert(keys).values({**values, "scopes": list(row.scopes)}))
    await record(
        connection, author, row.created_at, "key.created", f"keys/{row.id}",
        difference_of(None, _told(row)),
    )  # fmt: skip


def _told(row: KeyRow) -> dict[str, Any]:
    """What the audit keeps of a key: never its digest."""
    return {
        "name": row.name,
        "scopes": list(row.scopes),
        "rate_limit": row.rate_limit,
        "expires_at": None if row.expires_at is None else row.expires_at.isoformat(),
    }


def _row(found: RowMapping) -> KeyRow:
    return KeyRow(**{**found, "scopes": tuple(found["scopes"])})
