"""What keeps somebody's record from being written, as problems."""

from service.api.problems import HttpProblem, invalid, unavailable
from service.core.decisions import Undecidable
from service.core.problems import Invalid, Problem
from service.store.batches import NotStored
from service.store.erasures import Erased
from service.store.writer import Overloaded, StoreUnavailable

NOT_RECORDED = (Invalid, Overloaded, StoreUnavailable, Undecidable, Erased, NotStored)


def not_recorded(error: Exception) -> HttpProblem:
    """The problem that one of NOT_RECORDED is."""
    if isinstance(error, Invalid):
        return invalid(error.problems)
    if isinstance(error, Erased):
        return HttpProblem(409, "erased", str(error))
    if isinstance(error, NotStored):
        detail = f"the database refuses this data: {error}"
        return invalid([Problem("", "not_stored", detail)])
    return unavailable(f"this can't be stored or decided now: {error}")
