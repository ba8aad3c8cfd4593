"""A workspace to measure the service in: segments, the demo's model, stored customers."""

import asyncio
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.ours import TYPES
from benchmarks.workload import make_conditions, make_profiles
from service.commands.demo import demo_of
from service.core.decisions import Input
from service.core.traits import TraitType
from service.demo import setup
from service.demo.journey import Journey
from service.demo.tables import read_tables
from service.flows.publishing import Wanted
from service.settings import Settings
from service.store.database import Database
from service.store.embedded import EmbeddedPostgres
from service.store.migrating import migrate
from service.wiring import Process
from tests.demo import oracle

# What the demo's model reads of real households. Here all of it is given: nothing of it is derived.
DECLARED = dict.fromkeys(setup.FEATURES, TraitType.NUMBER) | TYPES


@dataclass(frozen=True)
class Workspace:
    """A prepared database and its bundles; `environment` makes a service serve them."""

    url: str
    data_dir: Path
    profiles: Sequence[dict[str, Any]]

    def environment(self, port: int) -> dict[str, str]:
        return {
            "DATABASE_URL": self.url,
            "SEGSERVE_DATA_DIR": str(self.data_dir),
            "SEGSERVE_PORT": str(port),
            "SEGSERVE_LOG_LEVEL": "warning",
        }


def command() -> list[str]:
    """The service as users start it."""
    return [sys.executable, "-m", "service", "serve"]


def profiles_with_features(count: int) -> list[dict[str, Any]]:
    """The workload's profiles, with what the demo's model reads of real households put in."""
    households = features_of_households()
    return [
        {**profile, **households[index % len(households)]}
        for index, profile in enumerate(make_profiles(count))
    ]


def features_of_households() -> list[dict[str, Any]]:
    """What the demo's model reads of each household."""
    counted = oracle.derived(Journey.of(read_tables(), datetime.now(UTC)))
    return [
        {name: traits[name] for name in setup.FEATURES if name in traits}
        for traits in counted.values()
    ]


@contextmanager
def workspace(segments: int, customers: int, *, scratch: Path | None = None) -> Iterator[Workspace]:
    """A database of our own, unpinned, with that many segments and stored customers."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        data_dir = Path(folder)
        # PostgreSQL runs as another account when we are root, and must get through.
        data_dir.chmod(0o711)
        with EmbeddedPostgres(data_dir / "postgres", system_dir=data_dir / "system") as postgres:
            profiles = profiles_with_features(customers)
            ready = Workspace(postgres.dsn, data_dir, profiles)
            asyncio.run(_fill(ready, segments))
            yield ready


async def _fill(space: Workspace, segments: int) -> None:
    database = Database(space.url)
    await migrate(database.engine)
    await database.close()
    settings = Settings(data_dir=space.data_dir)
    version, digest, manifest = setup.train_tiers(features_of_households(), settings.bundles)
    wanted = [
        Wanted(f"s{index:05}", "active", {"name": f"Segment {index}", "condition": condition})
        for index, condition in enumerate(make_conditions(segments))
    ]
    async with Process(settings, space.url).running(background=False) as parts:
        declarations = {name: {"type": str(kind)} for name, kind in DECLARED.items()}
        await demo_of(parts).declare_traits(declarations)
        await parts.publisher.activate_model(setup.MODEL, version, digest, manifest)
        await parts.publisher.save(wanted)
        for start in range(0, len(space.profiles), 1_000):
            block = space.profiles[start : start + 1_000]
            await asyncio.gather(
                *(
                    parts.writer.submit(f"bench-{start + index}", Input(profile, parts.clock()))
                    for index, profile in enumerate(block)
                )
            )
