"""
Who may ask: a decision about one request's headers; pure.

With an admin token only its bearer. Without one only people on this machine: the port listens on loopback, and the Host
names loopback, because any page in a browser may send requests to a loopback address under a name of its own (DNS
rebinding). A request that changes something and tells its Origin has to come from the page itself.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from forwarder.addresses import is_loopback_host

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Denied:
    """Why not, as a status and one sentence."""

    status: Literal[401, 403]
    detail: str


Verdict: TypeAlias = Denied | None
"""None: it may."""


@dataclass(frozen=True, slots=True)
class Access:
    """
    The rule of one deployment.

    admin_token: what bearers show; None where there is none
    listens_on_loopback: whether nobody but this machine reaches the port
    public_url: how people reach it, None where it is not said
    """

    admin_token: str | None
    listens_on_loopback: bool
    public_url: str | None = None

    def judge(self, method: str, headers: Mapping[str, str]) -> Verdict:
        """`headers` by their names in small letters."""
        if method not in SAFE_METHODS and not self._is_own(headers.get("origin"), headers):
            return Denied(
                403, "the request comes from another origin than the page of this forwarder"
            )
        if self.admin_token is not None:
            return self._judge_token(headers.get("authorization"))
        if not self.listens_on_loopback:
            return Denied(
                403,
                "without an admin token the API answers on loopback only; set FORWARDER_ADMIN_TOKEN,"
                " or listen on 127.0.0.1 (FORWARDER_HTTP_LISTEN)",
            )
        if not self._names_us(headers.get("host", "")):
            return Denied(
                403,
                "without an admin token the API answers to loopback names only, such as localhost",
            )
        return None

    def _judge_token(self, authorization: str | None) -> Verdict:
        scheme, _, given = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not given:
            return Denied(
                401, "give the admin token: authorization: Bearer <FORWARDER_ADMIN_TOKEN>"
            )
        expected = (self.admin_token or "").encode()
        if not hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), expected):
            return Denied(401, "that is not the admin token (FORWARDER_ADMIN_TOKEN)")
        return None

    def _names_us(self, host: str) -> bool:
        return is_loopback_host(_host_of(f"//{host}")) or self._is_public(host)

    def _is_public(self, authority: str) -> bool:
        return self.public_url is not None and urlsplit(self.public_url).netloc == authority.lower()

    def _is_own(self, origin: str | None, headers: Mapping[str, str]) -> bool:
        """Whether a browser's page of ours sends it, or no browser at all."""
        if origin is None:
            return True
        authority = urlsplit(origin).netloc.lower()
        return bool(authority) and (
            authority == headers.get("host", "").lower() or self._is_public(authority)
        )


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # brackets without an address in them
        return ""
