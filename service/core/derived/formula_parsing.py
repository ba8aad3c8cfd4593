"""Text -> formula. A fault is told with the column at which it begins.

    sum     = product { ("+" | "-") (product | duration) }
    product = signed { ("*" | "/") signed }
    signed  = "-" signed | operand
    operand = number | name | "(" sum ")"

A name is a trait's or its dotted path; between backticks it may hold anything but a backtick.
"""

import re
from decimal import Decimal
from typing import Any, NamedTuple

from service.core.conditions import Field
from service.core.derived.fields import NUMBERS, TIMES, Place, parse_field
from service.core.derived.formulas import (
    Calculated,
    Formula,
    Moved,
    Negated,
    Node,
    Number,
    Trait,
)
from service.core.instants import parse_duration
from service.core.parsing import Schema
from service.core.problems import Invalid, Problem
from service.core.traits import TraitType, describe

LENGTH_LIMIT = 500
DEPTH_LIMIT = 32
DIGITS_LIMIT = 30

_TOKEN = re.compile(
    r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<unit>[^\W\d_]*)"
    r"|(?P<name>[^\W\d]\w*(?:\.\w+)*)"
    r"|`(?P<quoted>[^`]*)`"
    r"|(?P<sign>[-−+*×/÷()])"
    r"|(?P<other>\S)"
)
_SIGNS = {"-": "−", "*": "×", "/": "÷"}
_UNITS = frozenset({"s", "min", "h", "d", "w", "mo", "y"})


class Token(NamedTuple):
    """A piece of a formula. `column` counts characters from 1."""

    kind: str
    text: str
    column: int


def parse_formula(document: Any, schema: Schema, pointer: str = "/formula") -> Formula:
    """A formula's text as a formula. Raises Invalid."""
    if not isinstance(document, str):
        detail = f"expected a formula such as revenue - refunds, got {describe(document)}"
        raise Invalid([Problem(pointer, "type", detail)])
    if len(document) > LENGTH_LIMIT:
        detail = f"a formula holds {LENGTH_LIMIT} characters at most"
        raise Invalid([Problem(pointer, "too_long", detail)])
    if not document.strip():
        raise Invalid([Problem(pointer, "empty", "a formula needs something to calculate")])
    return _Parser(document, schema, pointer).formula()


def names_in(text: str) -> list[str]:
    """The traits that a text names, whether or not it is a formula."""
    found = (match["name"] or match["quoted"] for match in _TOKEN.finditer(text))
    return [name for name in found if name]


def without_numbers(text: str, mask: str) -> str:
    """A formula, or what should be one, with `mask` in place of each number and duration."""
    return _TOKEN.sub(lambda match: mask if match["number"] else match[0], text)


class _Parser:
    def __init__(self, text: str, schema: Schema, pointer: str) -> None:
        self.schema = schema
        self.pointer = pointer
        self.places: dict[str, Place] = {}
        self.tokens = [self.token(match) for match in _TOKEN.finditer(text)]
        self.tokens.append(Token("end", "", len(text) + 1))
        self.next = 0

    def fault(self, column: int, detail: str, code: str = "bad_value") -> Invalid:
        return Invalid([Problem(self.pointer, code, f"column {column}: {detail}")])

    def token(self, match: "re.Match[str]") -> Token:
        column, text = match.start() + 1, match[0]
        if match["other"]:
            hint = "the closing backtick is missing" if text == "`" else f'"{text}" has no meaning'
            raise self.fault(column, hint)
        if match["sign"]:
            return Token("sign", _SIGNS.get(text, text), column)
        if match["number"] is None:
            return Token("name", match["name"] or match["quoted"], column)
        unit = match["unit"]
        if not unit:
            return Token("number", text, column)
        if unit in _UNITS and parse_duration(text) is not None:
            return Token("duration", text, column)
        if unit == "m":
            detail = f"{text}: write min for minutes or mo for months"
        elif unit in _UNITS:
            detail = f"{text}: a duration is a whole number above 0 and a unit, such as 30d"
        else:
            detail = f"{text}: put a sign between a number and a name, such as 2 * age"
        raise self.fault(column, detail, "bad_duration" if unit in _UNITS | {"m"} else "bad_value")

    def formula(self) -> Formula:
        node = self.sum(1)
        token = self.peek()
        if token.kind != "end":
            raise self.fault(token.column, self.expected_sign(token))
        if not self.places:
            raise self.fault(1, "a formula reads at least one trait")
        instant = self.is_instant(node)
        kind = TraitType.INSTANT if instant else TraitType.NUMBER
        return Formula(node, kind, tuple(self.places.values()))

    def expected_sign(self, token: Token) -> str:
        if token.text == ")":
            return "this parenthesis was never opened"
        return f"expected + - * or / before {self.shown(token)}"

    @staticmethod
    def shown(token: Token) -> str:
        return "the end" if token.kind == "end" else f'"{token.text}"'

    def peek(self) -> Token:
        return self.tokens[self.next]

    def take(self, *signs: str) -> Token | None:
        """The next token if it is one of these signs."""
        token = self.peek()
        if token.kind != "sign" or token.text not in signs:
            return None
        self.next += 1
        return token

    def sum(self, depth: int) -> Node:
        column = self.peek().column
        left = self.product(depth)
        while sign := self.take("+", "−"):
            token = self.peek()
            if token.kind == "duration":
                self.next += 1
                left = self.moved(sign.text, left, token, column)
            else:
                right = self.product(depth)
                self.both_numbers(left, column, right, token.column)
                left = Calculated(sign.text, left, right)
        return left

    def moved(self, sign: str, node: Node, token: Token, column: int) -> Node:
        if not isinstance(node, Moved) and not (
            isinstance(node, Trait) and node.field.type not in NUMBERS
        ):
            raise self.fault(column, f"{token.text} moves an instant, and this is a number", "type")
        duration = parse_duration(token.text)
        assert duration is not None  # noqa: S101 - else it were no such token
        return Moved(sign, node, duration)

    def product(self, depth: int) -> Node:
        column = self.peek().column
        left = self.signed(depth)
        while sign := self.take("×", "÷"):
            token = self.peek()
            right = self.signed(depth)
            self.both_numbers(left, column, right, token.column)
            left = Calculated(sign.text, left, right)
        return left

    def signed(self, depth: int) -> Node:
        if not self.take("−"):
            return self.operand(depth)
        token = self.peek()
        inner = self.signed(self.deeper(depth, token))
        self.number(inner, token.column)
        return Negated(inner)

    def operand(self, depth: int) -> Node:
        token = self.peek()
        self.next += 1
        if token.kind == "number":
            if len(token.text) > DIGITS_LIMIT:
                detail = f"a number has {DIGITS_LIMIT} digits at most"
                raise self.fault(token.column, detail, "too_long")
            return Number(Decimal(token.text))
        if token.kind == "name":
            return Trait(self.field(token))
        if token.text == "(":
            inner = self.sum(self.deeper(depth, token))
            if not self.take(")"):
                following = self.peek()
                if following.kind == "end":
                    raise self.fault(token.column, "this parenthesis is never closed")
                raise self.fault(following.column, self.expected_sign(following))
            return inner
        if token.kind == "duration":
            detail = (
                f"{token.text} stands behind an instant and a sign, such as "
                f"last_order_at + {token.text}"
            )
            raise self.fault(token.column, detail)
        detail = f"expected a trait, a number or a parenthesis, got {self.shown(token)}"
        raise self.fault(token.column, detail)

    def deeper(self, depth: int, token: Token) -> int:
        if depth == DEPTH_LIMIT:
            detail = f"parentheses and signs may nest {DEPTH_LIMIT} deep at most"
            raise self.fault(token.column, detail, "too_deep")
        return depth + 1

    def field(self, token: Token) -> Field:
        try:
            field = parse_field(
                token.text, self.schema, self.pointer, NUMBERS | TIMES,
                "a formula calculates with numbers and instants",
            )  # fmt: skip
        except Invalid as fault:
            (problem,) = fault.problems
            raise self.fault(token.column, problem.detail, problem.code) from fault
        self.places.setdefault(field.name, Place(self.pointer, field))
        return field

    def both_numbers(self, left: Node, column: int, right: Node, right_column: int) -> None:
        self.number(left, column)
        self.number(right, right_column)

    def number(self, node: Node, column: int) -> None:
        if self.is_instant(node):
            detail = "this is an instant: it can only be moved by a duration, such as + 30d"
            raise self.fault(column, detail, "type")

    @staticmethod
    def is_instant(node: Node) -> bool:
        return isinstance(node, Moved) or (isinstance(node, Trait) and node.field.type in TIMES)
