"""The tables keep webhook ids as 16 bytes, without the `msg_` that people see."""

from forwarder.reading import WebhookId

_PREFIX = "msg_"


def as_bytes(webhook_id: str) -> bytes:
    """Raises ValueError where no hex digits follow the prefix."""
    return bytes.fromhex(webhook_id[len(_PREFIX) :])


def from_bytes(kept: bytes) -> WebhookId:
    return WebhookId(_PREFIX + kept.hex())
