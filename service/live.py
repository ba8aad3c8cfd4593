"""The one mutable reference: what this process serves right now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from service.core.catalog import Catalog
from service.core.deciding import decide, decide_together, decision_of
from service.core.decisions import Decision, Input, Outputs, Publication, State, Undecidable
from service.core.deriving import Derivations
from service.core.identities import Namer
from service.core.parsing import Schema
from service.core.personal import NOBODYS, Personal
from service.core.traits import Profile
from service.scoring.errors import ScorerUnavailable
from service.scoring.scorer import Scorer

log = structlog.get_logger()

# From so many profiles on, one run of a model for all costs less than one each.
MANY = 4
UP_TO_DATE = Publication()


@dataclass(frozen=True, slots=True)
class ActiveModel:
    """A model that is served."""

    name: str
    version: str
    digest: str
    scorer: Scorer


@dataclass(frozen=True, slots=True)
class RefusedModel:
    """A model that should be served and can't be, and why."""

    name: str
    version: str
    reason: str


@dataclass(frozen=True, slots=True)
class Served:
    """A catalog with the models it reads, swapped as a whole.

    `publications`: when and why each recent revision was published.
    """

    catalog: Catalog
    publications: Mapping[int, Publication] = field(default_factory=dict)
    models: tuple[ActiveModel, ...] = ()
    refused_models: tuple[RefusedModel, ...] = ()
    personal: Personal = NOBODYS

    @property
    def blocking(self) -> bool:
        """Whether scoring waits for another process, so that an event loop must not do it."""
        return any(model.scorer.form == "joblib" for model in self.models)

    @property
    def revision(self) -> int:
        """The catalog's revision."""
        return self.catalog.revision

    @property
    def schema(self) -> Schema:
        """What traits are declared as."""
        return self.catalog.schema

    @property
    def has_lists(self) -> bool:
        """Whether deciding needs to know the lists a customer is on."""
        return bool(self.catalog.matcher.list_bits)

    @property
    def derivations(self) -> Derivations:
        """The aggregates of events that deciding evaluates."""
        return self.catalog.derivations

    def score(self, profile: Profile) -> Outputs:
        """What every model says of one profile, by the model's name. Raises Undecidable."""
        try:
            return {model.name: model.scorer.predict_one(profile) for model in self.models}
        except ScorerUnavailable as error:
            raise Undecidable(str(error)) from error

    def decide(self, state: State, given: Input | None, now: int) -> Decision:
        """Decide one customer. Raises Invalid or Undecidable."""
        publication = self.publication_since(state.catalog_revision)
        decision = decide(self.catalog, state, now, given, self.score, publication)
        decision.served = self
        return decision

    def score_many(self, profiles: Sequence[Profile]) -> list[Outputs]:
        """What every model says of each profile, in one run of each. Raises Undecidable."""
        if len(profiles) < MANY or not self.models:
            return [self.score(profile) for profile in profiles]
        try:
            columns = [model.scorer.predict_many(profiles) for model in self.models]
        except ScorerUnavailable as error:
            raise Undecidable(str(error)) from error
        names = [model.name for model in self.models]
        return [dict(zip(names, outputs, strict=True)) for outputs in zip(*columns, strict=True)]

    def decide_many(
        self, asked: Sequence[tuple[State, Input | None, int]]
    ) -> list[Decision | Exception]:
        """Decide many customers: each decision, or the exception that it ended with."""
        catalog = self.catalog
        results = decide_together(
            [
                decision_of(
                    catalog, state, now, given, self.publication_since(state.catalog_revision)
                )
                for state, given, now in asked
            ],
            self.score_many,
        )
        for result in results:
            if isinstance(result, Decision):
                result.served = self
        return results

    def publication_since(self, revision: int) -> Publication:
        """When the current revision was published, and why a customer last decided under an
        older one is decided again: the cause, where all revisions since share one."""
        head = self.catalog.revision
        if revision == head:
            return UP_TO_DATE
        latest = self.publications.get(head, Publication())
        causes = {
            self.publications[between].cause if between in self.publications else "definition"
            for between in range(max(revision + 1, head - len(self.publications)), head + 1)
        }
        return Publication(latest.at, causes.pop() if len(causes) == 1 else "definition")


class Live:
    """Holds exactly one Served and swaps it whole; knows whether the store answers."""

    def __init__(self) -> None:
        self._served: Served | None = None
        self._namer: Namer | None = None
        self.store_available = True

    @property
    def named(self) -> bool:
        """Whether it is known how identities are named here."""
        return self._namer is not None

    @property
    def namer(self) -> Namer:
        """Names identities as this installation does."""
        assert self._namer is not None, "nothing is served yet"  # noqa: S101
        return self._namer

    def name_by(self, namer: Namer) -> None:
        """Name identities like this from now on."""
        self._namer = namer

    @property
    def loaded(self) -> bool:
        """Whether there is a catalog to serve yet."""
        return self._served is not None

    @property
    def served(self) -> Served:
        """What is served right now."""
        assert self._served is not None, "nothing is served yet"  # noqa: S101
        return self._served

    def swap(self, served: Served) -> None:
        """Serve something else from now on."""
        self._served = served

    def set_store(self, *, available: bool, reason: str | None = None) -> None:
        """Note whether the store answers; a change is logged once."""
        if available != self.store_available:
            log.warning("store", available=available, reason=reason)
        self.store_available = available
