"""The API's application turns a request into an answer. The work runs in a thread, and every failure is a problem."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from forwarder.api.access import Admitted, Denied
from forwarder.api.door import Door
from forwarder.api.openapi import document
from forwarder.api.operations import OPERATIONS, PREFIX, Operation
from forwarder.api.requests import sentences
from forwarder.api.resources.call import Call, Raw, Resources, Situation, as_raw
from forwarder.errors import (
    ConfigurationError,
    ForwarderError,
    OperationError,
    OutboxUnavailable,
)
from forwarder.operator import Actor

_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
# Nobody else may use an answer: it is never framed, cached or taken for another kind.
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
}
Handler = Callable[[Request, Admitted], Awaitable[Response]]


class Line(Protocol):
    """The running service, asked on its own loop."""

    def situation(self) -> Situation: ...


def build_api(resources: Resources, *, line: Line, door: Door) -> list[Route]:
    """The routes, to be mounted at PREFIX."""
    routes = [_document_route(door)]
    # Literal paths come before paths with a part for any id.
    for operation in sorted(OPERATIONS, key=lambda one: "{" in one.path):
        handler = _guarded(door, _handler(operation, resources, line))
        routes.append(Route(operation.path, handler, methods=[operation.method]))
    return [*routes, _nowhere(door, routes)]


def _guarded(door: Door, handle: Handler) -> Callable[[Request], Awaitable[Response]]:
    """`handle` behind the door, with every failure as a problem."""

    async def guarded(request: Request) -> Response:
        verdict = await door.judge(request)
        if isinstance(verdict, Denied):
            return problem(verdict.status, verdict.detail)
        try:
            return await handle(request, verdict)
        except ForwarderError as error:
            return problem(status_of(error), str(error))
        except ValidationError as invalid:
            found = sentences(invalid.errors(include_url=False, include_input=False))
            return problem(400, "; ".join(found))

    return guarded


def problem(status: int, detail: str) -> Response:
    """An error as a problem (RFC 9457)."""
    headers = dict(_HEADERS)
    if status == 401:
        headers["www-authenticate"] = 'Bearer realm="forwarder"'
    return JSONResponse(
        {"type": "about:blank", "title": _TITLES[status], "status": status, "detail": detail},
        status_code=status,
        headers=headers,
        media_type="application/problem+json",
    )


def status_of(error: ForwarderError) -> int:
    """The status of the answer to an error of ours. The page answers with the same."""
    match error:
        case ConfigurationError():
            return 400
        case OperationError():
            return 404
        case OutboxUnavailable():
            return 503
        case _:
            return 500


def _handler(operation: Operation, resources: Resources, line: Line) -> Handler:
    async def handle(request: Request, admitted: Admitted) -> Response:
        call = Call(
            path=request.path_params,
            query=operation.query.model_validate(_single(request)),
            body=await _body(operation, request),
            situation=line.situation(),
            actor=Actor("api", admitted.by),
        )
        answer = await run_in_threadpool(_worked, operation, resources, call)
        return Response(answer.body, media_type=answer.media_type, headers=_HEADERS)

    return handle


def _worked(operation: Operation, resources: Resources, call: Call) -> Raw:
    return as_raw(operation.work(resources, call))


def _single(request: Request) -> Mapping[str, str]:
    """The query's parameters. Raises ConfigurationError for a parameter that comes twice."""
    given = request.query_params.multi_items()
    if len({name for name, _ in given}) < len(given):
        raise ConfigurationError("each parameter may come once")
    return dict(given)


async def _body(operation: Operation, request: Request) -> BaseModel | bytes | None:
    match operation.body:
        case "none":
            return None
        case "bytes":
            return await request.body()
        case form:
            # The gate has bounded the body.
            return form.model_validate_json(await request.body() or b"{}")


def _document_route(door: Door) -> Route:
    text = JSONResponse(document(), headers=_HEADERS)

    async def handle(_: Request, __: Admitted) -> Response:
        return text

    return Route("/openapi.json", _guarded(door, handle), methods=["GET"])


def _nowhere(door: Door, routes: Sequence[Route]) -> Route:
    """The answer for a path without a resource, or a method that it does not have."""

    async def handle(request: Request, _: Admitted) -> Response:
        path = request.url.path.removeprefix(PREFIX)
        there = [one for one in routes if one.path_regex.match(path)]
        if not there:
            return problem(404, f"there is no such resource; {PREFIX}/openapi.json lists them")
        allowed = sorted({method for one in there for method in one.methods or ()})
        answer = problem(405, f"this resource takes {' and '.join(allowed)}")
        answer.headers["allow"] = ", ".join(allowed)
        return answer

    every_method = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    return Route("/{rest:path}", _guarded(door, handle), methods=every_method)


__all__ = ["Line", "build_api", "problem", "status_of"]
