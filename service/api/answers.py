"""The answer of an assignment as JSON, put together from pieces made once a catalog."""

from functools import lru_cache
from typing import Any

import msgspec

from service.core.bits import positions_of
from service.core.catalog import Catalog
from service.core.decisions import Transition
from service.core.instants import format_instant
from service.core.personal import NOBODYS, Personal
from service.flows.assigning import Assignment
from service.live import Served

_encode = msgspec.json.encode


class Pieces:
    """What of an answer depends on the catalog alone, encoded."""

    def __init__(self, served: Served) -> None:
        catalog = served.catalog
        self.served = served
        # {"key":"vip","name":"VIP","scheme":null,"since":" - up to where the instant goes.
        self.segments = [_segment_start(catalog, key) for key in catalog.keys]
        self.treatments = [
            _encode(catalog.segments[key].definition.treatment or {}) for key in catalog.keys
        ]
        self.keys = catalog.keys
        self.places = catalog.matcher.positions
        by_key = sorted(range(len(catalog.keys)), key=catalog.keys.__getitem__)
        # Where each position's segment stands in an answer: by key.
        self.rank = sorted(range(len(by_key)), key=by_key.__getitem__)
        positions = catalog.matcher.positions
        self.schemes = [
            (scheme, [(1 << positions[member], member) for member in members])
            for scheme, members in sorted(catalog.schemes.items())
        ]
        self.versions = {model.name: model.version for model in served.models}
        self.revision = str(served.revision).encode()


def _segment_start(catalog: Catalog, key: str) -> bytes:
    definition = catalog.segments[key].definition
    head = {"key": key, "name": definition.name, "scheme": definition.scheme}
    return _encode(head)[:-1] + b',"since":"'


class AnswerEncoder:
    """Encodes answers; keeps the pieces of the catalog served last."""

    def __init__(self) -> None:
        self._pieces: Pieces | None = None

    def pieces(self, served: Served) -> Pieces:
        """The pieces of what is served, made once."""
        pieces = self._pieces
        if pieces is None or pieces.served is not served:
            pieces = self._pieces = Pieces(served)
        return pieces

    def encode(
        self,
        answer: Assignment,
        include: frozenset[str],
        only: frozenset[str] | None,
        *,
        masking: bool,
    ) -> bytes:
        """The answer's JSON. `include`: what was asked for besides; `only`: narrow to these
        segments' keys; `masking`: without what is personal. Of who is not named nothing is stored:
        what is told of them the caller sent."""
        pieces = self.pieces(answer.served)
        named = answer.customer_id is not None
        personal = answer.served.personal if masking and named else NOBODYS
        parts = [
            b'{"customer_id":',
            b"null" if answer.customer_id is None else _encode(answer.customer_id),
            b',"segments":[',
            _segments(answer, pieces, include, only),
            b'],"schemes":',
            _encode(_schemes(answer, pieces)),
            *_moves(answer, only, personal),
            b',"models":',
            _encode(_models(answer, pieces, personal)),
            b',"variants":{},"valid_until":',
            _instant(answer.horizon.valid_until),
            b',"recorded":true' if answer.recorded else b',"recorded":false',
            b',"sequence":',
            b"null" if answer.decision is None else str(answer.decision.state.sequence).encode(),
            b',"catalog_revision":',
            pieces.revision,
            b',"evaluated_at":',
            _instant(answer.now),
        ]
        if answer.problems:
            parts += [
                b',"warnings":',
                _encode(
                    [
                        {"pointer": p.pointer, "code": p.code, "detail": p.detail}
                        for p in answer.problems
                    ]
                ),
            ]
        if "traits" in include:
            if personal:
                traits, masked = personal.masked(answer.traits)
                parts += [b',"traits":', _encode(traits), b',"masked":', _encode(masked)]
            else:
                parts += [b',"traits":', _encode(answer.traits)]
        parts.append(b"}")
        return b"".join(parts)


def _segments(
    answer: Assignment, pieces: Pieces, include: frozenset[str], only: frozenset[str] | None
) -> bytes:
    """The segments that the customer is in, by key."""
    ends = answer.horizon.by_position
    if answer.decision is None:
        positions = sorted(positions_of(answer.truths), key=pieces.rank.__getitem__)
        if only is not None:
            positions = [position for position in positions if pieces.keys[position] in only]
        if "treatment" not in include:
            starts = [pieces.segments[position] for position in positions]
            ending = [(i, ends[p]) for i, p in enumerate(positions) if p in ends]
            return _all_since(answer.now, starts, ending)
        since = [_since(answer.now)] * len(positions)
    else:
        places = pieces.places
        held = [
            (key, places[key], member)
            for key, member in sorted(answer.decision.state.memberships.items())
            # A segment that is refused keeps its members, and tells nobody so.
            if key in places and (only is None or key in only)
        ]
        positions = [position for _, position, _ in held]
        since = [_since(member.since) for _, _, member in held]
    encoded = [pieces.segments[place] + rest for place, rest in zip(positions, since, strict=True)]
    if ends:
        for index, position in enumerate(positions):
            if position in ends:
                encoded[index] = encoded[index][:-5] + _instant(ends[position]) + b"}"
    if "treatment" in include:
        encoded = [
            text[:-1] + b',"treatment":' + pieces.treatments[position] + b"}"
            for text, position in zip(encoded, positions, strict=True)
        ]
    return b",".join(encoded)


def _all_since(now: int, starts: list[bytes], ends: list[tuple[int, int]]) -> bytes:
    """Segments that all hold since one instant, so that the text between two of them is the same
    wherever time alone does not end the first: `ends` tells which it does, and when."""
    rest = _since(now)
    between = rest + b","
    runs = []
    begin = 0
    for index, end in ends:
        until = rest[:-5] + _instant(end) + b"}"
        runs.append(between.join(starts[begin : index + 1]) + until)
        begin = index + 1
    if begin < len(starts):
        runs.append(between.join(starts[begin:]) + rest)
    return b",".join(runs)


@lru_cache(maxsize=4_096)
def _since(instant: int) -> bytes:
    """The rest of a segment's text, from the instant since when the customer is in it."""
    return format_instant(instant).encode() + b'","valid_until":null}'


def _instant(instant: int | None) -> bytes:
    return b"null" if instant is None else b'"' + format_instant(instant).encode() + b'"'


def _schemes(answer: Assignment, pieces: Pieces) -> dict[str, str | None]:
    truths = answer.truths
    return {
        scheme: next((member for bit, member in members if truths & bit), None)
        for scheme, members in pieces.schemes
    }


def _moves(answer: Assignment, only: frozenset[str] | None, personal: Personal) -> list[bytes]:
    if answer.decision is None or not answer.decision.transitions:
        return [b',"entered":[],"exited":[]']
    latest: dict[str, Transition] = {}
    for transition in answer.decision.transitions:
        if only is None or transition.segment in only:
            latest[transition.segment] = transition
    entered = sorted(key for key, transition in latest.items() if transition.entered)
    exited = [
        {"key": key, "reason": personal.reason(transition.reason)}
        for key, transition in sorted(latest.items())
        if not transition.entered
    ]
    return [b',"entered":', _encode(entered), b',"exited":', _encode(exited)]


def _models(answer: Assignment, pieces: Pieces, personal: Personal) -> dict[str, Any]:
    return {
        name: {"version": pieces.versions.get(name), **personal.output(name, output)}
        for name, output in answer.outputs.items()
    }
