"""What waits, in bytes: counted by reads and by groups, told when it stays."""

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from support.clock import HandClock

from forwarder.logs import logger
from forwarder.subscriber.backlog import BYTES_PER_MESSAGE, TOLD_AFTER_SECONDS, Backlog


def backlog(most_bytes: int, clock: HandClock | None = None) -> Backlog:
    return Backlog(logger("mqtt"), clock or HandClock(), most_bytes=most_bytes)


def test_small_messages_count_too() -> None:
    """An empty payload takes memory as well."""
    it = backlog(10 * BYTES_PER_MESSAGE)
    it.add(9, 0)
    assert not it.is_full
    it.add(1, 0)
    assert it.is_full


def test_it_has_room_again_at_half() -> None:
    """Reading goes on in large steps, and not by one message at a time."""
    it = backlog(10 * BYTES_PER_MESSAGE)
    for _ in range(10):
        it.add(1, 0)
    it.remove(4)
    assert it.is_full
    it.remove(1)
    assert not it.is_full


@given(reads=st.lists(st.integers(1, 9), max_size=30), groups=st.data())
def test_nothing_is_left_once_all_is_acknowledged(reads: list[int], groups: st.DataObject) -> None:
    """However reads and groups cut the stream: never less than what waits is counted, and in the end nothing."""
    most = 5 * BYTES_PER_MESSAGE
    it, waiting = backlog(most), 0
    for count in reads:
        it.add(count, 0)
        waiting += count
        assert it.is_full or waiting < 5
        done = groups.draw(st.integers(0, waiting))
        it.remove(done)
        waiting -= done
    it.remove(waiting)
    assert not it.is_full
    it.add(4, 0)
    assert not it.is_full
    it.add(1, 0)
    assert it.is_full


def test_long_standstill_is_said_once_and_so_is_its_end() -> None:
    """A disk that is slow for a moment is no news; one that takes nothing is."""
    clock = HandClock()
    it = backlog(BYTES_PER_MESSAGE, clock)
    it.add(1, 100)
    with capture_logs() as logs:
        it.tell()
        clock.elapsed += TOLD_AFTER_SECONDS
        it.tell()
        it.tell()
        it.remove(1)
    assert [log["event"] for log in logs] == ["mqtt.held_back", "mqtt.reading_again"]
    assert logs[0]["waiting_bytes"] == 100 + BYTES_PER_MESSAGE
    assert "at QoS 0" in logs[0]["hint"]


def test_short_standstill_is_no_news() -> None:
    """Neither its beginning nor its end."""
    it = backlog(BYTES_PER_MESSAGE)
    it.add(1, 0)
    with capture_logs() as logs:
        it.tell()
        it.remove(1)
    assert logs == []
