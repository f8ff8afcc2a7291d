"""What the HTTP APIs of all services have in common: one transaction per request, problems, health, metrics, limits."""

import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Request
from fastapi.telemetry import TelemetryConfig
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.events import faults, metrics, problems, tracing
from libs.events.database import Transaction
from libs.events.health import Health
from libs.events.lean import LeanRoute
from libs.events.refusal import Refusal

BODY_BYTES_MAX: Final = 4 * 1024 * 1024

TOO_LARGE: Final = Refusal(
    "too-large",
    413,
    "Kiriman ini terlalu besar. Bagi menjadi beberapa bagian.",
    "This is too large. Send it in parts.",
)

HELD = Refusal(
    "held",
    503,
    "Layanan ini sedang diperiksa setelah pemulihan data dan belum menerima permintaan. Coba lagi nanti.",
    "This service is being checked after its data was restored and takes no requests yet. Try again later.",
)


async def _transaction(request: Request) -> AsyncIterator[Transaction]:
    async with request.app.state.database.transaction() as tx:
        yield tx
    faults.point("api.committed")


async def _now(request: Request) -> datetime:
    now: datetime = request.app.state.clock.now()
    return now


# The scope matters: with FastAPI's default the commit would come after the answer, and an answer could be a lie.
Tx = Annotated[Transaction, Depends(_transaction, scope="function")]
"""The transaction of the request: committed before the answer is sent, rolled back on any exception."""

Now = Annotated[datetime, Depends(_now)]
"""The programme time of the request."""


class _Api(FastAPI):
    """Its document says what a refusal looks like, on every route."""

    def openapi(self) -> dict[str, Any]:
        told = super().openapi()
        told.setdefault("components", {}).setdefault("schemas", {})["Problem"] = problems.SCHEMA
        return told


def new_api(title: str, summary: str) -> FastAPI:
    """An API with the shared behaviour; the service adds its routes."""
    # Spans and metrics are `Edge`'s: it also carries on the trace of a caller where we send no spans ourselves.
    quiet: TelemetryConfig = {"tracing": False, "metrics": False}
    api = _Api(title=f"Gelombang: {title}", summary=summary, version="1", telemetry=quiet, responses=problems.ANSWERS)
    api.router.route_class = LeanRoute
    api.add_middleware(Edge)
    problems.install(api)
    _add_health(api)
    return api


def most_asked_first(api: FastAPI) -> FastAPI:
    """Routes are tried one after the other: what a crowd asks for comes first, health and documentation last."""
    api.router.routes.sort(
        key=lambda route: (not getattr(route, "lean", None), not getattr(route, "path", "").startswith("/v1/"))
    )
    return api


def _add_health(api: FastAPI) -> None:
    @api.get("/health/live", tags=["health"], summary="The process answers")
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @api.get(
        "/health/ready",
        tags=["health"],
        summary="Every role of the process works; 503 says which does not",
    )
    async def ready(request: Request) -> Response:
        health: Health = request.app.state.health
        told = await health.ready()
        return JSONResponse(told, 200 if told["ready"] else 503)

    @api.get(
        "/health/quiet",
        tags=["health"],
        summary="Nothing waits: no event unsent, no consumer behind, no job due",
    )
    async def quiet(request: Request) -> dict[str, Any]:
        health: Health = request.app.state.health
        return await health.quiet()

    @api.get("/metrics", tags=["health"], summary="Prometheus metrics of the process")
    async def prometheus() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


class Edge:
    """The outermost layer, as plain ASGI: body limit, security headers, trace context, metrics by route."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        app = self.app
        if int(next((value for name, value in scope["headers"] if name == b"content-length"), 0)) > BODY_BYTES_MAX:
            app = problems.problem([TOO_LARGE])
        elif getattr(scope["app"].state, "held", None) and not scope["path"].startswith(("/health/", "/metrics")):
            app = problems.problem([HELD])
        started, status = time.perf_counter(), 500
        received, answered = 0, False

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message if received <= BODY_BYTES_MAX else {"type": "http.disconnect"}

        async def watched(message: Message) -> None:
            nonlocal status, answered
            if received > BODY_BYTES_MAX:
                return  # whatever the application says of a broken-off request, the true answer follows
            if message["type"] == "http.response.start":
                status, answered = message["status"], True
                # What a route says of its own caching stands.
                told = {b"x-content-type-options": b"nosniff", b"cache-control": b"no-store"}
                said = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in told.items() if pair[0] not in said)]
            await send(message)

        with tracing.request(scope["method"], scope["headers"]):
            try:
                await app(scope, limited, watched)
            except Exception as error:
                if received <= BODY_BYTES_MAX:
                    answer = problems.of_failure(error)
                    if answered:
                        raise  # half an answer is out: only breaking off can tell the client
                    await answer(scope, receive, watched)
            finally:
                if received > BODY_BYTES_MAX:
                    received = 0  # this is the true answer, and may pass
                    await problems.problem([TOO_LARGE])(scope, receive, watched)
                route = getattr(scope.get("route"), "path", "unknown")
                count, seconds = metrics.http_route(scope["method"], route, status)
                count.inc()
                seconds.observe(time.perf_counter() - started)
