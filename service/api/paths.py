"""Paths whose steps may hold anything: an id `a/b` is written `a%2Fb`, and stays one step.

Servers hand over a path decoded, which turns the customer `a/segments` into the segments of the
customer `a`. So routes are matched on a path in which slashes and percent signs within a step stay
written as they came; a parameter is decoded after that. (RFC 3986, section 2.2: who reads a URI
splits it before decoding.) Control characters stay written too: the router's patterns end in `$`,
which looks past a last line feed, and `bob%0A` would be bob.
"""

import re
from collections.abc import MutableMapping
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import Path
from pydantic import BeforeValidator

Scope = MutableMapping[str, Any]


def matchable(scope: Scope) -> Scope:
    """A request's scope with the path that routes are matched on. Raises UnicodeDecodeError where
    the path is no text, and so nobody's name."""
    raw: bytes = scope.get("raw_path") or b""
    if b"%" not in raw:
        return scope
    steps = [unquote(step, errors="strict") for step in raw.decode("ascii").split("/")]
    return {**scope, "path": "/".join(map(_written, steps))}


_KEPT = re.compile(r"[%/\x00-\x1f\x7f]")


def _written(step: str) -> str:
    return _KEPT.sub(lambda found: f"%{ord(found[0]):02X}", step)


def decoded(parameter: str) -> str:
    """A parameter of such a path as its author meant it."""
    return unquote(parameter)


SegmentKey = Annotated[str, BeforeValidator(decoded), Path(max_length=64)]
CustomerId = Annotated[str, BeforeValidator(decoded), Path(min_length=1, max_length=256)]
Channel = Annotated[str, BeforeValidator(decoded), Path(max_length=16)]
TraitName = Annotated[str, BeforeValidator(decoded), Path(min_length=1, max_length=256)]
