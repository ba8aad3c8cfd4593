"""A proxy that does to requests what networks and busy servers do: refuse some, and lose the answer
to others that the service has taken."""

import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle

BUSY, LIMITED, LOST, PASSED = "busy", "limited", "lost", "passed"
# Half of them go wrong; an SDK that gives up on any of these loses messages.
FATES = (BUSY, PASSED, LIMITED, PASSED, LOST, PASSED, LOST, BUSY, PASSED, PASSED)

_NOT_FORWARDED = {"host", "connection", "content-length", "accept-encoding"}


class BadNetwork:
    """What happened to the requests so far."""

    def __init__(self, port: int) -> None:
        """`port`: the service's."""
        self.to = port
        self.happened: Counter[str] = Counter()
        # What the service answered to those that reached it.
        self.statuses: Counter[int] = Counter()
        self.headers: list[dict[str, str]] = []
        self._fates = cycle(FATES)
        self._lock = threading.Lock()
        self.url = ""

    def fate(self, headers: dict[str, str]) -> str:
        """What happens to the next request."""
        with self._lock:
            fate = next(self._fates)
            self.happened[fate] += 1
            self.headers.append(headers)
            return fate

    def forward(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """The service's own answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.to, timeout=60)
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        with self._lock:
            self.statuses[answer.status] += 1
        return answer.status, content


@contextmanager
def bad_network(port: int) -> Iterator[BadNetwork]:
    """A proxy before the service on `port`."""
    network = BadNetwork(port)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            fate = network.fate(headers)
            if fate == BUSY:
                self.reply(503, b'{"code": "unavailable", "message": "busy"}')
            elif fate == LIMITED:
                self.reply(429, b'{"code": "rate_limited", "message": "slow down"}', after="1")
            else:
                kept = {name: headers[name] for name in headers if name not in _NOT_FORWARDED}
                status, content = network.forward(self.path, body, kept)
                if fate == LOST:
                    self.close_connection = True
                else:
                    self.reply(status, content)

        def reply(self, status: int, content: bytes, after: str | None = None) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            if after is not None:
                self.send_header("retry-after", after)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as inherited
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    network.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield network
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
