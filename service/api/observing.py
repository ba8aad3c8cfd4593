"""What Prometheus sees: one registry a process."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

LATENCIES = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1, 2, 4)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Metrics:
    """The service's instruments."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Histogram(
            "segserve_request_seconds",
            "Time from a request's arrival to its answer.",
            ("route", "status"),
            buckets=LATENCIES,
            registry=self.registry,
        )
        self._batch = Histogram(
            "segserve_writer_batch_size",
            "Customers decided in one transaction.",
            buckets=BATCHES,
            registry=self.registry,
        )
        self._batch_seconds = Histogram(
            "segserve_writer_batch_seconds",
            "Time of one transaction, retries included.",
            buckets=LATENCIES,
            registry=self.registry,
        )
        self._queue = Gauge(
            "segserve_writer_queue",
            "Recorded assignments accepted and not yet answered.",
            registry=self.registry,
        )
        self._revision = Gauge(
            "segserve_catalog_revision", "Revision of the live catalog.", registry=self.registry
        )
        self._segments = Gauge(
            "segserve_catalog_segments",
            "Segments of the live catalog, by whether they are served or refused.",
            ("state",),
            registry=self.registry,
        )
        self._store = Gauge(
            "segserve_store_available", "Whether PostgreSQL answers.", registry=self.registry
        )
        self._observers: dict[tuple[str, int], Callable[[float], None]] = {}

    def request(self, route: str, status: int, seconds: float) -> None:
        """One request was answered. `route` is a template, never a path with ids in it."""
        observe = self._observers.get((route, status))
        if observe is None:
            observe = self._requests.labels(route, str(status)).observe
            self._observers[route, status] = observe
        observe(seconds)

    def batch(self, size: int, seconds: float) -> None:
        """The writer finished a batch."""
        self._batch.observe(size)
        self._batch_seconds.observe(seconds)

    def page(
        self, queue: int, revision: int, served: int, refused: int, *, store_available: bool
    ) -> bytes:
        """The page that Prometheus reads."""
        self._queue.set(queue)
        self._revision.set(revision)
        self._segments.labels("served").set(served)
        self._segments.labels("refused").set(refused)
        self._store.set(1 if store_available else 0)
        return generate_latest(self.registry)
