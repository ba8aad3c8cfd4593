"""`/healthz`, `/readyz`, `/metrics`, `/catalog`, `/jobs`: for those who run the service."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from service.api import paging
from service.api.callers import WithCaller
from service.api.masking import View, WithView
from service.api.operation_schemas import (
    ActiveModel,
    CatalogReadiness,
    CatalogState,
    DatabaseReadiness,
    Health,
    Job,
    JobPage,
    ModelsReadiness,
    Readiness,
    Refused,
)
from service.api.problems import not_found
from service.api.schemas import Fault
from service.api.services import Services, WithServices
from service.core.access import Caller, Scope
from service.flows.import_running import Detail
from service.flows.importing import KIND as IMPORT
from service.store import catalogs
from service.store import jobs as stored
from service.store.database import CANT_READ
from service.store.jobs import JobRow

router = APIRouter(tags=["operations"])


@router.get("/healthz")
async def healthz() -> Health:
    """The process answers."""
    return Health()


@router.get("/readyz", responses={503: {"model": Readiness, "description": "Not ready."}})
async def readyz(services: WithServices, view: WithView, response: Response) -> Readiness:
    """Whether the service can do its work: catalog, models and database, each with its state."""
    served = services.live.served
    try:
        async with services.database.engine.connect() as connection:
            head = await catalogs.head_revision(connection)
        database = DatabaseReadiness(ready=True, revision=head)
    except CANT_READ as error:
        database = DatabaseReadiness(ready=False, reason=type(error).__name__)
        response.status_code = 503
    refused = _refused(services, view)
    return Readiness(
        ready=database.ready,
        database=database,
        catalog=CatalogReadiness(
            ready=True,
            revision=served.revision,
            segments=len(served.catalog.segments),
            refused=[each for each in refused if each.kind != "model"],
        ),
        models=ModelsReadiness(
            ready=not served.refused_models,
            active=_models(services),
            refused=[each for each in refused if each.kind == "model"],
        ),
    )


# Watchers ask without wanting the body, which the server leaves out.
router.add_api_route("/healthz", healthz, methods=["HEAD"], include_in_schema=False)
router.add_api_route("/readyz", readyz, methods=["HEAD"], include_in_schema=False)


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(services: WithServices) -> Response:
    """Prometheus's text format."""
    served = services.live.served
    page = services.metrics.page(
        queue=services.writer.waiting,
        revision=served.revision,
        served=len(served.catalog.segments),
        refused=len(served.catalog.refused),
        store_available=services.live.store_available,
    )
    return Response(page, media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/catalog")
async def catalog(services: WithServices, view: WithView) -> CatalogState:
    """What this process serves: revision, counts, and what is refused; why, callers with the scope
    `personal` are told."""
    served = services.live.served
    return CatalogState(
        revision=served.revision,
        segments=len(served.catalog.segments),
        schemes={scheme: list(members) for scheme, members in served.catalog.schemes.items()},
        models=_models(services),
        refused=_refused(services, view),
    )


def _models(services: Services) -> dict[str, ActiveModel]:
    return {
        model.name: ActiveModel(
            version=model.version, form=model.scorer.form, reason=model.scorer.reason
        )
        for model in services.live.served.models
    }


def _refused(services: Services, view: View) -> list[Refused]:
    served = services.live.served
    segments = [
        Refused(
            kind="segment",
            key=refusal.key,
            problems=[
                Fault(pointer=p.pointer, code=p.code, detail=p.detail)
                for p in view.of_others(refusal.problems)
            ],
        )
        for refusal in served.catalog.refused
    ]
    traits = [
        Refused(
            kind="trait",
            key=name,
            problems=[
                Fault(pointer=p.pointer, code=p.code, detail=p.detail)
                for p in view.of_others(problems)
            ],
        )
        for name, problems in sorted(served.catalog.refused_traits.items())
    ]
    models = [
        Refused(
            kind="model",
            key=f"{model.name}/{model.version}",
            problems=[Fault(pointer="", code="refused", detail=model.reason)],
        )
        for model in served.refused_models
    ]
    return segments + traits + models


def _detail(row: JobRow, who: Caller) -> dict[str, Any]:
    """What a job is about and has found. What an import was told may name people."""
    if row.kind != IMPORT:
        return row.detail
    detail = Detail.of(row)
    plan = detail.plan
    told: dict[str, Any] = {
        "kind": plan.kind, "list": plan.list, "spread": detail.spread, "done": detail.done,
        "rejected": detail.rejected, "counts": detail.counts,
    }  # fmt: skip
    if who.may(Scope.PERSONAL):
        told |= {"name": detail.name, "where": plan.where, "set": plan.constants}
    found: dict[str, Any] = msgspec.to_builtins(told)
    return found


def _job(row: JobRow, who: Caller) -> Job:
    rate = eta = None
    if row.started_at is not None:
        spent = ((row.finished_at or datetime.now(UTC)) - row.started_at).total_seconds()
        rate = row.done / spent if spent > 0 else None
        if rate and row.total is not None and row.finished_at is None:
            eta = max(0.0, (row.total - row.done) / rate)
    return Job(
        id=row.id,
        kind=row.kind,
        status=row.status,  # type: ignore[arg-type]  # the table's check holds it to these
        detail=_detail(row, who),
        done=row.done,
        total=row.total,
        rate=rate,
        eta_seconds=eta,
        error=row.error,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


@router.get("/jobs")
async def list_jobs(
    services: WithServices,
    who: WithCaller,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> JobPage:
    """Background jobs, the newest first."""
    before = paging.after_number(cursor)
    async with services.database.engine.connect() as connection:
        rows = await stored.recent(connection, before, limit + 1)
    items = [_job(row, who) for row in rows[:limit]]
    return JobPage(
        items=items, next_cursor=paging.cursor(items[-1].id if len(rows) > limit else None)
    )


@router.get("/jobs/{job_id}")
async def get_job(services: WithServices, who: WithCaller, job_id: int) -> Job:
    """One background job: progress, rate and the time it will still take."""
    async with services.database.engine.connect() as connection:
        row = await stored.get(connection, job_id) if 0 < job_id < 2**63 else None
    if row is None:
        raise not_found(f"there is no job {job_id}")
    return _job(row, who)
