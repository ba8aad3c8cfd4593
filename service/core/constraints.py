"""What the clauses of a level ask of one field, gathered literal by literal.

Several constraints of a clause on one kind of value become one: intervals are intersected, tokens
joined. `FieldIndex` freezes them into lanes.
"""

from collections import defaultdict
from datetime import tzinfo
from typing import Any

from service.core.bits import bits_of
from service.core.comparisons import TIMES, Interval
from service.core.conditions import Field, Rule
from service.core.geography import Circle
from service.core.horizons import looks_at_time
from service.core.instants import Duration
from service.core.interpreting import absent_truth
from service.core.lanes import complement, intersect
from service.core.operators import OPERATORS, Family
from service.core.traits import TraitType

_LINES = frozenset({TraitType.NUMBER, TraitType.MONEY, TraitType.VERSION, *TIMES})
_NOTHING: frozenset[Any] = frozenset()
# Needs of one clause among a list's items that stay in the lane; each takes a plane.
MANY_NEEDS = 4

Tokens = tuple[frozenset[Any] | None, frozenset[Any]]


def rule_identity(rule: Rule) -> tuple[Any, ...]:
    """What makes two rules ask the same question."""
    other = rule.other.name if rule.other else None
    return (
        rule.field.name,
        rule.operator.name,
        repr(rule.value),
        other,
        rule.missing,
        rule.case_sensitive,
    )


def kind_of_operand(rule: Rule) -> TraitType | None:
    """The one type of an equality's operands, None where they are of several."""
    kinds = {kind for kind, _ in rule.operand}
    return kinds.pop() if len(kinds) == 1 else None


def equality_intervals(kind: TraitType, values: list[Any]) -> list[Interval]:
    if kind in TIMES:
        merged: list[Interval] = []
        for span in sorted(values):
            low, high = (span.start, 0), (span.end, 0)
            if merged and merged[-1][1] is not None and low <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
            else:
                merged.append((low, high))
        return merged
    return [((value, 0), (value, 1)) for value in sorted(set(values))]


class Question:
    """A rule that only evaluation can answer, with the clauses out by its truth."""

    __slots__ = ("outs", "rule", "timed")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.timed = looks_at_time(rule)
        self.outs: dict[bool | None, list[int]] = {True: [], False: [], None: []}

    def add(self, clause: int, wanted: bool) -> None:
        """Take in a literal: the clause is out unless the rule's truth is `wanted`."""
        for truth, clauses in self.outs.items():
            if truth is not wanted:
                clauses.append(clause)

    def frozen(self) -> tuple[Rule, dict[bool | None, int]]:
        """The rule, and for each truth the bitset of clauses out."""
        return self.rule, {truth: bits_of(clauses) for truth, clauses in self.outs.items()}


class FieldConstraints:
    """Gathers the literals of one field."""

    def __init__(self, field: Field, zone: tzinfo) -> None:
        self.field = field
        self.zone = zone
        self.absent_out: list[int] = []
        self.present_out: list[int] = []
        self.lines: dict[TraitType, dict[int, list[Interval]]] = defaultdict(dict)
        self.ages: dict[int, list[Interval]] = {}
        self.folded: dict[int, Tokens] = {}
        self.exact: dict[int, Tokens] = {}
        self.booleans: dict[int, Tokens] = {}
        self.texts: dict[tuple[Any, ...], tuple[Rule, list[int], list[int]]] = {}
        self.needs: dict[int, list[frozenset[Any]]] = {}
        self.unwanted: dict[int, frozenset[Any]] = {}
        self.subsets: dict[frozenset[Any], list[int]] = defaultdict(list)
        self.near: dict[int, list[Circle]] = defaultdict(list)
        self.not_near: dict[int, list[Circle]] = defaultdict(list)
        self.questions: dict[tuple[Any, ...], Question] = {}

    def add(self, clause: int, rule: Rule, wanted: bool) -> None:
        """Take in one literal of a clause: the rule must be true, or false."""
        if absent_truth(rule) is not wanted:
            self.absent_out.append(clause)
        if rule.operator.family is Family.PRESENCE:
            if (rule.operator.negates is not None) is not wanted:
                self.present_out.append(clause)
            return
        if not self._indexed(clause, rule, wanted):
            question = self.questions.setdefault(rule_identity(rule), Question(rule))
            question.add(clause, wanted)

    def _indexed(self, clause: int, rule: Rule, wanted: bool) -> bool:
        """Whether a lane takes the literal; what no lane takes becomes a question."""
        positive = rule if rule.operator.negates is None else None
        wanted = wanted if positive else not wanted
        base = rule.operator if positive else OPERATORS[str(rule.operator.negates)]
        match rule.operator.family:
            case Family.EQUALITY:
                return self._equality(clause, rule, wanted)
            case Family.ORDER:
                assert base.interval is not None  # noqa: S101 - every order operator has one
                assert rule.kind is not None  # noqa: S101 - the parser gives order rules a kind
                self._line(clause, rule.kind, [base.interval(rule.operand)], wanted)
                return True
            case Family.AGE:
                duration: Duration = rule.operand
                if duration.months or base.interval is None:
                    return False
                self._intervals(self.ages, clause, [base.interval(duration)], wanted)
                return True
            case Family.TEXT:
                _, out_if_true, out_if_false = self.texts.setdefault(
                    rule_identity(rule), (rule, [], [])
                )
                asked = wanted if positive else not wanted
                (out_if_false if asked else out_if_true).append(clause)
                return True
            case Family.ITEMS:
                return self._items(clause, rule, wanted, every=base.every)
        if isinstance(rule.operand, Circle):
            (self.near if wanted else self.not_near)[clause].append(rule.operand)
            return True
        return False

    def _equality(self, clause: int, rule: Rule, wanted: bool) -> bool:
        kind = kind_of_operand(rule)
        values = [value for _, value in rule.operand]
        if kind in _LINES:
            assert kind is not None  # noqa: S101 - None is not among the lines
            self._line(clause, kind, equality_intervals(kind, values), wanted)
        elif kind is TraitType.STRING:
            table = self.exact if rule.case_sensitive else self.folded
            self._tokens(table, clause, frozenset(values), wanted)
        elif kind is TraitType.BOOLEAN:
            self._tokens(self.booleans, clause, frozenset(values), wanted)
        else:
            return False
        return True

    def _line(self, clause: int, kind: TraitType, holds: list[Interval], wanted: bool) -> None:
        line = TraitType.INSTANT if kind in TIMES else kind
        self._intervals(self.lines[line], clause, holds, wanted)

    @staticmethod
    def _intervals(
        table: dict[int, list[Interval]], clause: int, holds: list[Interval], wanted: bool
    ) -> None:
        intervals = holds if wanted else complement(holds)
        known = table.get(clause)
        table[clause] = intervals if known is None else intersect(known, intervals)

    @staticmethod
    def _tokens(
        table: dict[int, Tokens], clause: int, tokens: frozenset[Any], wanted: bool
    ) -> None:
        allowed, forbidden = table.get(clause, (None, _NOTHING))
        if wanted:
            table[clause] = (tokens if allowed is None else allowed & tokens, forbidden)
        else:
            table[clause] = (allowed, forbidden | tokens)

    def _items(self, clause: int, rule: Rule, wanted: bool, *, every: bool) -> bool:
        if rule.case_sensitive:
            return False
        tokens: frozenset[Any] = rule.operand
        if every and not wanted:
            self.subsets[tokens].append(clause)
            return True
        if wanted:
            needs = [frozenset({token}) for token in tokens] if every else [tokens]
            known = self.needs.get(clause, [])
            if len(known) + len(needs) > MANY_NEEDS:
                return False
            self.needs[clause] = known + needs
        else:
            self.unwanted[clause] = self.unwanted.get(clause, _NOTHING) | tokens
        return True
