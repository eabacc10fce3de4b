"""
The sender makes one attempt: it POSTs a body to an endpoint and returns the result. It never retries and never raises.

    Sender.post ─▶ Channel ─ bytes ─▶ Transport ═ PooledTransport ─▶ idle Connection, else Dialler ─▶ AnswerReader
                                                                                             │
                                                                     resolve ▸ guard ▸ connect ▸ (proxy) ▸ TLS

    client_for ─▶ httpx.AsyncClient ─ httpx's requests ─┬▶ PooledTransport     for every request that is no delivery
                                                        └▶ HandshakeTransport  to look for an endpoint; sends nothing

`Transport` is the seam, where tests put a handler. `pooled_transports` makes the real ones.
"""

from forwarder.sender.client import HttpxTransportFor, client_for
from forwarder.sender.descriptors import Descriptors
from forwarder.sender.guard import Guard
from forwarder.sender.sender import Sender, Transport, TransportFor
from forwarder.sender.tokens import Tokens
from forwarder.sender.transport import PooledTransport, pooled_transports

__all__ = [
    "Descriptors",
    "Guard",
    "HttpxTransportFor",
    "PooledTransport",
    "Sender",
    "Tokens",
    "Transport",
    "TransportFor",
    "client_for",
    "pooled_transports",
]
