"""The OpenAPI document as a file, from the code, without a database."""

from typing import Any

import yaml
from cryptography.fernet import Fernet

from service.api.app import create_app
from service.settings import Settings
from service.store.vault import Vault
from service.wiring import Process


def openapi_document() -> dict[str, Any]:
    """The OpenAPI document of this version."""
    vault = Vault([Fernet.generate_key()])  # of its own: a contract is nobody's data
    process = Process(Settings(), "postgresql://nobody@localhost/nothing", vault=vault)
    document: dict[str, Any] = create_app(process.services).inner.cold.openapi()
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
