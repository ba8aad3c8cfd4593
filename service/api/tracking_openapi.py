"""The tracking routes in the OpenAPI document."""

from collections.abc import Callable
from typing import Any

from service.api.tracking import KINDS, MESSAGES_LIMIT

Schema = dict[str, Any]

SECURITY_SCHEME: Schema = {
    "type": "http",
    "scheme": "basic",
    "description": "The write key of a source as the user, without a password. `Authorization: "
    "Bearer`, and `writeKey` in the body, do as well.",
}

# What a member should be is said and not asked: a message that has it otherwise goes to the
# rejects of its source, and the request is answered 200.
_MEMBERS = {
    "type": "In a batch: identify, track, page, screen or group.",
    "messageId": "Up to 100 characters. A message is taken once by it.",
    "userId": "Your own id of the customer, up to 256 characters.",
    "anonymousId": "Who it is where there is no userId.",
    "timestamp": "When it happened, ISO 8601; `originalTimestamp` counts before it.",
    "sentAt": "When it was sent, by the same clock as the timestamp.",
    "context": "Where and with what it happened; its `traits` are the customer's.",
    "event": "The name of a tracked event.",
    "properties": "What there is to say of an event, a page or a screen.",
    "name": "The name of a page or a screen.",
    "category": "The category of a page or a screen.",
    "traits": "Traits of the customer (identify), or of their company (group).",
    "groupId": "The company's id.",
    "writeKey": "The write key, where no header shows it.",
}

SCHEMAS: dict[str, Schema] = {
    "TrackingMessage": {
        "type": "object",
        "description": "A message of Segment's specification.",
        "properties": {name: {"description": text} for name, text in _MEMBERS.items()},
    },
    "TrackingBatch": {
        "type": "object",
        "description": "Messages, each of the type that it names.",
        "properties": {
            "batch": {
                "type": "array",
                # One of another shape is refused in its own place: the batch is none the worse.
                "items": {"anyOf": [{"$ref": "#/components/schemas/TrackingMessage"}, {}]},
                "maxItems": MESSAGES_LIMIT,
            },
            "context": {"description": "What all messages have in theirs, unless they differ."},
            "sentAt": {"description": "When it was sent, for messages that do not say."},
            "writeKey": {"description": _MEMBERS["writeKey"]},
        },
        "required": ["batch"],
    },
    "Success": {
        "type": "object",
        "description": "All that could be taken is stored.",
        "properties": {"success": {"const": True}},
        "required": ["success"],
    },
}

_EXAMPLES: dict[str, Schema] = {
    "identify": {"userId": "c-42", "traits": {"email": "ann@example.com", "plan": "pro"}},
    "track": {
        "userId": "c-42", "event": "Order Completed", "messageId": "m-1",
        "timestamp": "2026-11-20T10:00:00Z", "properties": {"order_id": "o-9", "total": 120.5},
    },
    "page": {"anonymousId": "a-1", "name": "Home", "properties": {"path": "/"}},
    "screen": {"anonymousId": "a-1", "name": "Basket"},
    "group": {"userId": "c-42", "groupId": "g-7", "traits": {"name": "Acme", "industry": "Toys"}},
    "alias": {"previousId": "a-1", "userId": "c-42"},
    "merge": {"userId": "c-42"},
}  # fmt: skip
_BATCH_EXAMPLE: Schema = {
    "batch": [{"type": kind, **_EXAMPLES[kind]} for kind in ("identify", "track")],
    "sentAt": "2026-11-20T10:00:05Z",
}

_SUMMARIES = {
    "batch": "Take messages of any types",
    "import": "Take messages of the past",
    "identify": "Take traits of a customer",
    "track": "Take an event",
    "page": "Take a look at a page",
    "screen": "Take a look at a screen",
    "group": "Take traits of a customer's company",
    "alias": "Say that two ids are one person's",
    "merge": "Say that identities are one person's",
}
_LATER = {"alias", "merge"}


def tracking_paths(refused: Callable[..., Schema]) -> dict[str, Schema]:
    """The operations; `refused(status, ...)`: responses of refusals."""
    return {f"/v1/{name}": {"post": _operation(name, refused)} for name in KINDS}


def _operation(name: str, refused: Callable[..., Schema]) -> Schema:
    kind = KINDS[name]
    long = kind or ("batch" if name == "b" else name)
    if long in _LATER:
        description = "Not available in this version: the message goes to the source's rejects."
    else:
        description = (
            "Segment's specification, whatever the content type says; gzip by its header. It is "
            "stored before the answer; what can't be taken is in the source's rejects."
        )
    schema = "TrackingMessage" if kind else "TrackingBatch"
    content = {
        "schema": {"$ref": f"#/components/schemas/{schema}"},
        "example": _EXAMPLES[kind] if kind else _BATCH_EXAMPLE,
    }
    success = {"schema": {"$ref": "#/components/schemas/Success"}}
    return {
        "tags": ["tracking"],
        "operationId": f"track_{name}",
        "summary": _SUMMARIES[long] + (" (the browser's short form)" if long != name else ""),
        "description": description,
        "security": [{"write_key": []}],
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": {
            "200": {"description": "Taken.", "content": {"application/json": success}},
            **refused("400", "401", "403", "404", "413", "415", "422", "429", "503"),
        },
    }
