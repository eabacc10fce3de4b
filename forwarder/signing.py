"""The headers that let a receiver verify an attempt and recognise a repeat: Standard Webhooks 1.0.0; pure."""

import hmac
from binascii import b2a_base64
from collections.abc import Sequence
from functools import lru_cache

from forwarder.routes.model import SigningKey


def signature_headers(
    webhook_id: str, *, unix_second: int, attempt: int, body: bytes, keys: Sequence[SigningKey]
) -> list[tuple[str, str]]:
    """
    The four `webhook-…` headers of one attempt; the signature covers the id, the second and the body.

    One `v1,` signature per key, in the order of the keys, so that a receiver may know any one of them while a key is
    rotated. `attempt` counts from 1 and is not signed. `webhook_id` holds letters, digits and `_` only: a dot in it
    would let two different messages share a signature.
    """
    second = str(unix_second)
    content = f"{webhook_id}.{second}.".encode("ascii") + body
    # One space: the public verifiers split at each and choke on an empty part.
    signatures = " ".join([_sign(content, key=key) for key in keys])
    return [
        ("webhook-id", webhook_id),
        ("webhook-timestamp", second),
        ("webhook-signature", signatures),
        ("webhook-attempt", str(attempt)),
    ]


def _sign(content: bytes, *, key: SigningKey) -> str:
    signing = _keyed(key.secret).copy()
    signing.update(content)
    return "v1," + b2a_base64(signing.digest(), newline=False).decode("ascii")


@lru_cache(maxsize=8192)
def _keyed(secret: bytes) -> hmac.HMAC:
    """The HMAC that has taken in the key and nothing else: OpenSSL sets one up for longer than it hashes a body."""
    return hmac.new(secret, digestmod="sha256")
