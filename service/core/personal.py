"""Traits declared personal: what of profiles and conditions is masked for callers who may not read
them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from service.core.decisions import ModelOutput
from service.core.derived.formula_parsing import names_in, without_numbers
from service.core.problems import Problem
from service.core.written import conditions_written, model_field, rewritten, rules_written

MASK = "***"
_MASKED = f'"{MASK}" stands for a personal value: write the value, or leave condition as is'
_MASKED_NUMBER = f'"{MASK}" stands for a number beside a personal trait: write the number'


@dataclass(frozen=True, slots=True)
class Personal:
    """The paths of personal traits, and of models that read any. A path stands for all that is
    below it."""

    paths: frozenset[str] = frozenset()
    # Whether the ids that conditions name are personal.
    ids: bool = True
    # As a tree: None where a personal path ends.
    _tree: dict[str, Any] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        tree: dict[str, Any] = {}
        for path in sorted(self.paths):  # the shorter of two comes first, and covers the longer
            node, (*above, last) = tree, path.split(".")
            for step in above:
                node = node.setdefault(step, {})
                if node is None:
                    break
            else:
                node[last] = None
        object.__setattr__(self, "_tree", tree)

    def __bool__(self) -> bool:
        return bool(self.paths)

    def covering(self, path: str) -> str | None:
        """The personal path that is this one or above it; None where the path is not personal."""
        node: Any = self._tree
        steps = path.split(".")
        for length, step in enumerate(steps, 1):
            if step not in node:
                return None
            node = node[step]
            if node is None:
                return ".".join(steps[:length])
        return None

    def touches(self, path: str) -> bool:
        """Whether a path is personal, or something below it is."""
        node: Any = self._tree
        for step in path.split("."):
            if step not in node:
                return False
            node = node[step]
            if node is None:
                return True
        return True

    def masked(self, traits: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The traits with `MASK` in place of what is personal, and the paths of those places.

        Where something else than an object stands above a personal path, all of it is masked:
        it may hold the same in another form.
        """
        paths: list[str] = []
        return _masked(traits, self._tree, "", paths), sorted(paths)

    def output(self, model: str, output: ModelOutput) -> dict[str, Any]:
        """What a model says of somebody; where that is personal `MASK` for a label, and nothing
        else."""
        if self.touches(model_field(model)):
            silent = output.label is None and output.score is None
            label = None if silent else MASK
            return {"label": label, "confidence": None, "score": None, "unusual": None}
        return {
            "label": output.label,
            "confidence": output.confidence,
            "score": output.score,
            "unusual": output.unusual,
        }

    def condition(self, document: Any, pointer: str = "/condition") -> tuple[Any, list[str]]:
        """A condition as it is written, or a node of one, with `MASK` in place of what rules
        compare personal traits and ids of customers with; and the pointers of those places."""
        places: list[str] = []
        return self._condition(document, pointer, places), places

    def definition(self, document: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The same of a trait's document, whose scores and ranks hold conditions; and of numbers in
        formulas of personal traits: by the sign of a difference they compare."""
        places: list[str] = []
        shown = rewritten(document, lambda each, where: self._condition(each, where, places))
        formula = document.get("formula")
        if self._calculates(formula):
            told = without_numbers(formula, MASK)
            if told != formula:
                shown["formula"] = told
                places.append("/formula")
        return shown, places

    def _calculates(self, formula: Any) -> TypeGuard[str]:
        """Whether this is a formula that reads what is personal."""
        return isinstance(formula, str) and any(map(self.touches, names_in(formula)))

    def _condition(self, node: Any, pointer: str, places: list[str]) -> Any:
        if not isinstance(node, dict):
            return node
        rules = node.get("rules")
        if isinstance(rules, list):
            below = [
                self._condition(rule, f"{pointer}/rules/{index}", places)
                for index, rule in enumerate(rules)
            ]
            return {**node, "rules": below}
        if not self.hides(node):
            return node
        places.append(f"{pointer}/value")
        return {**node, "value": MASK}

    def masks(self, condition: Any, pointer: str = "/condition") -> list[Problem]:
        """The faults of a condition in which `MASK` stands for what is personal: saved, it would
        take the place of what it hides."""
        return [
            Problem(f"{place}/value", "masked", _MASKED)
            for place, rule in rules_written(condition, pointer)
            if self.hides(rule) and _holds_mask(rule.get("value"))
        ]

    def masks_in(self, document: Mapping[str, Any]) -> list[Problem]:
        """The same of a trait's document."""
        formula = document.get("formula")
        numbers = [Problem("/formula", "masked", _MASKED_NUMBER)]
        return [
            *(
                fault
                for place, condition in conditions_written(document)
                for fault in self.masks(condition, place)
            ),
            *(numbers if self._calculates(formula) and MASK in formula else ()),
        ]

    def hides(self, rule: Mapping[str, Any]) -> bool:
        """Whether a rule as it is written names what is personal. Other fields, and samples, which
        are drawn on ids, name nobody."""
        field, value = rule.get("field"), rule.get("value")
        if not isinstance(field, str) or value is None or rule.get("valueSource") == "field":
            return False
        if field == "customer_id":
            return self.ids and rule.get("operator") != "sample"
        return self.touches(field)

    def reason(self, reason: Mapping[str, Any]) -> Mapping[str, Any]:
        """A transition's reason, in which traits below a personal one are told by its name alone:
        members of an object may be named after what they hold."""
        if not self.paths or "traits" not in reason:
            return reason
        names = sorted({self.covering(path) or path for path in reason["traits"]})
        return {**reason, "traits": names}


def _masked(
    traits: Mapping[str, Any], tree: Mapping[str, Any], prefix: str, paths: list[str]
) -> dict[str, Any]:
    result = dict(traits)
    for name, below in _shared(traits, tree):
        value = traits[name]
        if value is None:
            continue
        if below is not None and isinstance(value, dict):
            result[name] = _masked(value, below, f"{prefix}{name}.", paths)
        else:
            result[name] = MASK
            paths.append(prefix + name)
    return result


def _holds_mask(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_holds_mask, value))
    if isinstance(value, dict):
        return any(map(_holds_mask, value.values()))
    return bool(value == MASK)


def _shared(traits: Mapping[str, Any], tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((name, below) for name, below in tree.items() if name in traits)


# Nothing is hidden from those who may read all.
NOBODYS = Personal(ids=False)
