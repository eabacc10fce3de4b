"""What minutes came to, on every engine."""

from support.outbox_builder import OutboxBuilder

from forwarder.outbox import KeepMinutes, Minute, opened
from forwarder.outbox.sql import minutes
from forwarder.settings import OutboxPlace


def test_minutes_are_kept_by_name_and_in_order(place: OutboxPlace) -> None:
    """Of an endpoint, and of the line, whose name is empty; told twice, a minute is there once."""
    built = OutboxBuilder(place)
    first, second = Minute("acme", 60, {"delivered": 2}, 0.5), Minute("acme", 120, {"dead": 1})
    line = Minute("", 120, {"accepted": 3})
    with opened(built.place) as outbox:
        outbox.operate(KeepMinutes([second, line], before=0))
        outbox.operate(KeepMinutes([Minute("acme", 60, {})], before=0))
        for _ in range(2):
            outbox.operate(KeepMinutes([first], before=0))
    with opened(built.place, is_read_only=True) as outbox:
        assert outbox.minutes("acme", since=0) == [first, second]
        assert outbox.minutes("acme", since=61) == [second]
        assert outbox.minutes("", since=0) == [line]
        assert outbox.minutes("home", since=0) == []


def test_minutes_of_several_replicas_are_added_up(place: OutboxPlace) -> None:
    """Each of them keeps its own; a minute is what all did in it."""
    built = OutboxBuilder(place)
    with built.store() as store:
        for replica, count in (("a", 2), ("b", 3), ("b", 4)):
            minute = Minute("acme", 60, {"delivered": count}, 0.5)
            minutes.keep(store.connection, [minute], before=0, replica=replica)
    with opened(built.place, is_read_only=True) as outbox:
        assert outbox.minutes("acme", since=0) == [Minute("acme", 60, {"delivered": 6}, 1.0)]


def test_old_minutes_are_forgotten(place: OutboxPlace) -> None:
    """Those that began before, whoever's they are."""
    built = OutboxBuilder(place)
    with opened(built.place) as outbox:
        outbox.operate(KeepMinutes([Minute(name, 60, {"x": 1}) for name in ("", "acme")], before=0))
        outbox.operate(KeepMinutes([], before=61))
    assert built.rows("SELECT count(*) FROM minute") == [(0,)]
