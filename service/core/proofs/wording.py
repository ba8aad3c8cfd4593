"""Findings in sentences that a marketer understands."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from service.core.conditions import Rule
from service.core.english import field_english, summarise
from service.core.operators import OPERATORS
from service.core.proofs.goals import EVERY, Demand, Place, Truths
from service.core.proofs.refuting import Core

# Rules that a sentence names one by one.
NAMED = 3


def clash(core: Core, here: Place | None = None) -> str:
    """What can't be met together, the rule at `here` first: `age is more than 20 here, and is less
    than 10 in rule 1`."""
    first, *others = sorted(core, key=lambda demand: here is None or not here.holds(demand.place))
    at_first = here is not None and here.holds(first.place)
    parts = [f"{demanded(first)} here" if at_first else _placed(first)]
    parts += [_placed(other, first) for other in others[:NAMED]]
    if len(others) > NAMED:
        parts.append(f"{len(others) - NAMED:,} more rules")
    return f"{', '.join(parts[:-1])}, and {parts[-1]}"


def impossible(core: Core, here: Place) -> str:
    """Why a clash is one, the rule at `here` first."""
    if len(core) == 1:
        return f"{demanded(core[0])} never holds"
    return clash(core, here)


def alternatives(core: Core) -> str:
    """Rules of which one holds for everyone: `one of these: a is unknown (rule 1), a is known
    (rule 2)`."""
    told = [f"{excluded(demand)} ({named(demand.place)})" for demand in core]
    if len(told) > NAMED:
        told = [*told[:NAMED], f"or one of {len(told) - NAMED:,} more"]
    which = "one of these" if len(core) > 1 else "this"
    return f"{which} always holds: {', '.join(told)}"


def demanded(demand: Demand) -> str:
    """A demand as a clause: `age is at most 20`."""
    return _english(demand.rule, demand.truths) + _source(demand)


def excluded(demand: Demand) -> str:
    """What a demand denies, as a clause."""
    return _english(demand.rule, EVERY - demand.truths) + _source(demand)


def _source(demand: Demand) -> str:
    """The segment whose condition demands it, when it is not the one that is proved."""
    return "" if demand.place.segment is None else f" for segment {demand.place.segment}"


def _english(rule: Rule, truths: Truths) -> str:
    if True in truths:
        return _clause(rule)
    if rule.operator.inverse is None or None in truths:
        return f"not ({_clause(rule)})"
    missing = None if rule.missing is None else not rule.missing
    return _clause(replace(rule, operator=OPERATORS[rule.operator.inverse], missing=missing))


def _clause(rule: Rule) -> str:
    """A rule as part of a sentence: without the capital and the full stop of its own."""
    sentence = summarise(rule)
    return sentence[:1].lower() + sentence[1:-1]


def _placed(demand: Demand, after: Demand | None = None) -> str:
    """A demand with its place; a field that was just named is not named again."""
    text = demanded(demand)
    if after is not None and demand.rule.field.name == after.rule.field.name:
        text = text.removeprefix(f"{field_english(demand.rule.field)} ")
    return f"{text} in {named(demand.place)}"


def named(place: Place) -> str:
    """A place in words: `rule 2.1` for the first rule in the second one's group."""
    numbers = [int(step) + 1 for step in place.pointer.split("/rules/")[1:]]
    return f"rule {'.'.join(map(str, numbers))}" if numbers else "the condition"


def beside(demands: Sequence[Demand]) -> str:
    """The rules that another one is in vain beside: `rule 1 (age is more than 20)`."""
    if len(demands) == 1:
        (demand,) = demands
        return f"{named(demand.place)} ({_clause(demand.rule)}{_source(demand)})"
    names = [named(place) for place in dict.fromkeys(demand.place for demand in demands)]
    if len(names) > NAMED:
        names = [*names[:NAMED], f"{len(names) - NAMED:,} more"]
    return joined(names)


def joined(parts: Sequence[str]) -> str:
    """Parts of a sentence in a row: `a and b`, `a, b and c`."""
    return " and ".join([*filter(None, [", ".join(parts[:-1])]), parts[-1]])


def distinct(cores: Iterable[Core]) -> list[Demand]:
    """The demands of all branches, each place once."""
    return list({demand.place: demand for core in cores for demand in core}.values())
