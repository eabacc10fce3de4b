"""Messages that wait for their PUBACK, in the order in which they came; pure."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from forwarder.reading import Message


class Ticket:
    """What one PUBLISH is acknowledged by; of use only to the connection that brought it."""

    __slots__ = ("is_acknowledged", "packet_id", "qos")

    def __init__(self, packet_id: int, qos: int) -> None:
        self.packet_id = packet_id
        self.qos = qos
        self.is_acknowledged = False


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message as it came in, with what it takes to acknowledge it."""

    message: Message
    ticket: Ticket | None
    """None at QoS 0, which knows no acknowledgement."""


class Unacknowledged:
    """
    The tickets of one connection, released only from the oldest on.

    PUBACKs must leave in the order of their PUBLISHes (MQTT-4.6.0-2), so one that is told early waits for those
    before it. A packet id is free for another message once it is acknowledged, and on every new connection:
    what is released are only this connection's own tickets, each once, whatever else is told.
    """

    def __init__(self) -> None:
        self._tickets: deque[Ticket] = deque()

    def __len__(self) -> int:
        return len(self._tickets)

    def expect(self, packet_id: int, qos: int) -> Ticket:
        ticket = Ticket(packet_id, qos)
        self._tickets.append(ticket)
        return ticket

    def release(self, told: Iterable[Ticket]) -> list[Ticket]:
        """Take note of `told`; the answer is the tickets whose PUBACK may leave now, oldest first."""
        for ticket in told:
            ticket.is_acknowledged = True
        released = []
        while self._tickets and self._tickets[0].is_acknowledged:
            released.append(self._tickets.popleft())
        return released
