"""The OpenAPI document: FastAPI's, with the hot routes and the one error shape put in."""

from collections.abc import Iterator
from typing import Any

import msgspec
from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from service.api.assign import BATCH_LIMIT, INCLUDES, LATER, AssignRequest
from service.api.problems import MEDIA_TYPE
from service.api.schemas import REASON, Fault, ModelAnswer, ProblemDocument

Schema = dict[str, Any]

# These answer from memory, whatever state the store is in.
STORELESS = frozenset({"/healthz", "/readyz", "/metrics", "/catalog"})


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _nullable(kind: str, **more: Any) -> Schema:
    return {"type": [kind, "null"], **more}


_INSTANT = {"type": "string", "format": "date-time"}

_ASSIGNED_SEGMENT: Schema = {
    "type": "object",
    "description": "A segment that the customer is in.",
    "properties": {
        "key": {"type": "string"},
        "name": {"type": "string"},
        "scheme": _nullable("string", description="The exclusive scheme it belongs to."),
        "since": {**_INSTANT, "description": "When the customer entered."},
        "valid_until": _nullable(
            "string",
            format="date-time",
            description="When time alone may take the customer out; null: never.",
        ),
        "treatment": {"type": "object", "description": "Only where `include` asks for it."},
    },
    "required": ["key", "name", "scheme", "since", "valid_until"],
}

_EXIT: Schema = {
    "type": "object",
    "description": "A segment that this call took the customer out of.",
    "properties": {
        "key": {"type": "string"},
        "reason": REASON,
    },
    "required": ["key", "reason"],
}

_ASSIGNMENT: Schema = {
    "type": "object",
    "description": "The segments a customer is in, now, and what this call changed.",
    "properties": {
        "customer_id": _nullable("string"),
        "segments": {"type": "array", "items": _ref("AssignedSegment")},
        "schemes": {
            "type": "object",
            "description": "For each scheme the segment that won it; null where none did.",
            "additionalProperties": _nullable("string"),
        },
        "entered": {"type": "array", "items": {"type": "string"}},
        "exited": {"type": "array", "items": _ref("Exit")},
        "models": {"type": "object", "additionalProperties": _ref("ModelAnswer")},
        "variants": {"type": "object", "description": "Empty in this version."},
        "valid_until": _nullable(
            "string",
            format="date-time",
            description="Until when the answer holds if nothing but time happens; null: for ever.",
        ),
        "recorded": {"type": "boolean"},
        "sequence": _nullable(
            "integer",
            description="The number of the customer's latest transition; null for the unnamed.",
        ),
        "catalog_revision": {"type": "integer"},
        "evaluated_at": _INSTANT,
        "warnings": {
            "type": "array",
            "description": "Traits that were left out because their type does not fit; or absent.",
            "items": _ref("Fault"),
        },
        "traits": {"type": "object", "description": "Only where `include` asks for it."},
    },
    "required": [
        "customer_id", "segments", "schemes", "entered", "exited", "models", "variants",
        "valid_until", "recorded", "sequence", "catalog_revision", "evaluated_at",
    ],
}  # fmt: skip

_REQUEST_DESCRIPTIONS = {
    "customer_id": "The caller's own id. Without one, nothing is stored.",
    "traits": "What is known of the customer, merged over what is stored (RFC 7396).",
    "record": "Whether to store it; true unless said otherwise.",
    "segments": "Narrow the answer to these keys.",
    "include": "What else to answer.",
    **dict.fromkeys(LATER, "Not available in this version: refused with 422."),
}

_BATCH_REQUEST: Schema = {
    "type": "object",
    "description": "An item's own `record` wins over the batch's.",
    "properties": {
        "customers": {
            "type": "array",
            "items": _ref("AssignRequest"),
            "maxItems": BATCH_LIMIT,
        },
        "record": {"type": "boolean", "default": True},
    },
    "required": ["customers"],
    "additionalProperties": False,
}

_BATCH_ANSWER: Schema = {
    "type": "object",
    "description": "In the order of the request.",
    "properties": {
        "results": {
            "type": "array",
            "items": {"anyOf": [_ref("Assignment"), _ref("BatchFailure")]},
        }
    },
    "required": ["results"],
}

_BATCH_FAILURE: Schema = {
    "type": "object",
    "description": "What stands in the place of an item that failed.",
    "properties": {"error": _ref("ProblemDocument")},
    "required": ["error"],
    "additionalProperties": False,
}

_EXAMPLE = {
    "customer_id": "c-42",
    "traits": {"age": 31, "country": "CZ", "address": {"city": "Brno"}, "tags": ["vip"]},
}


def _content(schema: Schema, description: str, media_type: str = "application/json") -> Schema:
    return {"description": description, "content": {media_type: {"schema": schema}}}


def _problem(description: str) -> Schema:
    return _content(_ref("ProblemDocument"), description, MEDIA_TYPE)


def _later(answer: Schema) -> Schema:
    seconds = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
    return {**answer, "headers": {"Retry-After": seconds}}


_REFUSALS = {
    "400": ("NotJson", _problem("The body is not JSON.")),
    "404": ("NotFound", _problem("There is no such thing.")),
    "409": ("Conflict", _problem("It contradicts what is there.")),
    "413": ("TooLarge", _problem("The body is too large.")),
    "415": ("Unsupported", _problem("The body is not called JSON.")),
    "422": ("Invalid", _problem("It can't be accepted; `errors` says where and why.")),
    "503": ("Unavailable", _later(_problem("Not now; come back after Retry-After seconds."))),
    "default": ("Refusal", _problem("Every other refusal has this shape too.")),
}


def _refused(*statuses: str) -> Schema:
    return {
        status: {"$ref": f"#/components/responses/{_REFUSALS[status][0]}"}
        for status in (*statuses, "default")
    }


def _hot_operation(
    operation_id: str, summary: str, description: str, request: str, responses: Schema,
    example: Schema,
) -> Schema:  # fmt: skip
    return {
        "tags": ["assign"],
        "operationId": operation_id,
        "summary": summary,
        "description": description,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _ref(request), "example": example}},
        },
        "responses": responses,
    }


def _hot_paths() -> dict[str, Any]:
    one = _hot_operation(
        "assign",
        "Assign one customer",
        "Which segments a customer is in. Named and recorded (the default), it is durable before "
        "the answer; unnamed, nothing is stored.",
        "AssignRequest",
        {
            "200": _content(_ref("Assignment"), "The answer."),
            **_refused("400", "413", "422", "503"),
        },
        _EXAMPLE,
    )
    many = _hot_operation(
        "assign_batch",
        f"Assign up to {BATCH_LIMIT:,} customers",
        "Answers in order; an item that fails carries its problem and spoils no other.",
        "BatchRequest",
        {
            "200": _content(_ref("BatchAnswer"), "The answers."),
            **_refused("400", "413", "422"),
            "503": _later(_content(_ref("BatchAnswer"), "None of them could be stored now.")),
        },
        {"customers": [_EXAMPLE], "record": True},
    )
    return {"/assign": {"post": one}, "/assign/batch": {"post": many}}


def _schemas() -> dict[str, Schema]:
    template = "#/components/schemas/{name}"
    _, requests = msgspec.json.schema_components([AssignRequest], ref_template=template)
    properties = requests["AssignRequest"]["properties"]
    for name, description in _REQUEST_DESCRIPTIONS.items():
        properties[name]["description"] = description
    properties["include"]["items"]["enum"] = sorted(INCLUDES)
    _, shared = models_json_schema(
        [(ProblemDocument, "validation"), (Fault, "validation"), (ModelAnswer, "validation")],
        ref_template="#/components/schemas/{model}",
    )
    return {
        **requests,
        **shared["$defs"],
        "Assignment": _ASSIGNMENT,
        "AssignedSegment": _ASSIGNED_SEGMENT,
        "Exit": _EXIT,
        "BatchRequest": _BATCH_REQUEST,
        "BatchAnswer": _BATCH_ANSWER,
        "BatchFailure": _BATCH_FAILURE,
    }


def _operations(document: Schema) -> Iterator[tuple[str, str, Schema]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield path, method, operation


def _with_refusals(path: str, method: str, operation: Schema) -> None:
    statuses = []
    if "requestBody" in operation:
        statuses += ["400", "413", "415", "422"]
    if operation.get("parameters"):
        statuses.append("422")
    if "{" in path and method != "put":
        statuses.append("404")
    if path.startswith(("/segments", "/traits")) and method != "get":
        statuses.append("409")
    if path not in STORELESS:
        statuses.append("503")
    responses = operation["responses"]
    # FastAPI's own 422 has another shape than ours.
    responses.pop("422", None)
    responses.update(_refused(*sorted(set(statuses))))


def describe(app: FastAPI) -> None:
    """Make the application's OpenAPI document complete."""
    plain = app.openapi

    def complete() -> Schema:
        if app.openapi_schema is not None:
            return app.openapi_schema
        document = plain()
        for path, method, operation in _operations(document):
            _with_refusals(path, method, operation)
        document["paths"] = {**_hot_paths(), **document["paths"]}
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.update(_schemas())
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        document["components"] = {
            "responses": dict(_REFUSALS.values()),
            "schemas": dict(sorted(schemas.items())),
        }
        app.openapi_schema = document
        return document

    app.openapi = complete  # type: ignore[method-assign]  # FastAPI's documented way to extend it
