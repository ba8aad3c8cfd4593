"""What is told of one customer, and what of it is masked."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.api.customer_schemas import (
    ChannelConsent,
    Customer,
    HeldMembership,
    KnownBy,
    ModelAnswer,
    TraitValue,
    Transition,
)
from service.core import consent
from service.core.consent import CHANNELS, CONSENT, SUPPRESSED, Status, Suppression
from service.core.decisions import State
from service.core.identities import Identity
from service.core.instants import to_datetime
from service.core.merging import Written, value_at
from service.core.personal import MASK, Personal
from service.core.profiles import told_of
from service.core.written import model_field
from service.live import Served
from service.store.customers import TransitionRow

DERIVED = "derived"


def profile(
    served: Served, state: State, lists: list[str], personal: Personal, now: int
) -> Customer:
    """A customer as they are stored, with their derived traits at an instant, `personal` masked.
    The state has the histories of `catalog.told` loaded. Raises Undecidable where a model that is
    served can't answer."""
    given = served.derivations.given(state.traits)
    derived = told_of(served.catalog, state, now)
    known = {**given, **derived}
    named = {name: value for name, value in known.items() if ":" not in name}
    traits, masked = personal.masked(named)
    outputs = {name: personal.output(name, output) for name, output in served.score(known).items()}
    labels = [
        f"{model_field(name)}.label" for name, told in outputs.items() if told["label"] == MASK
    ]
    versions = {model.name: model.version for model in served.models}
    return Customer(
        customer_id=state.customer_id,
        type=state.type,
        first_seen=to_datetime(state.first_seen),
        last_seen=to_datetime(state.last_seen),
        traits=traits,
        sources={
            **_sources(state, traits, personal),
            **{
                name: TraitValue(value=traits[name], source=DERIVED, updated_at=to_datetime(now))
                for name in sorted(derived.keys() & traits.keys() - given.keys())
            },
        },
        masked=[*masked, *labels],
        consent=consents(state, personal),
        segments=memberships(state),
        lists=lists,
        models={
            name: ModelAnswer(version=versions[name], **told) for name, told in outputs.items()
        },
        valid_until=None if state.due_at is None else to_datetime(state.due_at),
        sequence=state.sequence,
        catalog_revision=state.catalog_revision,
        decided_at=None if state.decided_at is None else to_datetime(state.decided_at),
    )


def _sources(state: State, traits: Mapping[str, Any], personal: Personal) -> dict[str, TraitValue]:
    """Where each value comes from. What is masked whole is told whole, as of its latest change."""
    sources: dict[str, TraitValue] = {}
    for path, written in sorted(state.times.items(), key=lambda entry: entry[1].at):
        told = personal.covering(path) or path
        value = value_at(traits, told)
        if value is not None:
            sources[told] = TraitValue(
                value=value, source=written.source, updated_at=to_datetime(written.at)
            )
    return dict(sorted(sources.items()))


def consents(state: State, personal: Personal) -> dict[str, ChannelConsent] | None:
    """A customer's consents by channel; None where something of them is masked."""
    if hides_consents(personal):
        return None
    reachable = consent.reachable(state.traits)
    return {channel: _channel(state, channel, reachable[channel]) for channel in CHANNELS}


def hides_consents(personal: Personal) -> bool:
    """Whether anything of consents is masked: whom a channel reaches tells of all the rest."""
    return any(map(personal.touches, consent.NAMES))


def _channel(state: State, channel: str, reachable: bool) -> ChannelConsent:
    status, said = _latest(state, CONSENT, channel)
    suppressed, told = _latest(state, SUPPRESSED, channel)
    return ChannelConsent(
        status=Status(status or Status.NEVER).value,
        at=None if said is None else to_datetime(said.at),
        source=None if said is None else said.source,
        suppressed=None if suppressed is None else Suppression(suppressed).value,
        suppressed_at=None if told is None else to_datetime(told.at),
        suppressed_by=None if told is None else told.source,
        reachable=reachable,
    )


def _latest(state: State, name: str, channel: str) -> tuple[str | None, Written | None]:
    """What is known of a channel, and who said so; nothing of what has another shape."""
    path = f"{name}.{channel}"
    try:
        known = consent.word(name, value_at(state.traits, path))
    except ValueError:
        known = None
    return known, None if known is None else state.times.get(path)


def known_by(named: Sequence[tuple[Identity, bool]]) -> list[KnownBy]:
    """Identities, each with whether it is verified."""
    return [
        KnownBy(kind=each.kind, value=each.value, verified=verified) for each, verified in named
    ]


def memberships(state: State) -> list[HeldMembership]:
    """The segments that a customer is in."""
    return [
        HeldMembership(key=key, since=to_datetime(member.since), version=member.version)
        for key, member in sorted(state.memberships.items())
    ]


def transition(row: TransitionRow, personal: Personal) -> Transition:
    """A transition, its reason told without what is personal."""
    return Transition(
        sequence=row.sequence,
        segment=row.segment,
        type="entered" if row.entered else "exited",
        version=row.version,
        at=row.at,
        reason=dict(personal.reason(row.reason)),
    )
