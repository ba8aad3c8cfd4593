"""What documents of traits and conditions read, as they are written: also of those that can't be
served, which have to keep what follows from their reading (who may see it, who may change it)."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from service.core.consent import REACHABLE, SHAPED
from service.core.derived.formula_parsing import names_in

Documents = Mapping[str, Mapping[str, Any]]

# The members by which each kind of derived trait names fields, beside conditions and formulas.
_NAMING: Mapping[str, tuple[str, ...]] = {
    "ratio": ("numerator", "denominator"),
    "rank": ("of",),
    "city": ("name", "country", "region"),
}


def rules_written(node: Any, pointer: str = "/condition") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every rule of a condition, with its place."""
    if not isinstance(node, dict):
        return
    rules = node.get("rules")
    if isinstance(rules, list):
        for index, rule in enumerate(rules):
            yield from rules_written(rule, f"{pointer}/rules/{index}")
    else:
        yield pointer, node


def rewritten(document: Mapping[str, Any], change: Callable[[Any, str], Any]) -> dict[str, Any]:
    """A trait's document with other conditions on customers: `change` takes each with its place."""
    result = dict(document)
    score, rank = document.get("score"), document.get("rank")
    if isinstance(score, dict) and isinstance(score.get("points"), list):
        points = [
            {**entry, "condition": change(entry["condition"], f"/score/points/{index}/condition")}
            if isinstance(entry, dict) and "condition" in entry
            else entry
            for index, entry in enumerate(score["points"])
        ]
        result["score"] = {**score, "points": points}
    if isinstance(rank, dict) and "among" in rank:
        result["rank"] = {**rank, "among": change(rank["among"], "/rank/among")}
    return result


def conditions_written(document: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The conditions on customers that a trait's document holds, each with its place."""
    found: list[tuple[str, Any]] = []

    def noted(condition: Any, pointer: str) -> Any:
        found.append((pointer, condition))
        return condition

    rewritten(document, noted)
    return found


def fields_written(condition: Any) -> Iterator[str]:
    """The fields that a condition reads."""
    for _, rule in rules_written(condition):
        yield from _texts([rule.get("field")])
        if rule.get("valueSource") == "field":
            yield from _texts([rule.get("value")])


def reads_written(document: Mapping[str, Any]) -> Iterator[str]:
    """The fields that a trait's document reads."""
    for kind, members in _NAMING.items():
        part = document.get(kind)
        for named in map(part.get, members) if isinstance(part, dict) else ():
            yield from _texts(named if isinstance(named, list) else [named])
    for formula in _texts([document.get("formula")]):
        yield from names_in(formula)
    for _, condition in conditions_written(document):
        yield from fields_written(condition)


def _texts(values: Iterable[Any]) -> Iterator[str]:
    return (value for value in values if isinstance(value, str))


def touches(read: Iterable[str], names: Collection[str]) -> bool:
    """Whether any of the fields that are read is one of these, or a part of one, or has a part
    that is."""
    return any(
        f"{field}.".startswith(f"{name}.") or f"{name}.".startswith(f"{field}.")
        for field in read
        for name in names
    )


def model_field(name: str) -> str:
    """The field that all that a model says is below."""
    return f"model:{name}"


def made_of(
    names: Collection[str],
    documents: Documents,
    models: Mapping[str, Iterable[str]] = MappingProxyType({}),
) -> frozenset[str]:
    """The derived traits that come of any of these traits, by way of others too, and the fields of
    models that do. `models`: the traits that each model reads."""
    found: set[str] = set()
    reads = {name: frozenset(reads_written(document)) for name, document in documents.items()}
    reads[REACHABLE] = SHAPED
    reads |= {model_field(name): frozenset(read) for name, read in models.items()}
    while True:
        known = found | set(names)
        more = {name for name, read in reads.items() if name not in found and touches(read, known)}
        if not more:
            return frozenset(found)
        found |= more
