"""A condition in plain English, from the operator table.

No two conditions that tell customers apart read alike. So a text stands in “quotes” wherever it
could be taken for anything else - a number, a date, a word of these sentences - and so does a
trait's name that is not written like_this.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from datetime import UTC
from typing import Any

from service.core.aggregates import Aggregate, Function
from service.core.comparisons import TIMES
from service.core.conditions import Condition, Field, Group, Rule, Source, model_of, rules_of
from service.core.instants import Duration, parse_instant
from service.core.operators import OPERATORS, Family, Operand
from service.core.traits import TraitType, coerce, kind_of

_TIME_WORDS = {
    "=": "is on",
    "!=": "is not on",
    "<": "is before",
    "<=": "is at the latest",
    ">": "is after",
    ">=": "is at the earliest",
}
_CASELESS = TIMES | {
    TraitType.NUMBER,
    TraitType.MONEY,
    TraitType.BOOLEAN,
    TraitType.VERSION,
    TraitType.POINT,
}
# Types whose values are told as they were written: none could be taken for anything else.
_WRITTEN = TIMES | {TraitType.NUMBER, TraitType.MONEY, TraitType.VERSION}
# Of a longer list the first few are told, and a mark that changes with the list.
LISTED_WHOLE = 20
LISTED_FIRST = 7


def summarise(condition: Condition) -> str:
    """One sentence for the whole tree: `Total spent is more than 500 and country is CZ.`"""
    text = _node(condition, _names(condition), outermost=True)
    return text[:1].upper() + text[1:] + "."


def rule_english(rule: Rule) -> str:
    """One rule as a clause: `age is at least 18`."""
    return _rule(rule, _names(rule))


def _names(condition: Condition) -> frozenset[str]:
    """What texts must not be taken for: the fields that a condition reads, as it says them."""
    fields = (field for rule in rules_of(condition) for field in (rule.field, rule.other))
    return frozenset(
        name.lower()
        for field in fields
        if field is not None
        for name in (field.name, field_english(field))
    )


def _node(condition: Condition, names: frozenset[str], *, outermost: bool = False) -> str:
    if isinstance(condition, Rule):
        return _rule(condition, names)
    return _group(condition, names, outermost=outermost)


def _group(group: Group, names: frozenset[str], *, outermost: bool) -> str:
    if len(group.rules) == 1 and not group.negated:
        return _node(group.rules[0], names, outermost=outermost)
    inner = f" {group.combinator} ".join(_node(child, names) for child in group.rules)
    if group.negated:
        return f"not ({inner})"
    return inner if outermost else f"({inner})"


def field_english(field: Field) -> str:
    """A field's name as people say it: `total_spent` -> `total spent`, `address.city` ->
    `address's city`; one that would not be told from others is quoted as it is."""
    model = model_of(field)
    if model is not None:
        return f"the {field.name.rpartition('.')[2]} by model {model}"
    if field.aggregate is not None:
        return aggregate_english(field.aggregate)
    if all(map(_plain_step, field.path if field.source is Source.TRAIT else ())):
        return "'s ".join(step.replace("_", " ") for step in field.name.split("."))
    return _quoted(field.name)


_FUNCTIONS = {
    Function.COUNT: "the number of",
    Function.SUM: "the sum of",
    Function.AVG: "the average of",
    Function.MIN: "the least of",
    Function.MAX: "the most of",
    Function.FIRST: "the first of",
    Function.LAST: "the last of",
    Function.DISTINCT: "the number of different values of",
    Function.MODE: "the most frequent of",
    Function.MEDIAN_GAP: "the median of the days between",
    Function.SESSIONS: "the number of sessions of",
}


def aggregate_english(aggregate: Aggregate) -> str:
    """An aggregate as people say it: `the sum of “total” of “Order Completed” in the last 30
    days`. Names of events and of what they hold are always quoted."""
    series = aggregate.series
    words = [_FUNCTIONS[aggregate.function]]
    if series.of is not None:
        words.append(f"{_quoted('.'.join(series.of[1:]))} of")
        if series.each is not None and series.of[0] != "item":
            words.append("the event of")
    if series.each is not None:
        words.append(f"each of {_quoted('.'.join(series.each[1:]))} of")
    words.append(_listed([*map(_quoted, series.events)], "or"))
    if series.where is not None:
        words.append(f"where ({_node(series.where, _names(series.where), outermost=True)})")
    if aggregate.within is not None:
        words.append(f"in the last {aggregate.within.english}")
    elif aggregate.between is not None:
        began, ended = (each.english for each in aggregate.between)
        words.append(f"from {began} ago until {ended} ago")
    return " ".join(words)


def _plain_step(step: str) -> bool:
    """Whether a name can be told from its words, whichever sentence it stands in."""
    if not all(word.isalnum() for word in step.split("_")):
        return False
    # The sentence's first letter is written large.
    first = step[0]
    if not first.isalpha() or first.upper() == first or first.upper().lower() != first:
        return False
    word, _, rest = step.replace("_", " ").lower().partition(" ")
    return word != "the" and not any(verb in f" {rest} " for verb in _VERBS)


# What parts a field from the rest of its clause, and clauses from each other. A clause begins with
# its field, so that the first word of a name may be any.
_VERBS = frozenset(
    {f" {operator.english} " for operator in OPERATORS.values()}
    | {" is ", " contains ", " contains any of ", " does not ", " and ", " or "}
)


def _rule(rule: Rule, names: frozenset[str]) -> str:
    if rule.field.source is Source.SEGMENT:
        ((_, member),) = rule.operand
        wanted = member == (rule.operator.negates is None)
        return f"is {'' if wanted else 'not '}in segment {rule.field.path[0]}"
    if rule.operator.operand is Operand.SAMPLE:
        percent, salt = rule.operand
        drawn = f" (salt {_quoted(salt)})" if salt else ""
        text = f"falls in a sample of {_number(percent)}% of customers{drawn}"
    else:
        words = rule.operator.english
        if rule.other is None and rule.kind in TIMES:
            words = _TIME_WORDS.get(rule.operator.name, words)
        parts = (field_english(rule.field), words, _operand(rule, names))
        text = " ".join(part for part in parts if part)
    notes = list(_notes(rule))
    return f"{text} ({'; '.join(notes)})" if notes else text


def _notes(rule: Rule) -> Iterable[str]:
    if rule.case_sensitive and not _caseless(rule):
        yield "letters' case counts"
    if rule.missing is not None:
        which = "it" if rule.other is None else "either"
        yield f"{'met' if rule.missing else 'not met'} where {which} is unknown"


def _caseless(rule: Rule) -> bool:
    """Whether nothing that the rule compares with has letters."""
    if rule.kind is None and rule.other is None and rule.operator.family is Family.EQUALITY:
        return all(kind in _CASELESS for kind, _ in rule.operand)
    return rule.kind in _CASELESS


def _operand(rule: Rule, names: frozenset[str]) -> str:
    if rule.other is not None:
        values = "values" if rule.operator.family is Family.ITEMS else "value"
        return f"the {values} of {field_english(rule.other)}"
    value, kind = rule.value, rule.kind
    match rule.operator.operand:
        case Operand.NONE:
            return ""
        case Operand.LIST:
            word = "and" if rule.operator.every else "or"
            within = None if rule.operator.family is Family.ITEMS else kind
            return _listed([_value(each, within, names) for each in value], word)
        case Operand.PAIR:
            return f"{_value(value[0], kind, names)} and {_value(value[1], kind, names)}"
        case Operand.DURATION:
            return rule.operand.english if isinstance(rule.operand, Duration) else str(value)
        case Operand.VERSION:
            return f"{value} or newer" if rule.operator.name == "versionAtLeast" else str(value)
        case Operand.DISTANCE:
            place = f"{_number(value['lat'])}, {_number(value['lon'])}"
            return f"{_number(value['km'])} km of {place}"
        case Operand.PATTERN:
            return _quoted(value)
        case _:
            return _value(value, kind, names)


def _listed(words: list[str], word: str) -> str:
    if len(words) > LISTED_WHOLE:
        mark = hashlib.sha256(json.dumps(words).encode()).hexdigest()[:8]
        rest = f"{len(words) - LISTED_FIRST:,} more (list {mark})"
        words = [*words[:LISTED_FIRST], rest]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + f" {word} {words[-1]}"


def _value(value: Any, kind: TraitType | None, names: frozenset[str]) -> str:
    """A value as the rule compares it: `kind` is the declared type, None where there is none."""
    kind = kind or kind_of(value)
    if kind in (TraitType.LIST, TraitType.OBJECT, TraitType.POINT):
        return _nested(value)
    if isinstance(value, str) and kind in _WRITTEN:
        return value.strip()
    # Checked when it was parsed; the zone decides about nothing that is told here.
    known = value if kind is None else coerce(kind, value, UTC)
    return _text(known, names) if isinstance(known, str) else _scalar(known)


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _number(value)


def _number(value: float) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return f"{value:,}" if abs(value) >= 10_000 else f"{value}"


def _nested(value: Any) -> str:
    """A list or an object, its texts always quoted."""
    if isinstance(value, list):
        return "[" + ", ".join(map(_nested, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quoted(k)}: {_nested(v)}" for k, v in value.items()) + "}"
    return _quoted(value) if isinstance(value, str) else _scalar(value)


_WORDS = re.compile(r"[^\W_]+(?:['’@&+./:_-]+[^\W_]+)*(?: [^\W_]+(?:['’@&+./:_-]+[^\W_]+)*)*")
# Words that these sentences are made of, and words that stand for something else than a text.
_TAKEN = frozenset(
    word
    for phrase in (*(row.english for row in OPERATORS.values()), *_TIME_WORDS.values())
    for word in phrase.split()
) | frozenset(
    ("and", "or", "not", "the", "value", "values", "more", "segment", "true", "false", "null")
)


def _text(text: str, names: frozenset[str]) -> str:
    """A text as it is where nobody could take it for something else, else quoted."""
    words = text.lower().split(" ")
    plain = (
        _WORDS.fullmatch(text) is not None
        and _TAKEN.isdisjoint(words)
        and text.lower() not in names
        and not any(word[0].isdecimal() or word[0].isdigit() for word in words)
        and parse_instant(text, UTC) is None
    )
    return text if plain else _quoted(text)


def _quoted(text: str) -> str:
    """A text between quotes: a closing one within is doubled, and what can't be seen is named."""
    seen = text.replace("”", "””").replace("⟨", "⟨⟨")
    return f"“{''.join(c if c.isprintable() else f'⟨U+{ord(c):04X}⟩' for c in seen)}”"
