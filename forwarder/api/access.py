"""
Access decides by one request's headers who may ask; pure.

With an admin token its bearer may ask, and a browser that signed in with it. Without one only people on this machine
may ask: the port listens on loopback, and the Host names loopback. The Host counts because any page in a browser may
send requests to a loopback address under a name of its own (DNS rebinding).

A request that changes something and tells its Origin has to come from the page itself. A request with a cookie has to
tell its Origin, because a browser sends cookies by itself, whoever made it ask.
"""

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from forwarder.addresses import is_loopback_host

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SESSION_COOKIE = "forwarder_session"
SESSION_SECONDS = 12 * 3600
"""The time for which a browser stays signed in."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The request may be answered; `by` is the proof that it showed."""

    by: Literal["token", "session", "loopback"]


@dataclass(frozen=True, slots=True)
class Denied:
    """The request is refused, with a status and one sentence."""

    status: Literal[401, 403, 429]
    detail: str


Verdict: TypeAlias = Admitted | Denied


@dataclass(frozen=True, slots=True)
class Access:
    """
    The rule of one deployment.

    admin_token: bearers show it, and people when they sign in; None if there is none
    listens_on_loopback: whether only this machine reaches the port
    public_url: the page's URL for people, None if it is not known
    """

    admin_token: str | None
    listens_on_loopback: bool
    public_url: str | None = None

    def judge(self, method: str, headers: Mapping[str, str], *, now: float) -> Verdict:
        """The verdict on a request. `headers` have names in small letters; `now` is UNIX seconds."""
        sessions = tuple(_sessions(headers.get("cookie", "")))
        foreign = self._judge_origin(method, headers, has_session=bool(sessions))
        if foreign is not None:
            return foreign
        if self.admin_token is None:
            return self._judge_host(headers.get("host", ""))
        authorization = headers.get("authorization")
        if authorization is None and sessions:
            return self._judge_sessions(sessions, now)
        return self._judge_authorization(authorization)

    def sign_in(
        self, token: str, method: str, headers: Mapping[str, str], *, now: float
    ) -> str | Denied:
        """The session for the cookie, if `token`, from a form of the page, is the admin token."""
        foreign = self._judge_origin(method, headers, has_session=False)
        return foreign or self._judge_token(token) or self._session(int(now) + SESSION_SECONDS)

    @property
    def is_reached_by_tls(self) -> bool:
        """Whether browsers may be told to send the cookie over TLS alone."""
        return self.public_url is not None and self.public_url.startswith("https://")

    def _judge_origin(
        self, method: str, headers: Mapping[str, str], *, has_session: bool
    ) -> Denied | None:
        if method in SAFE_METHODS:
            return None
        origin = headers.get("origin")
        if origin is None:
            return _WITHOUT_ORIGIN if has_session else None
        authority = _authority_of(origin)
        is_own = authority == headers.get("host", "").lower() or self._is_public(authority)
        return None if authority and is_own else _FOREIGN_ORIGIN

    def _judge_host(self, host: str) -> Verdict:
        if not self.listens_on_loopback:
            return _NOT_ON_LOOPBACK
        if is_loopback_host(_host_of(f"//{host}")) or self._is_public(host):
            return Admitted("loopback")
        return _NO_LOOPBACK_NAME

    def _judge_authorization(self, authorization: str | None) -> Verdict:
        scheme, _, given = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not given:
            return _NO_TOKEN
        return self._judge_token(given) or Admitted("token")

    def _judge_token(self, given: str) -> Denied | None:
        if self.admin_token is None:
            return _NO_SIGN_IN
        is_right = hmac.compare_digest(_bytes(given.strip()), _bytes(self.admin_token))
        return None if is_right else _WRONG_TOKEN

    def _judge_sessions(self, sessions: tuple[str, ...], now: float) -> Verdict:
        # Any of them will do, because a neighbouring host may have put a cookie of its own in front.
        if any(self._is_session(one, now) for one in sessions):
            return Admitted("session")
        return _SESSION_OVER

    def _is_session(self, session: str, now: float) -> bool:
        until, _, _ = session.partition(".")
        if not (until.isascii() and until.isdigit() and len(until) <= 12 and now < int(until)):
            return False
        return hmac.compare_digest(_bytes(session), _bytes(self._session(int(until))))

    def _session(self, until: int) -> str:
        """
        `<UNIX second of its end>.<HMAC-SHA256>`, keyed by the admin token.

        Sessions thus outlive a restart without a list of them, and a new admin token ends them all.
        """
        signed = hmac.new(_bytes(self.admin_token or ""), b"session %d" % until, hashlib.sha256)
        return f"{until}.{signed.hexdigest()}"

    def _is_public(self, authority: str) -> bool:
        return self.public_url is not None and urlsplit(self.public_url).netloc == authority.lower()


_FOREIGN_ORIGIN = Denied(
    403, "the request comes from another origin than the page of this forwarder"
)
_WITHOUT_ORIGIN = Denied(
    403, "a request with the page's cookie tells its Origin; programs show the admin token instead"
)
_NOT_ON_LOOPBACK = Denied(
    403,
    "without an admin token the API answers on loopback only; set FORWARDER_ADMIN_TOKEN,"
    " or listen on 127.0.0.1 (FORWARDER_HTTP_LISTEN)",
)
_NO_LOOPBACK_NAME = Denied(
    403, "without an admin token the API answers to loopback names only, such as localhost"
)
_NO_TOKEN = Denied(401, "give the admin token: authorization: Bearer <FORWARDER_ADMIN_TOKEN>")
_NO_SIGN_IN = Denied(403, "there is no admin token to sign in with; set FORWARDER_ADMIN_TOKEN")
_WRONG_TOKEN = Denied(401, "that is not the admin token (FORWARDER_ADMIN_TOKEN)")
_SESSION_OVER = Denied(401, "the session is over; sign in again")


def _sessions(cookies: str) -> Iterator[str]:
    """All cookies of the session's name, which may come several times (RFC 6265 §5.4)."""
    for cookie in cookies.split(";"):
        name, _, value = cookie.strip().partition("=")
        if name == SESSION_COOKIE:
            yield value


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _authority_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # brackets without an address in them
        return ""
