"""One field's predicates over a block: for each the rows where it is true, or where it is false.

Both are asked for: where a value is missing or of another type, a predicate is neither.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.core import instants
from service.core.bitmaps import Bitmap, Codes, pack, planes_of, smallest_dtype
from service.core.columns import (
    Booleans,
    Column,
    Instants,
    Lists,
    Numbers,
    Others,
    Part,
    Points,
    Texts,
)
from service.core.comparisons import TIMES, Interval, normal
from service.core.conditions import Field, Rule
from service.core.constraints import equality_intervals
from service.core.instants import Moment
from service.core.lines import TEXTS_KEPT, Line
from service.core.operators import Family, Operand
from service.core.traits import TraitType

_LINES = frozenset({TraitType.NUMBER, TraitType.MONEY, TraitType.VERSION, *TIMES})
# Machine arithmetic is trusted to this distance from a circle's edge, in the cosine of the angle;
# points nearer to it are asked of the rule itself.
_EDGE = 1e-12


# The rows of a column where a predicate has a truth, True or False.
Asked = Callable[["FieldView", bool], Bitmap]


class FieldPlan:
    """What a block's column of one field is asked; made once a catalog."""

    def __init__(self, field: Field, rules: Iterable[Rule]) -> None:
        """`rules`: distinct, of this field alone, none about presence, none negative."""
        self.field = field
        self.rules = list(rules)
        self.intervals: dict[TraitType, list[tuple[Rule, list[Interval] | None]]] = defaultdict(
            list
        )
        self.tokens: dict[bool, set[Any]] = {False: set(), True: set()}
        self.asked = [self._asked(rule) for rule in self.rules]
        self.lines = {
            kind: Line(kind, [held for _, held in entries if held is not None])
            for kind, entries in self.intervals.items()
            if all(held is not None for _, held in entries)
        }

    def line(self, kind: TraitType, moment: Moment) -> Line:
        """The line of a type at an instant; time windows move its cuts."""
        line = self.lines.get(kind)
        if line is None:
            line = Line(
                kind,
                [
                    _window(rule, moment) if held is None else held
                    for rule, held in self.intervals[kind]
                ],
            )
        return line

    def _asked(self, rule: Rule) -> list[Asked]:
        """How a rule is answered; several ways where its operands are of several types."""
        match rule.operator.family:
            case Family.EQUALITY:
                return self._equality(rule)
            case Family.ORDER:
                assert rule.kind is not None  # noqa: S101 - the parser gives order rules a kind
                assert rule.operator.interval is not None  # noqa: S101 - as above
                return [self._on_line(rule, rule.kind, [rule.operator.interval(rule.operand)])]
            case Family.AGE:
                return [self._on_line(rule, TraitType.INSTANT, None)]
            case Family.TEXT:
                return [_tested(rule)]
            case Family.ITEMS:
                self.tokens[rule.case_sensitive] |= rule.operand
                return [lambda view, truth: view.items(rule, truth)]
        if rule.operator.operand is Operand.DISTANCE:
            return [_within(rule)]
        return [lambda view, truth: view.evaluated(rule, truth)]

    def _equality(self, rule: Rule) -> list[Asked]:
        wanted: dict[TraitType, list[Any]] = defaultdict(list)
        for kind, value in rule.operand:
            wanted[kind].append(value)
        asked: list[Asked] = []
        for kind, values in wanted.items():
            if kind in _LINES:
                asked.append(self._on_line(rule, kind, equality_intervals(kind, values)))
            elif kind is TraitType.STRING:
                asked.append(_one_of_texts(frozenset(values), rule.case_sensitive))
            elif kind is TraitType.BOOLEAN:
                asked.append(_one_of_booleans(frozenset(values)))
            else:
                return [lambda view, truth: view.evaluated(rule, truth)]
        return asked

    def _on_line(self, rule: Rule, kind: TraitType, held: list[Interval] | None) -> Asked:
        kind = TraitType.INSTANT if kind in TIMES else kind
        entries = self.intervals[kind]
        place = len(entries)
        entries.append((rule, held))

        def asked(view: FieldView, truth: bool) -> Bitmap:
            line, each = view.line(kind)
            bounds = line.holds[place] if truth else line.fails[place]
            if len(each) == 1:
                return each[0].between(bounds)
            found = view.nothing
            for codes in each:
                found = found | codes.between(bounds)
            return found

        return asked


def _one_of_texts(texts: frozenset[str], case_sensitive: bool) -> Asked:
    def asked(view: FieldView, truth: bool) -> Bitmap:
        codes = view.by_text
        if codes is None:
            return view.nothing
        spellings = view.spellings(case_sensitive)
        found = codes.any_of([place for text in texts for place in spellings.get(text, ())])
        return found if truth else found ^ codes.at_least(1)

    return asked


def _one_of_booleans(wanted: frozenset[bool]) -> Asked:
    def asked(view: FieldView, truth: bool) -> Bitmap:
        part = view.column.part(Booleans)
        if part is None:
            return view.nothing
        flags = np.zeros(view.size, dtype=bool)
        for value in (True, False):
            if (value in wanted) is truth:
                flags |= part.values if value else ~part.values
        return pack(flags & part.valid)

    return asked


def _tested(rule: Rule) -> Asked:
    """A test of texts, once a distinct text."""
    test, operand = rule.operator.test, rule.operand
    known: dict[str, bool] = {}

    def asked(view: FieldView, truth: bool) -> Bitmap:
        codes = view.by_text
        if codes is None or view.texts is None:
            return view.nothing
        if len(known) > TEXTS_KEPT:
            known.clear()
        hits = []
        for place, text in enumerate(view.texts.dictionary, 1):
            hit = known.get(text)
            if hit is None:
                known[text] = hit = test(text, operand, rule, view.moment) is True
            if hit:
                hits.append(place)
        found = codes.any_of(hits)
        return found if truth else found ^ codes.at_least(1)

    return asked


def _within(rule: Rule) -> Asked:
    """Whether points lie in a circle: by the cosine of the angle to its centre."""
    centre = np.array(rule.operand.to)
    # A chord's square is twice what the cosine of its angle lacks to 1.
    limit = 1 - rule.operand.chord / 2
    test, operand = rule.operator.test, rule.operand

    def asked(view: FieldView, truth: bool) -> Bitmap:
        part = view.column.part(Points)
        if part is None:
            return view.nothing
        cosines = np.matmul(centre, view.vectors(part), out=view.floats)
        inside, near = cosines >= limit + _EDGE, cosines >= limit - _EDGE
        if np.count_nonzero(inside) != np.count_nonzero(near):
            for row in np.flatnonzero(inside ^ near):
                place = {"lat": float(part.lat[row]), "lon": float(part.lon[row])}
                inside[row] = test(place, operand, rule, view.moment)
        found = pack(inside)
        return found if truth else found ^ pack(part.valid)

    return asked


def _window(rule: Rule, moment: Moment) -> list[Interval]:
    """The instants for which a time window holds at an instant: (now - d, now], (now, now + d]."""
    now, zone = moment
    ages, text = rule.operator.interval, rule.operand.text
    assert ages is not None  # noqa: S101 - every window has one
    back = now - instants.shift(now, rule.operand, zone, -1)
    low, high = ages(instants.Duration(0, back, text))
    assert low is not None and high is not None  # noqa: S101, PT018 - windows have two ends
    if low[0] < 0:
        ahead = instants.shift(now, rule.operand, zone, 1) - now
        low, high = ages(instants.Duration(0, ahead, text))
        assert low is not None and high is not None  # noqa: S101, PT018 - windows have two ends
    return [((now - high[0], 1), (now - low[0], 1))]


class FieldView:
    """One column under questioning at one instant."""

    def __init__(self, plan: FieldPlan, column: Column, size: int, moment: Moment) -> None:
        self.plan = plan
        self.column = column
        self.size = size
        self.moment = moment
        self.nothing: Bitmap = np.zeros((size + 7) // 8, np.uint8)
        self.present = pack(column.present(size))
        self.texts = column.part(Texts)
        self.others = column.part(Others)
        self._lines: dict[TraitType, tuple[Line, list[Codes]]] = {}
        self._spellings: dict[bool, dict[str, list[int]]] = {}
        self._token_rows: dict[bool, dict[Any, Bitmap]] = {}
        self._vectors: NDArray[np.float64] | None = None

    def rows(self, number: int, truth: bool) -> Bitmap:
        """The rows where the plan's rule of that number has a truth, True or False."""
        asked = self.plan.asked[number]
        found = asked[0](self, truth)
        for more in asked[1:]:
            found = found | more(self, truth)
        if self.others is not None:
            found = found | self._evaluated_each(self.plan.rules[number], self.others, truth)
        return found

    def _evaluated_each(self, rule: Rule, part: Part, truth: bool) -> Bitmap:
        flags = np.zeros(self.size, dtype=bool)
        test, operand = rule.operator.test, rule.operand
        for value, rows in part.raw():
            if test(value, operand, rule, self.moment) is truth:
                flags[rows] = True
        return pack(flags)

    def evaluated(self, rule: Rule, truth: bool) -> Bitmap:
        """By the rule's own test, once a distinct value."""
        found = self.nothing
        for part in self.column.parts:
            if not isinstance(part, Others):
                found = found | self._evaluated_each(rule, part, truth)
        return found

    def line(self, kind: TraitType) -> tuple[Line, list[Codes]]:
        """The line of a type, and the codes of the column's parts that have values on it."""
        known = self._lines.get(kind)
        if known is None:
            line = self.plan.line(kind, self.moment)
            known = self._lines[kind] = (line, list(self._line_codes(line)))
        return known

    def _line_codes(self, line: Line) -> Iterator[Codes]:
        if line.kind in (TraitType.NUMBER, TraitType.MONEY):
            numbers = self.column.part(Numbers)
            if numbers is not None:
                yield Codes(_number_codes(line, numbers), line.count)
            return
        stamps = self.column.part(Instants) if line.kind is TraitType.INSTANT else None
        if stamps is not None:
            yield Codes(line.integer_codes(stamps.micros) * stamps.valid, line.count)
        if self.texts is not None:
            codes = line.text_codes(self.texts.dictionary, self.moment.zone)
            # Rows without a text look at the last place.
            codes = np.append(codes, codes.dtype.type(0))
            yield Codes(codes.take(self.texts.codes, mode="wrap"), line.count)

    @cached_property
    def by_text(self) -> Codes | None:
        """For each row one more than its text's place in the dictionary, 0 for none."""
        if self.texts is None:
            return None
        count = len(self.texts.dictionary) + 1
        return Codes((self.texts.codes + 1).astype(smallest_dtype(count)), count)

    def spellings(self, case_sensitive: bool) -> dict[str, list[int]]:
        """The codes of `by_text` by the form in which their texts compare."""
        known = self._spellings.get(case_sensitive)
        if known is None:
            known = self._spellings[case_sensitive] = {}
            for place, text in enumerate(self.texts.dictionary if self.texts else (), 1):
                known.setdefault(normal(text, case_sensitive), []).append(place)
        return known

    def items(self, rule: Rule, truth: bool) -> Bitmap:
        """By whether lists hold one of the rule's items, or every one."""
        part = self.column.part(Lists)
        if part is None:
            return self.nothing
        found = self._token_rows.get(rule.case_sensitive)
        if found is None:
            wanted = self.plan.tokens[rule.case_sensitive]
            found = _rows_by_token(part, wanted, rule.case_sensitive)
            self._token_rows[rule.case_sensitive] = found
        rows = [found[token] for token in rule.operand]
        join = np.bitwise_and if rule.operator.every else np.bitwise_or
        true = rows[0] if len(rows) == 1 else join.reduce(rows)
        return true if truth else true ^ pack(part.valid)

    def vectors(self, part: Points) -> NDArray[np.float64]:
        """Points on the unit sphere, [3, size], NaN where there is none."""
        if self._vectors is None:
            lat, lon = np.radians(np.where(part.valid, part.lat, np.nan)), np.radians(part.lon)
            flat = np.cos(lat)
            self._vectors = np.stack((flat * np.cos(lon), flat * np.sin(lon), np.sin(lat)))
        return self._vectors

    @cached_property
    def floats(self) -> NDArray[np.float64]:
        """Room for one float a row."""
        return np.empty(self.size)


def _number_codes(line: Line, part: Numbers) -> NDArray[Any]:
    values, valid = part.values, part.valid
    if values.dtype == np.int64:
        codes = line.integer_codes(values)
    else:
        # NaN is no number; money is finite.
        bad = np.isnan(values) if line.kind is TraitType.NUMBER else ~np.isfinite(values)
        if bad.any():
            valid = valid & ~bad
            values = np.where(bad, 0.0, values)
        codes = line.float_codes(values)
    codes *= valid
    return codes


def _rows_by_token(part: Lists, wanted: set[Any], case_sensitive: bool) -> dict[Any, Bitmap]:
    """For each wanted token the rows whose list holds it."""
    first, last = part.offsets[0], part.offsets[-1]
    starts = part.offsets[:-1] - first
    filled = (np.diff(part.offsets) > 0) & part.valid
    tokens = list(wanted)
    found: dict[Any, Bitmap] = {}
    # One bit a token: 64 of them at a time.
    for begin in range(0, len(tokens), 64):
        some = tokens[begin : begin + 64]
        masks = {token: 1 << bit for bit, token in enumerate(some)}
        table = np.array(
            [
                masks.get(normal(item, case_sensitive) if isinstance(item, str) else item, 0)
                for item in part.dictionary
            ],
            np.uint64,
        )
        # An item more, so that a list that ends at the end begins somewhere.
        items = np.append(table.take(part.codes[first:last]), np.uint64(0))
        rows = np.bitwise_or.reduceat(items, starts) * filled
        found |= dict(zip(some, planes_of(rows, len(some)), strict=True))
    return found
