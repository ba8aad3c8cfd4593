"""Following the store: what is active is loaded, compiled aside and swapped in whole; keys and
sources too."""

import asyncio
import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import structlog

from service.core.catalog import compile_catalog
from service.core.derived.compiling import standing
from service.core.derived.ready_made import READY_MADE
from service.core.identities import Namer
from service.core.instants import zone_named
from service.core.parsing import Schema
from service.core.personal import Personal
from service.core.traits import TraitType
from service.core.written import Documents, made_of, model_field
from service.flows.gazetteer import gazetteer, installed
from service.flows.sources import SourceRing
from service.keyring import KeyRing
from service.live import ActiveModel, Live, RefusedModel, Served
from service.scoring import bundle
from service.scoring.errors import BundleRefused, ScorerUnavailable
from service.settings import Settings
from service.store import catalogs, workspace
from service.store.catalogs import CatalogRows, ModelRow
from service.store.database import CANT_READ, Database

log = structlog.get_logger()

# A replaced model may still be asked by assignments under way.
GRACE = 30.0  # s

_TRAIT_TYPES = frozenset(kind.value for kind in TraitType)


# Of a body, beside the groups of its condition: the body itself, a rule, and a list in its value.
_BESIDE_GROUPS = 3


def schema_of(settings: Settings, types: dict[str, str]) -> Schema:
    """What conditions are parsed against in this workspace."""
    return Schema(
        zone=zone_named(settings.time_zone),
        types={name: TraitType(kind) for name, kind in types.items() if kind in _TRAIT_TYPES},
        rules_limit=settings.rules_limit,
        # As many groups as a body can hold, each with its list of rules: what import makes can be
        # saved, and what is stored sent back.
        depth_limit=max(1, (settings.json_depth - _BESIDE_GROUPS) // 2),
        values_limit=settings.values_limit,
        base_currency=settings.base_currency,
    )


def build(rows: CatalogRows, settings: Settings, previous: Served | None) -> Served:
    """Load the models and compile the catalog; reuses what has not changed."""
    models, refused = _models(rows.models, settings, previous)
    served = {model.name for model in models}
    with _collector_resting():
        catalog = compile_catalog(
            rows.definitions,
            schema_of(settings, rows.types),
            rows.revision,
            previous.catalog if previous else None,
            {model.name: model.reason for model in refused if model.name not in served},
            rows.derived,
            rows.cut_points,
            READY_MADE,
            {name for model in models for name in model.scorer.manifest.reads},
            gazetteer if installed() else None,
        )
        plan = catalog.derivations.plan
        if plan is not None and plan.asks_cities:
            gazetteer()  # here, where no event loop waits for it
        if rows.refused:
            catalog = replace(
                catalog,
                refused=tuple(sorted((*catalog.refused, *rows.refused), key=attrgetter("key"))),
                refused_keys=catalog.refused_keys | {refusal.key for refusal in rows.refused},
            )
    return Served(catalog, rows.publications, models, refused, personal_of(rows, settings, models))


def derived_of(rows: CatalogRows, settings: Settings) -> Documents:
    """The documents of all derived traits, the ready-made ones too, whether or not they can be
    served."""
    ready_made = standing(READY_MADE, rows.derived, schema_of(settings, rows.types))
    return {**ready_made, **rows.derived}


def personal_of(rows: CatalogRows, settings: Settings, models: Sequence[ActiveModel]) -> Personal:
    """The traits that are declared personal, with those, and what models say, that come of them. Of
    a model that can't be served nobody knows what it read: it may have been any."""
    if not rows.personal:
        return Personal()
    read = {model.name: model.scorer.manifest.inputs for model in models}
    unknown = {model_field(row.name) for row in rows.models if row.name not in read}
    come_of = made_of(rows.personal | unknown, derived_of(rows, settings), read)
    return Personal(rows.personal | unknown | come_of)


def _models(
    rows: Sequence[ModelRow], settings: Settings, previous: Served | None
) -> tuple[tuple[ActiveModel, ...], tuple[RefusedModel, ...]]:
    """The models that can be served, and those that can't; the last good one of a name stays."""
    models: list[ActiveModel] = []
    refused: list[RefusedModel] = []
    for row in rows:
        known = _known(previous, row.name)
        if known is not None and known.digest == row.digest and known.version == row.version:
            models.append(known)
            continue
        try:
            models.append(_load(row, settings.bundles))
        except (BundleRefused, ScorerUnavailable, OSError) as error:
            log.error("model_refused", model=row.name, version=row.version, reason=str(error))
            refused.append(RefusedModel(row.name, row.version, str(error)))
            if known is not None:
                models.append(known)
    return tuple(models), tuple(refused)


@contextmanager
def _collector_resting() -> Iterator[None]:
    """Compiling makes hundreds of thousands of objects that all stay: looking for garbage among
    them every few thousand takes a third of its time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _known(previous: Served | None, name: str) -> ActiveModel | None:
    models = previous.models if previous else ()
    return next((model for model in models if model.name == name), None)


def _load(row: ModelRow, bundles: Path) -> ActiveModel:
    verified = bundle.verify(bundles / row.name / row.version, row.digest)
    return ActiveModel(row.name, row.version, row.digest, bundle.load(verified))


class Follower:
    """Keeps a Live at the catalog's newest revision, and the keys and sources known that there
    are."""

    def __init__(
        self,
        database: Database,
        live: Live,
        keyring: KeyRing,
        sources: SourceRing,
        settings: Settings,
    ) -> None:
        self._database = database
        self._live = live
        self._keyring = keyring
        self._sources = sources
        self._settings = settings
        self._loading = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def load(self) -> Served:
        """Read and compile the newest catalog, off the event loop."""
        async with self._database.engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ")
            rows = await catalogs.read_catalog(connection)
        previous = self._live.served if self._live.loaded else None
        return await asyncio.to_thread(build, rows, self._settings, previous)

    async def catch_up(self, revision: int) -> None:
        """Return once the live catalog is `revision` or newer."""
        async with self._loading:
            if self._live.loaded and self._live.served.revision >= revision:
                return
            before = self._live.served.models if self._live.loaded else ()
            served = await self.load()
            self._live.swap(served)
            log.info(
                "catalog",
                revision=served.revision,
                segments=len(served.catalog.segments),
                refused=len(served.catalog.refused),
            )
            loop = asyncio.get_running_loop()
            for model in before:
                if model not in served.models:
                    loop.call_later(GRACE, model.scorer.close)

    async def look(self) -> None:
        """Look at the keys, the sources and the head: catch up with all."""
        await self._keyring.look(self._database)
        await self._sources.look(self._database)
        async with self._database.engine.connect() as connection:
            if not self._live.named:
                salt = await workspace.fact(connection, workspace.IDENTITY_SALT)
                self._live.name_by(Namer(salt.encode()))
            revision = await catalogs.head_revision(connection)
        if not self._live.loaded or revision > self._live.served.revision:
            await self.catch_up(revision)

    def start(self) -> None:
        """Begin to look at regular intervals."""
        self._task = asyncio.create_task(self._run(), name="follower")

    async def stop(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._settings.catalog_poll)
            try:
                await self.look()
                self._live.set_store(available=True)
            except CANT_READ as error:
                self._live.set_store(available=False, reason=type(error).__name__)
            except Exception:
                # The last good catalog goes on serving; the next look may find a better one.
                log.exception("catalog_not_loaded")
