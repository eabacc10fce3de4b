"""Style, scripts and icon are read and packed once, and named by their content, so that a browser keeps them."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

_MEDIA_TYPES = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "htmx.min.js": "text/javascript; charset=utf-8",
    "htmx-sse.min.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
PATH = "/static"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is served."""

    body: bytes
    packed: bytes
    """The content, packed by gzip."""
    media_type: str
    digest: str


@cache
def asset(name: str) -> Asset:
    """The file of that name. Raises KeyError for an unknown one."""
    media_type = _MEDIA_TYPES[name]
    body = files("forwarder.web.page").joinpath("static", name).read_bytes()
    digest = hashlib.sha256(body).hexdigest()[:16]
    return Asset(body, gzip.compress(body, 9, mtime=0), media_type, digest)


def asset_url(name: str) -> str:
    return f"{PATH}/{asset(name).digest}/{name}"


def accepts_gzip(request: Request) -> bool:
    return "gzip" in request.headers.get("accept-encoding", "")


def asset_route() -> Route:
    """The route of every file. It has no door, because the files are the same for everybody."""

    async def serve(request: Request) -> Response:
        name, digest = request.path_params["name"], request.path_params["digest"]
        if name not in _MEDIA_TYPES or digest != asset(name).digest:
            return PlainTextResponse("There is no such file.\n", status_code=404)
        found = asset(name)
        headers = {
            "cache-control": "public, max-age=31536000, immutable",
            "vary": "accept-encoding",
            "x-content-type-options": "nosniff",
        }
        if accepts_gzip(request):
            headers["content-encoding"] = "gzip"
            return Response(found.packed, media_type=found.media_type, headers=headers)
        return Response(found.body, media_type=found.media_type, headers=headers)

    return Route(PATH + "/{digest}/{name}", serve, methods=["GET"])
