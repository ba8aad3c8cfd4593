"""The OpenAPI document as a file, from the code, without a database."""

from typing import Any

import yaml

from service.api.app import create_app
from service.settings import Settings
from service.wiring import Process


def openapi_document() -> dict[str, Any]:
    """The OpenAPI document of this version."""
    process = Process(Settings(), "postgresql://nobody@localhost/nothing")
    document: dict[str, Any] = create_app(process.services).cold.openapi()
    return document


def openapi_yaml() -> str:
    """The document as YAML, in the order of the code."""
    return yaml.safe_dump(openapi_document(), sort_keys=False, allow_unicode=True, width=100)
