"""JSON -> condition. Every error is located by a JSON pointer; all of them are told at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from typing import Any

import re2

from service.core import consent, operands
from service.core.aggregate_parsing import EVENT_NAME_LENGTH, parse_aggregate
from service.core.conditions import Condition, Field, Group, Rule, Source
from service.core.operators import OPERATORS, Family, Operand, Operator
from service.core.problems import Invalid, Problem, escape
from service.core.traits import NATURAL, TraitType, describe, type_english

__all__ = ["Invalid", "Problem", "Schema", "escape", "parse_condition"]

KEY_PATTERN = re2.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
GROUP_PROPERTIES = frozenset({"combinator", "not", "rules", "id", "path"})
RULE_PROPERTIES = frozenset(
    {
        "field",
        "operator",
        "value",
        "valueSource",
        "missing",
        "caseSensitive",
        "aggregate",
        "id",
        "path",
    }
)
FIELDS_REMEMBERED = 10_000
MODEL_OUTPUTS = {
    "label": TraitType.STRING,
    "confidence": TraitType.NUMBER,
    "score": TraitType.NUMBER,
    "unusual": TraitType.BOOLEAN,
}
CUSTOMER_FACTS = {
    "first_seen": TraitType.INSTANT,
    "last_seen": TraitType.INSTANT,
    "type": TraitType.STRING,
}


@dataclass(frozen=True, slots=True)
class Schema:
    """What conditions are parsed against: declared types, the workspace's zone, the limits."""

    zone: tzinfo
    types: Mapping[str, TraitType] = field(default_factory=dict)
    # Those of ready-made traits: what is read of them has this type, what is given may be anything.
    assumed: Mapping[str, TraitType] = field(default_factory=dict)
    rules_limit: int = 1_000
    depth_limit: int = 32
    values_limit: int = 10_000
    # What money is kept in.
    base_currency: str = "USD"
    # Fields read before, by name: conditions share most of them.
    known: dict[str, Field] = field(default_factory=dict, compare=False, repr=False)
    # By declared name, the Python types of values that certainly need no coercion.
    natural: Mapping[str, frozenset[type]] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        natural = {name: NATURAL.get(kind, frozenset()) for name, kind in self.types.items()}
        object.__setattr__(self, "natural", natural)

    def type_of(self, name: str) -> TraitType | None:
        """The type of a trait, by its dotted path; None where it has none."""
        return self.types.get(name) or self.assumed.get(name) or consent.TYPES.get(name)


def parse_condition(document: Any, schema: Schema, pointer: str = "/condition") -> Condition:
    """A RuleGroupType of react-querybuilder as a condition. Raises Invalid."""
    parser = _Parser(schema)
    condition = parser.group(document, pointer, depth=1)
    if parser.problems or condition is None:
        raise Invalid(parser.problems)
    return condition


class _Parser:
    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.problems: list[Problem] = []
        self.rules = 0

    def refuse(self, pointer: str, code: str, detail: str) -> None:
        self.problems.append(Problem(pointer, code, detail))

    def group(self, document: Any, pointer: str, depth: int) -> Group | None:
        if not isinstance(document, dict):
            self.refuse(pointer, "type", "expected a group: an object with combinator and rules")
            return None
        if depth > self.schema.depth_limit:
            limit = self.schema.depth_limit
            self.refuse(pointer, "too_deep", f"groups may nest {limit} deep at most")
            return None
        before = len(self.problems)
        self.properties(document, pointer, GROUP_PROPERTIES)
        combinator = document.get("combinator")
        if combinator not in ("and", "or"):
            self.refuse(
                f"{pointer}/combinator", "bad_value", 'the combinator must be "and" or "or"'
            )
        negated = document.get("not", False)
        if not isinstance(negated, bool):
            self.refuse(f"{pointer}/not", "type", "not must be true or false")
        children = document.get("rules")
        if not isinstance(children, list):
            self.refuse(f"{pointer}/rules", "type", "rules must be a list of rules and groups")
            return None
        if not children:
            self.refuse(f"{pointer}/rules", "empty", "a group needs at least one rule")
        parsed = [
            self.node(child, f"{pointer}/rules/{index}", depth)
            for index, child in enumerate(children)
        ]
        if len(self.problems) > before:
            return None
        return Group(str(combinator), tuple(node for node in parsed if node), bool(negated))

    def node(self, document: Any, pointer: str, depth: int) -> Condition | None:
        if isinstance(document, dict) and ("rules" in document or "combinator" in document):
            return self.group(document, pointer, depth + 1)
        self.rules += 1
        if self.rules == self.schema.rules_limit + 1:
            limit = self.schema.rules_limit
            self.refuse(pointer, "too_many_rules", f"a condition holds {limit:,} rules at most")
        if self.rules > self.schema.rules_limit:
            return None
        if not isinstance(document, dict):
            self.refuse(pointer, "type", f"expected a rule or a group, got {describe(document)}")
            return None
        return self.rule(document, pointer)

    def properties(self, document: dict[str, Any], pointer: str, known: frozenset[str]) -> None:
        for name in document:
            if name not in known:
                self.refuse(
                    f"{pointer}/{escape(name)}",
                    "unknown_property",
                    f'"{name}" is not understood here, and ignoring it could change the meaning',
                )

    def rule(self, document: dict[str, Any], pointer: str) -> Rule | None:
        before = len(self.problems)
        self.properties(document, pointer, RULE_PROPERTIES)
        if str(document.get("field", "")).startswith("event:"):
            subject = self.events(document, pointer)
        else:
            subject = self.field(document.get("field"), f"{pointer}/field")
            if "aggregate" in document:
                detail = "an aggregate stands beside a field event:NAME"
                self.refuse(f"{pointer}/aggregate", "bad_value", detail)
        operator = self.operator(document.get("operator"), f"{pointer}/operator")
        missing = document.get("missing")
        if missing is not None and not isinstance(missing, bool):
            self.refuse(f"{pointer}/missing", "type", "missing must be true or false")
        case_sensitive = document.get("caseSensitive", False)
        if not isinstance(case_sensitive, bool):
            self.refuse(f"{pointer}/caseSensitive", "type", "caseSensitive must be true or false")
        if subject is None or operator is None or len(self.problems) > before:
            return None
        if missing is not None and not self.may_be_missing(subject, operator):
            self.refuse(
                f"{pointer}/missing",
                "bad_value",
                "missing says nothing here: the rule is never unknown for want of a value",
            )
        if subject.source is Source.SEGMENT:
            self.segment_rule(document, operator, pointer)
        if not self.fits(subject, operator, pointer) or len(self.problems) > before:
            return None
        return self.with_operand(
            document, Rule(subject, operator, subject.type, None, document.get("value"),
                           missing=missing, case_sensitive=case_sensitive), pointer
        )  # fmt: skip

    @staticmethod
    def may_be_missing(subject: Field, operator: Operator) -> bool:
        return subject.source is not Source.SEGMENT and operator.family is not Family.PRESENCE

    def field(self, name: Any, pointer: str) -> Field | None:
        known = self.schema.known
        if isinstance(name, str) and name in known:
            return known[name]
        found = self.new_field(name, pointer)
        if found is not None and len(known) < FIELDS_REMEMBERED:
            known[name] = found
        return found

    def new_field(self, name: Any, pointer: str) -> Field | None:
        if not isinstance(name, str) or not name:
            self.refuse(pointer, "required", "a rule needs a field: a trait's name or path")
            return None
        if len(name) > 512:
            self.refuse(pointer, "bad_value", "a field's name holds 512 characters at most")
            return None
        if name.startswith("segment:"):
            key = name.removeprefix("segment:")
            if not KEY_PATTERN.fullmatch(key):
                self.refuse(pointer, "unknown_field", f'"{key}" is no segment key')
                return None
            return Field(name, Source.SEGMENT, (key,), TraitType.BOOLEAN)
        if name.startswith("model:"):
            model, _, output = name.removeprefix("model:").rpartition(".")
            if not KEY_PATTERN.fullmatch(model) or output not in MODEL_OUTPUTS:
                names = ", ".join(MODEL_OUTPUTS)
                self.refuse(
                    pointer, "unknown_field", f"write model:NAME.OUTPUT, OUTPUT one of {names}"
                )
                return None
            return Field(name, Source.MODEL, (name,), MODEL_OUTPUTS[output])
        if name.startswith("customer."):
            fact = name.removeprefix("customer.")
            if fact not in CUSTOMER_FACTS:
                names = ", ".join(f"customer.{known}" for known in CUSTOMER_FACTS)
                self.refuse(pointer, "unknown_field", f"of the customer record one can ask {names}")
                return None
            return Field(name, Source.CUSTOMER, (name,), CUSTOMER_FACTS[fact])
        if name.startswith("event:"):
            detail = "events stand in a rule's field only, with an aggregate beside it"
            self.refuse(pointer, "bad_value", detail)
            return None
        if name == "customer_id":
            return Field(name, Source.CUSTOMER, (name,), TraitType.STRING)
        if ":" in name:
            kind = name.partition(":")[0]
            self.refuse(pointer, "unknown_field", f'"{kind}:" is not a kind of field')
            return None
        path = tuple(name.split("."))
        if not all(path):
            self.refuse(pointer, "unknown_field", "a path has a name before and after each dot")
            return None
        fault = consent.field_fault(path)
        if fault is not None:
            self.refuse(pointer, "unknown_field", fault)
            return None
        return Field(name, Source.TRAIT, path, self.schema.type_of(name))

    def events(self, document: dict[str, Any], pointer: str) -> Field | None:
        """The field of a rule over events: an aggregate."""
        event = str(document["field"]).removeprefix("event:")
        if not event or len(event) > EVENT_NAME_LENGTH:
            detail = f"an event's name has 1-{EVENT_NAME_LENGTH} characters"
            self.refuse(f"{pointer}/field", "bad_value", detail)
            return None
        try:
            aggregate = parse_aggregate(
                event, document.get("aggregate"), f"{pointer}/aggregate", self.inner
            )
        except Invalid as fault:
            self.problems += fault.problems
            return None
        name = aggregate.name
        return Field(name, Source.EVENT, (name,), aggregate.type, aggregate)

    def inner(self, document: Any, pointer: str) -> Condition:
        """A condition within a rule: its traits are not the customer's, its rules count here."""
        parser = _Parser(replace(self.schema, types={}, known={}))
        parser.rules = self.rules
        condition = parser.group(document, pointer, depth=1)
        self.rules = parser.rules
        if parser.problems or condition is None:
            raise Invalid(parser.problems)
        return condition

    def operator(self, name: Any, pointer: str) -> Operator | None:
        if not isinstance(name, str):
            self.refuse(pointer, "required", "a rule needs an operator")
            return None
        operator = OPERATORS.get(name)
        if operator is None:
            near = next((o for o in OPERATORS if o.lower() == name.lower()), None)
            hint = f'; did you mean "{near}"?' if near else f"; there are {', '.join(OPERATORS)}"
            self.refuse(pointer, "unknown_operator", f'"{name}" is no operator{hint}')
        return operator

    def segment_rule(self, document: dict[str, Any], operator: Operator, pointer: str) -> None:
        if operator.name not in ("=", "!="):
            self.refuse(
                f"{pointer}/operator", "bad_operator", "membership is asked with = or != true"
            )
        if "caseSensitive" in document:
            self.refuse(f"{pointer}/caseSensitive", "bad_value", "membership has no letter case")
        if document.get("valueSource", "value") != "value":
            self.refuse(
                f"{pointer}/valueSource", "bad_value", "membership is compared with true or false"
            )

    def fits(self, subject: Field, operator: Operator, pointer: str) -> bool:
        if operator.operand is Operand.SAMPLE and subject.name != "customer_id":
            self.refuse(f"{pointer}/field", "bad_operator", "a sample is drawn on customer_id")
            return False
        if subject.type is not None and subject.type not in operator.types:
            kinds = " or ".join(sorted(type_english(kind) for kind in operator.types))
            self.refuse(
                f"{pointer}/operator",
                "bad_operator",
                f'"{operator.name}" compares {kinds}; {subject.name} is '
                f"{type_english(subject.type)}",
            )
            return False
        return True

    def with_operand(self, document: dict[str, Any], rule: Rule, pointer: str) -> Rule | None:
        source = document.get("valueSource", "value")
        if source == "field":
            return self.with_other_field(document, rule, pointer)
        if source != "value":
            self.refuse(
                f"{pointer}/valueSource", "bad_value", 'valueSource must be "value" or "field"'
            )
            return None
        if rule.operator.operand is not Operand.NONE and "value" not in document:
            self.refuse(
                f"{pointer}/value",
                "required",
                f'"{rule.operator.name}" needs {rule.operator.operand}',
            )
            return None
        limit = self.schema.values_limit
        if isinstance(rule.value, list) and len(rule.value) > limit:
            self.refuse(
                f"{pointer}/value",
                "too_many",
                f"a rule holds {limit:,} values at most; put the customers on a list segment and "
                "ask for it with segment:KEY",
            )
            return None
        try:
            kind, operand = operands.resolve(rule, self.schema.zone)
        except operands.BadOperand as fault:
            where = f"{pointer}/value" + "".join(f"/{escape(step)}" for step in fault.path)
            self.refuse(where, fault.code, str(fault))
            return None
        if rule.operator.family is Family.EQUALITY and not self.consents(rule, pointer):
            return None
        return Rule(
            rule.field,
            rule.operator,
            kind,
            operand,
            rule.value if rule.operator.operand is not Operand.NONE else None,
            None,
            rule.missing,
            rule.case_sensitive,
        )

    def consents(self, rule: Rule, pointer: str) -> bool:
        """Whether what a consent is compared with is something that it can be."""
        several = isinstance(rule.value, list)
        faults = [
            (f"{pointer}/value/{place}" if several else f"{pointer}/value", fault)
            for place, value in enumerate(rule.value if several else [rule.value])
            if (fault := consent.value_fault(rule.field.path, value)) is not None
        ]
        for where, fault in faults:
            self.refuse(where, "bad_value", fault)
        return not faults

    def with_other_field(self, document: dict[str, Any], rule: Rule, pointer: str) -> Rule | None:
        if not rule.operator.fields:
            self.refuse(
                f"{pointer}/valueSource",
                "bad_value",
                f'"{rule.operator.name}" can\'t compare with another field',
            )
            return None
        other = self.field(document.get("value"), f"{pointer}/value")
        if other is None:
            return None
        if other.source is Source.SEGMENT:
            self.refuse(f"{pointer}/value", "bad_value", "a segment can't stand in a value's place")
            return None
        kind = operands.common_kind(rule.field.type, other.type)
        if kind is operands.INCOMPARABLE:
            self.refuse(
                f"{pointer}/value",
                "type",
                f"{rule.field.name} and {other.name} have different types and can't be compared",
            )
            return None
        if kind is not None and kind not in rule.operator.types:
            self.refuse(
                f"{pointer}/operator",
                "bad_operator",
                f'"{rule.operator.name}" does not compare {type_english(kind)}',
            )
            return None
        return Rule(
            rule.field,
            rule.operator,
            kind,
            None,
            rule.value,
            other=other,
            missing=rule.missing,
            case_sensitive=rule.case_sensitive,
        )
