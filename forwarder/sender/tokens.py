"""
OAuth 2.0 client credentials (RFC 6749 §4.4): all endpoints of one client share a token.

    attempt ─▶ current ─▶ a token that is still good ─▶ the attempt         (late in its life: renewed beside)
                  │                                        │ 401
                  └─ none: ask, all that wait together ◀───┴─ renewed: unless somebody has renewed it meanwhile

A token server that is down is asked again after 1 s, 2 s, 4 s … 60 s. Meanwhile every attempt fails at once, so that
thousands of endpoints do not storm the server.
"""

import asyncio
import json
import random
import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote_plus

import httpx

from forwarder.routes.model import BasicAuth, Endpoint, OAuth2, TlsFiles
from forwarder.sender.client import HttpxTransportFor, client_for
from forwarder.sender.failure import NoDescriptor, TransportFailure

TOKEN_SECONDS = 10.0
"""How long a token server may take."""
LONGEST_LIFE_SECONDS = 86400.0
UNSAID_SECONDS = 300.0
"""How long a token is good if the token server does not say."""
NEW_SECONDS = 5.0
"""How long a token counts as new and is not renewed, because some receivers refuse every token."""
LONGEST_WAIT_SECONDS = 60.0
"""The longest wait between two requests to a server that is down."""

_TOKEN = re.compile(r"[\x21-\x7e]+")
_EARLIEST, _LATEST = 0.75, 0.9
"""The parts of a token's life between which it is renewed; spread, because many replicas ask at the same time."""

Client: TypeAlias = tuple[OAuth2, TlsFiles | None, bool]


@dataclass(frozen=True, slots=True)
class Token:
    """The token of `Authorization: Bearer`; instants are monotonic seconds."""

    text: str
    given_at: float
    renew_at: float
    ends_at: float


def client_of(endpoint: Endpoint) -> Client:
    """The key that endpoints with the same token share; the endpoint's `auth` has to be OAuth2."""
    assert isinstance(endpoint.auth, OAuth2)  # noqa: S101 - the caller has looked
    return endpoint.auth, endpoint.tls, endpoint.allow_private


def token_endpoint(endpoint: Endpoint) -> Endpoint:
    """The token server as an endpoint, so that the same guard, TLS settings and redaction hold for it."""
    auth = client_of(endpoint)[0]
    # RFC 6749 §2.3.1 encodes both as in a form before they are put together.
    basic = BasicAuth(quote_plus(auth.client_id), quote_plus(auth.client_secret))
    return Endpoint(
        name=endpoint.name,
        url=auth.token_url,
        keys=(),
        auth=basic if auth.method == "basic" else auth,
        tls=endpoint.tls,
        allow_private=endpoint.allow_private,
        timeout_seconds=TOKEN_SECONDS,
    )


class Tokens:
    """The tokens of every client; each client asks by one request at a time."""

    def __init__(
        self,
        transport_for: HttpxTransportFor,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        spread: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._transport_for = transport_for
        self._monotonic = monotonic
        self._spread = spread
        self._sources: dict[Client, _Source] = {}

    async def current(self, endpoint: Endpoint, *, deadline: float) -> Token:
        """
        A token that is still good, at the latest at `deadline` by the loop's clock.

        Raises TransportFailure, whose word is `token`, and NoDescriptor.
        """
        source = self._source(endpoint)
        return source.good() or await _in_time(source.ask(), deadline)

    async def renewed(self, endpoint: Endpoint, refused: Token, *, deadline: float) -> Token:
        """
        Another token than the refused one; the same one when it is new, because the next would be no better.

        Raises as `current` does.
        """
        source = self._source(endpoint)
        if self._monotonic() < refused.given_at + NEW_SECONDS:
            return source.good() or refused
        source.forget(refused)
        return source.good() or await _in_time(source.ask(), deadline)

    def close(self) -> None:
        """Give up every request that is under way."""
        for source in self._sources.values():
            source.close()

    def retain(self, endpoints: Collection[Endpoint]) -> None:
        """Forget the tokens of clients that none of these endpoints has."""
        kept = {client_of(one) for one in endpoints if isinstance(one.auth, OAuth2)}
        self._sources = {client: one for client, one in self._sources.items() if client in kept}

    def _source(self, endpoint: Endpoint) -> "_Source":
        client = client_of(endpoint)
        source = self._sources.get(client)
        if source is None:
            source = self._sources[client] = _Source(
                token_endpoint(endpoint),
                client[0],
                self._transport_for,
                self._monotonic,
                self._spread,
            )
        return source


class _Source:
    """One client at its token server."""

    def __init__(
        self,
        endpoint: Endpoint,
        auth: OAuth2,
        transport_for: HttpxTransportFor,
        monotonic: Callable[[], float],
        spread: Callable[[float, float], float],
    ) -> None:
        self._endpoint = endpoint
        self._form = _form_of(auth)
        self._transport_for = transport_for
        self._monotonic = monotonic
        self._spread = spread
        self._token: Token | None = None
        self._asking: asyncio.Task[Token] | None = None
        self._failures = 0
        self._failure: TransportFailure | None = None
        self._ask_again_at = 0.0

    def good(self) -> Token | None:
        """The token, None when it has ended; past its renewal time, the next one is asked for beside the attempts."""
        token, now = self._token, self._monotonic()
        if token is None or now >= token.ends_at:
            return None
        if now >= token.renew_at and now >= self._ask_again_at:
            self.ask()
        return token

    def forget(self, token: Token) -> None:
        if self._token is token:
            self._token = None

    def ask(self) -> "asyncio.Future[Token]":
        """The answer to the request under way or to a new one, because attempts that wait together share one."""
        if self._asking is None:
            if self._failure is not None and self._monotonic() < self._ask_again_at:
                refused: asyncio.Future[Token] = asyncio.get_running_loop().create_future()
                refused.set_exception(replaced(self._failure))
                return refused
            self._asking = asyncio.ensure_future(self._ask())
            self._asking.add_done_callback(self._answered)
        return self._asking

    def _answered(self, asking: asyncio.Task[Token]) -> None:
        self._asking = None
        failure = None if asking.cancelled() else asking.exception()
        if not asking.cancelled() and failure is None:
            self._token, self._failure, self._failures = asking.result(), None, 0
        elif isinstance(failure, TransportFailure) and not isinstance(failure, NoDescriptor):
            wait = min(2.0**self._failures, LONGEST_WAIT_SECONDS)
            self._failures += 1
            self._failure = failure
            self._ask_again_at = self._monotonic() + wait * self._spread(0.8, 1.2)

    async def _ask(self) -> Token:
        try:
            async with client_for(self._endpoint, transport_for=self._transport_for) as client:
                response = await client.post(self._endpoint.url, data=self._form)
        except NoDescriptor:
            raise
        except TransportFailure as failure:
            detail = f"the token server: {failure.detail}"
            raise TransportFailure("token", detail, address=failure.address) from failure
        return self._token_in(response)

    def _token_in(self, response: httpx.Response) -> Token:
        address = response.extensions.get("address")
        if response.status_code != 200:
            raise TransportFailure("token", _refusal(response), address=address)
        try:
            answer = json.loads(response.content)
            text, seconds = answer["access_token"], _life(answer.get("expires_in"))
            is_bearer = str(answer.get("token_type", "bearer")).lower() == "bearer"
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            detail = (
                "the token server answered 200, but with no access_token in at most 4 KiB of JSON"
            )
            raise TransportFailure("token", detail, address=address) from None
        if not is_bearer or not isinstance(text, str) or _TOKEN.fullmatch(text) is None:
            detail = "the token server gave a token that is no bearer token"
            raise TransportFailure("token", detail, address=address)
        now = self._monotonic()
        return Token(text, now, now + seconds * self._spread(_EARLIEST, _LATEST), now + seconds)

    def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()


def _life(expires_in: object) -> float:
    """Seconds of life from `expires_in`: a number by RFC 6749 §5.1, which some servers write as text."""
    text = str(expires_in)
    return min(float(text), LONGEST_LIFE_SECONDS) if text.isdigit() else UNSAID_SECONDS


def replaced(failure: TransportFailure) -> TransportFailure:
    """A copy, because one exception that several attempts raise would gather their tracebacks."""
    return TransportFailure(failure.word, failure.detail, address=failure.address)


def _form_of(auth: OAuth2) -> dict[str, str]:
    form = {"grant_type": "client_credentials", "scope": auth.scope, "audience": auth.audience}
    if auth.method == "post":
        form |= {"client_id": auth.client_id, "client_secret": auth.client_secret}
    return {name: value for name, value in form.items() if value}


def _refusal(response: httpx.Response) -> str:
    """The status and the error code of RFC 6749 §5.2, and nothing else of the answer."""
    code = ""
    try:
        answer = json.loads(response.content)
    except ValueError:
        answer = None
    if isinstance(answer, dict) and isinstance(answer.get("error"), str):
        code = re.sub(r"[^\w. -]", "", answer["error"], flags=re.ASCII)[:60]
    return f"the token server answered {response.status_code}{f' ({code})' if code else ''}"


async def _in_time(asked: "asyncio.Future[Token]", deadline: float) -> Token:
    try:
        async with asyncio.timeout_at(deadline):
            # The request is shielded, because other attempts wait for the same answer.
            return await asyncio.shield(asked)
    except TimeoutError:
        raise TransportFailure("token", "the token server gave no answer in time") from None
    except NoDescriptor:
        raise
    except TransportFailure as failure:
        raise replaced(failure) from None
