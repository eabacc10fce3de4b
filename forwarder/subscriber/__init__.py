"""
The MQTT session gives each message to a handler, and acknowledges when told. It is the one home of paho-mqtt.

    socket ◀─▶ shared_socket ◀─▶ socket_driver ─▶ packets ─▶ messages ─┐
                 ▲                │ └─▶ paho: every other packet        │
                 │                └─ backlog ( how much may wait )      │
                 │                                                      ▼
    dial ─▶ connection ( CONNECT … its end; keep-alive ) ──────▶ arrivals ─▶ on_arrivals
               ▲                                                      ▲
             session ( connects and reconnects for ever )             acknowledge, in order of arrival
               └─▶ problem_log ( one log line per problem ) ◀─ diagnosis ( what to do about it ), backoff

    trial ( connects once beside the session, to see whether it would work )

Everything runs on the caller's asyncio loop, so nothing here needs a lock. Only the dialling has a thread, because name
look-up and handshakes block.
"""

from forwarder.subscriber.arrivals import Arrival
from forwarder.subscriber.session import Pace, SessionState, Subscriber
from forwarder.subscriber.trial import try_session

__all__ = ["Arrival", "Pace", "SessionState", "Subscriber", "try_session"]
