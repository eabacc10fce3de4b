"""Answers that take their time share places, so that other answers always find a free connection."""

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_ALL_TAKEN = PlainTextResponse("Too many such requests; try again.\n", status_code=503)


class Places:
    """At most `count` answers at once, each from its beginning to its end. Further requests get 503 at once."""

    def __init__(self, count: int) -> None:
        self._free = count

    def around(self, app: ASGIApp) -> ASGIApp:
        """`app`, whose every answer takes a place. Several apps may share the places."""

        async def placed(scope: Scope, receive: Receive, send: Send) -> None:
            if not self._free:
                await _ALL_TAKEN(scope, receive, send)
                return
            self._free -= 1
            try:
                await app(scope, receive, send)
            finally:
                self._free += 1

        return placed
