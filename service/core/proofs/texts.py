"""Whether a text, a list or an object can be what is wanted of it."""

from collections.abc import Iterable, Sequence
from datetime import UTC
from itertools import combinations, product
from typing import Any

from service.core.comparisons import Interval, normal
from service.core.conditions import Rule
from service.core.instants import Moment
from service.core.operators import OPERATORS, Family, Operand, Operator
from service.core.proofs.goals import Want
from service.core.proofs.lines import covers

# Texts, and lists' items, are compared pair by pair; past so many of them the rest is left out.
COMPARED = 32
# Of values that are given one by one each is tried, unless that were more trials than this.
TRIED = 5_000
_BEGINS, _ENDS, _CONTAINS = (OPERATORS[name] for name in ("beginsWith", "endsWith", "contains"))
# What a text that begins with, ends with or contains a part is sure to do with what the part does.
_INHERITED: dict[Operator, frozenset[Operator]] = {
    _BEGINS: frozenset({_BEGINS, _CONTAINS}),
    _ENDS: frozenset({_ENDS, _CONTAINS}),
    _CONTAINS: frozenset({_CONTAINS}),
}
_TIMELESS = Moment(0, UTC)  # tests of texts do not look at it

Tokens = tuple[frozenset[Any] | None, frozenset[Any]]


def tokens_of(wants: Iterable[Want], case_sensitive: bool) -> Tokens:
    """Of equalities in one letter case: the only values allowed (None: any), and those not."""
    allowed: frozenset[Any] | None = None
    forbidden: set[Any] = set()
    for want in wants:
        if want.operator.family is not Family.EQUALITY:
            continue
        if want.rule.case_sensitive is not case_sensitive:
            continue
        values = frozenset(want.values)
        if not want.wanted:
            forbidden |= values
        elif allowed is None:
            allowed = values
        else:
            allowed &= values
    return None if allowed is None else allowed - forbidden, frozenset(forbidden)


def equality_possible(wants: Sequence[Want]) -> bool:
    """Whether a value can equal, and differ from, what it is wanted to."""
    return all(tokens_of(wants, case)[0] != frozenset() for case in (False, True))


def text_possible(wants: Sequence[Want]) -> bool:
    """Whether a text can be what is wanted of it."""
    if not equality_possible(wants) or not _samples_possible(wants):
        return False
    for case_sensitive in (True, False):
        allowed, _ = tokens_of(wants, case_sensitive)
        if allowed is not None:
            return len(allowed) * len(wants) > TRIED or any(
                _fits(token, wants, case_sensitive) for token in allowed
            )
    return all(_parts_possible(wants, case) for case in (False, True))


def _fits(token: str, wants: Iterable[Want], case_sensitive: bool) -> bool:
    """Whether a text that compares as `token` can be what is wanted. A composed text says how it
    compares folded as well; a folded one does not say how it was written."""
    if normal(token, case_sensitive) != token:
        return True
    for want in wants:
        rule = want.rule
        if rule.operator.operand is Operand.SAMPLE:
            continue
        if not case_sensitive and (_sees_letters(rule)):
            continue
        equality = want.operator.family is Family.EQUALITY
        truth = (
            normal(token, rule.case_sensitive) in want.values
            if equality
            else want.operator.test(token, rule.operand, rule, _TIMELESS)
        )
        if truth is not want.wanted:
            return False
    return True


def _sees_letters(rule: Rule) -> bool:
    """Whether a rule looks at the text as it is written: patterns are never folded."""
    return rule.case_sensitive or rule.operator.operand is Operand.PATTERN


def _parts_possible(wants: Iterable[Want], case_sensitive: bool) -> bool:
    """Whether a text can begin with, end with, contain - and not - what is wanted."""
    asked = [
        want
        for want in wants
        if want.operator in _INHERITED and want.rule.case_sensitive is case_sensitive
    ]
    wanted = [want for want in asked if want.wanted][:COMPARED]
    unwanted = [want for want in asked if not want.wanted][:COMPARED]
    for one, other in product(wanted, unwanted):
        if other.operator in _INHERITED[one.operator] and other.operator.test(
            one.rule.operand, other.rule.operand, other.rule, _TIMELESS
        ):
            return False
    return all(_meet(one, other) for one, other in combinations(wanted, 2))


def _meet(one: Want, other: Want) -> bool:
    """Whether two wanted parts leave room for each other: of two beginnings (or ends) the longer
    begins with (or ends with) the shorter."""
    if one.operator is not other.operator or one.operator is _CONTAINS:
        return True
    short, long = sorted((one.rule.operand, other.rule.operand), key=len)
    return bool(long.startswith(short) if one.operator is _BEGINS else long.endswith(short))


def _samples_possible(wants: Iterable[Want]) -> bool:
    """Whether one place can lie within these samples and without those; samples of one salt nest,
    and all of them lie between 0 and 100."""
    outs: dict[str, list[Interval]] = {}
    for want in wants:
        if want.rule.operator.operand is Operand.SAMPLE:
            percent, salt = want.rule.operand
            ends = outs.setdefault(salt, [(None, (0, 0)), ((100, 0), None)])
            ends.append(((percent, 0), None) if want.wanted else ((0, 0), (percent, 0)))
    return not any(map(covers, outs.values()))


def list_possible(wants: Sequence[Want]) -> bool:
    """Whether a list can hold, and lack, what is wanted of it."""
    return equality_possible(wants) and all(_items_possible(wants, case) for case in (False, True))


def _items_possible(wants: Iterable[Want], case_sensitive: bool) -> bool:
    needed: set[Any] = set()
    lacking: set[Any] = set()
    choices: list[frozenset[Any]] = []
    not_together: list[frozenset[Any]] = []
    for want in wants:
        if want.operator.family is not Family.ITEMS:
            continue
        if want.rule.case_sensitive is not case_sensitive:
            continue
        tokens: frozenset[Any] = want.rule.operand
        if len(tokens) == 1 or want.operator.every is want.wanted:
            # One token alone is all of them; all of them are each.
            (needed if want.wanted else lacking).update(tokens)
        elif want.wanted:
            choices.append(tokens)
        else:
            not_together.append(tokens)
    return (
        needed.isdisjoint(lacking)
        and not any(tokens <= lacking for tokens in choices)
        and not any(tokens <= needed for tokens in not_together)
    )
