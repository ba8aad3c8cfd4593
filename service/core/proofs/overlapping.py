"""Segments that share customers, shown by an example.

Only segments that ask the same traits are compared: ranges that run into each other are a slip,
while segments about different things lean on priorities by design, and so do those of which one
holds the other. The examples are put together from the values that the rules name, and asked of
the interpreter: what it answers needs no other proof.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import tzinfo
from itertools import product
from typing import Any, NamedTuple

from service.core import instants
from service.core.catalog import Segment
from service.core.comparisons import Truth
from service.core.conditions import Condition, Field, Rule, Source, rules_of
from service.core.english import field_english
from service.core.horizons import looks_at_time
from service.core.instants import Duration, Moment, Span
from service.core.interpreting import evaluate
from service.core.lanes import EXACT
from service.core.operators import Family, Operand
from service.core.traits import TraitType

# Rules asked of examples, over all examples and segments of one group.
ASKED = 10_000
# Any instant will do for an example; windows are laid out around it.
_NOW = 1_800_000_000 * instants.SECOND
_NUMBERS = frozenset({TraitType.NUMBER, TraitType.MONEY})


class Overlap(NamedTuple):
    """Two segments that each have customers of their own and share some: `example` says who is
    shared, empty where only an instant could say it. `first` stands before `second`."""

    first: Segment
    second: Segment
    example: str


def overlaps(segments: Sequence[Segment], zone: tzinfo) -> Iterator[Overlap]:
    """For each segment, in order, the first one before it that it shares customers with."""
    alike: dict[frozenset[str], list[tuple[Segment, list[Rule]]]] = defaultdict(list)
    for segment in segments:
        if segment.condition is None:
            continue
        rules = list(rules_of(segment.condition))
        if all(rule.other is None and rule.field.source is not Source.SEGMENT for rule in rules):
            alike[frozenset(rule.field.name for rule in rules)].append((segment, rules))
    for group in alike.values():
        yield from _overlaps(group, zone)


def _overlaps(group: Sequence[tuple[Segment, list[Rule]]], zone: tzinfo) -> Iterator[Overlap]:
    rules = [rule for _, each in group for rule in each]
    fields = {rule.field.name: rule.field for rule in rules}
    values = {
        name: list(_values([rule for rule in rules if rule.field.name == name], zone))
        for name in fields
    }
    count = len(rules)
    for each in values.values():
        count *= len(each)
    if len(group) < 2 or not 0 < count <= ASKED or _nested(fields.values()):
        return
    people = [dict(zip(values, choice, strict=True)) for choice in product(*values.values())]
    profiles = [_profile(fields, person) for person in people]
    moment = Moment(_NOW, zone)
    # For each segment the examples that meet it.
    met = [_met(segment.condition, profiles, moment) for segment, _ in group]
    timed = any(map(looks_at_time, rules))
    for place, (second, _) in enumerate(group):
        for before, (first, _) in enumerate(group[:place]):
            both = met[before] & met[place]
            if both and met[before] - both and met[place] - both:
                person = people[min(both)]
                yield Overlap(first, second, "" if timed else _told(fields, person))
                break


def _nested(fields: Iterable[Field]) -> bool:
    """Whether one field lies within another: no example has both."""
    paths = {field.path for field in fields}
    return any(path[:steps] in paths for path in paths for steps in range(1, len(path)))


def _met(condition: Condition | None, profiles: Sequence[Any], moment: Moment) -> set[int]:
    assert condition is not None  # noqa: S101 - lists are not compared
    return {
        place
        for place, profile in enumerate(profiles)
        if evaluate(condition, profile, moment, _nowhere) is True
    }


def _nowhere(key: str) -> Truth:
    return False


def _profile(fields: dict[str, Field], person: dict[str, Any]) -> dict[str, Any]:
    profile: dict[str, Any] = {}
    for name, value in person.items():
        *steps, last = fields[name].path
        inner = profile
        for step in steps:
            inner = inner.setdefault(step, {})
        inner[last] = value
    return profile


def _told(fields: dict[str, Field], person: dict[str, Any]) -> str:
    return " and ".join(f"{field_english(fields[name])} {value}" for name, value in person.items())


def _values(rules: Iterable[Rule], zone: tzinfo) -> Iterator[Any]:
    """Values of a field that its rules may tell apart: those they name, and ones between and
    around them."""
    numbers: set[Any] = set()
    times: set[int] = set()
    others: dict[Any, None] = {}
    for rule in rules:
        for kind, operand in _operands(rule):
            if kind in _NUMBERS:
                if -EXACT < operand < EXACT:
                    numbers.add(operand)
            elif isinstance(operand, Span):
                times |= {operand.start - 1, operand.start, operand.end}
            elif isinstance(operand, Duration):
                for sign in (-1, 1):
                    end = instants.shift(_NOW, operand, zone, sign)
                    times |= {end - 1, end, end + 1}
            elif kind is TraitType.STRING:
                # As it was written: the operand is folded.
                written = rule.value if isinstance(rule.value, list) else [rule.value]
                others |= {text: None for text in written if isinstance(text, str)}
            elif kind is TraitType.BOOLEAN:
                others |= {True: None, False: None}
    yield from _about(sorted(numbers))
    for time in sorted(times):
        yield instants.format_instant(time)
    yield from others


def _operands(rule: Rule) -> Iterator[tuple[TraitType | None, Any]]:
    match rule.operator.family:
        case Family.EQUALITY:
            yield from rule.operand
        case Family.ORDER:
            pair = rule.operator.operand is Operand.PAIR
            yield from ((rule.kind, end) for end in (rule.operand if pair else (rule.operand,)))
        case Family.AGE:
            yield rule.kind, rule.operand


def _about(numbers: Sequence[Any]) -> Iterator[int | float]:
    """Numbers, the middle between neighbours, and one below and above them all."""
    for place, number in enumerate(numbers):
        if place == 0:
            yield _plain(number - 1)
        yield _plain(number)
        above = numbers[place + 1] if place + 1 < len(numbers) else number + 2
        yield _plain((number + above) / 2)


def _plain(number: Any) -> int | float:
    """As JSON has it: whole where it is whole."""
    return int(number) if number == int(number) else float(number)
