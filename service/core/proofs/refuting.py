"""Refutation: goals that no customer can reach, at no instant.

A signed tableau for Kleene logic. Goals that all must be reached are gathered as demands on
fields; among goals of which one will do a branch is opened each. A branch closes when a field, or
a pair of fields, can't meet its demands. Goals are refuted when every branch closes. The work is
bounded: past its budget nothing is claimed.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC
from operator import itemgetter

from service.core.catalog import Segment
from service.core.comparisons import Truth
from service.core.conditions import Condition, Rule, Source
from service.core.instants import Moment
from service.core.proofs.comparing import Pair, fields_compared, pair_of, pair_possible
from service.core.proofs.goals import NOT_TRUE, TRUE, Demand, Goal, Place, parts_of
from service.core.proofs.values import possible

# Choices within choices that are followed.
DEPTH = 48
# Mates ahead in a scheme whose fields are told with those of a membership.
MATES = 64
# What a look at a field costs beside its demands.
CHECK_STEPS = 4
_TIMELESS = Moment(0, UTC)  # membership is asked of a settled answer

Core = tuple[Demand, ...]


_first = itemgetter(0)


class Exhausted(Exception):
    """The budget of a proof is used up."""


class Budget:
    """Steps that proofs may still take; a step looks at one demand, some microseconds."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        """Raises Exhausted when there are not so many left."""
        self.left -= steps
        if self.left < 0:
            raise Exhausted


class World:
    """The segments that references may be followed into, by key."""

    def __init__(self, segments: Mapping[str, Segment]) -> None:
        self.segments = segments
        self._fields: dict[int, frozenset[str]] = {}
        self._fields_through: dict[str, frozenset[str]] = {}
        self._schemes: dict[str, list[tuple[int, Segment]]] | None = None

    def fields(self, node: Condition) -> frozenset[str]:
        """The names of the fields that a node looks at, itself or through segments."""
        found = self._fields.get(id(node))
        if found is None:
            found = self._fields[id(node)] = frozenset(self._fields_of(node))
        return found

    def _fields_of(self, node: Condition) -> Iterator[str]:
        if not isinstance(node, Rule):
            for child in node.rules:
                yield from self.fields(child)
            return
        yield from fields_compared(node)
        if node.field.source is Source.SEGMENT:
            yield from self._through(node.field.path[0])

    def _through(self, key: str) -> frozenset[str]:
        found = self._fields_through.get(key)
        if found is None:
            # Nothing yet for who asks again meanwhile: definitions may refer in a circle.
            self._fields_through[key] = frozenset()
            # Of many mates the fields are left out: less is proved then, and nothing wrong.
            few = self.number_ahead(key) <= MATES
            goals = self.consequences(key, member=True) if few else []
            found = frozenset[str]().union(*(self.fields(goal.node) for goal in goals))
            self._fields_through[key] = found
        return found

    def two_valued(self, key: str) -> bool:
        """Whether membership is never unknown: of a segment with a condition. A list, and a
        segment that isn't known here and might be one, may be unreadable."""
        segment = self.segments.get(key)
        return segment is not None and segment.condition is not None

    def number_ahead(self, key: str) -> int:
        """How many segments take customers from this one: those before it in its scheme."""
        segment = self.segments.get(key)
        if segment is None or segment.definition.scheme is None:
            return 0
        priority = segment.definition.priority
        return 0 if priority is None else bisect_left(self._mates(segment), priority, key=_first)

    def ahead_of(self, key: str) -> list[Segment]:
        """Those segments, by priority."""
        mates = self._mates(self.segments[key])[: self.number_ahead(key)]
        return [mate for _, mate in mates]

    def _mates(self, segment: Segment) -> list[tuple[int, Segment]]:
        """The segments of a segment's scheme with their priorities, by these."""
        if self._schemes is None:
            self._schemes = defaultdict(list)
            for each in self.segments.values():
                if each.definition.scheme is not None and each.definition.priority is not None:
                    place = each.definition.priority, each
                    self._schemes[each.definition.scheme].append(place)
            for mates in self._schemes.values():
                mates.sort(key=_first)
        return self._schemes.get(segment.definition.scheme or "", [])

    def consequences(self, key: str, member: bool, pointer: str = "") -> list[Goal]:
        """What being a member, or not, says of conditions; asked by the rule at `pointer`."""
        if not self.two_valued(key):
            return []
        condition = self.segments[key].condition
        assert condition is not None  # noqa: S101 - two-valued segments have a condition
        place = Place(pointer, key)
        if not member:
            # In a scheme the segment's condition may hold, and another may have won.
            in_scheme = self.segments[key].definition.scheme is not None
            return [] if in_scheme else [Goal(condition, NOT_TRUE, place)]
        return [
            Goal(condition, TRUE, place),
            *(
                Goal(other.condition, NOT_TRUE, place)
                for other in self.ahead_of(key)
                if other.condition is not None
            ),
        ]


def refute(goals: Iterable[Goal], world: World, budget: Budget) -> tuple[Core, ...] | None:
    """The demands that can't be met together, branch by branch, when no customer can reach all of
    these goals; None where that is not proved."""
    try:
        return _Branch(world, budget).close(list(goals))
    except Exhausted:
        return None


class _Branch:
    def __init__(
        self,
        world: World,
        budget: Budget,
        demands: dict[str, tuple[Demand, ...]] | None = None,
        choices: Sequence[list[Goal]] = (),
        followed: frozenset[tuple[str, bool]] = frozenset(),
        level: int = 0,
    ) -> None:
        self.world = world
        self.budget = budget
        # By the name of each field that a demand looks at.
        self.demands = demands or {}
        self.choices = list(choices)
        self.followed = set(followed)
        self.level = level

    def close(self, goals: list[Goal]) -> tuple[Core, ...] | None:
        """Why the branch has no way out once these goals are added, None if it may have one."""
        core = self._gather(goals)
        if core is not None:
            return (core,)
        closed: list[Core] = []
        choice = self._narrowest(closed)
        if choice is None:
            return None
        if choice and self.level == DEPTH:
            return None
        for goal in choice:
            below = _Branch(
                self.world, self.budget, self.demands.copy(), self.choices,
                frozenset(self.followed), self.level + 1,
            )  # fmt: skip
            self.budget.spend(len(self.demands) // 8 + 1)
            cores = below.close([goal])
            if cores is None:
                return None
            if not any(demand.level > self.level for core in cores for demand in core):
                # The choice had no part in it.
                return cores
            closed.extend(cores)
        return tuple(closed)

    def _gather(self, goals: list[Goal]) -> Core | None:
        """Take goals apart into demands and choices; the demands that clash, if any do."""
        added: dict[str, list[Demand]] = {}
        pairs: dict[Pair, None] = {}
        waiting = goals[::-1]
        while waiting:
            goal = waiting.pop()
            self.budget.spend(1)
            if not isinstance(goal.node, Rule):
                every, parts = parts_of(goal.node, goal)
                if every or len(parts) == 1:
                    waiting.extend(reversed(parts))
                else:
                    self.choices.append(parts)
                continue
            demand = Demand(goal.node, goal.truths, goal.place, self.level)
            for name in fields_compared(demand.rule):
                added.setdefault(name, []).append(demand)
            if (pair := pair_of(demand.rule)) is not None:
                pairs[pair] = None
            waiting.extend(self._followed(demand))
        for name, demands in added.items():
            self.demands[name] = (*self.demands.get(name, ()), *demands)
        subjects: list[str | Pair] = [*added, *pairs]
        for subject in subjects:
            if (core := self._clash(subject)) is not None:
                return core
        return None

    def _followed(self, demand: Demand) -> list[Goal]:
        """What a demand on membership says of the segment's condition."""
        if demand.rule.field.source is not Source.SEGMENT:
            return []
        key = demand.rule.field.path[0]
        members = [member for member in (True, False) if _member_fits(member, demand)]
        if len(members) != 1 or (key, members[0]) in self.followed:
            return []
        self.followed.add((key, members[0]))
        return self.world.consequences(key, members[0], demand.place.pointer)

    def _narrowest(self, closed: list[Core]) -> list[Goal] | None:
        """The choice with the fewest ways left, taken out; None when no choice is left to make.

        Ways that clash with what is demanded already are left out (why is added to `closed`),
        and so are choices one of whose ways is taken in any case.
        """
        open_choices: list[list[Goal]] = []
        narrowest: tuple[int, list[Goal], list[Core]] | None = None
        for choice in self.choices:
            left: list[Goal] = []
            cores: list[Core] = []
            for goal in choice:
                self.budget.spend(1)
                core = self._clash_with(goal)
                if core is not None:
                    cores.append(core)
                elif self._clash_with(goal.contrary()) is not None:
                    break
                else:
                    left.append(goal)
            else:
                if narrowest is None or len(left) < len(narrowest[1]):
                    narrowest = len(open_choices), left, cores
                open_choices.append(choice)
                if not left:
                    break
        if narrowest is None:
            return None
        place, ways, clashes = narrowest
        del open_choices[place]
        self.choices = open_choices
        closed.extend(clashes)
        return ways

    def _clash_with(self, goal: Goal) -> Core | None:
        """What one more demand would clash with; groups are not looked into."""
        if not isinstance(goal.node, Rule) or goal.node.other is not None:
            return None
        demand = Demand(goal.node, goal.truths, goal.place, self.level + 1)
        name = demand.rule.field.name
        return self._core((*self.demands.get(name, ()), demand), self._unmet(name))

    def _clash(self, subject: str | Pair) -> Core | None:
        if isinstance(subject, str):
            return self._core(self.demands[subject], self._unmet(subject))
        one, other = subject
        beside = (each for each in self.demands[other] if one not in fields_compared(each.rule))
        return self._core(
            (*self.demands[one], *beside), lambda demands: not pair_possible(subject, demands)
        )

    def _unmet(self, name: str) -> Callable[[Sequence[Demand]], bool]:
        if name.startswith("segment:"):
            return lambda demands: not self._membership_possible(name, demands)
        return lambda demands: not possible(demands)

    def _membership_possible(self, name: str, demands: Sequence[Demand]) -> bool:
        members: tuple[Truth, ...] = (True, False)
        if not self.world.two_valued(name.removeprefix("segment:")):
            members = (True, False, None)
        return any(all(_member_fits(member, each) for each in demands) for member in members)

    def _core(
        self, demands: tuple[Demand, ...], unmet: Callable[[Sequence[Demand]], bool]
    ) -> Core | None:
        """A smallest part of these demands that can't be met, None where they all can."""

        def clash(some: Sequence[Demand]) -> bool:
            self.budget.spend(CHECK_STEPS + sum(map(_weight, some)))
            return unmet(some)

        if not clash(demands):
            return None
        core: list[Demand] = []
        rest = list(demands)
        try:
            while rest and not clash(core):
                # The shortest beginning that clashes: its last demand has a part in it.
                low, high = 0, 1
                while high < len(rest) and not clash(core + rest[:high]):
                    low, high = high, 2 * high
                high = min(high, len(rest))
                while high - low > 1:
                    middle = (low + high) // 2
                    if clash(core + rest[:middle]):
                        high = middle
                    else:
                        low = middle
                core.append(rest[high - 1])
                del rest[high - 1 :]
        except Exhausted:
            # All of them clash; which ones is a question of wording.
            return demands
        kept = set(map(id, core))
        return tuple(each for each in demands if id(each) in kept)


def _weight(demand: Demand) -> int:
    operand = demand.rule.operand
    return 1 + len(operand) // 4 if isinstance(operand, tuple | frozenset) else 1


def _member_fits(member: Truth, demand: Demand) -> bool:
    rule = demand.rule
    truth = None if member is None else rule.operator.test(member, rule.operand, rule, _TIMELESS)
    return truth in demand.truths
