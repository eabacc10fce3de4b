from collections.abc import Callable
from dataclasses import replace

from forwarder.demo.listener import Received
from forwarder.demo.simulator import Publication
from forwarder.demo.story import RefuseOne


def test_one_reading_is_refused_for_good(
    publish: Callable[[str, str], Publication], receive: Callable[..., Received]
) -> None:
    """The first reading that comes is answered 400 at each attempt, all others 204."""
    rule = RefuseOne()
    first, other = receive(publish("A", "1")), receive(publish("A", "2"))
    assert [rule(first), rule(other), rule(replace(first, attempt=2))] == [400, 204, 400]
