"""Settings: `DATABASE_URL`, and everything else as `SEGSERVE_*` environment variables."""

import os
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field
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


class Settings(BaseSettings):
    """Every setting, with its default. `docs/operate.md` explains each."""

    model_config = SettingsConfigDict(env_prefix="SEGSERVE_", extra="ignore", frozen=True)

    database_url: Annotated[
        str | None,
        Field(
            validation_alias="DATABASE_URL",
            description="A PostgreSQL server of your own; empty: the embedded one.",
        ),
    ] = None
    host: Annotated[str, Field(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on.")] = 8000
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
    json_depth: Annotated[int, Field(gt=0, le=200, description="Deepest nesting of JSON.")] = 32
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
        float, Field(gt=0, le=5, description="Seconds between looks at the catalog's revision.")
    ] = 0.5
    metrics_interval: Annotated[
        float, Field(gt=0, description="Least seconds between refreshes of segments' metrics.")
    ] = 15.0

    @property
    def bundles(self) -> Path:
        """Folder of the model bundles."""
        return self.models_dir if self.models_dir is not None else self.data_dir / "models"
