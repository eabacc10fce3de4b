"""
Each resource does a command's work, asked for by HTTP. Every function runs in a thread, never on the loop.

    call.py        one request, understood, and the needs of every resource
    line.py        how everything stands, the routes, and who changed what
    endpoints.py   pauses and tests too            shares.py       links to an endpoint's deliveries
    devices.py     each with all about it          payloads.py     what bytes become
    deliveries.py  in any state                    dead_letters.py, quarantine.py: replayed and discarded too
"""

from forwarder.api.resources import (
    dead_letters,
    deliveries,
    devices,
    endpoints,
    line,
    payloads,
    quarantine,
    shares,
)

__all__ = [
    "dead_letters",
    "deliveries",
    "devices",
    "endpoints",
    "line",
    "payloads",
    "quarantine",
    "shares",
]
