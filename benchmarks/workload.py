"""The engine's workload, the same for every seed: customers of 28 fields, and their segments.

Profiles are plain dicts of JSON values: 10 numbers, 8 strings, 3 booleans, 3 instants (RFC 3339),
2 lists of strings, 1 version, 1 point `{lat, lon}`. Each value is absent with probability 0.1;
none is of a wrong type.

Definitions are conditions in wire format with 3.4 predicates on average; 30% hold an OR, a NOT,
or both. Operands are quantiles of the field, rounded as people round, so that 1 to 5% of the
segments match a profile. Strings are lower-case ASCII: peers that don't case-fold lose nothing.

Of the predicates 4% are time windows (`withinLast`, `notWithinLast`); a third with
`third_time=True`. `peers=True` keeps to what every peer can express: numbers, strings and
booleans under `= != in notIn < <= > >= between`, hence no time windows.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

Profile = dict[str, Any]
Rule = dict[str, Any]

NOW = datetime(2026, 11, 21, tzinfo=UTC)
NOW_US = int(NOW.timestamp()) * 1_000_000

MISSING = 0.1
PREDICATES = (1, 2, 3, 4, 5, 6, 7)
PREDICATE_WEIGHTS = (3, 18, 37, 26, 11, 4, 1)
WITH_OR_OR_NOT = 0.3 / (1 - PREDICATE_WEIGHTS[0] / sum(PREDICATE_WEIGHTS))
TIME_SHARE = 0.04
THIRD = 1 / 3


@dataclass(frozen=True)
class Number:
    """A numeric field; `draw` gives a value, `step` the grain of the operands people choose."""

    name: str
    draw: Callable[[Random], float]
    step: float
    whole: bool = True
    quantiles: list[float] = field(default_factory=list, compare=False)

    def value(self, rng: Random) -> float:
        drawn = self.draw(rng)
        return max(0, round(drawn)) if self.whole else round(max(0.0, drawn), 2)

    def cut(self, quantile: float) -> float:
        """The operand below which that share of customers lies, on the field's grain."""
        if not self.quantiles:
            rng = Random(self.name)
            self.quantiles.extend(sorted(self.value(rng) for _ in range(2_000)))
        at = self.quantiles[min(int(quantile * 2_000), 1_999)]
        return round(at / self.step) * self.step if self.whole else round(at, 2)

    def rule(self, rng: Random) -> Rule:
        share = rng.uniform(0.04, 0.25)
        kind = rng.random()
        if kind < 0.35:
            return _rule(self.name, rng.choice((">", ">=")), self.cut(1 - share))
        if kind < 0.6:
            return _rule(self.name, rng.choice(("<", "<=")), self.cut(share))
        if kind < 0.92 or not self.whole:
            start = rng.uniform(0, 1 - share)
            return _rule(self.name, "between", [self.cut(start), self.cut(start + share)])
        values = sorted({self.cut(rng.random()) for _ in range(4)})
        operator = rng.choices(("=", "!=", "in", "notIn"), (4, 1, 4, 1))[0]
        return _rule(self.name, operator, values if operator in ("in", "notIn") else values[0])


@dataclass(frozen=True)
class Text:
    """A string field whose values follow Zipf's law, as countries and cities do."""

    name: str
    values: tuple[str, ...]
    weights: tuple[float, ...]

    def value(self, rng: Random) -> str:
        return rng.choices(self.values, self.weights)[0]

    def rule(self, rng: Random, patterns: bool = True) -> Rule:
        if patterns and rng.random() < 0.06:
            word = self.value(rng)
            if rng.random() < 0.5:
                return _rule(self.name, "beginsWith", word[:3])
            return _rule(self.name, "contains", word[1:4])
        operator = rng.choices(("=", "in", "!=", "notIn"), (46, 42, 6, 6))[0]
        if operator in ("=", "!="):
            return _rule(self.name, operator, self.value(rng))
        some = rng.randint(2, max(3, len(self.values) // 6))
        return _rule(self.name, operator, sorted({self.value(rng) for _ in range(some)}))


@dataclass(frozen=True)
class Flag:
    name: str
    share: float

    def value(self, rng: Random) -> bool:
        return rng.random() < self.share

    def rule(self, rng: Random) -> Rule:
        return _rule(self.name, "=", rng.random() < 0.5)


@dataclass(frozen=True)
class Instant:
    """A moment in the past, `days` ago on average (exponential)."""

    name: str
    days: float

    def value(self, rng: Random) -> str:
        ago = timedelta(seconds=round(rng.expovariate(1 / (self.days * 86_400))))
        return (NOW - ago).strftime("%Y-%m-%dT%H:%M:%SZ")

    def rule(self, rng: Random) -> Rule:
        later, earlier = sorted((self.value(rng), self.value(rng)), reverse=True)
        return rng.choice((_rule(self.name, ">=", later), _rule(self.name, "<", earlier)))

    def window(self, rng: Random) -> Rule:
        operator, most = rng.choices(
            (("withinLast", self.days / 2), ("notWithinLast", self.days * 2)), (7, 3)
        )[0]
        days = rng.randint(1, round(most))
        return _rule(self.name, operator, f"{days}d" if days % 7 else f"{days // 7}w")


@dataclass(frozen=True)
class Tokens:
    """A list of strings: up to six of them, some far commoner than others."""

    name: str
    values: tuple[str, ...]
    weights: tuple[float, ...]

    def value(self, rng: Random) -> list[str]:
        return sorted(set(rng.choices(self.values, self.weights, k=rng.randint(0, 6))))

    def rule(self, rng: Random) -> Rule:
        operator = rng.choices(("containsAny", "containsAll", "containsNone"), (6, 3, 1))[0]
        some = rng.choices(self.values, self.weights, k=rng.randint(1, 3))
        return _rule(self.name, operator, sorted(set(some)))


@dataclass(frozen=True)
class Version:
    name: str

    def value(self, rng: Random) -> str:
        return f"{rng.randint(1, 6)}.{rng.randint(0, 20)}.{rng.randint(0, 9)}"

    def rule(self, rng: Random) -> Rule:
        older, newer = sorted((self.value(rng), self.value(rng)))
        return rng.choice(
            (_rule(self.name, "versionAtLeast", newer), _rule(self.name, "versionBelow", older))
        )


@dataclass(frozen=True)
class Point:
    name: str

    def value(self, rng: Random) -> dict[str, float]:
        return {"lat": round(rng.uniform(48, 52), 4), "lon": round(rng.uniform(12, 19), 4)}

    def rule(self, rng: Random) -> Rule:
        return _rule(
            self.name, "withinDistance", {**self.value(rng), "km": rng.randint(2, 12) * 10}
        )


def _rule(name: str, operator: str, value: Any) -> Rule:
    return {"field": name, "operator": operator, "value": value}


def _zipf(name: str, size: int) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Distinct made-up words (they look like no number) and the weight of each."""
    rng = Random(name)
    syllables = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]
    words: set[str] = set()
    while len(words) < size:
        words.add("".join(rng.choices(syllables, k=rng.randint(2, 4))))
    return tuple(rng.sample(sorted(words), size)), tuple(1 / (n + 2) for n in range(size))


NUMBERS = (
    Number("age", lambda r: r.triangular(18, 90, 38), 1),
    Number("orders", lambda r: r.expovariate(1 / 14), 1),
    Number("total_spent", lambda r: r.lognormvariate(5.5, 1.2), 10, whole=False),
    Number("average_order", lambda r: r.lognormvariate(3.6, 0.6), 1, whole=False),
    Number("days_since_visit", lambda r: r.expovariate(1 / 40), 1),
    Number("sessions", lambda r: r.expovariate(1 / 25), 1),
    Number("discount_share", lambda r: r.betavariate(2, 5), 0.01, whole=False),
    Number("income", lambda r: r.lognormvariate(10.6, 0.5), 500),
    Number("points", lambda r: r.expovariate(1 / 1_500), 50),
    Number("churn_score", lambda r: r.betavariate(2, 3), 0.01, whole=False),
)
TEXTS = tuple(
    Text(name, *_zipf(name, size))
    for name, size in (
        ("country", 40),
        ("city", 300),
        ("language", 20),
        ("plan", 6),
        ("acquired_by", 12),
        ("device", 8),
        ("department", 30),
        ("industry", 24),
    )
)
FLAGS = (Flag("newsletter", 0.4), Flag("has_app", 0.5), Flag("is_company", 0.2))
INSTANTS = (Instant("signed_up_at", 400), Instant("last_order_at", 60), Instant("last_seen_at", 15))
OTHERS = (
    Tokens("tags", *_zipf("tags", 40)),
    Tokens("interests", *_zipf("interests", 25)),
    Version("app_version"),
    Point("location"),
)
FIELDS = (*NUMBERS, *TEXTS, *FLAGS, *INSTANTS, *OTHERS)


def make_profiles(count: int, seed: int = 1) -> list[Profile]:
    """Customers' traits; the same seed gives the same customers."""
    rng = Random(f"profiles {seed}")
    return [
        {each.name: each.value(rng) for each in FIELDS if rng.random() >= MISSING}
        for _ in range(count)
    ]


def make_conditions(
    count: int, seed: int = 1, *, peers: bool = False, third_time: bool = False
) -> list[Rule]:
    """Conditions in wire format; the same arguments give the same conditions."""
    rng = Random(f"conditions {seed} {peers} {third_time}")
    return [_condition(rng, peers, THIRD if third_time else TIME_SHARE) for _ in range(count)]


def _condition(rng: Random, peers: bool, time_share: float) -> Rule:
    rules = _predicates(rng, rng.choices(PREDICATES, PREDICATE_WEIGHTS)[0], peers, time_share)
    if len(rules) == 1 or rng.random() >= WITH_OR_OR_NOT:
        return _group("and", rules)
    *head, last = rules
    shape = rng.random()
    if len(rules) == 2:  # a or b; a and not b
        if shape < 0.2:
            return _group("or", rules)
        return _group("and", [*head, _group("and", [last], negated=True)])
    head, pair = rules[:-2], rules[-2:]
    if shape < 0.5:  # a and (b or c)
        return _group("and", [*head, _group("or", pair)])
    if shape < 0.8:  # a and not (b or c)
        return _group("and", [*head, _group("or", pair, negated=True)])
    if shape < 0.9:  # a and not (b and c)
        return _group("and", [*head, _group("and", pair, negated=True)])
    return _group("or", [_group("and", head), _group("and", pair)])


def _predicates(rng: Random, count: int, peers: bool, time_share: float) -> list[Rule]:
    """That many predicates, no field twice, the share of windows exact on average."""
    windows = 0 if peers else min(sum(rng.random() < time_share for _ in range(count)), 3)
    fields = (*NUMBERS, *TEXTS, *FLAGS) if peers else (*NUMBERS, *TEXTS, *FLAGS, *OTHERS)
    timed = rng.sample(INSTANTS, windows)
    plain = rng.sample(fields if peers else (*fields, *INSTANTS), count)
    plain = [each for each in plain if each not in timed][: count - windows]
    rules = [each.window(rng) for each in timed]
    rules += [_plain(rng, each, peers) for each in plain]
    rng.shuffle(rules)
    return rules


def _plain(rng: Random, each: Any, peers: bool) -> Rule:
    if peers:
        return each.rule(rng, patterns=False) if isinstance(each, Text) else each.rule(rng)
    if rng.random() < 0.02:
        return {"field": each.name, "operator": rng.choices(("notNull", "null"), (4, 1))[0]}
    return each.rule(rng)


def _group(combinator: str, rules: list[Rule], *, negated: bool = False) -> Rule:
    return {"combinator": combinator, "not": negated, "rules": rules}
