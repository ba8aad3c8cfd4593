"""What is proved of one condition: that it never or always holds, and which parts are in vain."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from service.core.catalog import Segment
from service.core.conditions import Condition, Rule
from service.core.operators import Family
from service.core.proofs import wording
from service.core.proofs.findings import Code, Finding
from service.core.proofs.goals import TRUE, Goal, Place, parts_of
from service.core.proofs.refuting import Budget, Core, World, refute

# Steps of each question about the whole condition, and of all questions about its parts.
WHOLE_STEPS = 3_000
PARTS_STEPS = 3_500


def prove(
    condition: Condition,
    segments: Mapping[str, Segment] | None = None,
    pointer: str = "/condition",
) -> list[Finding]:
    """What is proved of a condition. `segments`: those that its references may be followed into;
    `pointer`: where it stands in its document.

    A condition that is contradictory or always true has that one finding; its parts are not
    looked at.
    """
    world = World(segments or {})
    root = Goal(condition, TRUE, Place(pointer))
    cores = refute([root], world, Budget(WHOLE_STEPS))
    if cores is not None:
        return [_contradictory(cores, root.place)]
    cores = refute([root.contrary()], world, Budget(WHOLE_STEPS))
    if cores is not None:
        return [_always_true(cores, root.place)]
    return sorted(_Parts(world).of(root), key=lambda finding: finding.pointer)


def _contradictory(cores: tuple[Core, ...], root: Place) -> Finding:
    if len(cores) > 1:
        detail = (
            "No customer can match, whichever alternative is taken: for one, "
            f"{wording.clash(cores[0])}."
        )
        return Finding(Code.CONTRADICTORY, root.pointer, detail, root.pointer)
    here = _last_within(root, cores[0])
    detail = f"No customer can match: {wording.impossible(cores[0], here)}."
    return Finding(Code.CONTRADICTORY, here.pointer, detail, root.pointer)


def _always_true(cores: tuple[Core, ...], root: Place) -> Finding:
    detail = f"Every customer matches, as {wording.alternatives(cores[0])}"
    if len(cores) > 1:
        detail += "; the rest leaves nobody out either"
    return Finding(Code.ALWAYS_TRUE, root.pointer, f"{detail}.", root.pointer)


def _last_within(part: Place, core: Core) -> Place:
    """The last rule of a part that has a share in a clash; the part itself where none has."""
    return next((each.place for each in reversed(core) if part.holds(each.place)), part)


class _Layer:
    """Goals beside each other that must all be reached, by the fields they look at."""

    def __init__(self, goals: Iterable[Goal], world: World) -> None:
        self.by_field: dict[str, list[Goal]] = defaultdict(list)
        self.left_out: set[Place] = set()
        for goal in goals:
            for name in world.fields(goal.node):
                self.by_field[name].append(goal)

    def about(self, names: Iterable[str]) -> dict[Place, Goal]:
        """The goals that look at any of these fields."""
        return {
            goal.place: goal
            for name in names
            for goal in self.by_field.get(name, ())
            if goal.place not in self.left_out
        }


class _Parts:
    """Walks a condition that can be true, with the goals that hold around each part of it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.budget = Budget(PARTS_STEPS)
        self.around: list[_Layer] = []

    def of(self, goal: Goal) -> Iterator[Finding]:
        """The findings of a goal's parts."""
        if isinstance(goal.node, Rule) or self.budget.left < 0:
            return
        every, parts = parts_of(goal.node, goal)
        layer = _Layer(parts if every else (), self.world)
        self.around.append(layer)
        if every:
            yield from self._implied(parts, layer)
        else:
            reachable = []
            for part in parts:
                cores = self._refute(part)
                if cores is None:
                    reachable.append(part)
                else:
                    yield _unreachable(part, cores)
            parts = reachable
            yield from self._absorbed(parts, layer)
        for part in parts:
            if part.place not in layer.left_out:
                layer.left_out.add(part.place)
                yield from self.of(part)
                layer.left_out.discard(part.place)
        self.around.pop()

    def _implied(self, parts: list[Goal], layer: _Layer) -> Iterator[Finding]:
        """Of goals that all must be reached those that follow from the rest, the last first: of
        two that follow from each other the first stays."""
        if len(parts) == 1:
            return
        for part in reversed(parts):
            if _asks_presence(part.node):
                continue
            layer.left_out.add(part.place)
            cores = self._refute(part.contrary())
            if cores is None:
                layer.left_out.discard(part.place)
            else:
                yield _redundant(part, cores, every=True)

    def _absorbed(self, parts: list[Goal], layer: _Layer) -> Iterator[Finding]:
        """Of alternatives those that imply the rest."""
        if len(parts) == 1:
            return
        beside = _Layer([part.contrary() for part in parts], self.world)
        for part in reversed(parts):
            beside.left_out.add(part.place)
            cores = self._refute(part, beside)
            if cores is None:
                beside.left_out.discard(part.place)
            else:
                layer.left_out.add(part.place)
                yield _redundant(part, cores, every=False)

    def _refute(self, goal: Goal, *beside: _Layer) -> tuple[Core, ...] | None:
        if self.budget.left < 0:
            return None
        names = self.world.fields(goal.node)
        context: dict[Place, Goal] = {}
        for layer in (*self.around, *beside):
            context |= layer.about(names)
        return refute([*context.values(), goal], self.world, self.budget)


def _asks_presence(node: Condition) -> bool:
    """Whether a node only asks that a value is known: said twice it does no harm."""
    return isinstance(node, Rule) and node.operator.family is Family.PRESENCE


def _unreachable(part: Goal, cores: tuple[Core, ...]) -> Finding:
    here = _last_within(part.place, cores[0])
    detail = f"Nobody gets in by this alternative: {wording.impossible(cores[0], here)}."
    return Finding(Code.UNREACHABLE_RULE, here.pointer, detail, part.place.pointer)


def _redundant(part: Goal, cores: tuple[Core, ...], *, every: bool) -> Finding:
    others = [each for each in wording.distinct(cores) if not part.place.holds(each.place)]
    if not others:
        detail = "This changes nothing: every customer meets it."
    elif every:
        detail = f"This changes nothing: whoever meets {wording.beside(others)} meets it as well."
    else:
        detail = f"This changes nothing: whoever meets it gets in by {wording.beside(others)}."
    pointer = part.place.pointer
    return Finding(Code.REDUNDANT_RULE, pointer, detail, pointer)
