"""The page's routes: who may see and do what, and the headers that keep answers from everybody else."""

import gzip
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Protocol
from urllib.parse import parse_qsl, quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from forwarder.api import Admitted, Denied, Door, Resources, Situation, sentences, status_of
from forwarder.errors import ForwarderError
from forwarder.web.page import charts, deliveries, devices, endpoints, frame, quarantine, shares
from forwarder.web.page.assets import accepts_gzip, asset_route, asset_url
from forwarder.web.page.frame import Asked, Elsewhere, Shown, Standing, View, standing_of
from forwarder.web.page.line import line as line_view
from forwarder.web.page.live import Live, Pulse
from forwarder.web.page.shared import FRESH_SECONDS, Shared

PACKED_FROM_BYTES = 1024
STREAM = "/live"
SIGN_IN = "/sign-in"
BY_ITSELF = "hx-request"
"""The header of requests by an open page. A browser that opens a page has none."""
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "vary": "accept-encoding, cookie",
}
_STRANGER = Admitted("loopback")
"""Strangers change nothing, so the means of their admission does not matter."""
_WITHOUT_ORIGIN = Denied(403, "a browser says where a form comes from; this request does not")
Handler = Callable[[Request], Awaitable[Response]]


VIEWS: Mapping[str, View] = {
    "/": line_view,
    **endpoints.VIEWS,
    **devices.VIEWS,
    **deliveries.VIEWS,
    **quarantine.VIEWS,
}
ACTIONS: Mapping[str, View] = {
    **endpoints.ACTIONS,
    **deliveries.ACTIONS,
    **quarantine.ACTIONS,
    **shares.ACTIONS,
}


class Line(Protocol):
    """The running service, asked on its own loop."""

    def situation(self) -> Situation: ...

    def pulse(self) -> Pulse: ...


@dataclass(frozen=True, slots=True)
class Page:
    """The parts to mount: the views, and the stream, which has places of its own because it lasts."""

    views: Sequence[Route]
    stream: Sequence[Route]
    live: Live


def build_page(resources: Resources, *, line: Line, door: Door) -> Page:
    """Every view of the page, behind `door`."""
    maker = _Maker(resources, line, door)
    live = Live(
        line.pulse,
        spent_seconds=lambda: maker.shared.spent_seconds,
        on_told=maker.shared.begin_round,
    )
    shown = [Route(path, maker.shows(view), methods=["GET"]) for path, view in VIEWS.items()]
    shared = [
        Route(path, maker.shows_to_strangers(view), methods=["GET"])
        for path, view in shares.SHARED.items()
    ]
    done = [Route(path, maker.does(view), methods=["POST"]) for path, view in ACTIONS.items()]

    async def stream(request: Request) -> Response:
        verdict = await door.judge(request)
        if isinstance(verdict, Denied):
            return Response(status_code=verdict.status, headers=_HEADERS)
        return StreamingResponse(live.stream(), media_type="text/event-stream", headers=_HEADERS)

    return Page(
        views=[
            asset_route(),
            Route(SIGN_IN, maker.signs_in(), methods=["GET", "POST"]),
            Route("/sign-out", maker.signs_out(), methods=["POST"]),
            *shown,
            *shared,
            *done,
            Route("/{rest:path}", maker.shows(frame.nowhere)),
        ],
        stream=[Route("/changes", stream, methods=["GET"])],
        live=live,
    )


class _Maker:
    """Makes handlers of views and actions."""

    def __init__(self, resources: Resources, line: Line, door: Door) -> None:
        self._resources, self._line, self._door = resources, line, door
        self._templates = templates()
        self.shared = Shared[Response]()
        self._seen: tuple[int, Standing] | None = None

    def shows(self, view: View) -> Handler:
        async def handle(request: Request) -> Response:
            verdict = await self._door.judge(request)
            if isinstance(verdict, Denied):
                return await self._turned_away(request, verdict)
            key = (request.url.path, request.url.query, verdict.by, accepts_gzip(request))
            is_shared = BY_ITSELF in request.headers
            make = partial(self._made, view, self._asked(request, {}, verdict))
            return await self.shared.get(key, make, is_shared=is_shared)

        return handle

    def shows_to_strangers(self, view: View) -> Handler:
        """A handler without a door, because the address itself is the credential."""

        async def handle(request: Request) -> Response:
            make = partial(self._made, view, self._asked(request, {}, _STRANGER))
            return await self.shared.get(request.url.path, make, is_shared=False)

        return handle

    def does(self, view: View) -> Handler:
        async def handle(request: Request) -> Response:
            verdict = await self._door.judge(request)
            if isinstance(verdict, Admitted) and "origin" not in request.headers:
                verdict = _WITHOUT_ORIGIN
            if isinstance(verdict, Denied):
                return await self._turned_away(request, verdict)
            asked = self._asked(request, form_of(await request.body()), verdict)
            return await run_in_threadpool(self._made, view, asked)

        return handle

    def signs_in(self) -> Handler:
        """The handler of the form for the admin token. Without an admin token it leads to the page."""

        async def handle(request: Request) -> Response:
            target = _ours(request.query_params.get("next", "/"))
            if not self._door.takes_sign_ins:
                return RedirectResponse(target, status_code=303, headers=_HEADERS)
            if request.method != "POST":
                return await run_in_threadpool(self._written, frame.sign_in(target), packs=False)
            token = form_of(await request.body()).get("token", "")
            session = await self._door.sign_in(request, token)
            if isinstance(session, Denied):
                again = frame.sign_in(target, session)
                return await run_in_threadpool(self._written, again, packs=False)
            answer = RedirectResponse(target, status_code=303, headers=_HEADERS)
            self._door.remember(answer, session)
            return answer

        return handle

    def signs_out(self) -> Handler:
        async def handle(request: Request) -> Response:
            verdict = await self._door.judge(request)
            if isinstance(verdict, Denied):
                return await self._turned_away(request, verdict)
            answer = RedirectResponse(SIGN_IN, status_code=303, headers=_HEADERS)
            self._door.forget(answer)
            return answer

        return handle

    async def _turned_away(self, request: Request, denied: Denied) -> Response:
        """The answer to a denied request. A person is led to the form; a script, which could not use it, is not."""
        asks_as_page = request.method == "GET" and "authorization" not in request.headers
        if denied.status == 401 and asks_as_page and self._door.takes_sign_ins:
            where = f"{SIGN_IN}?{urlencode({'next': _here(request)})}"
            if "hx-request" in request.headers:
                return Response(status_code=200, headers={**_HEADERS, "hx-redirect": where})
            return RedirectResponse(where, status_code=303, headers=_HEADERS)
        return await run_in_threadpool(self._written, frame.turned_away(denied), packs=False)

    def _asked(self, request: Request, form: Mapping[str, str], admitted: Admitted) -> Asked:
        situation = self._line.situation()
        look = partial(self._look, situation, is_shared=BY_ITSELF in request.headers)
        return Asked(
            path=request.path_params,
            query=dict(request.query_params),
            form=form,
            situation=situation,
            pulse=self._line.pulse(),
            resources=self._resources,
            standing=cache(look),
            here=_here(request),
            by=admitted.by,
            takes_gzip=accepts_gzip(request),
        )

    def _look(self, situation: Situation, *, is_shared: bool) -> Standing:
        """The standing of the line. Open pages share the last one; opened pages and actions get a new one."""
        of_round = self.shared.round
        if is_shared and self._seen:
            seen_in, seen = self._seen
            if seen_in == of_round and 0 <= situation.now - seen.at < FRESH_SECONDS:
                return seen
        standing = standing_of(self._resources, situation)
        self._seen = of_round, standing
        return standing

    def _made(self, view: View, asked: Asked) -> Response:
        shown = _shown(view, asked)
        if isinstance(shown, Elsewhere):
            return RedirectResponse(shown.path, status_code=303, headers=_HEADERS)
        return self._written(shown, packs=asked.takes_gzip)

    def _written(self, shown: Shown, *, packs: bool) -> Response:
        body = self._templates.get_template(shown.template).render(shown.context).encode()
        headers = dict(_HEADERS)
        if packs and len(body) >= PACKED_FROM_BYTES:
            body = gzip.compress(body, 5, mtime=0)
            headers["content-encoding"] = "gzip"
        return Response(body, status_code=shown.status, headers=headers, media_type="text/html")


def _shown(view: View, asked: Asked) -> Shown | Elsewhere:
    """The outcome of a view. An error is a sentence on a page, too."""
    try:
        return view(asked)
    except ForwarderError as error:
        return frame.went_wrong(status_of(error), str(error))
    except ValidationError as invalid:
        found = sentences(invalid.errors(include_url=False, include_input=False))
        return frame.went_wrong(400, "; ".join(found))


def _here(request: Request) -> str:
    query = urlencode(
        [pair for pair in request.query_params.multi_items() if pair[0] not in ("did", "n")]
    )
    path = quote(request.url.path)
    return f"{path}?{query}" if query else path


def _ours(path: str) -> str:
    """The path if it is one of this page, else the first view, so that nobody is sent elsewhere."""
    return path if re.match(r"/(?![/\\])", path) and path.isprintable() else "/"


def form_of(body: bytes) -> dict[str, str]:
    """The fields of a form (application/x-www-form-urlencoded)."""
    return dict(
        parse_qsl(body.decode(errors="replace"), keep_blank_values=True, max_num_fields=100)
    )


def templates() -> Environment:
    """The templates, which escape all that they are given."""
    made = Environment(
        loader=PackageLoader("forwarder.web.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals |= {"asset_url": asset_url, "stream": f"{STREAM}/changes", "charts": charts}
    made.filters |= frame.FILTERS
    return made


__all__ = ["STREAM", "Line", "Page", "build_page", "templates"]
