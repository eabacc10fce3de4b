"""
One attempt: POST a body to an endpoint and say what it came to. Never retries, never raises.

    Sender.post ─▶ Channel (the endpoint's fixed part) ─▶ PooledTransport ─▶ idle Connection, else Dialler ─▶ AnswerReader
                                                                                    │
                                                            resolve ▸ guard ▸ connect ▸ (proxy) ▸ TLS
"""  # noqa: E501 - a drawing does not wrap

from forwarder.sender.descriptors import Descriptors
from forwarder.sender.guard import Guard
from forwarder.sender.pools import pooled_transports
from forwarder.sender.sender import Sender, TransportFor
from forwarder.sender.transport import PooledTransport

__all__ = [
    "Descriptors",
    "Guard",
    "PooledTransport",
    "Sender",
    "TransportFor",
    "pooled_transports",
]
