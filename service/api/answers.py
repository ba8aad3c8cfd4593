"""The answer of an assignment as JSON, put together from pieces made once a catalog."""

from functools import lru_cache
from typing import Any

import msgspec

from service.core.bits import positions_of
from service.core.catalog import Catalog
from service.core.deciding import Transition
from service.core.instants import format_instant
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
        self.order = {
            position: rank
            for rank, position in enumerate(
                sorted(range(len(catalog.keys)), key=catalog.keys.__getitem__)
            )
        }
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
        self, answer: Assignment, include: frozenset[str], only: frozenset[str] | None
    ) -> bytes:
        """The answer's JSON. `include`: what was asked for besides; `only`: narrow to these
        segments' keys."""
        pieces = self.pieces(answer.served)
        parts = [
            b'{"customer_id":',
            b"null" if answer.customer_id is None else _encode(answer.customer_id),
            b',"segments":[',
            b",".join(self._segments(answer, pieces, include, only)),
            b'],"schemes":',
            _encode(_schemes(answer, pieces)),
            *_moves(answer, only),
            b',"models":',
            _encode(_models(answer, pieces)),
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
            parts += [b',"traits":', _encode(answer.traits)]
        parts.append(b"}")
        return b"".join(parts)

    @staticmethod
    def _segments(
        answer: Assignment, pieces: Pieces, include: frozenset[str], only: frozenset[str] | None
    ) -> list[bytes]:
        positions = sorted(positions_of(answer.truths), key=pieces.order.__getitem__)
        keys = answer.served.catalog.keys
        if only is not None:
            positions = [position for position in positions if keys[position] in only]
        starts, ends = pieces.segments, answer.horizon.by_position
        if answer.decision is None:
            since = format_instant(answer.now).encode()
            rest = since + b'","valid_until":null}'
            encoded = [starts[position] + rest for position in positions]
        else:
            held = answer.decision.state.memberships
            encoded = [
                starts[position] + _since(held[keys[position]].since) + b'","valid_until":null}'
                for position in positions
            ]
        if ends:
            for index, position in enumerate(positions):
                if position in ends:
                    encoded[index] = encoded[index][:-5] + _instant(ends[position]) + b"}"
        if "treatment" in include:
            encoded = [
                text[:-1] + b',"treatment":' + pieces.treatments[position] + b"}"
                for text, position in zip(encoded, positions, strict=True)
            ]
        return encoded


@lru_cache(maxsize=4_096)
def _since(instant: int) -> bytes:
    return format_instant(instant).encode()


@lru_cache(maxsize=16_384)
def _instant(instant: int | None) -> bytes:
    return b"null" if instant is None else b'"' + format_instant(instant).encode() + b'"'


def _schemes(answer: Assignment, pieces: Pieces) -> dict[str, str | None]:
    truths = answer.truths
    return {
        scheme: next((member for bit, member in members if truths & bit), None)
        for scheme, members in pieces.schemes
    }


def _moves(answer: Assignment, only: frozenset[str] | None) -> list[bytes]:
    if answer.decision is None or not answer.decision.transitions:
        return [b',"entered":[],"exited":[]']
    latest: dict[str, Transition] = {}
    for transition in answer.decision.transitions:
        if only is None or transition.segment in only:
            latest[transition.segment] = transition
    entered = sorted(key for key, transition in latest.items() if transition.entered)
    exited = [
        {"key": key, "reason": transition.reason}
        for key, transition in sorted(latest.items())
        if not transition.entered
    ]
    return [b',"entered":', _encode(entered), b',"exited":', _encode(exited)]


def _models(answer: Assignment, pieces: Pieces) -> dict[str, Any]:
    return {
        name: {
            "version": pieces.versions.get(name),
            "label": output.label,
            "confidence": output.confidence,
            "score": output.score,
            "unusual": output.unusual,
        }
        for name, output in answer.outputs.items()
    }
