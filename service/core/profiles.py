"""Profiles: what conditions read of a stored customer, at an instant."""

from collections.abc import Callable, Mapping
from typing import Any

from service.core import consent
from service.core.catalog import Catalog
from service.core.decisions import Outputs, State
from service.core.deriving import reached
from service.core.instants import to_datetime


def profile_of(
    catalog: Catalog, state: State, outputs: Outputs, derived: Mapping[str, Any]
) -> dict[str, Any]:
    """The traits of a customer, given and derived, with the record's facts and the models' outputs
    beside them, whose names hold a dot or a colon, which no trait's may."""
    profile = {**catalog.derivations.given(state.traits), **derived}
    profile["customer_id"] = state.customer_id
    for name in catalog.customer_facts:
        profile[name] = _FACTS[name](state)
    add_outputs(profile, outputs)
    consent.fill(profile)
    return profile


_FACTS: dict[str, Callable[[State], Any]] = {
    "customer.first_seen": lambda state: to_datetime(state.first_seen),
    "customer.last_seen": lambda state: to_datetime(state.last_seen),
    "customer.type": lambda state: state.type,
    "customer_id": lambda state: state.customer_id,
}


def given_of(catalog: Catalog, state: State) -> Mapping[str, Any]:
    """What derived traits are computed from: the given ones, and the record's facts they read."""
    facts = catalog.derivations.customer_facts
    return {**state.traits, **{name: _FACTS[name](state) for name in facts}}


def derived_of(
    catalog: Catalog, state: State, instant: int, overriding: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The derived traits of a customer at an instant."""
    if not catalog.derivations.any:
        return {**reached(state.traits), **(overriding or {})}
    given = given_of(catalog, state)
    return catalog.derivations.values(given, state.histories, instant, overriding)


def told_of(catalog: Catalog, state: State, instant: int) -> dict[str, Any]:
    """The derived traits of a customer at an instant, and the ready-made ones that nothing reads,
    but for those that are about events of which there was none: what nobody asks for needs no 0.
    The state has the histories of `catalog.told`."""
    told = catalog.told
    values = told.values(given_of(catalog, state), state.histories, instant)
    happened = {
        name
        for key, each in told.series.items()
        if state.histories.get(key)
        for name in each.events
    }
    return {
        name: value
        for name, value in values.items()
        if name in catalog.derivations.fields
        or name not in told.aggregates
        or not happened.isdisjoint(told.aggregates[name].series.events)
    }


def add_outputs(profile: dict[str, Any], outputs: Outputs) -> None:
    """Put models' outputs into a profile, as `model:NAME.OUTPUT`."""
    for name, output in outputs.items():
        profile[f"model:{name}.label"] = output.label
        profile[f"model:{name}.confidence"] = output.confidence
        profile[f"model:{name}.score"] = output.score
        profile[f"model:{name}.unusual"] = output.unusual
