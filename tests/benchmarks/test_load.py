"""The driver's counts are what a server saw, and it speaks to this machine only."""

import socketserver
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from benchmarks.load import REQUESTS_MOST, drive, encode

seen: list[bytes] = []


class Answers(socketserver.StreamRequestHandler):
    """Answers every third request with 503, and in two writes, as servers may."""

    def handle(self) -> None:
        while head := self.rfile.readline():
            length = 0
            while (line := self.rfile.readline().strip()) != b"":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            seen.append(head + self.rfile.read(length))
            status = b"503 Service Unavailable" if len(seen) % 3 == 0 else b"200 OK"
            self.wfile.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n")
            self.wfile.write(b"\r\n{}")


@pytest.fixture
def port() -> Iterator[int]:
    seen.clear()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answers) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_counts_requests_and_errors(port: int) -> None:
    requests = [encode("/assign", b'{"a":1}'), encode("/assign", b'{"b":2}')]
    load = drive(port, requests, connections=1, seconds=20, most=30)
    assert (load.requests, load.errors, len(seen)) == (30, 10, 30)
    assert seen[0] == b'POST /assign HTTP/1.1\r\n{"a":1}'
    assert 0 < load.p50 <= load.p99
    assert load.rate > 0
    with pytest.raises(RuntimeError, match="10 of 30 answers were not 2xx"):
        load.served()
    assert replace(load, errors=0).served().requests == 30


def test_stops_when_the_time_is_up(port: int) -> None:
    load = drive(port, [encode("/", b"")], connections=4, seconds=0.2)
    assert 0 < load.requests == len(seen)


@pytest.mark.parametrize(
    ("host", "seconds", "most"),
    [("192.0.2.1", 1.0, 1), ("127.0.0.1", 3_600.0, 1), ("127.0.0.1", 1.0, REQUESTS_MOST + 1)],
)
def test_refuses_other_machines_and_boundless_runs(host: str, seconds: float, most: int) -> None:
    with pytest.raises(ValueError, match=r"loopback|at most"):
        drive(9, [b""], connections=1, seconds=seconds, most=most, host=host)
