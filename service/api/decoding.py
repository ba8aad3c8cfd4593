"""Request bodies into structs, refused with a pointer to the fault."""

import codecs
import json
import math
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from service.api.problems import HttpProblem, invalid
from service.core.parsing import Problem, escape

T = TypeVar("T")

FAULTS_TOLD = 100  # of one body at most

_anything = msgspec.json.Decoder(Any)

_AT = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """A body as the decoder's type. Raises HttpProblem: 400 for what is no JSON, else 422."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        if decoder is not _anything:
            # What is no JSON is told as that, even where another fault was met before.
            decode(_anything, body)
        raise invalid(_unrepresentable(body) or [_located(str(error))]) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if body.startswith(codecs.BOM_UTF8):
            return decode(decoder, without_mark(body))
        faults = _unrepresentable(body)
        if faults:
            raise invalid(faults) from error
        raise HttpProblem(400, "not_json", f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise too_deep("") from error


def without_mark(body: bytes) -> bytes:
    """A body without the byte order mark that some editors write (RFC 8259, section 8.1)."""
    return body.removeprefix(codecs.BOM_UTF8)


def too_deep(pointer: str) -> HttpProblem:
    """JSON that is nested too deep to be anything."""
    return invalid([Problem(pointer, "too_deep", "the JSON is nested too deep")])


def _located(message: str) -> Problem:
    match = _AT.match(message)
    what, path = (match["what"], match["path"]) if match else (message, None)
    pointer = ""
    # Members of a plain object are not named, only as [...]: the fault is told up to there.
    for step in _STEP.finditer((path or "$")[1:].partition("[...]")[0]):
        pointer += "/" + escape(step[1] or step[2])
    unknown = re.search(r"unknown field `([^`]*)`", what)
    if unknown:
        return Problem(
            f"{pointer}/{escape(unknown[1])}", "unknown_property", f'"{unknown[1]}" is unknown here'
        )
    return Problem(pointer, "type", what[:1].lower() + what[1:].replace("`", ""))


class _Members(list[tuple[str, Any]]):
    """An object's members as they are written, those that a later one replaces too."""


class _Foreign(str):
    """What JSON has no word for: NaN, Infinity, -Infinity, an integer without end."""


def _integer(text: str) -> Any:
    try:
        return int(text)
    except ValueError:  # longer than Python reads
        return math.inf


def _unrepresentable(body: bytes) -> list[Problem]:
    """Where a body, read leniently, holds values that JSON or PostgreSQL has none of; nothing of
    what is no JSON however it is read."""
    try:
        document = json.loads(
            body.decode(),
            object_pairs_hook=_Members,
            parse_constant=_Foreign,
            parse_int=_integer,
        )
    except ValueError:
        return []
    except RecursionError as error:
        raise too_deep("") from error
    return unrepresentable(document)


def unrepresentable(document: Any) -> list[Problem]:
    """Where a document, whatever it was read from, holds values that JSON or PostgreSQL has none
    of."""
    found: list[Problem] = []
    waiting: list[tuple[str, Any]] = [("", document)]
    while waiting and len(found) < FAULTS_TOLD:
        pointer, value = waiting.pop()
        if isinstance(value, dict):
            value = _Members(value.items())
        if isinstance(value, list):
            members = value if isinstance(value, _Members) else list(enumerate(value))
            faults = {_fault(name) for name, _ in members if isinstance(name, str)}
            found += [
                Problem(pointer, "bad_value", f"a name: {fault}") for fault in faults if fault
            ]
            below = [(f"{pointer}/{escape(_visible(name))}", item) for name, item in members]
            waiting += reversed(below)
        else:
            fault = _fault(value)
            if fault is not None:
                found.append(Problem(pointer, "bad_value", fault))
    return found


def _visible(name: str | int) -> str:
    return str(name).encode(errors="replace").decode()


def _fault(value: Any) -> str | None:
    """What keeps a scalar from being kept."""
    if isinstance(value, _Foreign):
        return f"JSON has no {value}"
    if isinstance(value, float) and math.isinf(value):
        return "the number is too large to be kept"
    if not isinstance(value, str):
        return None
    if "\0" in value:
        return _NUL
    return "half of a surrogate pair is no text" if not _encodable(value) else None


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


_NUL = "U+0000 can't be stored in a text"


def check_document(document: Any, depth: int) -> None:
    """`check_tree` for the body of an ordinary route; `depth`: of the setting JSON_DEPTH."""
    if isinstance(document, dict | list):
        check_tree(document, "", 1, depth)


def check_tree(value: Mapping[str, Any] | list[Any], pointer: str, depth: int, limit: int) -> None:
    """Refuse what JSON can hold and PostgreSQL can't, and what is nested too deep: `value` is at
    level `depth` of its document, of `limit` levels at most."""
    places: list[str] = []
    _collect(value, pointer, depth, limit, places)
    if places:
        raise invalid([Problem(place, "bad_value", _NUL) for place in places[:FAULTS_TOLD]])


def _collect(
    value: Mapping[str, Any] | list[Any], pointer: str, depth: int, limit: int, places: list[str]
) -> None:
    if depth > limit:
        raise too_deep(pointer)
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    for key, item in items:
        if type(key) is str and "\0" in key:
            places.append(pointer)
        if type(item) is str:
            if "\0" in item:
                places.append(f"{pointer}/{escape(str(key))}")
        elif isinstance(item, dict | list):
            _collect(item, f"{pointer}/{escape(str(key))}", depth + 1, limit, places)
