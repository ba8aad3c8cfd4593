"""Settings: `DATABASE_URL`, and everything else as `SEGSERVE_*` environment variables."""

import os
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def default_data_dir() -> Path:
    """The per-user folder of the XDG base directory specification."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "segserve"


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(
            f"{name!r} is not a time zone; use a name such as Europe/Prague"
        ) from error
    return name


def _networks(text: str) -> str:
    for each in text.split(","):
        try:
            ip_network(each.strip())
        except ValueError as error:
            raise ValueError(f"{each.strip()!r} is neither an address nor a network") from error
    return text


def _sendable(key: SecretStr) -> SecretStr:
    if not re.fullmatch("[!-~]{32,}", key.get_secret_value()):
        raise ValueError("it has to have 32 characters at least, of ASCII and without spaces")
    return key


class Settings(BaseSettings):
    """Every setting, with its default. `docs/operate.md` explains each."""

    model_config = SettingsConfigDict(
        env_prefix="SEGSERVE_", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    database_url: Annotated[
        str | None,
        Field(
            validation_alias="DATABASE_URL",
            description="A PostgreSQL server of your own; empty: the embedded one.",
        ),
    ] = None
    host: Annotated[str, Field(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on.")] = 8000
    bootstrap_key: Annotated[
        Annotated[SecretStr, AfterValidator(_sendable)] | None,
        Field(
            description="The first key, for everything, while there is none: 32 characters or more."
        ),
    ] = None
    trusted_proxies: Annotated[
        Annotated[str, AfterValidator(_networks)] | None,
        Field(description="Proxies whose X-Forwarded-For is believed: addresses and networks."),
    ] = None
    data_dir: Annotated[
        Path, Field(description="Folder of the embedded database and the model bundles' cache.")
    ] = Field(default_factory=default_data_dir)
    models_dir: Annotated[
        Path | None, Field(description="Folder of the model bundles; empty: DATA_DIR/models.")
    ] = None
    time_zone: Annotated[
        str,
        AfterValidator(_known_zone),
        Field(description="The workspace's time zone: whole days, calendar months and years."),
    ] = "UTC"
    base_currency: Annotated[
        str, Field(pattern="^[A-Z]{3}$", description="The currency all money is kept in.")
    ] = "USD"
    log_level: Annotated[
        str,
        Field(pattern="^(debug|info|warning|error)$", description="Least severe level logged."),
    ] = "info"
    log_format: Annotated[
        str, Field(pattern="^(auto|json|console)$", description="Log lines for machines or people.")
    ] = "auto"
    body_limit: Annotated[int, Field(gt=0, description="Largest request body, bytes.")] = 1_000_000
    batch_body_limit: Annotated[
        int, Field(gt=0, description="Largest body of /assign/batch, bytes.")
    ] = 10_000_000
    list_body_limit: Annotated[int, Field(gt=0, description="Largest uploaded list, bytes.")] = (
        200_000_000
    )
    import_body_limit: Annotated[
        int, Field(gt=0, description="Largest file of /imports, bytes.")
    ] = 1_000_000_000
    tracking_body_limit: Annotated[
        int, Field(gt=0, description="Largest body of /v1, bytes, unpacked.")
    ] = 4_194_304
    json_depth: Annotated[
        int, Field(gt=0, le=200, description="Deepest nesting of a JSON body.")
    ] = 32
    traits_limit: Annotated[int, Field(gt=0, description="Most traits of one customer.")] = 500
    traits_bytes: Annotated[
        int, Field(gt=0, description="Most bytes of one customer's traits, as JSON.")
    ] = 65_536
    rules_limit: Annotated[int, Field(gt=0, description="Most rules of one condition.")] = 1_000
    values_limit: Annotated[int, Field(gt=0, description="Most values of one rule.")] = 10_000
    writer_queue: Annotated[
        int, Field(gt=0, description="Recorded assigns that may wait; past it, 503.")
    ] = 4_096
    writer_batch: Annotated[
        int, Field(gt=0, le=2_000, description="Most customers of one transaction.")
    ] = 128
    database_pool: Annotated[int, Field(ge=3, description="Connections to PostgreSQL.")] = 8
    catalog_poll: Annotated[
        float,
        Field(gt=0, le=1, description="Seconds between looks at the catalog's revision and keys."),
    ] = 0.5
    metrics_interval: Annotated[
        float, Field(gt=0, description="Least seconds between refreshes of segments' metrics.")
    ] = 15.0

    @property
    def bundles(self) -> Path:
        """Folder of the model bundles."""
        return self.models_dir if self.models_dir is not None else self.data_dir / "models"
