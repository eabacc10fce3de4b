"""Headers by which a receiver verifies an attempt and recognises a repeat (Standard Webhooks 1.0.0). Pure."""

import hmac
import re
from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal

from forwarder.routes.model import SigningKey

TOLERANCE_SECONDS = 300
"""How far the signed second may be from the receiver's own clock, either way."""

Verdict = Literal["verified", "unsigned", "malformed", "too_old", "too_new", "no_match"]

WHY: Mapping[Verdict, str] = {
    "unsigned": "webhook-id, webhook-timestamp or webhook-signature is missing",
    "malformed": "webhook-timestamp is not a number of seconds, or webhook-id not ASCII",
    "too_old": "webhook-timestamp is more than 5 minutes ago: an old request, or a clock that is wrong",
    "too_new": "webhook-timestamp is more than 5 minutes ahead: a clock is wrong",
    "no_match": "no signature fits: it was made with another secret, or over other bytes than these",
}
"""The meaning of each verdict but `verified`, as a clause for people."""

_SIGNED_BY = ("webhook-id", "webhook-timestamp", "webhook-signature")
_SECONDS = re.compile(r"[0-9]{1,12}")


def signature_headers(
    webhook_id: str, *, unix_second: int, attempt: int, body: bytes, keys: Sequence[SigningKey]
) -> list[tuple[str, str]]:
    """
    The four `webhook-…` headers of one attempt; the signature covers the id, the second and the body.

    Each key gives one `v1,` signature, in the order of the keys, so that a receiver needs to know only one of them
    while a key is rotated. `attempt` counts from 1 and is not signed. `webhook_id` holds letters, digits and `_` only,
    because a dot in it would let two different messages share a signature.
    """
    second = str(unix_second)
    content = f"{webhook_id}.{second}.".encode("ascii") + body
    # Signatures are one space apart, because public verifiers split at each space and choke on an empty part.
    signatures = " ".join([_sign(content, key=key) for key in keys])
    return [
        ("webhook-id", webhook_id),
        ("webhook-timestamp", second),
        ("webhook-signature", signatures),
        ("webhook-attempt", str(attempt)),
    ]


def verify(
    headers: Mapping[str, str], body: bytes, *, keys: Sequence[SigningKey], now: float
) -> Verdict:
    """
    Whether one of these keys signed the request, at `now` in UNIX seconds by the receiver's clock.

    `headers` have lower-case names. One key and one signature that fit are enough, as during a rotation. Signatures of
    other versions than v1 are passed over. Every signature is compared with every key, in constant time.
    """
    webhook_id, second, signatures = (headers.get(name, "") for name in _SIGNED_BY)
    if not (webhook_id and second and signatures):
        return "unsigned"
    if not (webhook_id.isascii() and _SECONDS.fullmatch(second)):
        return "malformed"
    age_seconds = now - int(second)
    if abs(age_seconds) > TOLERANCE_SECONDS:
        return "too_old" if age_seconds > 0 else "too_new"
    content = f"{webhook_id}.{second}.".encode("ascii") + body
    expected = [_sign(content, key=key).encode("ascii") for key in keys]
    given = [each.encode("utf-8", "replace") for each in signatures.split(" ")]
    fits = [hmac.compare_digest(one, each) for one in expected for each in given]
    return "verified" if any(fits) else "no_match"


def _sign(content: bytes, *, key: SigningKey) -> str:
    signing = _keyed(key.secret).copy()
    signing.update(content)
    return "v1," + b2a_base64(signing.digest(), newline=False).decode("ascii")


@lru_cache(maxsize=8192)
def _keyed(secret: bytes) -> hmac.HMAC:
    """An HMAC that has taken in the key alone; cached, because OpenSSL sets one up slower than it hashes a body."""
    return hmac.new(secret, digestmod="sha256")
