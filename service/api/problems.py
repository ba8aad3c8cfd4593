"""Errors as RFC 9457 `application/problem+json`: one shape for every refusal.

Problem (what a route raises)
├── 400 not_json            ├── 413 too_large
├── 401 key_needed          ├── 415 unsupported
├── 403 forbidden           ├── 422 invalid (with JSON pointers)
├── 404 not_found           ├── 429 rate_limited (with Retry-After)
└── 409 conflict            ├── 500 internal (no detail: the log has it)
                            └── 503 unavailable (with Retry-After)
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from service.api.schemas import KEY_PATTERN
from service.core.parsing import Problem as Fault
from service.core.parsing import escape
from service.flows.publishing import Conflict

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = 1  # s


class HttpProblem(Exception):
    """A refusal as callers see it."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        errors: Sequence[Fault] = (),
        retry_after: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = list(errors)
        self.retry_after = retry_after


def invalid(errors: Sequence[Fault], detail: str | None = None) -> HttpProblem:
    """422: what was sent can be read but not accepted; each fault is located."""
    sentence = detail or (errors[0].detail if len(errors) == 1 else f"{len(errors)} faults")
    return HttpProblem(422, "invalid", sentence, errors)


_CODES = {
    "missing": "required",
    "extra_forbidden": "unknown_property",
    "none_required": "not_available",
    "too_long": "too_many",
    "string_too_long": "too_long",
    "too_short": "empty",
    "string_too_short": "empty",
}


KEY_ENGLISH = (
    "a key has a-z, 0-9, _ and -, 64 characters at most, and begins with a letter or digit"
)
# What Pydantic finds, in our words; braces take what it tells of a fault.
_OBJECT = "this has to be an object"
_WHOLE = "this has to be a whole number"
_WORDS = {
    "missing": "this is required",
    "none_required": "this is not available yet",
    "string_type": "this has to be a text",
    "list_type": "this has to be a list",
    "dict_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "bool_type": "this has to be true or false",
    "bool_parsing": "this has to be true or false",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "greater_than_equal": "this has to be {ge} at least",
    "less_than_equal": "this has to be {le} at most",
    "enum": "this has to be {expected}",
    "literal_error": "this has to be {expected}",
    "string_too_short": "this must not be empty",
    "too_short": "this must not be empty",
    "string_too_long": "this may have {max_length:,} characters at most",
    "too_long": "there may be {max_length:,} at most",
    "timezone_aware": "write an instant with its zone, such as 2027-03-01T00:00:00Z",
}


def fault_of(error: Mapping[str, Any], path: Sequence[str | int]) -> Fault:
    """A fault that Pydantic found, with one of our codes. `path`: the steps to it."""
    kind: str = error["type"]
    if kind == "too_long" and isinstance(error["input"], str):
        kind = "string_too_long"  # of a text that was looked at before
    code = _CODES.get(kind)
    if code is None:
        code = "type" if kind.endswith(("_type", "_parsing")) else "bad_value"
    return Fault("".join(f"/{escape(step)}" for step in path), code, _words(kind, error, path))


def _words(kind: str, error: Mapping[str, Any], path: Sequence[str | int]) -> str:
    if kind in _WORDS:
        return _WORDS[kind].format(**error.get("ctx", {}))
    if kind == "extra_forbidden":
        return f'"{path[-1]}" is unknown here'
    if error.get("ctx", {}).get("pattern") == KEY_PATTERN:
        return KEY_ENGLISH
    # Those that our own checks raise are sentences of ours.
    return str(error["msg"]).removeprefix("Value error, ")


def not_found(what: str) -> HttpProblem:
    """404: there is no such thing."""
    return HttpProblem(404, "not_found", what)


def conflicting(conflict: Conflict, problems: Sequence[Fault] = ()) -> HttpProblem:
    """409: it contradicts what is there. `problems`: its own, as they are told to the caller."""
    return HttpProblem(409, conflict.code, str(conflict), problems)


def unavailable(detail: str) -> HttpProblem:
    """503: not now; the caller should come back."""
    return HttpProblem(503, "unavailable", detail, retry_after=RETRY_AFTER)


def internal() -> HttpProblem:
    """500: our fault; what happened is in the log, not in the answer."""
    return HttpProblem(500, "internal", "something went wrong on our side; it has been logged")


def document(problem: HttpProblem, instance: str) -> dict[str, Any]:
    """The problem's members; `message` repeats `detail` for tracking SDKs."""
    body: dict[str, Any] = {
        "type": f"urn:segserve:problem:{problem.code}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "instance": instance,
        "code": problem.code,
        "message": problem.detail,
    }
    if problem.errors:
        body["errors"] = [
            {"pointer": fault.pointer, "code": fault.code, "detail": fault.detail}
            for fault in problem.errors
        ]
    return body


def encoded(problem: HttpProblem, instance: str) -> bytes:
    """The problem as JSON."""
    return msgspec.json.encode(document(problem, instance))


def headers(problem: HttpProblem) -> dict[str, str]:
    """Headers beside the content type."""
    beside = {} if problem.retry_after is None else {"retry-after": str(problem.retry_after)}
    return {**beside, "www-authenticate": "Bearer"} if problem.status == 401 else beside
