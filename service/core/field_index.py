"""The index of one field: which clauses each value of it rules out.

Constraints are gathered literal by literal, then frozen into lanes. A value is looked up once in
the lanes of its own type; the lanes of other types answer with all their clauses, because a
comparison with a value of another type is unknown.
"""

from bisect import bisect_right
from collections.abc import Callable
from datetime import datetime, tzinfo
from enum import Enum, auto
from functools import partial
from typing import Any

from service.core.bits import bits_of, positions_of
from service.core.comparisons import Cut, Interval
from service.core.conditions import Rule
from service.core.constraints import FieldConstraints
from service.core.horizons import next_change
from service.core.instants import Moment
from service.core.lanes import (
    ItemLane,
    LineLane,
    PlaceLane,
    TestLane,
    TokenLane,
)
from service.core.traits import ABSENT, WRONG_TYPE, TraitType, compose, fold, is_number, point, read

MEMO_BYTES = 4_000_000
LONG_TEXT = 256


class Form(Enum):
    """What a field's values mostly are; the look-up has a short way for each."""

    PRESENCE = auto()  # only whether there is a value matters
    NUMBERS = auto()
    TEXTS = auto()
    BOOLEANS = auto()
    LISTS = auto()
    PLACES = auto()
    INSTANTS = auto()
    CLOCKS = auto()  # instants, compared with now
    ANY = auto()
    ANY_CLOCK = auto()  # anything, some of it compared with now


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
        # By age, between those at which clauses change last, the clauses that change yet.
        last = {clause: turns[-1] for clause, turns in self.turns.items() if turns}
        self.lasts = sorted(set(last.values()))
        self.changing = [
            bits_of(clause for clause, turn in last.items() if turn >= then) for then in self.lasts
        ] + [0]
        questions = list(source.questions.values())
        self.questions = [q.frozen() for q in questions if not q.timed]
        self.timed_questions = [q.frozen() for q in questions if q.timed]
        # Of an instant's field all but text can be asked by the instant, parsed once.
        self.is_timed = self.ages is not None or bool(self.timed_questions)
        self.timed = bits_of(source.ages)
        for _, outs in self.timed_questions:
            self.timed |= outs[True] | outs[False] | outs[None]
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
        # By text as it comes; and, for the look-up, by None what is out without a value.
        self.memo: dict[str | None, int] = {None: self.absent}
        self.memo_limit = max(256, MEMO_BYTES // (size // 8 + 150))
        # A field of nothing but instants has as many values as customers.
        self.memoised = any((self.folded, self.exact, self.texts, self.versions, self.questions))
        self.form = self._form()

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

    def _form(self) -> Form:
        """The form whose lines answer for this field, and leave the rest to `static`."""
        lanes = {
            name
            for name in ("numbers", "money", "times", "versions", "folded", "exact", "booleans",
                         "texts", "items", "places", "questions")
            if getattr(self, name)
        }  # fmt: skip
        if self.is_timed:
            single = lanes <= {"times"} and (self.times is None or self.times.table is not None)
            return Form.CLOCKS if single else Form.ANY_CLOCK
        if not lanes:
            return Form.PRESENCE
        if lanes == {"numbers"} and self.numbers is not None and self.numbers.table is not None:
            return Form.NUMBERS
        if lanes == {"times"} and self.times is not None and self.times.table is not None:
            return Form.INSTANTS
        if lanes == {"booleans"}:
            return Form.BOOLEANS
        if lanes == {"items"}:
            return Form.LISTS
        if lanes == {"places"}:
            return Form.PLACES
        texts = {"folded", "exact", "texts", "versions"}
        return Form.TEXTS if lanes & texts and lanes <= texts | {"times", "questions"} else Form.ANY

    def parts(self) -> dict[str, Any]:
        """What the lines of its form read."""
        parts: dict[str, Any] = {"absent": self.absent, "any": self.static, "clock": self.clock}
        match self.form:
            case Form.PRESENCE:
                parts["present"] = self.beside_object
            case Form.NUMBERS:
                parts |= _table(self.numbers, self.beside_number)
            case Form.INSTANTS | Form.CLOCKS:
                parts |= _table(self.times, self.beside_text) | {"zone": self.zone}
            case Form.TEXTS:
                parts["memo"] = self.memo
            case Form.BOOLEANS:
                parts |= {"true": self.by_boolean[True], "false": self.by_boolean[False]}
            case Form.LISTS:
                assert self.items is not None  # noqa: S101 - so the form was chosen
                parts |= {"beside": self.beside_list, "items": self.items.out}
            case Form.PLACES:
                assert self.places is not None  # noqa: S101 - so the form was chosen
                parts |= {"beside": self.beside_object, "places": self.places.out}
        return parts

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
                    self.memo[None] = self.absent
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
        instant = read(TraitType.INSTANT, value, self.zone)
        return self.static(value), (self, value, None if instant is WRONG_TYPE else instant)

    def out(self, value: Any, instant: int | None, now: int) -> int:
        """The clauses that a clock's value rules out at `now`."""
        bits = 0
        if self.ages is not None:
            bits = self.ages.wrong if instant is None else self.ages.out(now - instant)
        return bits | self._ask(self.timed_questions, value, now) if self.timed_questions else bits

    def out_at(self, value: Any, now: int) -> int:
        """The clauses that a value, maybe ABSENT, rules out at `now`, time-bound or not."""
        if value is ABSENT:
            return self.absent
        if not self.is_timed:
            return self.static(value)
        bits, (_, _, instant) = self.clock(value)
        return bits | self.out(value, instant, now)

    def next_change(self, value: Any, now: int) -> int | None:
        """The first instant after `now` at which time alone could change what a value, maybe
        ABSENT, rules out: a lower bound; None: never."""
        if value is ABSENT or not self.is_timed:
            return None
        instant = self.clock(value)[1][2]
        changes: list[int | None] = [at for at, _, _ in self.flips(instant, now, self.timed, 0)]
        changes += [step(now) for _, step in self.steps(value, self.timed)]
        return min((change for change in changes if change is not None), default=None)

    def flips(
        self, instant: int | None, now: int, alive: int, level: int
    ) -> list[tuple[int, int, int]]:
        """The instants ahead at which fixed durations change clauses of `alive`, each with the
        number of the level, as the caller counts, and the clause."""
        if instant is None:
            return []
        age = now - instant
        changing = alive & self.changing[bisect_right(self.lasts, age)]
        return [
            (instant + turn, level, clause)
            for clause in positions_of(changing)
            for turn in self.turns[clause]
            if turn > age
        ]

    def steps(self, value: Any, alive: int) -> list[tuple[int, Callable[[int], int | None]]]:
        """What else can change clauses of `alive`, one change after another: which, and from an
        instant to a lower bound of the next change."""
        return [
            (bits, partial(_change_after, rule, value, self.zone))
            for rule, outs in self.timed_questions
            if (bits := (outs[True] ^ outs[False]) & alive)
        ]

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


# One value of a time-bound field: the field, the value, and the value read as an instant (None
# when it is none). A plain tuple, for one is made for each such field of every profile.
Clock = tuple[FieldIndex, Any, int | None]


def _bounds(interval: Interval) -> list[Cut]:
    return [cut for cut in interval if cut is not None]


def _table(lane: LineLane | None, beside: int) -> dict[str, Any]:
    """A line's table with what is out beside it. Without a line, a table of that alone."""
    if lane is None:
        return {"whole": [], "table": [beside]}
    assert lane.table is not None  # noqa: S101 - so the form was chosen
    table = [beside | bits for bits in lane.table]
    return {"bounds": lane.bounds, "whole": lane.whole, "table": table}


def _change_after(rule: Rule, value: Any, zone: tzinfo, now: int) -> int | None:
    return next_change(rule, value, Moment(now, zone))
