"""The OpenAPI document: FastAPI's, with the hot routes and the one error shape put in."""

from typing import Any

import msgspec
from fastapi import FastAPI

from service.api.assign import AssignRequest
from service.api.problems import MEDIA_TYPE
from service.api.schemas import ProblemDocument

_REF = "#/components/schemas/{name}"

_ASSIGNMENT: dict[str, Any] = {
    "type": "object",
    "description": "The segments a customer is in, now, and what this call changed.",
    "properties": {
        "customer_id": {"type": ["string", "null"]},
        "segments": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "key": {"type": "string"},
                    "name": {"type": "string"},
                    "scheme": {"type": ["string", "null"]},
                    "since": {"type": "string", "format": "date-time"},
                    "valid_until": {"type": ["string", "null"], "format": "date-time"},
                    "treatment": {"type": "object"},
                },
                "required": ["key", "name", "scheme", "since", "valid_until"],
            },
        },
        "schemes": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
        "entered": {"type": "array", "items": {"type": "string"}},
        "exited": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"key": {"type": "string"}, "reason": {"type": "object"}},
                "required": ["key", "reason"],
            },
        },
        "models": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "properties": {
                    "version": {"type": "string"},
                    "label": {"type": ["string", "null"]},
                    "confidence": {"type": ["number", "null"]},
                    "score": {"type": ["number", "null"]},
                    "unusual": {"type": ["boolean", "null"]},
                },
            },
        },
        "variants": {"type": "object"},
        "valid_until": {"type": ["string", "null"], "format": "date-time"},
        "recorded": {"type": "boolean"},
        "sequence": {"type": ["integer", "null"]},
        "catalog_revision": {"type": "integer"},
        "evaluated_at": {"type": "string", "format": "date-time"},
        "warnings": {"type": "array", "items": {"type": "object"}},
        "traits": {"type": "object"},
    },
    "required": [
        "customer_id", "segments", "schemes", "entered", "exited", "models", "variants",
        "valid_until", "recorded", "sequence", "catalog_revision", "evaluated_at",
    ],
}  # fmt: skip

_EXAMPLE = {
    "customer_id": "c-42",
    "traits": {"age": 31, "country": "CZ", "address": {"city": "Brno"}, "tags": ["vip"]},
}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _REF.format(name=name)}


def _problem(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {MEDIA_TYPE: {"schema": _ref("ProblemDocument")}},
    }


_REFUSALS = {
    "400": _problem("The body is not JSON."),
    "413": _problem("The body is too large."),
    "422": _problem("What was sent can't be accepted; `errors` says where and why."),
    "503": _problem("Not now; come back after Retry-After seconds."),
}


def _operation(
    operation_id: str, summary: str, description: str, request: str, response: dict[str, Any],
    example: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    return {
        "tags": ["assign"],
        "operationId": operation_id,
        "summary": summary,
        "description": description,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _ref(request), "example": example}},
        },
        "responses": {
            "200": {
                "description": "The answer.",
                "content": {"application/json": {"schema": response}},
            },
            **_REFUSALS,
        },
    }


def _hot_schemas() -> dict[str, Any]:
    _, components = msgspec.json.schema_components([AssignRequest], ref_template=_REF)
    batch = {
        "type": "object",
        "properties": {
            "customers": {"type": "array", "items": _ref("AssignRequest"), "maxItems": 1000},
            "record": {"type": "boolean", "default": True},
        },
        "required": ["customers"],
        "additionalProperties": False,
    }
    results = {
        "type": "object",
        "properties": {
            "results": {
                "type": "array",
                "items": {
                    "anyOf": [
                        _ref("Assignment"),
                        {
                            "type": "object",
                            "properties": {"error": _ref("ProblemDocument")},
                            "required": ["error"],
                        },
                    ]
                },
            }
        },
        "required": ["results"],
    }
    return {
        **components,
        "Assignment": _ASSIGNMENT,
        "BatchRequest": batch,
        "BatchAnswer": results,
        "ProblemDocument": ProblemDocument.model_json_schema(ref_template=_REF),
    }


def describe(app: FastAPI) -> None:
    """Make the application's OpenAPI document complete."""
    plain = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        document = plain()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.update(_hot_schemas())
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for operations in document["paths"].values():
            for operation in operations.values():
                _with_problems(operation)
        document["paths"] = {
            "/assign": {
                "post": _operation(
                    "assign",
                    "Assign one customer",
                    "Which segments a customer is in. Named and recorded (the default), it is "
                    "durable before the answer; unnamed, nothing is stored.",
                    "AssignRequest",
                    _ref("Assignment"),
                    _EXAMPLE,
                )
            },
            "/assign/batch": {
                "post": _operation(
                    "assign_batch",
                    "Assign up to 1,000 customers",
                    "Answers in order; an item that fails carries its problem and spoils no other.",
                    "BatchRequest",
                    _ref("BatchAnswer"),
                    {"customers": [_EXAMPLE], "record": True},
                )
            },
            **document["paths"],
        }
        app.openapi_schema = document
        return document

    app.openapi = complete  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _with_problems(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    if "422" in responses:
        responses["422"] = _REFUSALS["422"]
    if operation.get("requestBody"):
        responses.setdefault("400", _REFUSALS["400"])
        responses.setdefault("409", _problem("It contradicts what is there."))
    if any(p["in"] == "path" for p in operation.get("parameters", [])):
        responses.setdefault("404", _problem("There is no such thing."))
        responses.setdefault("409", _problem("It contradicts what is there."))
    responses.setdefault("503", _REFUSALS["503"])
