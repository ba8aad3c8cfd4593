"""The OpenAPI document: FastAPI's, with the hot routes and the one error shape put in."""

from collections.abc import Iterator
from typing import Any

import msgspec
from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from service.api.assign import BATCH_LIMIT, INCLUDES, AssignRequest
from service.api.customer_schemas import REASON, ModelAnswer
from service.api.examples import put_examples
from service.api.problems import MEDIA_TYPE
from service.api.schemas import Fault, ProblemDocument
from service.api.scopes import ROUTES, Own
from service.api.tracking_openapi import SCHEMAS as TRACKING_SCHEMAS
from service.api.tracking_openapi import SECURITY_SCHEME, tracking_paths

Schema = dict[str, Any]

MEMBERS = "/segments/{key}/members"
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
        "masked": {
            "type": "array",
            "description": 'Paths of `traits` whose value is "***", because they are personal and '
            "the key lacks the scope; absent where no trait is personal or the key has it.",
            "items": {"type": "string"},
        },
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
    "events": "What the customer did: `{event, properties, timestamp, message_id}` each, 100 at "
    "most. A message is taken once; its time is believed up to 5 minutes ahead.",
    "identities": "What the customer is known by, by kind: email, phone, anonymous_id, or the "
    "namespace of a vendor's ids. Without `customer_id` the strongest names the customer.",
    "at": "Not available in this version: refused with 422.",
}

_BATCH_REQUEST: Schema = {
    "type": "object",
    "description": "An item's own `record` wins over the batch's.",
    "properties": {
        "customers": {
            "type": "array",
            # An item of another shape is refused in its own place: the batch is none the worse.
            "items": {"anyOf": [_ref("AssignRequest"), {}]},
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
    "401": ("KeyNeeded", _problem("A key is needed, or the one that was sent is refused.")),
    "403": ("Forbidden", _problem("The key does not allow this, or protected mode refuses it.")),
    "404": ("NotFound", _problem("There is no such thing.")),
    "406": ("NotAcceptable", _problem("Accept takes none of the media types there are.")),
    "409": ("Conflict", _problem("It contradicts what is there.")),
    "412": ("Stale", _problem("It was made from what is no longer so.")),
    "413": ("TooLarge", _problem("The body is too large.")),
    "415": ("Unsupported", _problem("The body is of another media type than is taken.")),
    "422": ("Invalid", _problem("It can't be accepted; `errors` says where and why.")),
    "429": ("RateLimited", _later(_problem("The key has sent its requests of this minute."))),
    "503": ("Unavailable", _later(_problem("Not now; come back after Retry-After seconds."))),
    "default": ("Refusal", _problem("Every other refusal has this shape too.")),
}


def _refused(*statuses: str) -> Schema:
    return {
        status: {"$ref": f"#/components/responses/{_REFUSALS[status][0]}"}
        for status in (*statuses, "default")
    }


# In protected mode no key is asked for, whatever an operation says.
_SECURITY_SCHEMES: Schema = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key of `POST /keys`."},
    "header": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
}


def _security(method: str, path: str) -> list[dict[str, list[str]]]:
    """The schemes that open an operation, each with the scope that the key has to have."""
    scope = ROUTES[path][method.upper()]
    if scope is None or isinstance(scope, Own):
        return []
    return [{name: [scope.value]} for name in _SECURITY_SCHEMES]


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
            **_refused("400", "401", "403", "409", "413", "415", "422", "429", "503"),
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
            **_refused("400", "401", "403", "413", "415", "422", "429"),
            "503": _later(_content(_ref("BatchAnswer"), "None of them could be stored now.")),
        },
        {"customers": [_EXAMPLE], "record": True},
    )
    paths = {"/assign": {"post": one}, "/assign/batch": {"post": many}}
    for path, operations in paths.items():
        operations["post"]["security"] = _security("post", path)
    return paths


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
        **TRACKING_SCHEMAS,
    }


def _operations(document: Schema) -> Iterator[tuple[str, str, Schema]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield path, method, operation


def _with_refusals(path: str, method: str, operation: Schema) -> None:
    operation["security"] = _security(method, path)
    statuses = ["401", "403", "429"] if operation["security"] else ["403"]
    if "requestBody" in operation:
        statuses += ["400", "413", "415", "422"]
    if operation.get("parameters"):
        statuses.append("422")
    if "{" in path and (method != "put" or path in (MEMBERS, "/sources/{source_id}")):
        statuses.append("404")
    if path == MEMBERS and method == "get":
        statuses.append("406")
    if path.startswith(("/segments", "/traits", "/sources", "/keys/")) and method != "get":
        statuses.append("409")
    headers = {each["name"] for each in operation.get("parameters", []) if each["in"] == "header"}
    if "If-Match" in headers or ("If-None-Match" in headers and method != "get"):
        statuses.append("412")
    if "Idempotency-Key" in headers:
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
        document["paths"] = {**_hot_paths(), **tracking_paths(_refused), **document["paths"]}
        put_examples(document)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.update(_schemas())
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        document["components"] = {
            "responses": dict(_REFUSALS.values()),
            "securitySchemes": {**_SECURITY_SCHEMES, "write_key": SECURITY_SCHEME},
            "schemas": dict(sorted(schemas.items())),
        }
        app.openapi_schema = document
        return document

    app.openapi = complete  # type: ignore[method-assign]  # FastAPI's documented way to extend it
