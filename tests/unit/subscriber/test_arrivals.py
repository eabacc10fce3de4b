from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from forwarder.reading import Message
from forwarder.subscriber.arrivals import Arrival, Unacknowledged


@given(order=st.permutations(range(8)), batches=st.lists(st.integers(1, 4), max_size=8))
def test_acknowledgements_are_released_in_order_of_arrival(
    order: list[int], batches: list[int]
) -> None:
    """In whatever order and groups they are told, PUBACKs leave oldest first, each once (MQTT-4.6.0-2)."""
    waiting = Unacknowledged()
    arrivals = [arrive(waiting, packet_id) for packet_id in range(8)]
    everything = b"".join(arrival.acknowledgement for arrival in arrivals)
    released = b""
    for size in [*batches, 8]:
        told, order = order[:size], order[size:]
        released += waiting.release(arrivals[index] for index in told)
        assert everything.startswith(released)
    assert (released, len(waiting)) == (everything, 0)


def test_acknowledgement_waits_for_those_before_it() -> None:
    """What is told early is released together with its predecessors, not before."""
    waiting = Unacknowledged()
    first, second = arrive(waiting, 1), arrive(waiting, 2)
    assert waiting.release([second]) == b""
    assert waiting.release([first]) == first.acknowledgement + second.acknowledgement


def test_arrival_of_another_connection_is_ignored() -> None:
    """Packet ids are used again on each connection: an old arrival must not release a new message."""
    old = arrive(Unacknowledged(), 1)
    waiting = Unacknowledged()
    arrive(waiting, 1)
    assert waiting.release([old]) == b""
    assert len(waiting) == 1


def test_arrival_told_twice_is_released_once() -> None:
    """A packet id that was acknowledged belongs to the broker again."""
    waiting = Unacknowledged()
    arrival = arrive(waiting, 1)
    assert waiting.release([arrival]) == arrival.acknowledgement
    assert waiting.release([arrival]) == b""


def arrive(waiting: Unacknowledged, packet_id: int) -> Arrival:
    message = Message("ext/it/ECC9FF5C0001", b"{}", datetime(2025, 11, 18, tzinfo=UTC))
    arrival = Arrival(message, b"\x40\x02" + packet_id.to_bytes(2))
    waiting.expect([arrival])
    return arrival
