"""A bounded closed-loop HTTP/1.1 driver for servers on this machine.

Each connection sends its next request when its last answer is complete, as `wrk` does. Requests
are encoded beforehand and answers are only framed, so that one core of driver outruns one of
server. It speaks to loopback addresses only, for a bounded time and count.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from time import perf_counter
from typing import Any

import uvloop

SECONDS_MOST = 60.0
REQUESTS_MOST = 2_000_000
CONNECTIONS_MOST = 256


@dataclass(frozen=True)
class Load:
    """One run: requests per second, latencies in milliseconds, answers that were not 2xx."""

    rate: float
    p50: float
    p99: float
    requests: int
    errors: int

    def served(self) -> "Load":
        """This run, of which every answer was 2xx: a refusal costs less, and measures nothing.

        Raises RuntimeError if any was not.
        """
        if self.errors:
            raise RuntimeError(f"{self.errors:,} of {self.requests:,} answers were not 2xx")
        return self


def encode(path: str, body: bytes) -> bytes:
    """A POST of JSON as it goes over the wire."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def drive(
    port: int,
    requests: Sequence[bytes],
    *,
    connections: int,
    seconds: float,
    most: int = REQUESTS_MOST,
    host: str = "127.0.0.1",
) -> Load:
    """Send `requests` in turn, over and over, until the time or the count is up.

    Raises ValueError for an address that is not loopback or a bound past the limits above, and
    ConnectionError when the server hangs up.
    """
    if not ip_address(host).is_loopback:
        raise ValueError(f"{host} is not a loopback address: this driver measures local servers")
    if not (0 < seconds <= SECONDS_MOST and 0 < most <= REQUESTS_MOST):
        raise ValueError(f"at most {SECONDS_MOST:.0f} s and {REQUESTS_MOST:,} requests a run")
    if not 0 < connections <= CONNECTIONS_MOST:
        raise ValueError(f"at most {CONNECTIONS_MOST} connections")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_drive(host, port, requests, connections, seconds, most))


async def _drive(
    host: str, port: int, requests: Sequence[bytes], connections: int, seconds: float, most: int
) -> Load:
    loop = asyncio.get_running_loop()
    run = _Run(requests, most, connections, loop.create_future())
    opened = [
        (await loop.create_connection(lambda: _Connection(run), host, port))[1]
        for _ in range(connections)
    ]
    start = perf_counter()
    run.deadline = start + seconds
    for each in opened:
        each.send(perf_counter())
    try:
        # A server that never answers must not hold the run open.
        await asyncio.wait_for(run.done, seconds + 10)
    finally:
        for each in opened:
            each.close()
    latencies = sorted(run.latencies)
    return Load(
        rate=len(latencies) / (run.last - start),
        p50=latencies[len(latencies) // 2] * 1_000,
        p99=latencies[int(len(latencies) * 0.99)] * 1_000,
        requests=len(latencies),
        errors=run.errors,
    )


@dataclass
class _Run:
    """What the connections of one run share."""

    requests: Sequence[bytes]
    most: int
    open: int
    done: asyncio.Future[None]
    deadline: float = 0.0
    last: float = 0.0
    sent: int = 0
    errors: int = 0
    latencies: list[float] = field(default_factory=list)

    def finish(self, now: float) -> None:
        """One connection has nothing more to send."""
        self.last = max(self.last, now)
        self.open -= 1
        if not self.open and not self.done.done():
            self.done.set_result(None)


class _Connection(asyncio.Protocol):
    def __init__(self, run: _Run) -> None:
        self.run = run
        self.started = 0.0
        self.buffer = b""
        self.closing = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def send(self, now: float) -> None:
        run = self.run
        if now >= run.deadline or run.sent >= run.most:
            run.finish(now)
            return
        request = run.requests[run.sent % len(run.requests)]
        run.sent += 1
        self.started = now
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self.buffer:
            data = self.buffer + data
        end = data.find(b"\r\n\r\n") + 4
        if end < 4 or len(data) < end + _content_length(data[:end]):
            self.buffer = data
            return
        self.buffer = b""
        now = perf_counter()
        self.run.latencies.append(now - self.started)
        if data[9:10] != b"2":
            self.run.errors += 1
        self.send(now)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.closing and not self.run.done.done():
            self.run.done.set_exception(ConnectionError("the server closed a connection"))

    def close(self) -> None:
        self.closing = True
        self.transport.close()


def _content_length(head: bytes) -> int:
    head = head.lower()
    at = head.find(b"\r\ncontent-length:")
    if at < 0:
        raise ConnectionError("the server framed an answer without Content-Length")
    return int(head[at + 17 : head.index(b"\r\n", at + 17)])
