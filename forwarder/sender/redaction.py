"""Keeps what we told a receiver in confidence out of what it answers: answers are stored and shown."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from forwarder.routes.model import BasicAuth, Endpoint

HIDDEN = b"***"
SHORTEST_SECRET = 6
"""Shorter values are words like `yes`: hiding them would only garble answers."""


class Redaction:
    """The values of one endpoint that a receiver may echo: header values, credentials, the query of its URL."""

    def __init__(self, endpoint: Endpoint, fixed: Sequence[tuple[bytes, bytes]]) -> None:
        own = {name.lower().encode() for name, _ in endpoint.headers} | {b"authorization"}
        values = [value for name, value in fixed if name.lower() in own]
        values += [value.rpartition(b" ")[2] for name, value in fixed if name == b"authorization"]
        values.append(urlsplit(endpoint.url).query.encode())
        if isinstance(endpoint.auth, BasicAuth):
            values.append(endpoint.auth.password.encode())
        # The longest first, so that no part of it is left beside a hidden one.
        long_enough = {value for value in values if len(value) >= SHORTEST_SECRET}
        self._secrets = sorted(long_enough, key=len, reverse=True)

    def of(self, answer: bytes) -> bytes:
        """The answer without them."""
        if not answer:
            return answer
        for secret in self._secrets:
            answer = answer.replace(secret, HIDDEN)
        return answer
