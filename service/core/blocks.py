"""The block form of matching: a block of customers against all segments of a catalog.

Each distinct literal - a rule and whether it must be true or false - becomes one packed bitmap of
the rows that satisfy it; conditions are bitwise operations over those. It answers exactly what the
index answers one profile at a time.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from service.core.bitmaps import Bitmap, pack, unpack
from service.core.catalog import Catalog
from service.core.columns import Block, Column, Flags
from service.core.conditions import Condition, Rule, Source
from service.core.constraints import rule_identity
from service.core.instants import Moment
from service.core.interpreting import absent_truth
from service.core.matching import Scheme, fields_read
from service.core.normalising import Literal
from service.core.operators import OPERATORS, Family
from service.core.pairs import compared
from service.core.predicates import FieldPlan, FieldView

OnLists = Mapping[str, Flags]
NO_LISTS: OnLists = MappingProxyType({})
NO_COLUMN = Column(())

# Bytes of bitmaps held at once; past it a block is matched a part at a time.
ROOM = 32_000_000
LEAST_ROWS = 8_192


@dataclass(frozen=True, slots=True)
class Node:
    """All (`every`) or any of literals, by number, and of other nodes."""

    every: bool
    literals: tuple[int, ...]
    nodes: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class BlockResult:
    """`bitmap`: uint8 [segments, ceil(size / 8)], customer i in bit i % 8 of byte i // 8;
    segments in the order of `keys`."""

    keys: Sequence[str]
    size: int
    bitmap: Bitmap

    def members(self, key: str) -> Flags:
        """Which customers are in a segment, one flag each. Raises ValueError for no such key."""
        return unpack(self.bitmap[list(self.keys).index(key)], self.size)

    def row(self, index: int) -> int:
        """The bitset of segments of one customer, as `Matcher.match` answers it."""
        bits = self.bitmap[:, index >> 3] >> (index & 7) & 1
        return int.from_bytes(np.packbits(bits, bitorder="little").tobytes(), "little")


def _canonical(literal: Literal) -> Literal:
    """The same question of a rule without a negative operator."""
    rule, wanted = literal
    if rule.operator.negates is None:
        return literal
    missing = None if rule.missing is None else not rule.missing
    return Literal(replace(rule, operator=OPERATORS[rule.operator.negates], missing=missing),
                   not wanted)  # fmt: skip


class BlockPlan:
    """A catalog prepared for blocks: its distinct literals by field, its conditions as nodes.
    Immutable; make it once a catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        conditions = {
            key: segment.condition
            for key, segment in catalog.segments.items()
            if segment.condition is not None
        }
        self.fields = fields_read(conditions.values())
        self._numbers: dict[tuple[object, ...], int] = {}
        self._literals: list[Literal] = []
        self.nodes = {key: self._node(condition, True) for key, condition in conditions.items()}
        self._sort_literals()

    @property
    def size(self) -> int:
        """How many distinct literals there are."""
        return len(self._literals)

    @property
    def rows_at_once(self) -> int:
        """How many customers are matched at a time, a multiple of 8."""
        rows = ROOM * 8 // max(self.size, 1)
        return max(LEAST_ROWS, rows & ~1023)

    def _settled(self) -> dict[str, int]:
        """For each segment the level with which its membership is known."""
        matcher = self.catalog.matcher
        settled = dict.fromkeys(matcher.list_bits, -1)
        for number, (index, schemes) in enumerate(matcher.levels):
            settled |= dict.fromkeys(index.keys, number)
            for scheme in schemes:
                settled |= {matcher.keys[place]: number for place in scheme.by_priority}
        return settled

    def _node(self, condition: Condition, wanted: bool) -> Node:
        if isinstance(condition, Rule):
            return Node(True, (self._number(Literal(condition, wanted)),), ())
        wanted ^= condition.negated
        every = (condition.combinator == "and") == wanted
        literals: dict[int, None] = {}
        nodes: list[Node] = []
        for child in condition.rules:
            node = self._node(child, wanted)
            if node.every == every or len(node.literals) + len(node.nodes) == 1:
                literals |= dict.fromkeys(node.literals)
                nodes.extend(node.nodes)
            else:
                nodes.append(node)
        return Node(every, tuple(literals), tuple(nodes))

    def _number(self, literal: Literal) -> int:
        rule, wanted = _canonical(literal)
        identity = (*rule_identity(rule), wanted)
        number = self._numbers.get(identity)
        if number is None:
            number = self._numbers[identity] = len(self._literals)
            self._literals.append(Literal(rule, wanted))
        return number

    def _sort_literals(self) -> None:
        """Literals by where their rows come from."""
        by_field: dict[str, dict[tuple[object, ...], Rule]] = {}
        self.presence: list[tuple[str, bool, int]] = []
        self.pairs: list[tuple[Rule, bool, int]] = []
        # By the level with which what they refer to is settled: -1 for what is known beforehand.
        self.references: dict[int, list[tuple[str, bool, int]]] = defaultdict(list)
        settled = self._settled()
        simple: list[tuple[str, tuple[object, ...], bool, bool, int]] = []
        for number, (rule, wanted) in enumerate(self._literals):
            name = rule.field.name
            if rule.field.source is Source.SEGMENT:
                moment = Moment(0, self.catalog.schema.zone)
                member = rule.operator.test(True, rule.operand, rule, moment)
                key = rule.field.path[0]
                self.references[settled[key]].append((key, member is wanted, number))
            elif rule.other is not None:
                self.pairs.append((rule, wanted, number))
            elif rule.operator.family is Family.PRESENCE:
                self.presence.append((name, absent_truth(rule) is not wanted, number))
            else:
                identity = rule_identity(rule)
                by_field.setdefault(name, {})[identity] = rule
                absent = absent_truth(rule) is wanted
                simple.append((name, identity, wanted, absent, number))
        self.plans = {
            name: FieldPlan(self.fields[name], rules.values()) for name, rules in by_field.items()
        }
        places = {
            name: {identity: place for place, identity in enumerate(rules)}
            for name, rules in by_field.items()
        }
        # For each field (rule's place, wanted, whether absence satisfies it, literal).
        self.simple: dict[str, list[tuple[int, bool, bool, int]]] = {name: [] for name in by_field}
        for name, identity, wanted, absent, number in simple:
            self.simple[name].append((places[name][identity], wanted, absent, number))


def match_block(
    plan: BlockPlan, block: Block, now: int, lists: OnLists | None = NO_LISTS
) -> BlockResult:
    """The members of every segment at an instant (microseconds since the epoch).

    `lists`: for each static list which customers are on it, one flag each; a list left out has
    nobody. None: they can't be read, so rules about them are unknown.
    """
    keys = plan.catalog.keys
    bitmap: Bitmap = np.empty((len(keys), -(-block.size // 8)), np.uint8)
    for start in range(0, block.size, plan.rows_at_once):
        stop = min(start + plan.rows_at_once, block.size)
        part = block if stop - start == block.size else block.part(start, stop)
        _Match(plan, part, now, bitmap[:, start >> 3 : -(-stop // 8)]).run(
            lists and {key: flags[start:stop] for key, flags in lists.items()}
        )
    return BlockResult(keys, block.size, bitmap)


class _Match:
    """The matching of one block that fits the room, into `bitmap`."""

    def __init__(self, plan: BlockPlan, block: Block, now: int, bitmap: Bitmap) -> None:
        self.plan = plan
        self.block = block
        self.moment = Moment(now, plan.catalog.schema.zone)
        self.bitmap = bitmap
        self.nothing: Bitmap = np.zeros(bitmap.shape[1], np.uint8)
        self.everyone = pack(np.ones(block.size, dtype=bool))
        # By number of literal; references are filled in once what they refer to is settled.
        self.rows: list[Bitmap] = [self.nothing] * plan.size

    def run(self, lists: OnLists | None) -> None:
        """Fill the bitmap."""
        self._look_at_fields()
        matcher = self.plan.catalog.matcher
        for key, place in matcher.positions.items():
            if key in matcher.list_bits:
                flags = lists.get(key) if lists else None
                self.bitmap[place] = self.nothing if flags is None else pack(flags)
        self._refer(-1, lists is not None)
        for number, (index, schemes) in enumerate(matcher.levels):
            for place, key in enumerate(index.keys, index.offset):
                self._combine(self.plan.nodes[key], self.bitmap[place])
            for scheme in schemes:
                self._settle(scheme)
            self._refer(number, lists is not None)

    def _look_at_fields(self) -> None:
        rows, columns = self.rows, self.block.columns
        for name, literals in self.plan.simple.items():
            column = columns.get(name, NO_COLUMN)
            view = FieldView(self.plan.plans[name], column, self.block.size, self.moment)
            lacking = self.everyone ^ view.present
            for place, wanted, absent, number in literals:
                row = view.rows(place, wanted)
                rows[number] = row | lacking if absent else row
        for name, present, number in self.plan.presence:
            row = pack(columns.get(name, NO_COLUMN).present(self.block.size))
            rows[number] = row if present else self.everyone ^ row
        for rule, wanted, number in self.plan.pairs:
            rows[number] = self._pair(rule, wanted)

    def _pair(self, rule: Rule, wanted: bool) -> Bitmap:
        assert rule.other is not None  # noqa: S101 - it is a comparison of two fields
        size = self.block.size
        one, other = (
            self.block.columns.get(name, NO_COLUMN) for name in (rule.field.name, rule.other.name)
        )
        row = compared(rule, one, other, size, self.moment, wanted)
        if absent_truth(rule) is not wanted:
            return row
        return row | self.everyone ^ pack(one.present(size) & other.present(size))

    def _refer(self, level: int, lists_read: bool) -> None:
        """Fill in the literals about segments that are settled with a level."""
        matcher = self.plan.catalog.matcher
        for key, member, number in self.plan.references[level]:
            if key in matcher.list_bits and not lists_read:
                continue
            row = self.bitmap[matcher.positions[key]]
            self.rows[number] = row if member else self.everyone ^ row

    def _combine(self, node: Node, out: Bitmap) -> None:
        """The rows that satisfy a node, into `out`."""
        rows = self.rows
        join = np.bitwise_and if node.every else np.bitwise_or
        literals, inner = node.literals, node.nodes
        if len(literals) > 1:
            join(rows[literals[0]], rows[literals[1]], out)
            for number in literals[2:]:
                join(out, rows[number], out)
        elif literals:
            out[:] = rows[literals[0]]
        else:
            self._combine(inner[0], out)
            inner = inner[1:]
        for each in inner:
            scratch = np.empty_like(self.nothing)
            self._combine(each, scratch)
            join(out, scratch, out)

    def _settle(self, scheme: Scheme) -> None:
        """Leave only each customer's winner of a scheme."""
        taken = np.zeros_like(self.nothing)
        for place in scheme.by_priority:
            row = self.bitmap[place]
            np.bitwise_and(row, ~taken, out=row)
            np.bitwise_or(taken, row, out=taken)
