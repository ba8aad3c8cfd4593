"""What the routes for those who operate the service give."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from service.api.schemas import Fault, Page


class Job(BaseModel):
    """A background job."""

    id: int
    kind: str
    status: Literal["queued", "running", "done", "failed"]
    detail: dict[str, Any] = Field(
        description="What it is about and has found. What was said of an import's rows, and its "
        "file's name, may name people: keys with the scope `personal` are told."
    )
    done: int
    total: int | None
    rate: float | None = Field(description="Customers a second.")
    eta_seconds: float | None
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class JobPage(Page):
    """A page of jobs, the newest first."""

    items: list[Job]


class Refused(BaseModel):
    """A definition or a model that is not served, and why."""

    kind: Literal["segment", "trait", "model"]
    key: str
    problems: list[Fault]


class ActiveModel(BaseModel):
    """A model that is served."""

    version: str
    form: Literal["onnx", "joblib"] = Field(description="What answers: ONNX, or the pipeline.")
    reason: str | None = Field(description="Why it is not ONNX that answers.")


class CatalogState(BaseModel):
    """What this process serves."""

    revision: int
    segments: int
    schemes: dict[str, list[str]]
    models: dict[str, ActiveModel]
    refused: list[Refused]


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class DatabaseReadiness(BaseModel):
    """Whether the database answers."""

    ready: bool
    revision: int | None = Field(default=None, description="The newest revision it holds.")
    reason: str | None = None


class CatalogReadiness(BaseModel):
    """Whether there is a catalog to serve."""

    ready: bool
    revision: int = Field(description="The revision this process serves.")
    segments: int
    refused: list[Refused]


class ModelsReadiness(BaseModel):
    """Whether every registered model is served."""

    ready: bool
    active: dict[str, ActiveModel]
    refused: list[Refused]


class Readiness(BaseModel):
    """Whether the service can do its work, part by part."""

    ready: bool
    database: DatabaseReadiness
    catalog: CatalogReadiness
    models: ModelsReadiness
