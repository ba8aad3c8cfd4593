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
    text: str = yaml.dump(
        openapi_document(), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=100
    )
    return text


class _Plain(yaml.SafeDumper):
    """YAML without anchors: what is used twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
