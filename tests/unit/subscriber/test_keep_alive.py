import pytest

from forwarder.subscriber.keep_alive import Duty, KeepAlive


def test_ping_is_due_when_nothing_comes_or_leaves() -> None:
    """The broker must hear from us within each keep-alive, and we want to hear from it."""
    assert KeepAlive(60, now=0).duty(now=59.9) is Duty.NONE
    assert KeepAlive(60, now=0).duty(now=60) is Duty.PING


@pytest.mark.parametrize("direction", ["heard", "sent"])
def test_ping_is_due_when_one_direction_is_quiet(direction: str) -> None:
    """Messages at QoS 0 only come in, and what we send says nothing about the broker."""
    watch = KeepAlive(60, now=0)
    getattr(watch, direction)(now=50)
    assert watch.duty(now=60) is Duty.PING


def test_traffic_both_ways_needs_no_ping() -> None:
    """PUBLISHes and PUBACKs are signs of life enough."""
    watch = KeepAlive(60, now=0)
    for now in range(0, 300, 30):
        watch.heard(now=now)
        watch.sent(now=now)
        assert watch.duty(now=now + 29) is Duty.NONE


def test_silent_broker_is_given_up_after_two_keep_alives() -> None:
    """Nothing for a keep-alive, a ping, and nothing for another: the peer is gone."""
    watch = KeepAlive(60, now=0)
    duties = [watch.duty(now=now) for now in (60, 61, 119.9, 120)]
    assert duties == [Duty.PING, Duty.NONE, Duty.NONE, Duty.GIVE_UP]


def test_our_own_packets_keep_no_dead_broker_alive() -> None:
    """What we send into a dead connection is no answer."""
    watch = KeepAlive(60, now=0)
    watch.duty(now=60)
    watch.sent(now=100)
    assert watch.duty(now=120) is Duty.GIVE_UP


def test_late_answer_to_a_ping_is_no_silence() -> None:
    """PINGRESP may stand behind a queue of messages: while those come, the broker lives, and is pinged on."""
    watch = KeepAlive(60, now=0)
    assert watch.duty(now=60) is Duty.PING
    for now in range(61, 119):
        watch.heard(now=now)
        assert watch.duty(now=now) is Duty.NONE
    watch.heard(now=120)
    assert watch.duty(now=120) is Duty.PING


def test_no_keep_alive_at_all() -> None:
    """A broker may switch it off (MQTT 5 §3.2.2.3.14)."""
    assert KeepAlive(0, now=0).duty(now=1e9) is Duty.NONE
