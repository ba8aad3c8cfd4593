"""Part "lists": a million ids uploaded in place of a list, and what the process then weighs."""

import asyncio
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks import prepared
from benchmarks.report import Report
from benchmarks.servers import free_port, serving
from service.store.database import Database
from service.store.embedded import EmbeddedPostgres
from service.store.migrating import migrate

PART = "lists"
IDS = 1_000_000
PIECE = 1 << 16
PATIENCE = 600.0  # s


def make_ids(count: int, seed: int) -> list[str]:
    """Ids of different customers in no order."""
    ids = [f"customer-{number:08}" for number in range(count)]
    random.Random(seed).shuffle(ids)
    return ids


def csv_of(ids: Sequence[str]) -> bytes:
    return b"customer_id\r\n" + "\r\n".join(ids).encode()


def ndjson_of(ids: Sequence[str]) -> bytes:
    return "\n".join(f'{{"customer_id": "{each}"}}' for each in ids).encode()


def weight(pid: int, name: str) -> float:
    """`VmRSS` or, the most since it was reset, `VmHWM` of a process in MB; Linux only."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return float(line.split()[1]) / 1024
    raise RuntimeError(f"no {name} of {pid}")


@contextmanager
def database() -> Iterator[tuple[str, Path]]:
    """An empty database of our own: its URL, and a data folder."""
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder)
        data_dir.chmod(0o711)  # PostgreSQL runs as another account when we are root
        with EmbeddedPostgres(data_dir / "postgres", system_dir=data_dir / "system") as postgres:
            asyncio.run(_migrated(postgres.dsn))
            yield postgres.dsn, data_dir


async def _migrated(url: str) -> None:
    store = Database(url)
    await migrate(store.engine)
    await store.close()


def run(report: Report) -> None:
    ids = make_ids(IDS, 7)
    changed = [*ids[IDS // 100 :], *(f"new-{number:08}" for number in range(IDS // 100))]
    uploads = {
        "first, CSV": ("text/csv", csv_of(ids)),
        "the same again, CSV": ("text/csv", csv_of(ids)),
        "1% others, CSV": ("text/csv", csv_of(changed)),
        "the first again, NDJSON": ("application/x-ndjson", ndjson_of(ids)),
        "empty": ("text/csv", b"customer_id\r\n"),
    }
    rows = []
    with database() as (url, data_dir):
        port = free_port()
        environment = {
            "DATABASE_URL": url,
            "SEGSERVE_DATA_DIR": str(data_dir),
            "SEGSERVE_PORT": str(port),
            "SEGSERVE_LOG_LEVEL": "warning",
        }
        with (
            serving(prepared.command(), port, environment=environment) as server,
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client,
            report.progress(f"uploading {IDS:,} ids", len(uploads)) as step,
        ):
            client.put("/segments/bench", json={"name": "Bench"}).raise_for_status()
            for name, (media_type, body) in uploads.items():
                Path(f"/proc/{server.pid}/clear_refs").write_text("5")  # the most so far is now
                before = weight(server.pid, "VmRSS")
                started = time.perf_counter()
                answer = client.put(
                    "/segments/bench/members",
                    content=_pieces(body),
                    headers={"content-type": media_type},
                )
                answer.raise_for_status()
                seconds = time.perf_counter() - started
                growth = weight(server.pid, "VmHWM") - before
                told = answer.json()
                rows.append([name, f"{len(body) / 1e6:.0f}", f"{seconds:.1f}", f"{growth:.0f}",
                             f"{told['added']:,}", f"{told['removed']:,}"])  # fmt: skip
                report.figure(PART, f"{name}: seconds", seconds)
                report.figure(PART, f"{name}: growth of resident MB", growth)
                step()
    report.table(
        f"lists, {IDS:,} ids",
        ["upload", "MB", "seconds", "resident MB more", "added", "removed"],
        rows,
        "until the list is replaced; customers whom it concerns are then decided by a job",
    )


def _pieces(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), PIECE):
        yield body[start : start + PIECE]
