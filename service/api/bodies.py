"""Bodies of the ordinary routes, read as the hot ones read theirs: bounded, strictly JSON."""

from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from fastapi import Request, Response
from fastapi.routing import APIRoute

from service.api.assign import ClientGone, Receive, Scope, Send, read_body
from service.api.decoding import check_document, decode, without_mark
from service.api.idempotency import REPEATABLE, repeatable
from service.api.problems import HttpProblem
from service.settings import Settings

_anything = msgspec.json.Decoder(Any)
_CLIENT_GONE = 499


class BodyRoute(APIRoute):
    """A route whose body is refused before it is looked at when it is too large, no JSON, or
    holds what PostgreSQL can't. Marked `REPEATABLE`, its requests may carry an Idempotency-Key."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, once only where it says so."""
        if scope["method"] == "POST" and REPEATABLE in self.dependencies:
            await repeatable(super().handle, scope, receive, send)
        else:
            await super().handle(scope, receive, send)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def checked(request: Request) -> Response:
            settings: Settings = request.app.state.services.settings
            try:
                body = without_mark(
                    await read_body(request.scope, request.receive, settings.body_limit)
                )
            except ClientGone:
                return Response(status_code=_CLIENT_GONE)
            check(request, body, settings.json_depth)

            async def again() -> dict[str, Any]:
                return {"type": "http.request", "body": body, "more_body": False}

            return await handle(Request(request.scope, again))

        return checked


def check_encoding(request: Request) -> None:
    """Refuse a body that is compressed. Raises HttpProblem 415."""
    codings = {each.strip().lower() for line in request.headers.getlist("content-encoding")
               for each in line.split(",")}  # fmt: skip
    codings -= {"", "identity"}
    if codings:
        raise HttpProblem(
            415, "unsupported", f"send the body as it is, not {', '.join(sorted(codings))}"
        )


def check(request: Request, body: bytes, depth: int) -> None:
    """Raises HttpProblem: 400 for what is no JSON, 415 for what says so, else 422."""
    check_encoding(request)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        said = f"not {media_type}" if media_type else "and to be called so"
        detail = f"the body has to be application/json, {said}"
        raise HttpProblem(415, "unsupported", detail)
    check_document(decode(_anything, body), depth)
