"""
The application: /healthz for whoever restarts us, /readyz for whoever asks why, /metrics for Prometheus, and what is
mounted beside them.
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
    """What the service tells about itself."""

    def stuck_parts(self) -> list[str]:
        """The parts that do not work any more, one sentence each; a restart is the cure."""

    def unmended(self) -> list[str]:
        """What else is stuck, one sentence each, and most likely would be after a restart too."""

    def readiness(self) -> Mapping[str, Any]:
        """`{"ready": bool, "reasons": [str], …}`: whether it does its job, and what is in the way."""

    def endpoints(self) -> Mapping[str, Any]:
        """The endpoints that are in force, by name, with what the routes say of each for everybody to know."""

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
    The HTTP application over what `vitals` tell.

    slow_answers: of what takes its time, /metrics and what is mounted, at most so many answers at once
    mounted: further routes, by the path that they are below; what is below no path comes last
    streams: of what is streamed, at most so many answers at once, because each lasts
    streamed: routes as those
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
    app.router.redirect_slashes = False  # it would send people to wherever the Host header says
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
        # Not unless it is asked for: there may be thousands, and most who look want to know one thing.
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
