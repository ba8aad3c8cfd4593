"""A typed client of the service, for programs: `Client` and, for asyncio, `AsyncClient`.

    with Client("http://127.0.0.1:8000", key="sgs_...") as segserve:
        answer = segserve.assign("c-42", {"total_spent": 620})
        print([segment.key for segment in answer.segments])

What is overloaded (503) or over its limit (429) is asked again after the time that the service
names; what got lost on the way is asked again where repeating it is harmless. Assigning is: a
repeated one answers the same memberships, with nothing entered. Creating carries an
Idempotency-Key. Whatever else is refused raises `Refused` with the service's own words.
"""

import time
from asyncio import sleep as async_sleep
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

import httpx
import msgspec

from service import client_calls as calls
from service.client_calls import (
    PATIENT,
    Assignment,
    Exited,
    Fault,
    HeldSegment,
    Member,
    ModelAnswer,
    Refused,
    Retries,
    Segment,
)

__all__ = [
    "Assignment",
    "AsyncClient",
    "Client",
    "Exited",
    "Fault",
    "HeldSegment",
    "Member",
    "ModelAnswer",
    "Refused",
    "Retries",
    "Segment",
]

T = TypeVar("T")
Json = Mapping[str, Any]


class Client:
    """The service, from ordinary code. Safe to share between threads.

    Every method raises Refused when the service refuses, and httpx.TransportError when it can't
    be reached, after as many attempts as `retries` allows.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = 10.0,
        retries: Retries = PATIENT,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`url`: where the service answers; `timeout`: seconds of one attempt; `transport`: how
        to get there, where that is not the usual way."""
        self._retries = retries
        self._http = httpx.Client(
            base_url=url, headers=calls.headers_of(key), timeout=timeout, transport=transport
        )

    def assign(
        self,
        customer_id: str | None = None,
        traits: Json = {},  # noqa: B006 - read only
        *,
        record: bool | None = None,
        segments: Sequence[str] | None = None,
        include: Sequence[str] = (),
    ) -> Assignment:
        """Which segments a customer is in, with these traits over the stored ones."""
        return self._do(calls.assign(customer_id, traits, record, segments, include))

    def assign_batch(
        self, customers: Sequence[Json], *, record: bool = True
    ) -> list[Assignment | Refused]:
        """Up to 1,000 customers, each as `/assign` takes it: in order, its answer or refusal."""
        return self._do(calls.assign_batch(customers, record))

    def segment(self, key: str) -> Segment:
        """One segment."""
        return self._do(calls.get_segment(key))

    def segments(self, **filters: str | None) -> Iterator[Segment]:
        """All segments by key; `filters` as `GET /segments` takes them (`status="active"`)."""
        return map(calls.segment_of, self._pages("/segments", filters))

    def create_segment(self, key: str, definition: Json, *, reason: str | None = None) -> Segment:
        """Create a segment; a key that is taken is refused."""
        return self._do(calls.create_segment(key, definition, reason))

    def put_segment(
        self,
        key: str,
        definition: Json,
        *,
        if_match: str | None = None,
        reason: str | None = None,
    ) -> Segment:
        """Create or replace a segment; `if_match`: only if its `etag` is still this."""
        return self._do(calls.put_segment(key, definition, if_match, reason))

    def archive_segment(
        self, key: str, *, if_match: str | None = None, reason: str | None = None
    ) -> None:
        """Archive a segment: its members leave, its history stays."""
        self._do(calls.archive_segment(key, if_match, reason))

    def members(self, key: str) -> Iterator[Member]:
        """Everyone in a segment, by id."""
        found = self._pages(f"/segments/{calls.step(key)}/members", {"limit": 1_000})
        return (msgspec.convert(item, Member) for item in found)

    def change_members(self, key: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> int:
        """Add ids to a list and remove others: how many entries changed."""
        return self._do(calls.change_members(key, add, remove))

    def customer(self, customer_id: str) -> dict[str, Any]:
        """A stored customer."""
        return self._do(calls.get_customer(customer_id))

    def erase_customer(self, customer_id: str, *, reason: str | None = None) -> dict[str, Any]:
        """Erase a person everywhere: what proves it."""
        return self._do(calls.erase_customer(customer_id, reason))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    def _pages(self, path: str, params: Json) -> Iterator[dict[str, Any]]:
        cursor: str | None = None
        while True:
            page = self._do(calls.page(path, {**params, "cursor": cursor}))
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _do(self, call: calls.Call[T]) -> T:
        attempts = calls.Attempts(call, self._retries)
        while True:
            try:
                response = self._http.send(self._http.build_request(**attempts.request()))
            except httpx.TransportError as error:
                time.sleep(attempts.failed(error))
                continue
            answer = attempts.answered(response)
            if not isinstance(answer, calls.Wait):
                return answer
            time.sleep(answer.seconds)


class AsyncClient:
    """The service, from asyncio: `Client` with `await` before its calls and `async for` over its
    lists."""

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = 10.0,
        retries: Retries = PATIENT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._retries = retries
        self._http = httpx.AsyncClient(
            base_url=url, headers=calls.headers_of(key), timeout=timeout, transport=transport
        )

    async def assign(
        self,
        customer_id: str | None = None,
        traits: Json = {},  # noqa: B006 - read only
        *,
        record: bool | None = None,
        segments: Sequence[str] | None = None,
        include: Sequence[str] = (),
    ) -> Assignment:
        """As Client.assign."""
        return await self._do(calls.assign(customer_id, traits, record, segments, include))

    async def assign_batch(
        self, customers: Sequence[Json], *, record: bool = True
    ) -> list[Assignment | Refused]:
        """As Client.assign_batch."""
        return await self._do(calls.assign_batch(customers, record))

    async def segment(self, key: str) -> Segment:
        """As Client.segment."""
        return await self._do(calls.get_segment(key))

    async def segments(self, **filters: str | None) -> AsyncIterator[Segment]:
        """As Client.segments."""
        async for item in self._pages("/segments", filters):
            yield calls.segment_of(item)

    async def create_segment(
        self, key: str, definition: Json, *, reason: str | None = None
    ) -> Segment:
        """As Client.create_segment."""
        return await self._do(calls.create_segment(key, definition, reason))

    async def put_segment(
        self,
        key: str,
        definition: Json,
        *,
        if_match: str | None = None,
        reason: str | None = None,
    ) -> Segment:
        """As Client.put_segment."""
        return await self._do(calls.put_segment(key, definition, if_match, reason))

    async def archive_segment(
        self, key: str, *, if_match: str | None = None, reason: str | None = None
    ) -> None:
        """As Client.archive_segment."""
        await self._do(calls.archive_segment(key, if_match, reason))

    async def members(self, key: str) -> AsyncIterator[Member]:
        """As Client.members."""
        async for item in self._pages(f"/segments/{calls.step(key)}/members", {"limit": 1_000}):
            yield msgspec.convert(item, Member)

    async def change_members(
        self, key: str, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> int:
        """As Client.change_members."""
        return await self._do(calls.change_members(key, add, remove))

    async def customer(self, customer_id: str) -> dict[str, Any]:
        """As Client.customer."""
        return await self._do(calls.get_customer(customer_id))

    async def erase_customer(
        self, customer_id: str, *, reason: str | None = None
    ) -> dict[str, Any]:
        """As Client.erase_customer."""
        return await self._do(calls.erase_customer(customer_id, reason))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        await self.aclose()

    async def _pages(self, path: str, params: Json) -> AsyncIterator[dict[str, Any]]:
        cursor: str | None = None
        while True:
            page = await self._do(calls.page(path, {**params, "cursor": cursor}))
            for item in page["items"]:
                yield item
            cursor = page["next_cursor"]
            if cursor is None:
                return

    async def _do(self, call: calls.Call[T]) -> T:
        attempts = calls.Attempts(call, self._retries)
        while True:
            try:
                response = await self._http.send(self._http.build_request(**attempts.request()))
            except httpx.TransportError as error:
                await async_sleep(attempts.failed(error))
                continue
            answer = attempts.answered(response)
            if not isinstance(answer, calls.Wait):
                return answer
            await async_sleep(answer.seconds)
