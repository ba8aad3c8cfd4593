"""The ASGI application: the hot routes beside FastAPI's routers."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from service.api import (
    audit,
    conditions,
    consents,
    customers,
    erasures,
    identities,
    imports,
    keys,
    members,
    operations,
    problems,
    rates,
    segments,
    sources,
    traits,
    versions,
)
from service.api.assign import AssignRoutes, Receive, Scope, Send
from service.api.door import Door
from service.api.openapi import describe
from service.api.pacing import paced
from service.api.problems import HttpProblem
from service.api.proxies import Proxies
from service.api.scopes import Table
from service.api.services import Services
from service.api.tracking import PATHS as TRACKING
from service.api.tracking import TrackingRoutes
from service.core.decisions import Undecidable
from service.core.parsing import Invalid
from service.store.database import CANT_READ, is_our_fault

log = structlog.get_logger()

HOT = frozenset({"/assign", "/assign/batch"})

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class Application:
    """Routes the hot paths past FastAPI, everything else to it."""

    def __init__(self, cold: FastAPI, services: Services) -> None:
        self.cold = cold
        self._hot = AssignRoutes(services.assigner, services.settings, services.metrics.request)
        self._tracking = TrackingRoutes(
            services.ingestor, services.sources, services.live, services.settings,
            services.clock, services.metrics.request,
        )  # fmt: skip

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in HOT:
            await self._hot(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] in TRACKING:
            await self._tracking(scope, receive, send)
        else:
            await paced(self.cold, scope, receive, send)


def create_app(services: Services, start: AbstractAsyncContextManager[Any] | None = None) -> Any:
    """The application over its services, behind its door; `start` is entered when the server
    starts and left, draining, when it stops."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if start is None:
            yield
            return
        async with start:
            yield

    app = FastAPI(
        title="segserve",
        description="Which segments is this customer in, now, and why?",
        version="0.1.0",
        lifespan=lifespan,
        # FastAPI's page loads its scripts from another host: nobody here should be sent there.
        docs_url=None,
        redoc_url=None,
        # A redirect loses a body, and who sends one seldom follows it.
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.services = services
    # Each route has its row in `scopes.ROUTES`: without one it is not served.
    for module in (
        segments,
        versions,
        members,
        conditions,
        consents,
        identities,
        customers,
        erasures,
        traits,
        rates,
        imports,
        operations,
        keys,
        sources,
        audit,
    ):
        app.include_router(module.router)
    _handle_errors(app)
    _observe(app, services)
    describe(app)
    return Door(
        Application(app, services),
        Table(app.routes, {*HOT, *TRACKING}),
        services.keyring,
        services.clock,
        services.metrics.request,
        Proxies(services.settings.trusted_proxies),
    )


def _observe(app: FastAPI, services: Services) -> None:
    @app.middleware("http")
    async def observed(request: Request, call_next: Any) -> Any:
        started = time.perf_counter()
        try:
            response = await call_next(request)
        except Exception as error:
            # Here and not in a handler, which Starlette would have raise it once more.
            response = _unexpected(request, error)
        spent = time.perf_counter() - started
        services.metrics.request(_template(request), response.status_code, spent)
        return response


def _template(request: Request) -> str:
    """The route as it is written, without the ids that stand in the path."""
    return getattr(request.scope.get("route"), "path_format", "unmatched")


def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("request_failed", route=_template(request), exc_info=error)
    return _answer(request, problems.internal())


def _answer(request: Request, problem: HttpProblem) -> JSONResponse:
    return JSONResponse(
        problems.document(problem, request.url.path),
        status_code=problem.status,
        headers=problems.headers(problem),
        media_type=problems.MEDIA_TYPE,
    )


def _handle_errors(app: FastAPI) -> None:
    @app.exception_handler(HttpProblem)
    async def refused(request: Request, error: HttpProblem) -> JSONResponse:
        return _answer(request, error)

    @app.exception_handler(Invalid)
    async def faulty(request: Request, error: Invalid) -> JSONResponse:
        return _answer(request, problems.invalid(error.problems))

    @app.exception_handler(RequestValidationError)
    async def unprocessable(request: Request, error: RequestValidationError) -> JSONResponse:
        if any(fault["type"] == "json_invalid" for fault in error.errors()):
            return _answer(request, HttpProblem(400, "not_json", "the body is not JSON"))
        faults = []
        for fault in error.errors():
            where, *path = fault["loc"]
            faults.append(problems.fault_of(fault, path if where == "body" else [where, *path]))
        return _answer(request, problems.invalid(faults))

    @app.exception_handler(Undecidable)
    async def undecidable(request: Request, error: Undecidable) -> JSONResponse:
        return _answer(request, problems.unavailable(f"this can't be decided now: {error}"))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "refused")
        problem = HttpProblem(error.status_code, code, str(error.detail))
        answer = _answer(request, problem)
        answer.headers.update(error.headers or {})
        return answer

    for unreachable in CANT_READ:

        @app.exception_handler(unreachable)
        async def down(request: Request, error: Exception) -> JSONResponse:
            if is_our_fault(error):
                return _unexpected(request, error)
            log.warning("store_unreachable", route=_template(request), error=type(error).__name__)
            return _answer(request, problems.unavailable("the store does not answer now"))
