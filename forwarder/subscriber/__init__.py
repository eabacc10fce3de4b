"""
The MQTT session: gives each message to a handler, acknowledges when told. The one home of paho-mqtt.

    socket ◀─▶ wire ◀─▶ pump ─▶ packets ─▶ messages ─────────────┐
                 ▲       │ └─▶ paho: every other packet           │
                 │       └─ backlog ( how much may wait )         │
                 │                                                ▼
    dial ─▶ connection ( CONNECT … its end; keep-alive ) ─▶ arrivals ─▶ on_arrivals
               ▲                                                ▲
             session ( connects and reconnects for ever )        acknowledge, in order of arrival
               └─▶ trouble ( one log line per problem ) ◀─ diagnosis ( what to do about it ), backoff

Everything runs on the caller's asyncio loop, except the dialling itself, whose name look-up and handshakes block.
"""

from forwarder.subscriber.arrivals import Arrival
from forwarder.subscriber.session import Pace, SessionState, Subscriber
from forwarder.subscriber.visit import probe

__all__ = ["Arrival", "Pace", "SessionState", "Subscriber", "probe"]
