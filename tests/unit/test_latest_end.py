"""Whatever hangs, the process ends."""

from queue import SimpleQueue

from forwarder.service.latest_end import LatestEnd


def test_what_was_asked_first_is_the_exit_code() -> None:
    """A service that is told to stop ends with 0, also when a part fails while it stops."""
    ends: SimpleQueue[int] = SimpleQueue()
    latest = LatestEnd(0.0, end=ends.put)
    latest.begin(exit_code=0)
    latest.begin(exit_code=1)
    assert ends.get(timeout=20) == 0
    assert ends.empty()
