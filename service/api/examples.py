"""An example for every JSON body and answer of the OpenAPI document: real ones, from a service that
was asked one after the other. A test holds them against their schemas."""

import json
from importlib.resources import files
from typing import Any

JSON = "application/json"


def put_examples(document: dict[str, Any]) -> None:
    """Put the examples of `examples.json` where the document has none of its own."""
    held: dict[str, Any] = json.loads(files(__package__).joinpath("examples.json").read_bytes())
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            known = held.get(f"{method.upper()} {path}", {})
            _put(operation.get("requestBody", {}), known, "request")
            for status, answer in operation["responses"].items():
                _put(answer, known, status)


def _put(described: dict[str, Any], known: dict[str, Any], name: str) -> None:
    content = described.get("content", {}).get(JSON)
    if content is not None and name in known and not {"example", "examples"} & content.keys():
        content["example"] = known[name]
