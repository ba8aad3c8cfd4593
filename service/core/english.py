"""A condition in plain English, from the operator table."""

from typing import Any

from service.core.comparisons import TIMES
from service.core.conditions import Condition, Field, Group, Rule, Source
from service.core.instants import Duration
from service.core.operators import Operand

_TIME_WORDS = {
    "=": "is on",
    "!=": "is not on",
    "<": "is before",
    "<=": "is at the latest",
    ">": "is after",
    ">=": "is at the earliest",
}


def summarise(condition: Condition) -> str:
    """One sentence for the whole tree: `total spent is more than 500 and country is CZ.`"""
    text = _node(condition, outermost=True)
    return text[:1].upper() + text[1:] + "."


def _node(condition: Condition, *, outermost: bool = False) -> str:
    if isinstance(condition, Rule):
        return rule_english(condition)
    return _group(condition, outermost=outermost)


def _group(group: Group, *, outermost: bool) -> str:
    if len(group.rules) == 1 and not group.negated:
        return _node(group.rules[0], outermost=outermost)
    inner = f" {group.combinator} ".join(_node(child) for child in group.rules)
    if group.negated:
        return f"not ({inner})"
    return inner if outermost else f"({inner})"


def field_english(field: Field) -> str:
    """A field's name as people say it: `total_spent` -> `total spent`."""
    if field.source is Source.MODEL:
        model, _, output = field.name.removeprefix("model:").rpartition(".")
        return f"the {output} by model {model}"
    return field.name.replace("_", " ").replace(".", " ")


def rule_english(rule: Rule) -> str:
    """One rule as a clause: `age is at least 18`."""
    if rule.field.source is Source.SEGMENT:
        ((_, member),) = rule.operand
        wanted = member == (rule.operator.negates is None)
        return f"is {'' if wanted else 'not '}in segment {rule.field.path[0]}"
    words = rule.operator.english
    if rule.other is None and rule.kind in TIMES:
        words = _TIME_WORDS.get(rule.operator.name, words)
    if rule.operator.operand is Operand.SAMPLE:
        return f"falls in a sample of {rule.value['percent']:g}% of customers"
    operand = _operand(rule)
    text = " ".join(part for part in (field_english(rule.field), words, operand) if part)
    if rule.missing is not None:
        text += f" (or is unknown, which counts as {'met' if rule.missing else 'not met'})"
    return text


def _operand(rule: Rule) -> str:
    if rule.other is not None:
        return field_english(rule.other)
    match rule.operator.operand:
        case Operand.NONE:
            return ""
        case Operand.LIST:
            word = "and" if rule.operator.every else "or"
            return _listed([_value(value) for value in rule.value], word)
        case Operand.PAIR:
            return f"{_value(rule.value[0])} and {_value(rule.value[1])}"
        case Operand.DURATION:
            duration = rule.operand
            return duration.english if isinstance(duration, Duration) else str(rule.value)
        case Operand.VERSION:
            suffix = " or newer" if rule.operator.name == "versionAtLeast" else ""
            return f"{rule.value}{suffix}"
        case Operand.DISTANCE:
            value = rule.value
            return f"{value['km']:g} km of {value['lat']:g}, {value['lon']:g}"
        case _:
            return _value(rule.value)


def _listed(words: list[str], word: str) -> str:
    if len(words) > 8:
        words = [*words[:7], f"{len(words) - 7} more"]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + f" {word} {words[-1]}"


def _value(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:,}" if abs(value) >= 10_000 else f"{value}"
    if isinstance(value, str):
        return value if value.strip() == value and value else f'"{value}"'
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return "{" + ", ".join(f"{name}: {_value(item)}" for name, item in value.items()) + "}"
