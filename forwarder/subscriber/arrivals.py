"""Messages that wait for their PUBACK, in the order in which they came; pure."""

from collections import deque
from collections.abc import Iterable

from forwarder.reading import Message

PUBACK = b"\x40\x02"
"""A PUBACK up to its packet id (MQTT 3.1.1 §3.4)."""


class Arrival:
    """One message as it came in, with its acknowledgement on the connection that brought it."""

    __slots__ = ("acknowledgement", "is_acknowledged", "message")

    def __init__(self, message: Message, acknowledgement: bytes) -> None:
        self.message = message
        self.acknowledgement = acknowledgement
        """The PUBACK; empty at QoS 0, which has none."""
        self.is_acknowledged = False


class Unacknowledged:
    """
    The arrivals of one connection whose PUBACKs have not left; they are released from the oldest on.

    PUBACKs must leave in the order of their PUBLISHes (MQTT-4.6.0-2), so an early one waits for those before it. Each
    arrival of this connection is released once, and no arrival of another. A packet id stands for another message once
    it is acknowledged, and on every new connection: a PUBACK too many would acknowledge an unprocessed message.
    """

    def __init__(self) -> None:
        self._arrivals: deque[Arrival] = deque()

    def __len__(self) -> int:
        return len(self._arrivals)

    def expect(self, arrivals: Iterable[Arrival]) -> None:
        self._arrivals.extend([one for one in arrivals if one.acknowledgement])

    def release(self, told: Iterable[Arrival]) -> bytes:
        """Mark `told` as acknowledged; returns the PUBACKs that may leave now, oldest first."""
        for arrival in told:
            arrival.is_acknowledged = True
        arrivals, released = self._arrivals, []
        while arrivals and arrivals[0].is_acknowledged:
            released.append(arrivals.popleft().acknowledgement)
        return b"".join(released)
