"""
The application answers /healthz for supervisors that restart us, /readyz for people who ask why, and /metrics for
Prometheus. Other routes are mounted beside these.
"""

from collections.abc import Awaitable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from forwarder.web.places import Places


class Vitals(Protocol):
    """The service's knowledge of itself."""

    def stuck_parts(self) -> list[str]:
        """A sentence for each part that does not work any more. A restart is the cure."""

    def unmended(self) -> list[str]:
        """A sentence for each part that is stuck, and most likely would be after a restart too."""

    def readiness(self) -> Mapping[str, Any]:
        """`{"ready": bool, "reasons": [str], …}`: whether the service does its job, and what is in the way."""

    def endpoints(self) -> Mapping[str, Any]:
        """The endpoints in force, by name, each with the part of its routes that everybody may know."""

    def metrics(self) -> Awaitable[bytes]:
        """The Prometheus text."""


def build_app(
    vitals: Vitals,
    *,
    slow_answers: int,
    mounted: Mapping[str, Sequence[BaseRoute]] | None = None,
    streams: int = 0,
    streamed: Mapping[str, Sequence[BaseRoute]] | None = None,
) -> Starlette:
    """
    The HTTP application over `vitals`.

    slow_answers: the most answers at once of /metrics and mounted routes, because they take their time
    mounted: further routes, by the path above them; those without a path come last
    streams: the most streamed answers at once, because each lasts
    streamed: routes of streams, by the path above them
    """
    told = _Told(vitals)
    slow = Middleware(Places(slow_answers).around)
    lasting = Middleware(Places(streams).around)
    app = Starlette(
        routes=[
            Route("/healthz", told.healthz),
            Route("/readyz", told.readyz),
            Route("/metrics", told.metrics, middleware=[slow]),
            *_mounts(streamed or {}, lasting),
            *_mounts(mounted or {}, slow),
        ]
    )
    app.router.redirect_slashes = False  # it would send people to the place in the Host header
    return app


class _Told:
    """The answers about the vitals."""

    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals

    async def healthz(self, _: Request) -> Response:
        stuck = self._vitals.stuck_parts() + self._vitals.unmended()
        told = "\n".join(stuck or ["ok"])
        return PlainTextResponse(f"{told}\n", status_code=503 if stuck else 200)

    async def readyz(self, request: Request) -> Response:
        readiness = dict(self._vitals.readiness())
        # Endpoints are told only if asked for: there may be thousands, and most callers want to know one thing.
        if "endpoints" in request.query_params:
            readiness["endpoints"] = self._vitals.endpoints()
        return JSONResponse(readiness, status_code=200 if readiness["ready"] else 503)

    async def metrics(self, _: Request) -> Response:
        content_type = "text/plain; version=0.0.4; charset=utf-8"
        return Response(await self._vitals.metrics(), headers={"content-type": content_type})


def _mounts(
    mounted: Mapping[str, Sequence[BaseRoute]], middleware: Middleware
) -> Iterator[BaseRoute]:
    for path, routes in mounted.items():
        yield Mount(path, routes=routes, middleware=[middleware])
