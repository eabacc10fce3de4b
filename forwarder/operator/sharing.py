"""
Links show one endpoint's deliveries to its people, read-only, without any other credential.

A link is `<page>/share/<id>.<secret>`. The secret has 192 random bits and is shown once. The outbox keeps its SHA-256,
so a reader of the outbox cannot open a link.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from forwarder.errors import ConfigurationError, OperationError
from forwarder.notice import OPERATOR
from forwarder.operator.audit import Actor, audited
from forwarder.outbox import AddShare, OutboxAccess, RevokeShare, Share

DEFAULT_SECONDS = 7 * 86400.0
LONGEST_SECONDS = 366 * 86400.0


@dataclass(frozen=True, slots=True)
class NewShare:
    """A share that was just made, with the link's token, which is shown this once."""

    share: Share
    token: str

    def url(self, page_url: str) -> str:
        """The link, below the page's URL for people."""
        return f"{page_url}/share/{self.token}"


def share_endpoint(
    outbox: OutboxAccess, endpoint: str, *, seconds: float, actor: Actor, now: float
) -> NewShare:
    """
    Make a link that works for `seconds`.

    Raises ConfigurationError for a time that is not positive or too long, and for OPERATOR.
    """
    if endpoint == OPERATOR:
        raise ConfigurationError(f"{OPERATOR} gets notices about every endpoint: it has no link")
    if not 0 < seconds <= LONGEST_SECONDS:
        raise ConfigurationError("a link works for 366d at most, and for more than no time")
    identity, secret = secrets.token_hex(5), secrets.token_hex(24)
    share = Share(identity, endpoint, _digest(secret), now, now + seconds)
    with audited(outbox, actor, "share", meant=1, endpoint=endpoint, now=now):
        outbox.operate(AddShare(share, now))
    return NewShare(share, f"{identity}.{secret}")


def shares_in_force(
    outbox: OutboxAccess, *, now: float, endpoint: str | None = None
) -> list[Share]:
    """The links that work, of every endpoint or of one, in the order of their making."""
    return [
        one for one in outbox.shares() if one.expires_at > now and endpoint in (None, one.endpoint)
    ]


def revoke_share(
    outbox: OutboxAccess, identity: str, *, actor: Actor, now: float, endpoint: str | None = None
) -> Share:
    """End a link of this endpoint, or of any, at once. Raises OperationError for an id without a link."""
    share = require_share(outbox, identity, now=now, endpoint=endpoint)
    with audited(outbox, actor, "unshare", meant=1, endpoint=share.endpoint, now=now):
        outbox.operate(RevokeShare(identity))
    return share


def require_share(
    outbox: OutboxAccess, identity: str, *, now: float, endpoint: str | None = None
) -> Share:
    """The working link of that id. Raises OperationError when there is none."""
    for share in shares_in_force(outbox, now=now, endpoint=endpoint):
        if share.id == identity:
            return share
    raise OperationError(
        f"there is no link {identity!r} that works; forwarder endpoints shares lists them"
    )


def opened_by(outbox: OutboxAccess, token: str, *, now: float) -> Share | None:
    """The share that a link's token opens; None if it was revoked, has ended, or never was."""
    identity, _, secret = token.partition(".")
    digest = _digest(secret)
    for share in shares_in_force(outbox, now=now):
        if share.id == identity:
            return share if hmac.compare_digest(share.digest, digest) else None
    return None


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
