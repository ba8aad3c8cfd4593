"""Request bodies into structs, refused with a pointer to the fault."""

import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from service.api.problems import HttpProblem, invalid
from service.core.parsing import Problem, escape

T = TypeVar("T")

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
        raise invalid([_located(str(error))]) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _not_json(body, error) from error
    except RecursionError as error:
        raise too_deep("") from error


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


def _not_json(body: bytes, error: Exception) -> HttpProblem:
    """Text that only a lenient reader takes for JSON (NaN, lone surrogates) is JSON with bad
    values: 422; the rest is 400."""
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return HttpProblem(400, "not_json", f"the body is not JSON: {error}")
    return invalid(
        [Problem("", "bad_value", "the JSON holds NaN, Infinity or half of a surrogate pair")]
    )


def check_tree(value: Mapping[str, Any] | list[Any], pointer: str, depth: int, limit: int) -> None:
    """Refuse what JSON can hold and PostgreSQL can't, and what is nested too deep."""
    if depth > limit:
        raise too_deep(pointer)
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    for key, item in items:
        if type(key) is str and "\0" in key:
            raise _nul(pointer)
        if type(item) is str:
            if "\0" in item:
                raise _nul(f"{pointer}/{escape(str(key))}")
        elif isinstance(item, dict | list):
            check_tree(item, f"{pointer}/{escape(str(key))}", depth + 1, limit)


def _nul(pointer: str) -> HttpProblem:
    return invalid([Problem(pointer, "bad_value", "U+0000 can't be stored in a text")])
