"""The index: which of many segments one profile is in.

Every condition becomes clauses (see `normalising`). For each field and value the clauses that the
value rules out are one integer; matching ORs one such integer a field, complements, and folds each
segment's clauses together. Fields that no condition reads cost nothing.

Segments that refer to others are matched after them, level by level; schemes are settled as soon
as all their segments are known.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import tzinfo

from service.core import lookup_code
from service.core.bits import bits_of
from service.core.comparisons import Truth
from service.core.conditions import (
    Condition,
    Field,
    Group,
    Rule,
    Source,
    references_of,
    rules_of,
)
from service.core.constraints import FieldConstraints, Question, rule_identity
from service.core.field_index import Clock, FieldIndex
from service.core.horizons import looks_at_time, next_change
from service.core.instants import Moment
from service.core.interpreting import rule_truth
from service.core.normalising import CLAUSE_LIMIT, clauses_of
from service.core.traits import ABSENT, Profile

# Keys of the lists a customer is on; None: they can't be read, so list rules are unknown.
Lists = Set[str] | None
NO_LISTS: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Scheme:
    """An exclusive segmentation: of its segments that are true, the first one stands."""

    key: str
    mask: int
    by_priority: tuple[int, ...]

    def settle(self, truths: int) -> int:
        """The truths with only the winner of this scheme left."""
        mine = truths & self.mask
        if mine & (mine - 1):
            winner = next(position for position in self.by_priority if mine >> position & 1)
            return truths & ~self.mask | 1 << winner
        return truths


@dataclass(frozen=True, slots=True)
class Level:
    """Segments that refer only to lower levels: their keys and conditions, in bit order, and the
    schemes that are complete once this level is known."""

    conditions: Sequence[tuple[str, Condition]]
    schemes: Sequence[tuple[str, Sequence[str]]] = ()


class LevelIndex:
    """The index of one level."""

    def __init__(
        self,
        conditions: Sequence[tuple[str, Condition]],
        offset: int,
        known: Mapping[str, int],
        lists: Set[str],
        zone: tzinfo,
    ) -> None:
        """`offset`: the global position of the level's first segment; `known`: global positions
        of the segments of lower levels; `lists`: which of them are lists."""
        self.zone = zone
        self.offset = offset
        self.known = known
        self.lists = lists
        clauses = {key: clauses_of(condition) for key, condition in conditions}
        # Segments with many clauses first, so that plane k is a prefix of the level.
        ordered = sorted(conditions, key=lambda item: -len(clauses[item[0]] or ()))
        self.keys = [key for key, _ in ordered]
        self.looped = [
            (position, _nnf(condition, True), [r for r in rules_of(condition) if looks_at_time(r)])
            for position, (key, condition) in enumerate(ordered)
            if clauses[key] is None
        ]
        # The fields that are read otherwise than by their indexes: by what has no clauses here,
        # and, from `_gather`, in comparisons with others.
        self.read_otherwise = {
            name
            for key, condition in ordered
            if clauses[key] is None
            for rule in rules_of(condition)
            for name in _names(rule)
        }
        counts = [len(clauses[key] or ()) for key in self.keys]
        self.planes: list[tuple[int, int]] = []  # (first clause, mask of the plane's segments)
        size = 0
        for plane in range(CLAUSE_LIMIT):
            width = sum(1 for count in counts if count > plane)
            if not width:
                break
            self.planes.append((size, (1 << width) - 1))
            size += width
        self.first_plane = self.planes[0][1] if self.planes else 0
        self.more_planes = self.planes[1:]
        self.firsts = [first for first, _ in self.planes]
        self.widths = [mask.bit_length() for _, mask in self.planes]
        self.size = size
        self.every = (1 << size) - 1
        self._gather(
            (self.planes[plane][0] + position, literal.rule, literal.wanted)
            for position, key in enumerate(self.keys)
            for plane, clause in enumerate(clauses[key] or ())
            for literal in dict.fromkeys(clause)
        )

    def _gather(self, literals: Iterable[tuple[int, Rule, bool]]) -> None:
        builders: dict[str, FieldConstraints] = {}
        pairs: dict[tuple[object, ...], Question] = {}
        references: dict[tuple[str, bool], list[int]] = defaultdict(list)
        on_lists: list[int] = []
        for clause, rule, wanted in literals:
            if rule.field.source is Source.SEGMENT:
                key = rule.field.path[0]
                member = rule.operator.test(True, rule.operand, rule, Moment(0, self.zone))
                references[key, member is wanted].append(clause)
                if key in self.lists:
                    on_lists.append(clause)
            elif rule.other is not None:
                pairs.setdefault(rule_identity(rule), Question(rule)).add(clause, wanted)
            else:
                builder = builders.get(rule.field.name)
                if builder is None:
                    builder = FieldConstraints(rule.field, self.zone)
                    builders[rule.field.name] = builder
                builder.add(clause, rule, wanted)
        indexes = [FieldIndex(builder, self.size) for builder in builders.values()]
        self.by_field = {index.field.name: index for index in indexes}
        self.read_otherwise.update(
            name for question in pairs.values() for name in _names(question.rule)
        )
        self.references = [
            (self.known[key], must_be_member, bits_of(clauses))
            for (key, must_be_member), clauses in references.items()
        ]
        # Of a profile, and the lists it is on: the clauses that it rules out whatever the time and
        # the other segments, and what of it moves with time.
        self.look_up = lookup_code.write(
            indexes,
            unread=bits_of(on_lists),
            pairs=self._pairs([question.frozen() for question in pairs.values()]),
        )

    def _pairs(
        self, questions: list[tuple[Rule, dict[Truth, int]]]
    ) -> Callable[[Profile], int] | None:
        """What comparisons of two fields rule out."""
        moment = Moment(0, self.zone)  # they don't look at it

        def out(profile: Profile) -> int:
            bits = 0
            for rule, outs in questions:
                bits |= outs[rule_truth(rule, profile, moment, _no_reference)]
            return bits

        return out if questions else None

    def open(self, out: int, truths: int) -> int:
        """The clauses left, those out aside that other segments rule out."""
        for position, must_be_member, clauses in self.references:
            if (truths >> position & 1) != must_be_member:
                out |= clauses
        # Not ~out: a negative integer costs more at every step that follows.
        return self.every ^ out

    def fold(self, out: int, truths: int) -> int:
        """The segments with a clause left; bit 0 is the level's first segment."""
        left = self.open(out, truths)
        result = left & self.first_plane
        for first, mask in self.more_planes:
            result |= left >> first & mask
        return result

    def position_of(self, clause: int) -> int:
        """The position of a clause's segment, over all levels."""
        return self.offset + clause - self.firsts[bisect_right(self.firsts, clause) - 1]

    def clauses_at(self, position: int) -> list[int]:
        """The clauses of the segment at a position."""
        mine = position - self.offset
        return [
            first + mine
            for first, width in zip(self.firsts, self.widths, strict=True)
            if mine < width
        ]

    def clauses_of(self, segments: int) -> int:
        """The clauses of these segments, given as a bitset over all levels."""
        mine = segments >> self.offset
        bits = 0
        for first, mask in self.planes:
            bits |= (mine & mask) << first
        return bits

    def looped_truths(self, prepared: "Prepared", truths: int, moment: Moment) -> int:
        """The segments too bushy for clauses, evaluated one by one."""

        def membership(key: str) -> Truth:
            if key in self.lists and prepared.lists is None:
                return None
            return bool(truths >> self.known[key] & 1)

        bits = 0
        for position, test, _ in self.looped:
            if test(prepared.profile, moment, membership):
                bits |= 1 << position
        return bits

    def looped_change(self, profile: Profile, moment: Moment) -> int | None:
        """When time could next change a segment that is too bushy for clauses."""
        changes = (
            next_change(rule, value, moment)
            for _, _, timed in self.looped
            for rule in timed
            if (value := rule.field.read(profile)) is not ABSENT
        )
        return min((change for change in changes if change is not None), default=None)


NnfTest = Callable[[Profile, Moment, Callable[[str], Truth]], bool]


def _nnf(condition: Condition, wanted: bool) -> NnfTest:
    """A closure: whether the condition is true (`wanted`), or false and not unknown."""
    if isinstance(condition, Rule):
        rule = condition
        return lambda profile, moment, members: rule_truth(rule, profile, moment, members) is wanted
    return _nnf_group(condition, wanted ^ condition.negated)


def _nnf_group(group: Group, wanted: bool) -> NnfTest:
    tests = [_nnf(child, wanted) for child in group.rules]
    if (group.combinator == "or") == wanted:
        return lambda profile, moment, members: any(t(profile, moment, members) for t in tests)
    return lambda profile, moment, members: all(t(profile, moment, members) for t in tests)


def _no_reference(key: str) -> Truth:
    raise AssertionError(f"a comparison of fields asked for segment {key}")


class Prepared:
    """A profile with everything looked up that time does not touch."""

    __slots__ = ("base", "found", "lists", "matcher", "profile")

    def __init__(
        self,
        matcher: "Matcher",
        profile: Profile,
        lists: Lists,
        base: int,
        found: list[tuple[int, list[Clock]]],
    ) -> None:
        """`base`: the lists the customer is on, as bits; `found`: what each level looked up."""
        self.matcher = matcher
        self.profile = profile
        self.lists = lists
        self.base = base
        self.found = found

    @property
    def moves(self) -> bool:
        """Whether time may touch it at all."""
        return self.matcher.bushy or any(clocks for _, clocks in self.found)

    def at(self, now: int) -> int:
        """The bitset of segments the profile is in at an instant, schemes settled."""
        matcher = self.matcher
        truths = self.base
        for (index, schemes), (static, clocks) in zip(matcher.levels, self.found, strict=True):
            out = static
            for field, value, instant in clocks:
                out |= field.out(value, instant, now)
            result = index.fold(out, truths)
            if index.looped:
                result |= index.looped_truths(self, truths, Moment(now, matcher.zone))
            truths |= result << index.offset
            for scheme in schemes:
                truths = scheme.settle(truths)
        return truths


class Nobodys(Prepared):
    """The profile of somebody who is left out of all segments, whatever they are about."""

    __slots__ = ()

    def __init__(self, matcher: "Matcher", profile: Profile) -> None:
        super().__init__(matcher, profile, NO_LISTS, 0, [])

    @property
    def moves(self) -> bool:
        """Never."""
        return False

    def at(self, now: int) -> int:
        """In none."""
        return 0


class Matcher:
    """All segments of a catalog, indexed. Immutable but for memos, which any thread may lose."""

    def __init__(
        self,
        lists: Sequence[str],
        levels: Sequence[Level],
        zone: tzinfo,
        moving: Container[str] = (),
    ) -> None:
        """`lists`: keys of the static lists; `levels`: the other segments, lowest first;
        `moving`: the fields whose values time alone can change."""
        self.zone = zone
        self.positions: dict[str, int] = {key: place for place, key in enumerate(lists)}
        self.list_bits = {key: 1 << place for key, place in self.positions.items()}
        self.levels: list[tuple[LevelIndex, list[Scheme]]] = []
        list_keys = frozenset(lists)
        for level in levels:
            offset = len(self.positions)
            index = LevelIndex(level.conditions, offset, dict(self.positions), list_keys, zone)
            for place, key in enumerate(index.keys):
                self.positions[key] = offset + place
            self.levels.append((index, [self._scheme(*scheme) for scheme in level.schemes]))
        self.keys = sorted(self.positions, key=self.positions.__getitem__)
        # The fields that are not, or not only, read through their indexes.
        self.read_otherwise = frozenset[str]().union(
            *(index.read_otherwise for index, _ in self.levels)
        )
        self.bushy = any(index.looped for index, _ in self.levels)
        # The segments that time alone can change, and whether some of them do so by what other
        # segments do, or aren't among the clauses at all.
        self.timed, self.entangled = self._timed(levels, moving)

    def _timed(self, levels: Sequence[Level], moving: Container[str]) -> tuple[int, bool]:
        timed = 0
        entangled = self.bushy
        for level in levels:
            for key, condition in level.conditions:
                follows = any(timed >> self.positions[key] & 1 for key in references_of(condition))
                entangled = entangled or follows
                if follows or any(
                    looks_at_time(rule)
                    or rule.field.name in moving
                    or (rule.other is not None and rule.other.name in moving)
                    for rule in rules_of(condition)
                ):
                    timed |= 1 << self.positions[key]
            for _, members in level.schemes:
                mask = bits_of(self.positions[member] for member in members)
                if timed & mask:
                    timed |= mask
                    entangled = True
        return timed, entangled

    def _scheme(self, key: str, members: Sequence[str]) -> Scheme:
        positions = tuple(self.positions[member] for member in members)
        return Scheme(key, bits_of(positions), positions)

    def indexes_of(self, name: str) -> list[FieldIndex]:
        """The indexes of a field, one for each level that reads it."""
        found = (index.by_field.get(name) for index, _ in self.levels)
        return [index for index in found if index is not None]

    def prepare(self, profile: Profile, lists: Lists = NO_LISTS) -> Prepared:
        """Look a profile up once, to ask about several instants."""
        base = 0
        if lists:
            for key in lists:
                base |= self.list_bits.get(key, 0)
        found = [index.look_up(profile, lists) for index, _ in self.levels]
        return Prepared(self, profile, lists, base, found)

    def match(self, profile: Profile, now: int, lists: Lists = NO_LISTS) -> int:
        """The bitset of segments that the profile is in at an instant."""
        return self.prepare(profile, lists).at(now)


def _names(rule: Rule) -> Iterator[str]:
    yield rule.field.name
    if rule.other is not None:
        yield rule.other.name


def fields_read(conditions: Iterable[Condition]) -> dict[str, Field]:
    """Every field that conditions read, by name."""
    found: dict[str, Field] = {}
    for condition in conditions:
        for rule in rules_of(condition):
            found[rule.field.name] = rule.field
            if rule.other is not None:
                found[rule.other.name] = rule.other
    return found
