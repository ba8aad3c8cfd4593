"""The index of one field: which clauses each value of it rules out.

Constraints are gathered literal by literal, then frozen into lanes. A value is looked up once in
the lanes of its own type; the lanes of other types answer with all their clauses, because a
comparison with a value of another type is unknown.
"""

from bisect import bisect_right
from collections.abc import Callable
from datetime import datetime, tzinfo
from functools import partial
from typing import Any

from service.core.bits import bits_of, positions_of
from service.core.comparisons import Cut, Interval
from service.core.conditions import Rule
from service.core.constraints import FieldConstraints
from service.core.horizons import next_change
from service.core.instants import Moment, parse_instant
from service.core.lanes import (
    ItemLane,
    LineLane,
    PlaceLane,
    TestLane,
    TokenLane,
)
from service.core.traits import WRONG_TYPE, TraitType, compose, fold, is_number, point, read

MEMO_BYTES = 4_000_000
LONG_TEXT = 256


class FieldIndex:
    """One field's lanes, frozen. `static` answers for what time does not touch, `timed` for the
    rest; together they are the clauses that a present value rules out. `absent` answers for a
    field without a value."""

    def __init__(self, source: FieldConstraints, size: int) -> None:
        self.field = source.field
        self.zone = source.zone
        self.absent = bits_of(source.absent_out)
        present = bits_of(source.present_out)
        self.numbers = self._line(source, TraitType.NUMBER)
        self.money = self._line(source, TraitType.MONEY)
        self.times = self._line(source, TraitType.INSTANT)
        self.versions = self._line(source, TraitType.VERSION)
        self.folded = TokenLane(source.folded) if source.folded else None
        self.exact = TokenLane(source.exact) if source.exact else None
        self.booleans = TokenLane(source.booleans) if source.booleans else None
        self.texts = self._text_lane(source) if source.texts else None
        self.items = self._item_lane(source)
        has_places = source.near or source.not_near
        self.places = PlaceLane(source.near, source.not_near) if has_places else None
        self.ages = LineLane(source.ages) if source.ages else None
        # The ages at which each clause of theirs changes; a cut behind a value is the next one.
        self.turns = {
            clause: sorted({at + behind for each in intervals for at, behind in _bounds(each)})
            for clause, intervals in source.ages.items()
        }
        questions = list(source.questions.values())
        self.questions = [q.frozen() for q in questions if not q.timed]
        self.timed_questions = [q.frozen() for q in questions if q.timed]
        # Of an instant's field all but text can be asked by the instant, parsed once.
        self.is_timed = self.ages is not None or bool(self.timed_questions)
        # What a value of each type rules out in the lanes of other types.
        texts = self._wrong("times", "versions", "folded", "exact", "texts")
        numbers = self._wrong("numbers", "money")
        booleans, items = self._wrong("booleans"), self._wrong("items")
        places = self._wrong("places")
        self.beside_text = present | numbers | booleans | items | places
        self.beside_number = present | texts | booleans | items | places
        self.beside_list = present | texts | numbers | booleans | places
        self.beside_object = present | texts | numbers | booleans | items
        self.beside_time = self.beside_text | self._wrong("folded", "exact", "texts", "versions")
        beside_boolean = present | texts | numbers | items | places
        lane = self.booleans
        self.by_boolean = {
            value: beside_boolean | (0 if lane is None else lane.out(value))
            for value in (False, True)
        }
        self.memo: dict[str, int] = {}
        self.memo_limit = max(256, MEMO_BYTES // (size // 8 + 150))
        # A field of nothing but instants has as many values as customers.
        self.memoised = any((self.folded, self.exact, self.texts, self.versions, self.questions))
        self.only_instants = not (
            self.memoised or self.numbers or self.money or self.booleans or self.items
            or self.places
        )  # fmt: skip
        self.lookup = self._shortcut() or self.static

    @staticmethod
    def _line(source: FieldConstraints, kind: TraitType) -> LineLane | None:
        return LineLane(source.lines[kind]) if source.lines.get(kind) else None

    @staticmethod
    def _item_lane(source: FieldConstraints) -> ItemLane | None:
        if not (source.needs or source.unwanted or source.subsets):
            return None
        return ItemLane(source.needs, source.unwanted, source.subsets)

    @staticmethod
    def _text_lane(source: FieldConstraints) -> TestLane:
        moment = Moment(0, source.zone)  # text tests do not look at it

        def predicate(rule: Rule) -> Callable[[str], bool]:
            test, operand = rule.operator.test, rule.operand
            return lambda text: test(text, operand, rule, moment) is True

        return TestLane(
            (predicate(rule), bits_of(out_if_true), bits_of(out_if_false))
            for rule, out_if_true, out_if_false in source.texts.values()
        )

    def _wrong(self, *lanes: str) -> int:
        bits = 0
        for name in lanes:
            lane = getattr(self, name)
            if lane is not None:
                bits |= lane.wrong
        return bits

    def _shortcut(self) -> Callable[[Any], int] | None:
        """The commonest fields there are, numbers alone and instants alone, without detours."""
        if self.questions:
            return None
        lanes = {
            name
            for name in ("numbers", "money", "times", "versions", "folded", "exact", "booleans",
                         "texts", "items", "places")
            if getattr(self, name) is not None
        }  # fmt: skip
        if lanes == {"numbers"}:
            return self._number_lookup()
        if lanes <= {"times"}:
            return self._instant_lookup()
        if lanes == {"items"}:
            return self._list_lookup()
        if lanes == {"places"}:
            return self._place_lookup()
        return None

    def _number_lookup(self) -> Callable[[Any], int]:
        lane, static, beside = self.numbers, self.static, self.beside_number
        assert lane is not None  # noqa: S101 - the shortcut was chosen for this lane
        if lane.table is None:
            return static
        bounds, table = lane.bounds, [beside | bits for bits in lane.table]

        def lookup(value: Any) -> int:
            kind = type(value)
            if kind is int or (kind is float and value == value):  # noqa: PLR0124 - no NaN
                return table[bisect_right(bounds, value)]
            return static(value)

        return lookup

    def _list_lookup(self) -> Callable[[Any], int]:
        lane, static, beside = self.items, self.static, self.beside_list
        assert lane is not None  # noqa: S101 - the shortcut was chosen for this lane
        out = lane.out
        return lambda value: beside | out(value) if type(value) is list else static(value)

    def _place_lookup(self) -> Callable[[Any], int]:
        lane, static, beside = self.places, self.static, self.beside_object
        assert lane is not None  # noqa: S101 - the shortcut was chosen for this lane
        out, wrong = lane.out, lane.wrong

        def lookup(value: Any) -> int:
            if type(value) is not dict:
                return static(value)
            place = point(value)
            return beside | (wrong if place is None else out(place))

        return lookup

    def _instant_lookup(self) -> Callable[[Any], int]:
        lane, zone, static, beside = self.times, self.zone, self.static, self.beside_text
        if lane is None:
            return lambda value: beside if type(value) is str else static(value)
        out, wrong = lane.out, lane.wrong

        def lookup(value: Any) -> int:
            if type(value) is not str:
                return static(value)
            instant = parse_instant(value, zone)
            return beside | (wrong if instant is None else out(instant))

        return lookup

    def static(self, value: Any) -> int:
        """The clauses that a present value rules out whatever the time."""
        kind = type(value)
        if kind is str:
            if not self.memoised:
                return self._text(value)
            known = self.memo.get(value)
            if known is not None:
                return known
            bits = self._text(value)
            if len(value) <= LONG_TEXT:
                if len(self.memo) >= self.memo_limit:
                    self.memo.clear()
                self.memo[value] = bits
            return bits
        if is_number(value):
            bits = self.beside_number
            if self.numbers is not None:
                bits |= self.numbers.out(value)
            if self.money is not None:
                amount = read(TraitType.MONEY, value, self.zone)
                wrong = amount is WRONG_TYPE
                bits |= self.money.wrong if wrong else self.money.out(amount)
        elif kind is bool:
            bits = self.by_boolean[value]
        elif kind is list:
            bits = self.beside_list
            if self.items is not None:
                bits |= self.items.out(value)
        elif isinstance(value, datetime):
            bits = self.beside_time
            if self.times is not None:
                bits |= self.times.out(read(TraitType.INSTANT, value, self.zone))
        else:
            bits = self.beside_object
            if self.places is not None:
                place = point(value)
                bits |= self.places.wrong if place is None else self.places.out(place)
        return bits | self._ask(self.questions, value, 0) if self.questions else bits

    def clock(self, value: Any) -> "tuple[int, Clock]":
        """What a present value of a time-bound field rules out whatever the time, and the rest."""
        if type(value) is str:
            instant = parse_instant(value, self.zone)
        else:
            read_as = read(TraitType.INSTANT, value, self.zone)
            instant = None if read_as is WRONG_TYPE else read_as
        if not self.only_instants or type(value) is not str:
            return self.static(value), Clock(self, value, instant)
        bits = self.beside_text
        if self.times is not None:
            bits |= self.times.wrong if instant is None else self.times.out(instant)
        return bits, Clock(self, value, instant)

    def _text(self, value: str) -> int:
        bits = self.beside_text
        if self.folded is not None:
            bits |= self.folded.out(fold(value))
        if self.exact is not None:
            bits |= self.exact.out(compose(value))
        if self.texts is not None:
            bits |= self.texts.out(value)
        if self.times is not None:
            instant = read(TraitType.INSTANT, value, self.zone)
            bits |= self.times.wrong if instant is WRONG_TYPE else self.times.out(instant)
        if self.versions is not None:
            key = read(TraitType.VERSION, value, self.zone)
            bits |= self.versions.wrong if key is WRONG_TYPE else self.versions.out(key)
        return bits | self._ask(self.questions, value, 0) if self.questions else bits

    def _ask(
        self, questions: list[tuple[Rule, dict[bool | None, int]]], value: Any, now: int
    ) -> int:
        moment = Moment(now, self.zone)
        bits = 0
        for rule, outs in questions:
            bits |= outs[rule.operator.test(value, rule.operand, rule, moment)]
        return bits


def _bounds(interval: Interval) -> list[Cut]:
    return [cut for cut in interval if cut is not None]


class Clock:
    """One value of a time-bound field: what it rules out at an instant, and until when."""

    __slots__ = ("index", "instant", "value")

    def __init__(self, index: FieldIndex, value: Any, instant: int | None) -> None:
        """`instant`: the value read as one, None when it is none."""
        self.index = index
        self.value = value
        self.instant = instant

    def out(self, now: int) -> int:
        """The clauses that the value rules out at `now`."""
        index, instant = self.index, self.instant
        bits = 0
        if index.ages is not None:
            bits = index.ages.wrong if instant is None else index.ages.out(now - instant)
        if index.timed_questions:
            bits |= index._ask(index.timed_questions, self.value, now)
        return bits

    def flips(self, now: int, alive: int) -> list[tuple[int, int]]:
        """Of the clauses of `alive` that fixed durations bind, each with the instants ahead at
        which it changes."""
        index, instant = self.index, self.instant
        if index.ages is None or instant is None:
            return []
        age = now - instant
        return [
            (clause, instant + turn)
            for clause in positions_of(alive & index.ages.wrong)
            for turn in index.turns[clause]
            if turn > age
        ]

    def steps(self, alive: int) -> list[tuple[int, Callable[[int], int | None]]]:
        """What else can change clauses of `alive`, one change after another: which, and from an
        instant to a lower bound of the next change."""
        index = self.index
        return [
            (bits, partial(_change_after, rule, self.value, index.zone))
            for rule, outs in index.timed_questions
            if (bits := (outs[True] ^ outs[False]) & alive)
        ]


def _change_after(rule: Rule, value: Any, zone: tzinfo, now: int) -> int | None:
    return next_change(rule, value, Moment(now, zone))
