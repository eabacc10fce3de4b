"""The door judges requests for API and page. A request with a wrong token waits, and no other does."""

from starlette.requests import Request
from starlette.responses import Response

from forwarder.api.access import SESSION_COOKIE, SESSION_SECONDS, Access, Denied, Verdict
from forwarder.clock import Clock
from forwarder.logs import logger

WRONG_TOKEN_SECONDS = 1.0
"""The wait of a wrong token for its answer."""
MOST_WAITING = 8
"""Most wrong tokens that wait. Further ones get 429 at once, so that they take no connection from anybody."""


class Door:
    """Judges requests by `access`."""

    def __init__(self, access: Access, clock: Clock) -> None:
        self._access = access
        self._clock = clock
        self._waiting = 0

    @property
    def takes_sign_ins(self) -> bool:
        """Whether there is an admin token that people can sign in with."""
        return self._access.admin_token is not None

    async def judge(self, request: Request) -> Verdict:
        """Whether the request may be answered. A wrong token is refused late."""
        headers = dict(request.headers)
        verdict = self._access.judge(request.method, headers, now=self._clock.unix())
        if isinstance(verdict, Denied) and verdict.status == 401 and "authorization" in headers:
            return await self._turned_away(verdict)
        return verdict

    async def sign_in(self, request: Request, token: str) -> str | Denied:
        """The session for `remember`, if `token`, from a form of the page, is the admin token."""
        headers = dict(request.headers)
        came_to = self._access.sign_in(token, request.method, headers, now=self._clock.unix())
        if isinstance(came_to, Denied) and came_to.status == 401:
            return await self._turned_away(came_to)
        return came_to

    def remember(self, response: Response, session: str) -> None:
        """Have the browser keep the session. No script can read it, and no foreign page can send it."""
        response.set_cookie(
            SESSION_COOKIE,
            session,
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=self._access.is_reached_by_tls,
        )

    def forget(self, response: Response) -> None:
        """Have the browser drop the session, so that it is signed out."""
        response.delete_cookie(
            SESSION_COOKIE,
            httponly=True,
            samesite="strict",
            secure=self._access.is_reached_by_tls,
        )

    async def _turned_away(self, denied: Denied) -> Denied:
        if self._waiting >= MOST_WAITING:
            return Denied(429, "too many wrong tokens at once; try again")
        self._waiting += 1
        try:
            await self._clock.sleep(WRONG_TOKEN_SECONDS)
        finally:
            self._waiting -= 1
        logger("api").warning("api.denied", why=denied.detail)
        return denied
