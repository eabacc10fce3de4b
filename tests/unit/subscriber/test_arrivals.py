from hypothesis import given
from hypothesis import strategies as st

from forwarder.subscriber.arrivals import Ticket, Unacknowledged


@given(order=st.permutations(range(8)), batches=st.lists(st.integers(1, 4), max_size=8))
def test_tickets_are_released_in_order_of_arrival(order: list[int], batches: list[int]) -> None:
    """In whatever order and groups they are told, PUBACKs leave oldest first, each once (MQTT-4.6.0-2)."""
    waiting = Unacknowledged()
    tickets = [waiting.expect(packet_id, qos=1) for packet_id in range(8)]
    released: list[Ticket] = []
    for size in [*batches, 8]:
        told, order = order[:size], order[size:]
        released += waiting.release(tickets[index] for index in told)
        assert released == tickets[: len(released)]
    assert (len(released), len(waiting)) == (8, 0)


def test_ticket_waits_for_those_before_it() -> None:
    """What is told early is released together with its predecessors, not before."""
    waiting = Unacknowledged()
    first, second = waiting.expect(1, qos=1), waiting.expect(2, qos=1)
    assert waiting.release([second]) == []
    assert waiting.release([first]) == [first, second]


def test_ticket_of_another_connection_is_ignored() -> None:
    """Packet ids are used again on each connection: an old ticket must not release a new message."""
    old = Unacknowledged().expect(1, qos=1)
    waiting = Unacknowledged()
    waiting.expect(1, qos=1)
    assert waiting.release([old]) == []
    assert len(waiting) == 1


def test_ticket_told_twice_is_released_once() -> None:
    """A packet id that was acknowledged belongs to the broker again."""
    waiting = Unacknowledged()
    ticket = waiting.expect(1, qos=1)
    assert waiting.release([ticket]) == [ticket]
    assert waiting.release([ticket]) == []
