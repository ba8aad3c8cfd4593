"""react-querybuilder's own JSON -> our wire format, which is its RuleGroupType, strictly read.

What its editor leaves behind is put in order: lists and pairs written as one text with commas,
numbers as texts in comparisons of size, combinators between the rules (`RuleGroupTypeIC`, "and"
before "or"), pairs of fields, operators in another letter case, `value` and `valueSource` that
have no meaning. Rules that were never filled in and empty groups, which its own exports pass over
too, are left out with a warning. Disabled and muted parts are refused: whether they count differs
between its exports.

Warnings: `empty_group`, `unfinished_rule`, `number_as_text`.
"""

import re
from typing import Any

from service.core.conditions import Field
from service.core.importing.differences import AMOUNTS
from service.core.importing.draft import Draft, Imported, Refused
from service.core.operators import OPERATORS, Family, Operand, Operator
from service.core.parsing import GROUP_PROPERTIES, Schema, escape
from service.core.traits import TraitType, Uncoercible, coerce, describe, is_number

PLACEHOLDER = "~"
SWITCHES = ("disabled", "muted")
ENDS = {"between": ("and", ">=", "<="), "notBetween": ("or", "<", ">")}
ANY_OF = {"in": ("or", "="), "notIn": ("and", "!=")}
LOWERED = {name.lower(): operator for name, operator in OPERATORS.items()}
_COMMA = re.compile(r"(?<!\\),")

Wire = dict[str, Any]


def from_querybuilder(document: Any, schema: Schema, pointer: str = "") -> Imported:
    """A query of react-querybuilder as a condition; pointers are below `pointer`.

    Raises Invalid.
    """
    normaliser = _Normaliser(schema)
    return normaliser.draft.finish(normaliser.outermost(document, pointer), pointer)


class _Normaliser:
    def __init__(self, schema: Schema) -> None:
        self.draft = Draft(schema)

    def outermost(self, document: Any, pointer: str) -> Wire | bool:
        try:
            group = self.group(document, pointer, 1)
        except Refused:
            return False
        if group is None:
            self.draft.refuse(f"{pointer}/rules", "empty", "a group needs at least one rule")
        return group or False

    def node(self, document: Any, pointer: str, depth: int) -> Wire | None:
        """A rule or group; None where it is left out, nothing in it where it is refused."""
        self.draft.visit(pointer)
        try:
            if isinstance(document, dict) and ("rules" in document or "combinator" in document):
                return self.group(document, pointer, depth + 1)
            return self.rule(document, pointer)
        except Refused:
            return {}

    def group(self, document: Any, pointer: str, depth: int) -> Wire | None:
        if not isinstance(document, dict):
            detail = f"expected a group: an object with rules, got {describe(document)}"
            raise self.draft.refuse(pointer, "type", detail)
        limit = self.draft.schema.depth_limit
        if depth > limit:
            raise self.draft.refuse(pointer, "too_deep", f"groups may nest {limit} deep at most")
        self.switched_on(document, pointer)
        for name in document:
            if name not in GROUP_PROPERTIES and name not in SWITCHES:
                place = f"{pointer}/{escape(name)}"
                detail = f'"{name}" is not understood here, and may change what is meant'
                raise self.draft.refuse(place, "unknown_property", detail)
        negated, rules = document.get("not", False), document.get("rules")
        if not isinstance(negated, bool):
            raise self.draft.refuse(f"{pointer}/not", "type", "not must be true or false")
        if not isinstance(rules, list):
            raise self.draft.refuse(f"{pointer}/rules", "type", "rules must be a list")
        if document.get("combinator") is None:
            found = self.interleaved(rules, pointer, depth)
        else:
            combinator = self.combinator(document["combinator"], f"{pointer}/combinator")
            places = enumerate(rules)
            nodes = [self.node(each, f"{pointer}/rules/{at}", depth) for at, each in places]
            found = _group(combinator, nodes)
        if not found["rules"]:
            detail = "a group without rules says nothing, and was left out"
            self.draft.warn(pointer, "empty_group", pointer, detail)
            return None
        return found | {"not": True} if negated else found

    def combinator(self, name: Any, pointer: str) -> str:
        if isinstance(name, str) and name.lower() in ("and", "or"):
            return name.lower()
        raise self.draft.refuse(pointer, "bad_value", 'the combinator must be "and" or "or"')

    def interleaved(self, rules: list[Any], pointer: str, depth: int) -> Wire:
        """Rules with combinators between them: alternatives, each of rules joined by "and"."""
        alternatives: list[list[Wire | None]] = [[]]
        if len(rules) % 2 == 0 and rules:
            detail = "a combinator belongs between two rules: one is missing"
            raise self.draft.refuse(f"{pointer}/rules", "bad_value", detail)
        for index, each in enumerate(rules):
            place = f"{pointer}/rules/{index}"
            if index % 2 == 0:
                alternatives[-1].append(self.node(each, place, depth))
            elif self.combinator(each, place) == "or":
                alternatives.append([])
        if len(alternatives) == 1:
            return _group("and", alternatives[0])
        groups = [_group("and", each)["rules"] for each in alternatives]
        return _group("or", [_alone_or_all(each) for each in groups if each])

    def switched_on(self, document: Wire, pointer: str) -> None:
        for name in SWITCHES:
            if document.get(name, False) is not False:
                detail = f"this is {name}: switch it on, or take it out"
                raise self.draft.refuse(f"{pointer}/{name}", "bad_value", detail)

    def rule(self, document: Any, pointer: str) -> Wire | None:
        if not isinstance(document, dict):
            detail = f"expected a rule or a group, got {describe(document)}"
            raise self.draft.refuse(pointer, "type", detail)
        self.switched_on(document, pointer)
        if PLACEHOLDER in (document.get("field"), document.get("operator")):
            detail = "this rule has no field or no operator yet, and was left out"
            self.draft.warn(pointer, "unfinished_rule", pointer, detail)
            return None
        rule = {name: each for name, each in document.items() if name not in SWITCHES}
        for name in ("id", "path"):
            rule.pop(name, None)
        operator = LOWERED.get(str(rule.get("operator")).lower())
        if operator is None:
            return self.accepted(rule, pointer)
        rule["operator"] = operator.name
        if operator.operand is Operand.NONE:
            rule.pop("value", None)
            rule.pop("valueSource", None)
        elif rule.get("valueSource") == "field":
            return self.with_fields(rule, operator, pointer)
        elif isinstance(rule.get("field"), str):
            if rule.get("valueSource") == "value":
                del rule["valueSource"]
            field = self.draft.field(rule["field"], f"{pointer}/field")
            if "value" in rule:
                rule["value"] = self.value(rule["value"], field, operator, f"{pointer}/value")
        return self.accepted(rule, pointer)

    def accepted(self, rule: Wire, pointer: str) -> Wire:
        self.draft.rule(rule, pointer, lambda below: pointer + below)
        return rule

    def with_fields(self, rule: Wire, operator: Operator, pointer: str) -> Wire:
        """`between` two fields, and `in` several: as comparisons with one field each."""
        if operator.name in ENDS:
            combinator, *operators = ENDS[operator.name]
            others = _listed(rule.get("value"))
            if not isinstance(others, list) or len(others) != len(operators):
                detail = "expected two fields, the lowest first"
                raise self.draft.refuse(f"{pointer}/value", "type", detail)
        elif operator.name in ANY_OF:
            combinator, one = ANY_OF[operator.name]
            others = _listed(rule.get("value"))
            if not isinstance(others, list) or not others:
                detail = "expected one field or several"
                raise self.draft.refuse(f"{pointer}/value", "type", detail)
            operators = [one] * len(others)
        else:
            return self.accepted(rule, pointer)
        pairs = zip(operators, others, strict=True)
        rules = [rule | {"operator": each, "value": other} for each, other in pairs]
        return _group(combinator, [self.accepted(each, pointer) for each in rules])

    def value(self, value: Any, field: Field, operator: Operator, pointer: str) -> Any:
        """The value in the form that the operator is given it."""
        kind = field.type
        match operator.operand:
            case Operand.PAIR:
                value = _listed(value)
                if (kind is None or kind in AMOUNTS) and isinstance(value, list):
                    return [self.number(each, kind) for each in value]
            case Operand.SCALAR if operator.family is Family.ORDER:
                return self.number(value, kind) if kind is None else value
            case Operand.SCALAR:
                self.number_warning(kind, [value], field, pointer)
            case Operand.LIST:
                value = _listed(value)
                if isinstance(value, list):
                    self.number_warning(kind, value, field, pointer)
        return value

    def number(self, value: Any, kind: TraitType | None) -> Any:
        """The number that a text holds; anything else as it is."""
        try:
            return coerce(kind or TraitType.NUMBER, value, self.draft.schema.zone)
        except Uncoercible:
            return value

    def number_warning(
        self, kind: TraitType | None, values: list[Any], field: Field, pointer: str
    ) -> None:
        if kind not in (None, TraitType.LIST):
            return
        texts = (each for each in values if isinstance(each, str))
        numeric = next((each for each in texts if is_number(self.number(each, None))), None)
        if numeric is not None:
            self.draft.warn(
                pointer,
                "number_as_text",
                field.name,
                f'"{numeric}" is written as a text and does not equal the number. Write it '
                f"without quotes if {field.name} holds numbers"
                + ("" if kind else ", or declare its type"),
            )


def _group(combinator: str, nodes: list[Wire | None]) -> Wire:
    return {"combinator": combinator, "rules": [each for each in nodes if each is not None]}


def _alone_or_all(rules: list[Wire]) -> Wire:
    return rules[0] if len(rules) == 1 else _group("and", list(rules))


def _listed(value: Any) -> Any:
    """A list of what one text holds between its commas (`\\,` is a comma that does not part)."""
    if isinstance(value, str):
        parts = (part.replace("\\,", ",").strip() for part in _COMMA.split(value))
        return [part for part in parts if part]
    return [value] if is_number(value) else value
