"""Whether a webhook's signature is right, by the public `standardwebhooks` library."""

import base64
from collections.abc import Mapping, Sequence
from typing import Protocol

from forwarder.errors import OperationError

MISSING_EXTRA = (
    "this needs packages that a deployment does not: pip install 'whatwatt-forwarder[demo]'"
)

_KEY_BYTES = range(24, 65)


class Verify(Protocol):
    """Judges one request."""

    def __call__(self, body: bytes, headers: Mapping[str, str]) -> str | None:
        """None when a signature fits, else one clause that says why none does."""


def verifier(secrets: Sequence[str]) -> Verify:
    """
    Accepts a request that any of these `whsec_…` secrets signed.

    Raises OperationError when the library is missing or a secret is not one.
    """
    try:
        from standardwebhooks.webhooks import Webhook, WebhookVerificationError
    except ImportError as missing:
        raise OperationError(MISSING_EXTRA) from missing
    webhooks = [Webhook(_checked(secret)) for secret in secrets]

    def verify(body: bytes, headers: Mapping[str, str]) -> str | None:
        problem = "no secret was given"
        for webhook in webhooks:
            try:
                webhook.verify(body, dict(headers), json_parse=False)
            except (WebhookVerificationError, ValueError) as wrong:
                problem = str(wrong)
            else:
                return None
        return problem

    return verify


def _checked(secret: str) -> str:
    prefix, _, encoded = secret.partition("_")
    try:
        is_key = prefix == "whsec" and len(base64.b64decode(encoded, validate=True)) in _KEY_BYTES
    except ValueError:
        is_key = False
    if not is_key:
        raise OperationError(
            "the secret is not a Standard Webhooks secret: expected whsec_ and the base64 of 24 to 64 bytes, "
            "as `forwarder secret` prints it"
        )
    return secret
